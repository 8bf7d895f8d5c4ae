"""What makes another run, what makes another evaluation, and what makes neither."""

import copy
import importlib
import importlib.metadata
import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.runs import identity as module
from ltvm.runs import own_code
from ltvm.runs.identity import evaluation_identity, identity, sampler_identity
from ltvm.runtime.files import read_json


@pytest.mark.parametrize(
    "override",
    ["seed=5", "paths.results=elsewhere", "paths.data=/mnt", "device=cpu", "keep=all",
     "execution.products=torch", "protocol.test_images=50", "protocol.evaluation.samples=50",
     "evaluation=digits_thorough", "evaluation.every=2",
     "evaluation.metrics.reconstruction.restarts=2", "sampler=gmm"],
)  # fmt: skip
def test_what_trains_nothing_makes_no_other_run(override):
    assert identity(resolve([override])) == identity(resolve([]))


@pytest.mark.parametrize(
    "override",
    ["method.alpha=0.4", "method.steps=7", "model.sigma=0.2", "decoder.norm=group", "data=mnist",
     "protocol.batch=50", "method=vae", "protocol.learning_rate=1e-3",
     "method.solver=exact", "method.kernel=underdamped", "method.kernel.noise=false",
     "protocol.train_images=500", "validation_images=500"],
)  # fmt: skip
def test_what_trains_makes_another_run(override):
    assert identity(resolve([override])) != identity(resolve([]))


def test_precision_makes_another_run_and_auto_is_the_devices_own(monkeypatch):
    by_precision = {p: identity(resolve([f"precision={p}"])) for p in ("float32", "bfloat16")}
    assert len(set(by_precision.values())) == 2
    for native, expected in by_precision.items():
        monkeypatch.setattr("ltvm.config.native_precision", lambda _, native=native: native)
        assert identity(resolve([])) == identity(resolve(["precision=auto"])) == expected


def changed(*path, value):
    """The default configuration with one key set, whether it exists or not."""
    config = copy.deepcopy(resolve([]))
    place = config
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    return config


def test_labels_and_styles_are_not_what_is_trained():
    for key, value in (("label", "another"), ("style", {"colour": "#000000"})):
        assert identity(changed("method", key, value=value)) == identity(resolve([]))


def test_what_is_searched_and_whether_it_was_is_not_what_is_trained():
    for key, value in (("tuning", {"method.alpha": None}), ("tuned", {"trials": 20})):
        assert identity(changed("method", key, value=value)) == identity(resolve([]))


def test_a_key_that_is_not_used_disowns_no_record():
    """Records that were made before ``validation_images`` was a key."""
    config = resolve([])
    assert config["validation_images"] is None
    older = {key: value for key, value in config.items() if key != "validation_images"}
    assert identity(older) == identity(config)
    assert evaluation_identity(older) == evaluation_identity(config)


def test_the_committed_records_are_those_of_todays_configuration():
    reference = Path(__file__).resolve().parents[2] / "results" / "reference"
    manifest = read_json(reference / "ablations" / "ot-mnist5k.json")
    for entry in manifest["runs"]:
        config = resolve(shlex.split(entry["command"])[2:])
        assert identity(config) == entry["cell"]
        assert evaluation_identity(config) in entry["evaluations"]


def test_no_key_is_left_out_for_its_bare_name():
    for name in ("weights", "root", "label", "seed", "evaluation", "name", "family"):
        other = changed("method", "own", name, value="x")
        assert identity(other) != identity(changed("method", "own", name, value="y")), name


def test_a_file_that_moves_disowns_no_record():
    moved = changed("method", "_target_", value="ltvm.elsewhere.ShortRunOT")
    assert identity(moved) == identity(resolve([]))
    metrics = resolve([])["evaluation"]["metrics"]
    name = metrics["latents"]["_target_"].rsplit(".", 1)[-1]
    other = changed("evaluation", "metrics", "latents", "_target_", value=f"ltvm.moved.{name}")
    assert evaluation_identity(other) == evaluation_identity(resolve([]))
    other = changed("evaluation", "metrics", "latents", "_target_", value="ltvm.moved.Another")
    assert evaluation_identity(other) != evaluation_identity(resolve([]))


def test_a_part_from_outside_counts_with_its_distribution_and_version(monkeypatch):
    found = {"mine": ["mine 1.0"]}
    monkeypatch.setattr(own_code, "distributions", lambda package: found.get(package, ["torch 1"]))
    first = identity(changed("prior", "_target_", value="mine.priors.Mine"))
    assert first == identity(changed("prior", "_target_", value="mine.elsewhere.Mine"))
    found["mine"] = ["mine 1.1"]
    assert first != identity(changed("prior", "_target_", value="mine.priors.Mine"))
    assert module.part("torch.nn.Linear", None)[0] == "Linear"


MINE = """class Mine:
    def __init__(self, size=1):
        self.size = size


class Other(Mine):
    pass
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes modules of one's own, importable under names that no other test has."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text, of="part_of_ones_own", **others):
        for name, content in {of.replace(".", "/"): text, **others}.items():
            file = tmp_path / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
        own_code.source.cache_clear()
        importlib.invalidate_caches()
        for name in [name for name in sys.modules if "of_ones_own" in name]:
            del sys.modules[name]  # of another test
        return identity(changed("method", "_target_", value=f"{of}.Mine"))

    return write


def test_a_part_of_ones_own_is_none_of_the_package_that_has_its_name(mine):
    """Else it would be given the records, and the shipped runs, of another method."""
    assert mine(MINE) != identity(resolve([]))
    first = changed("method", "_target_", value="part_of_ones_own.Other")
    assert identity(first) != mine(MINE)


def test_editing_a_part_of_ones_own_makes_another_run_and_a_comment_does_not(mine):
    first = mine(MINE)
    assert mine(MINE.replace("size=1", "size=2")) != first
    assert mine(MINE.replace("self.size = size", 'self.size = "#" + str(size)')) != first
    commented = MINE.replace("size=1):", "size=1):  # of what?").replace("class", "# mine\n\nclass")
    assert mine(commented) == mine(MINE) == first
    assert mine("class Mine(:\n") != first  # no Python: told when it is built


@pytest.mark.parametrize(
    "line",
    ["import helper_of_ones_own as h", "from helper_of_ones_own import SIZE"],
)
@pytest.mark.parametrize("indent", ["", "if True:\n    "])
def test_what_a_part_imports_of_ones_own_counts_too(mine, line, indent):
    using = f"{indent}{line}\n{MINE}"
    first = mine(using, helper_of_ones_own="SIZE = 1\n")
    assert mine(using, helper_of_ones_own="SIZE = 2\n") != first
    assert mine(using, helper_of_ones_own="SIZE = 1  # of what?\n") == first
    further = {"helper_of_ones_own": "import further_of_ones_own as far\nSIZE = 1\n"}
    second = mine(using, **further, further_of_ones_own="import part_of_ones_own\nx = 1\n")
    assert mine(using, **further, further_of_ones_own="import part_of_ones_own\nx = 2\n") != second


def test_what_is_installed_or_of_this_package_does_not_count_as_ones_own(mine, monkeypatch):
    looked_at = []
    original = own_code.file_of
    monkeypatch.setattr(own_code, "file_of", lambda m: looked_at.append(m) or original(m))
    mine("import os, torch, yaml.nodes\nfrom ltvm.plugin import Method\nimport no_such\n" + MINE)
    assert looked_at == ["part_of_ones_own", "no_such"]


def test_modules_of_a_package_of_ones_own_count_by_relative_imports(mine):
    package = {"package_of_ones_own/__init__": "", "package_of_ones_own/near": "SIZE = 1\n"}
    inside = "package_of_ones_own.inside"
    first = mine(f"from . import near\n{MINE}", of=inside, **package)
    second = mine(f"from .near import SIZE\n{MINE}", of=inside, **package)
    package["package_of_ones_own/near"] = "SIZE = 2\n"
    assert mine(f"from . import near\n{MINE}", of=inside, **package) != first
    assert mine(f"from .near import SIZE\n{MINE}", of=inside, **package) != second
    package["package_of_ones_own/__init__"] = "from .near import SIZE\n"
    third = mine(MINE, of=inside, **package)  # by way of the package alone
    package["package_of_ones_own/near"] = "SIZE = 3\n"
    assert mine(MINE, of=inside, **package) != third


def test_a_distribution_that_is_installed_to_be_edited_counts_with_its_code(mine, monkeypatch):
    found = {"part_of_ones_own": ["mine"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: found)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    for editable in (True, False):
        about = json.dumps({"url": "file:///mine", "dir_info": {"editable": editable}})
        monkeypatch.setattr(
            importlib.metadata,
            "distribution",
            lambda name, about=about: SimpleNamespace(read_text=lambda file: about),
        )
        own_code.distributions.cache_clear()
        same = mine(MINE) == mine(MINE.replace("size=1", "size=2"))
        assert same is not editable
    own_code.distributions.cache_clear()


def test_a_solver_by_import_path_is_a_part(mine):
    def solved(target):
        return identity(changed("method", "solver", value=target))

    mine(MINE)
    first = solved("part_of_ones_own.Mine")
    mine(MINE + "x = 1\n")
    assert solved("part_of_ones_own.Mine") != first
    assert solved("ltvm.transport.exact.Exact") == solved("ltvm.transport.exact.Exact")


def test_a_class_by_import_path_is_not_taken_for_the_one_that_has_the_name():
    other = "method._target_=ltvm.methods.ae.AutoEncoder"
    with pytest.raises(
        InputError, match=r"^method\._target_=ltvm\.methods\.ae\.AutoEncoder: .*name"
    ):
        resolve(["method=vae", other])
    assert resolve(["method=vae", other, "method.name=mine"])["method"]["name"] == "mine"


def test_the_version_is_that_of_the_installed_distribution():
    own_code.distributions.cache_clear()
    (found,) = own_code.distributions("yaml")
    assert found.lower().startswith("pyyaml ")
    assert own_code.distributions("no_such_module") == []


@pytest.mark.parametrize(
    "override",
    ["evaluation=none", "evaluation.metrics.reconstruction.restarts=2",
     "protocol.evaluation.samples=77", "protocol.test_images=50",
     "evaluation.extractor.checksum=abc", "validation_images=500", "sampler=gmm"],
)  # fmt: skip
def test_what_is_measured_makes_another_evaluation(override):
    assert evaluation_identity(resolve([override])) != evaluation_identity(resolve([]))


def test_what_is_not_measured_makes_no_other_evaluation():
    for override in ("method.alpha=0.1", "seed=3", "evaluation.every=2", "precision=float32"):
        assert evaluation_identity(resolve([override])) == evaluation_identity(resolve([]))
    weights = [
        resolve(["data=svhn", f"evaluation.extractor.weights={path}"]) for path in ("a", "b")
    ]
    assert evaluation_identity(weights[0]) == evaluation_identity(weights[1])


def test_samplers_differ_by_their_parameters_and_the_prior_is_none():
    given = (["sampler=gmm"], ["sampler=gmm", "sampler.components=5"], ["sampler=gaussian"])
    configs = [resolve(overrides) for overrides in given]
    assert len({evaluation_identity(config) for config in configs}) == 3
    assert len({sampler_identity(config) for config in configs}) == 3
    renamed = copy.deepcopy(configs[0])
    renamed["sampler"]["label"] = "mixture"
    assert evaluation_identity(renamed) == evaluation_identity(configs[0])
    usual = resolve([])
    assert usual == resolve(["sampler=prior"])
    older = {key: value for key, value in usual.items() if key != "sampler"}
    assert identity(older) == identity(usual)
    assert evaluation_identity(older) == evaluation_identity(usual)
    assert sampler_identity(older) is sampler_identity(usual) is None


def test_a_change_of_the_numerics_disowns_both(monkeypatch):
    before = identity(resolve([])), evaluation_identity(resolve([]))
    monkeypatch.setattr(module, "NUMERICS", module.NUMERICS + 1)
    after = identity(resolve([])), evaluation_identity(resolve([]))
    assert before[0] != after[0]
    assert before[1] != after[1]
