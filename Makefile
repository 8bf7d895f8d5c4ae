# make help lists the targets. Everything runs from .venv, which is made when needed.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
LTVM = $(VENV)/bin/ltvm
INSTALLED = $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup ablate smoke ablate-mnist ablate-svhn ablate-celeba report paper-tables reference stored test oldest newest lint types docs doctor evidence-check bench faults clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[dev]" || \
		{ echo "Nothing works without these; they take 7 GB here and up to 4 GB of downloads in TMPDIR:"; df -h . "$${TMPDIR:-/tmp}"; exit 1; }
	touch $@

setup: $(INSTALLED) ## make .venv and install the tested versions (about 7 GB, mostly torch)

ablate: setup ## with and without the correction, and the baselines, on 5,000 real digits (minutes)
	$(LTVM) ablate ablation=ot

smoke: setup ## the same path on a few hundred digits (a minute or so)
	$(LTVM) ablate ablation=ot protocol=smoke

ablate-mnist: setup ## the paper's settings on MNIST (60,000 images; wants a GPU)
	$(LTVM) ablate ablation=ot data=mnist protocol=full

ablate-svhn: setup ## the paper's settings on SVHN (73,257 images; wants a GPU)
	$(LTVM) ablate ablation=ot data=svhn protocol=full

ablate-celeba: setup ## the paper's settings on CelebA (60,000 images; wants a GPU)
	$(LTVM) ablate ablation=ot data=celeba protocol=full

report: setup ## rebuild every report from the records, without training
	$(LTVM) report

paper-tables: setup ## the tables of a paper from the records, missing cells with their commands: reports/paper
	$(LTVM) paper-tables

reference: setup ## rebuild the committed reports, leaderboard and effects from results/reference
	$(LTVM) report --results results/reference --reports reports/reference
	$(LTVM) leaderboard --results results/reference --reports reports/reference
	$(LTVM) effects short_run_ot short_run_uncorrected --by variance_inflation --by latent_sliced_w2 --results results/reference --reports reports/reference

stored: setup ## the records that ship with the package, from results/reference
	$(VENV)/bin/python -m ltvm.runs.housekeeping.stored results/reference

test: setup ## unit and integration tests, a process for every core
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist worksteal

oldest: ## the same tests at the oldest versions that pyproject.toml admits, in .venv-oldest
	$(MAKE) test PYTHON=python3.11 VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt

newest: ## the same tests on the newest Python that pyproject.toml names, in .venv-3.13
	$(MAKE) test PYTHON=python3.13 VENV=.venv-3.13

lint: setup ## ruff: style and format; import-linter: imports run one way
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: setup ## mypy
	$(VENV)/bin/mypy

docs: setup ## the documentation as pages that open from build/site/index.html; checks its links
	$(VENV)/bin/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --quiet --config-file docs/site/mkdocs.yml

doctor: setup ## whether this machine computes rightly, how fast, and what runs would take (minutes)
	$(LTVM) doctor

evidence-check: setup ## one committed run, drawn at random, trained again and held against its record
	$(LTVM) repeat --draw --results results/reference

bench: setup ## speed of chain, learning, iteration, transport, metrics, records here (over ten minutes)
	$(VENV)/bin/python benchmarks/chain.py --out results/bench
	$(VENV)/bin/python benchmarks/chain_shares.py --out results/bench
	$(VENV)/bin/python benchmarks/learning.py --out results/bench
	$(VENV)/bin/python benchmarks/iteration.py --out results/bench
	$(VENV)/bin/python benchmarks/transport.py --out results/bench
	$(VENV)/bin/python benchmarks/metrics.py --out results/bench
	$(VENV)/bin/python benchmarks/records.py --out results/bench

faults: setup ## kills, races, damaged files, full disks: what a sweep survives (docs/reliability.md)
	$(VENV)/bin/python -m benchmarks.faults --out results/bench

clean: ## remove what make made, except results
	rm -rf $(VENV) .venv-oldest .venv-3.13 build dist .pytest_cache .mypy_cache .ruff_cache
