"""The command line: exit codes, messages, help, and nothing half-written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_networks import SMALL

import ltvm
from ltvm.cli.main import COMMANDS, main
from ltvm.cli.options import runs_and_overrides
from ltvm.config import choices
from ltvm.runs.ablations.ablation import PlannedRun

TINY = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", *SMALL,
]  # fmt: skip


def refused(capsys, *arguments):
    """The message of a refused command: exit code 2, at most two lines, no traceback."""
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    message = printed.err.strip()
    assert message.startswith("ltvm: error: ")
    assert len(message.splitlines()) <= 2
    assert "Traceback" not in message
    assert not list(Path(os.environ["LTVM_RESULTS"]).rglob("record.json"))
    return message


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["train", "method=gan"], ["method=gan", "vae"]),
        (["train", "data=lsun"], ["data=lsun", "celeba"]),
        (["ablate", "ablation=colour"], ["ablation=colour", "alpha", "ot"]),
        (["ablate"], ["ablation=NAME", "ot"]),
        (["train", "method.solver=magic"], ["method.solver=magic", "blocks", "semidual"]),
        (["train", "method.solver_options.size=3"], ["solver_options", "size"]),
        (
            ["train", "method.solver=blocks", "method.solver_options.block=1"],
            ["solver_options.block=1", "2 or more"],
        ),
        (["train", "optimizer.betas=[0.5]"], ["optimizer.betas=[0.5]", "two numbers"]),
        (["train", "optimizer.betas=0.5"], ["optimizer.betas=0.5", "a list"]),
        (["train", "protocol.train_images=many"], ["protocol.train_images=many", "integer"]),
        (["train", "evaluation.metrics.frechet.samples=many"], ["evaluation.metrics.frechet"]),
        (["train", "method.k=3"], ["method.k=3", "steps"]),
        (["train", "method.steps=0"], ["method.steps=0", "1 or more"]),
        (["train", "method.steps=-3"], ["method.steps=-3", "1 or more"]),
        (["train", "method.alpha=1.01"], ["method.alpha=1.01", "0 to 1"]),
        (["train", "method.alpha=-0.1"], ["method.alpha=-0.1", "0 to 1"]),
        (["train", "model.sigma=0"], ["model.sigma=0", "above 0"]),
        (["train", "method.kernel.size=0"], ["method.kernel.size=0", "above 0"]),
        (["train", "method.kernel.size=-1"], ["method.kernel.size=-1", "above 0"]),
        (["train", "protocol.batch=41"], ["protocol.batch=41", "at most the 40"]),
        (["train", "evaluation.metrics.frechet.samples=41"], ["samples=41", "at most the 40"]),
        (["train", "evaluation.extractor=vgg"], ["extractor=vgg", "digits"]),
        (["train", "device=cuda:9"], ["device=cuda:9", "cpu"]),
        (["train", "device=tpu"], ["device=tpu", "cuda"]),
        (["train", "precision=half"], ["precision=half", "bfloat16"]),
        (["train", "data=folder"], ["data.load.path", "directory"]),
        (["train", "data=folder", "data.load.path=/nonexistent"], ["/nonexistent"]),
        (["train", "method._target_=no.such.Class"], ["no.such.Class", "with method.name=WORD"]),
        (
            ["train", "+method.kernel.name._target_=x"],
            ["method.kernel.name=VALUE, which has no keys"],
        ),
        (["train", "method.name=x", "method._target_=no.such.Class"], ["no.such.Class", "import"]),
        (["report", "nothing"], ["nothing", "ltvm ablate"]),
        (["report"], ["no records"]),
        (["export", "nothing", "--to", "x"], ["nothing"]),
        (["train", "--config-dir", "/nonexistent"], ["--config-dir", "/nonexistent"]),
    ],
)
def test_bad_input(capsys, command, words):
    extra = TINY if command[0] in ("train", "ablate") else []
    message = refused(capsys, command[0], *extra, *command[1:])
    for word in words:
        assert word in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_results(capsys, tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("LTVM_RESULTS", str(tmp_path / "results"))
    assert "cannot be written" in refused(capsys, "train", *TINY)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (
            "tune method=vae protocol=smoke --metric fd_digits paths.results=/proc/x",
            "paths.results",
        ),
        ("export ot-mnist5k --to /proc/x.tar.gz", "--to"),
        ("export ot-mnist5k --to /proc/x", "--to"),
        ("new-method foo --to /proc/x", "--to"),
    ],
)
def test_every_command_says_where_it_cannot_write(capsys, command, key):
    told = refused(capsys, *command.split())
    assert f"{key}=/proc" in told
    assert "cannot be written (" in told
    assert "allowed: a writable directory" in told


def test_an_archive_that_is_missing_is_said_to_be(capsys):
    assert (
        "gone.tar.gz: no such file or directory; allowed: a file or directory made by"
        in refused(capsys, "import", "gone.tar.gz")
    )


def test_results_below_a_file(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    message = refused(capsys, "train", *TINY, f"paths.results={tmp_path}/file/results")
    assert "paths.results=" in message
    assert "writable" in message


def test_absent_data_offline(capsys, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.SVHN.__init__", offline)
    message = refused(capsys, "train", "data=svhn", *TINY)
    assert "train_32x32.mat" in message
    assert "174 MB" in message


def test_help_lists_the_choices(capsys):
    for command in ("train", "ablate"):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
        text = capsys.readouterr().out
        for word in ("short_run_ot", "mnist5k", "smoke", "examples:"):
            assert word in text
    assert "alpha" in text


def test_examples_can_be_pasted_into_any_shell(capsys):
    """zsh takes brackets outside quotes for patterns of files, and refuses the command."""
    texts = [getattr(command, "EXAMPLES", "") for command in COMMANDS.values()]
    assert main([]) == 0
    for line in "\n".join([*texts, capsys.readouterr().out]).splitlines():
        bare = re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", line)
        assert not re.search(r"[\[\]{}]", bare), line


def test_an_unknown_flag_is_refused(capsys):
    assert "--fast" in refused(capsys, "train", "--fast")
    assert "did you mean --json?" in refused(capsys, "train", "--jsn")
    assert "ltvm train --restart ..." in refused(capsys, "--restart", "train")


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("train --results /tmp/x", "paths.results="),
        ("train --seed=1", "seed="),
        ("tune --learning-rate 0.1", "protocol.learning_rate="),
        ("check --alpha 1", "method.alpha="),
        ("compare --method vae", "method="),
    ],
)
def test_a_key_given_as_a_flag_is_said_as_a_key(capsys, command, meant):
    assert f"did you mean {meant}...?" in refused(capsys, *command.split())


@pytest.mark.parametrize("command", ["train --restat", "gc --yess", "cache --cler"])
def test_a_flag_that_discards_work_is_not_suggested(capsys, command):
    told = refused(capsys, *command.split())
    assert not re.search(r"mean --(restart|yes|clear)", told)


@pytest.mark.parametrize(
    ("command", "nearest"),
    [
        ("trian", "train"),
        ("train method.step=3", "method.steps"),
        ("train data=folder data.path=x", "data.load.path"),
        ("train seeds=3", "seed"),
        ("ablate ablation=ot seeds=[0,1]", "ablation.seeds"),
        ("train method.batch=3", "protocol.batch"),
        ("status --jsn", "--json"),
        ("leaderboard --interval bootstrp", "bootstrap"),
        ("train data=mnist5", "mnist5k"),
        ("train method.kernel=hamiltonien", "hamiltonian"),
        ("train evaluation.extractor=digts", "digits"),
        ("train hydra/launcher=joblb", "joblib"),
        ("train methd=vae", "method"),
        ("train method.alpa=0.3", "method.alpha"),
        ("train protcol.batch=3", "protocol.batch"),
        ("train lerning_rate=1", "protocol.learning_rate"),
        ("train aplha=0.3", "method.alpha"),
        ("train protocol.equal=flop", "flops"),
        ("train method.solver=shortlst", "shortlist"),
        ("ablate ablation=ot ablation.combine=prodct", "product"),
        ("check kernel=langevin", "method.kernel"),
        ("status ot-mnist5", "ot-mnist5k"),
        ("report ot-mnist5", "ot-mnist5k"),
        ("export ot-mnist5 --to x.tar.gz", "ot-mnist5k"),
    ],
)
def test_the_nearest_valid_name_is_said(capsys, command, nearest):
    if "ot-mnist5" in command:
        command += f" --results {Path(__file__).parents[2] / 'results' / 'reference'}"
    assert f"did you mean {nearest}?" in refused(capsys, *command.split())


@pytest.mark.parametrize("more", [[], ["--list"], ["protocol=smoke", "--list", "--json"]])
def test_a_bare_word_is_no_ablation(capsys, more):
    assert "ot: allowed: KEY=VALUE; did you mean ablation=ot?" in refused(
        capsys, "ablate", "ot", *more
    )
    told = refused(capsys, "ablate", "mechanisn", *more)
    assert "did you mean ablation=mechanism?" in told


def test_list_without_an_ablation_names_all_with_their_questions(capsys):
    assert main(["ablate", "--list", "--json"]) == 0
    questions = json.loads(capsys.readouterr().out)["ablations"]
    assert set(questions) == set(choices("ablation"))
    assert all(question.endswith(("?", ".", ")")) for question in questions.values())
    assert main(["ablate", "--list", "protocol=smoke"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in questions)


BROKEN = {
    "half": ("axes: {method: [vae]}", "its file has no name, question, base; needed: name, ques"),
    "typo": ("{name: typo, question: q, base: [], axis: {}}", "ablation.axis={}: allowed: name, "),
    "copy": ("name: ot", "ablation=copy: name in its file=ot: allowed: copy, as the file"),
    "torn": ("a: [", "ablation=torn: no YAML: "),
}


def test_a_broken_definition_is_named_and_hides_no_other(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LTVM_CONFIG_DIRS", str(tmp_path))
    (tmp_path / "ablation").mkdir()
    for name, (text, told) in BROKEN.items():
        (tmp_path / "ablation" / f"{name}.yaml").write_text(text)
        assert told in refused(capsys, "ablate", f"ablation={name}", "--list")
    assert main(["ablate", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "(its file has no question)" in shown
    assert "(cannot be read:" in shown
    assert "what_matters" in shown


def test_a_word_is_no_list_of_overrides():
    for function in (ltvm.train, ltvm.plan):
        with pytest.raises(ltvm.InputError, match=r"overrides=method=vae: allowed: a list, such"):
            function("method=vae")


def test_list_previews_and_writes_nothing(capsys):
    assert main(["ablate", "ablation=ot", "--list", "data=mnist5k"]) == 0
    text = capsys.readouterr().out
    assert "5 cells, 15 runs, 0 done, 15 to do" in text
    assert text.count("pending 0 1 2") == 5
    assert "further" not in text
    assert not Path(os.environ["LTVM_RESULTS"]).exists()


def test_list_tells_further_cells_apart(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["ablate", "ablation=what_matters", "--list"]) == 0
    text = capsys.readouterr().out
    assert "26 cells, 78 runs" in text
    for words in (
        "method.solver=noise, method.alpha=0.5",
        "method.solver=gaussian, method.alpha=1.0",
    ):
        assert text.count(words) == 1
    assert "method=" not in text  # the first column has it


def test_list_says_which_claims_are_not_asked(capsys):
    claimed = [
        "ablate",
        "ablation=ot",
        "ablation.axes.method=[short_run_ot,short_run_uncorrected]",
        "--list",
    ]
    claim = "{name: C, claim: c, metric: fd_digits, smallest: 0.1, stated: '2026-11-29'"
    rows = "row: {method: short_run_ot}, against: {method: %s}}"
    for against, said in (("short_run_uncorrected", False), ("vae", True)):
        assert main([*claimed, f"ablation.claims=[{claim}, {rows % against}]"]) == 0
        told = "claim C is not asked here: method=vae: no row\n"
        assert (told in capsys.readouterr().out) is said


def test_list_says_that_the_reference_is_none_of_the_rows(capsys):
    told = "no differences: the reference, short_run_uncorrected, is none of the rows\n"
    for methods, said in (("short_run_uncorrected,vae", False), ("vae,abp", True)):
        assert main(["ablate", "ablation=ot", f"ablation.axes.method=[{methods}]", "--list"]) == 0
        assert (told in capsys.readouterr().out) is said


def test_a_claim_about_what_nothing_measures_is_refused_before_anything_is_trained(capsys):
    claim = "{name: C, claim: c, metric: mse_tets, smallest: 0.1, stated: '2026-11-29'"
    rows = "row: {method: vae}, against: {method: abp}}"
    claimed = [
        "ablation=ot", "ablation.axes.method=[vae,abp]", f"ablation.claims=[{claim}, {rows}]",
        *TINY,
    ]  # fmt: skip
    assert "did you mean mse_test?" in refused(capsys, "ablate", *claimed)
    assert not list(Path(os.environ["LTVM_RESULTS"]).glob("runs/*"))


def test_list_says_which_seeds_are_done_in_80_columns(capsys, monkeypatch):
    def status(run):
        return {0: "done", 1: "pending", 2: "done"}[run.config["seed"]]

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(PlannedRun, "status", property(status))
    assert main(["ablate", "ablation=ot", "sampler=gmm", "--list"]) == 0
    text = capsys.readouterr().out
    assert text.count("done 0 2") == text.count("pending 1") == 5
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text  # no identity is cut


def test_train_status_and_debug(capsys):
    solver = ["method.solver=shortlist", "method.solver_options.gap=0.01"]  # keys of its own
    assert main(["train", *TINY, *solver]) == 0
    text = capsys.readouterr().out
    assert "fd_digits" in text
    (config,) = Path(os.environ["LTVM_RESULTS"]).rglob("config.yaml")
    assert "gap: 0.01" in config.read_text()
    assert "status                   done" in text
    assert main(["status", "--results", os.environ["LTVM_RESULTS"]]) == 0
    assert "short_run_ot" in capsys.readouterr().out
    assert main(["train", "--debug", "method=gan"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_ablate_prints_the_table(capsys, undrawn):
    code = main(
        ["ablate", "ablation=ot", "ablation.axes.method=[vae]", "ablation.seeds=[0]", *TINY]
    )
    assert code == 0
    printed = capsys.readouterr()
    assert "VAE" in printed.out
    assert "README.md" in printed.out
    assert "iteration 1 of 2" in printed.err


def test_import_is_light():
    """``import ltvm`` must not load torch, Hydra or matplotlib."""
    heavy = "{'torch', 'hydra', 'matplotlib', 'ot'}"
    code = f"import sys, ltvm; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_list_of_commands_is_light():
    """``ltvm --help`` must not load torch or Hydra: it is what a shell waits for."""
    code = (
        "import sys; from ltvm.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('loaded', sorted({'torch', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("loaded []")


def test_what_is_kept_of_features_is_shown_and_cleared(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LTVM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "ltvm.runs.execution.execute._metric_cache", {}
    )  # what this process has already
    assert main(["cache"]) == 0
    assert "0.0 MB" in capsys.readouterr().out
    assert main(["train", *TINY]) == 0
    capsys.readouterr()
    assert main(["cache"]) == 0
    assert " 0.0 MB" in capsys.readouterr().out  # 40 images of 64 numbers: there, but small
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert any("features" in file.parts for file in kept)
    assert main(["cache", "--clear"]) == 0
    left = [f for f in (tmp_path / "cache" / "features").rglob("*") if f.suffix != ".lock"]
    assert not [file for file in left if file.is_file()]


def test_checking_nothing_names_what_can_be(capsys):
    assert "method.kernel" in refused(capsys, "check", "seed=1")


def test_without_arguments_it_says_what_to_do_first(capsys):
    assert main([]) == 0
    printed = capsys.readouterr()
    assert "ltvm ablate ablation=ot protocol=smoke" in printed.out
    assert max(map(len, printed.out.splitlines())) <= 100
    assert printed.err == ""


def test_a_folder_that_is_there_is_no_override_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["seed=0", "sampler=gmm"]
    assert runs_and_overrides(words) == ([], words)
    (tmp_path / "seed=0").mkdir()
    assert runs_and_overrides(words) == (["seed=0"], ["sampler=gmm"])
