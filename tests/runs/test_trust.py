"""A stranger's results are data: nothing in them is executed, nothing is written outside."""

import json
import os
import sys

import pytest
import yaml

import ltvm
from ltvm.api import make_report
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.files.store import Store
from ltvm.runs.trust import check_name, check_parts, offered_targets, targets
from ltvm.runtime.files import read_json

TINY = [
    "method=vae", "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12",
    "protocol.batch=20", "protocol.iterations=1", "evaluation=none", "device=cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The files of a small run."""
    results = tmp_path_factory.mktemp("kept")
    ltvm.train([*TINY, f"paths.results={results}"])
    (record,) = results.rglob("record.json")
    return {file.name: file.read_bytes() for file in record.parent.iterdir() if file.is_file()}


@pytest.fixture
def stranger(kept, tmp_path):
    """A run's folder, and a function that changes its configuration."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    for name, content in kept.items():
        (folder / name).write_bytes(content)

    def changed(change):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        change(config)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return folder

    return changed


def executing(config):
    config["data"]["load"] = {"_target_": "os.system", "command": "touch executed"}


def writing(config):  # a function of this package, but no part
    config["data"]["load"] = {
        "_target_": "ltvm.runtime.files.write_text", "path": "executed", "text": "",
    }  # fmt: skip


def as_a_solver(config):
    config["method"]["solver"] = "os.system"


@pytest.mark.parametrize("change", [executing, writing, as_a_solver])
def test_what_a_configuration_names_is_not_executed(
    stranger, change, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    folder = stranger(change)
    with pytest.raises(InputError, match=r"is no part that this installation offers.*--trust"):
        ltvm.load(folder)
    assert main(["evaluate", str(folder), "mnist5k"]) == 2
    assert main(["evaluate", str(folder), "evaluation=latents"]) == 2
    for command in ("repeat", "pictures"):
        capsys.readouterr()
        assert main([command, str(folder)]) == 2
        assert "is no part that this installation offers" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


def test_a_command_in_a_record_brings_no_part_in(stranger, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = stranger(lambda config: None)
    record = read_json(folder / "record.json")
    evil = '++evaluation.metrics.x={_target_:os.system,command:"touch executed"}'
    record["command"] = f"ltvm train {' '.join(TINY)} '{evil}'"
    (folder / "record.json").write_text(json.dumps(record))
    assert main(["evaluate", str(folder), "evaluation=latents"]) == 2
    assert "os.system" in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["evaluations", "."])
def test_what_is_a_link_is_not_written_to(stranger, name, tmp_path, capsys):
    folder = stranger(lambda config: None)
    other = tmp_path / "other"
    if name == ".":
        folder = folder.rename(other)
        folder = tmp_path / "link"
    else:
        other.mkdir()
    (folder / name).symlink_to(other)
    before = sorted(other.rglob("*"))
    assert main(["evaluate", str(folder), "evaluation=latents"]) == 2
    assert "a link that leads elsewhere" in capsys.readouterr().err
    assert sorted(other.rglob("*")) == before


def test_own_parts_are_followed_and_trust_follows_any(stranger, monkeypatch, tmp_path):
    assert ltvm.load(stranger(lambda config: None)).iteration == 1
    config = resolve(["method=vae"])
    config["data"]["load"]["_target_"] = "my_data.load"
    with pytest.raises(InputError, match="my_data"):
        check_parts(config, tmp_path)
    check_parts(config, tmp_path, trust=True)
    (tmp_path / "my_data.py").write_text("import os\n\n\ndef load():\n    pass\n")
    monkeypatch.setenv("LTVM_CONFIG_DIRS", str(tmp_path))
    monkeypatch.setattr("sys.path", list(sys.path))
    check_parts(config, tmp_path)
    for imported in ("my_data.os.system", "my_data.os", "os.system"):
        config["data"]["load"]["_target_"] = imported
        with pytest.raises(InputError, match=imported):
            check_parts(config, tmp_path)
    assert ("method.solver", "a.b") in list(targets({"method": {"solver": "a.b"}}))


def test_a_strangers_results_below_a_folder_of_ones_own_vouch_for_nothing(
    stranger, monkeypatch, tmp_path
):
    def name_another(config):
        config["data"]["load"]["_target_"] = "os.system"

    folder = stranger(name_another)
    assert tmp_path in folder.parents
    (tmp_path / "method" / "mine").mkdir(parents=True)
    (tmp_path / "method" / "mine" / "own.yaml").write_text("_target_: own.Method\n")
    monkeypatch.setenv("LTVM_CONFIG_DIRS", str(tmp_path))
    monkeypatch.setattr("sys.path", list(sys.path))
    assert "own.Method" in offered_targets()
    with pytest.raises(InputError, match=r"os\.system is no part"):
        ltvm.load(folder)


@pytest.mark.parametrize(
    "name", ["", "../x", "/abs", "a/b", ".hidden", "~", "a\0b", "a\nb", "é" * 101]
)
def test_names_are_those_of_one_folder(name):
    with pytest.raises(InputError, match=r"allowed: 1 to 200 bytes without slashes"):
        check_name("method.name", name)


def test_nothing_is_written_outside(tmp_path, capsys):
    config = resolve(TINY)
    config["method"]["name"] = "../../x"
    with pytest.raises(InputError, match=r"method\.name=\.\./\.\./x"):
        Store(tmp_path).run(config)
    with pytest.raises(InputError, match=r"--name=\.\./evil"):
        plan(["ablation=ot"], "../evil")
    with pytest.raises(InputError, match=r"report=\.\./\.\./x"):
        make_report("../../x", tmp_path)
    folder = tmp_path / "results" / "ablations"
    folder.mkdir(parents=True)
    for number, (name, path) in enumerate([("../../x", "runs/a"), ("x", "../src"), ("x", "/etc")]):
        manifest = {"name": name, "runs": [{"path": path}]}
        (folder / f"m{number}.json").write_text(json.dumps(manifest))
        with pytest.raises(InputError, match=r"is not a manifest.*allowed"):
            make_report(f"m{number}", tmp_path / "results", tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("command", ["evaluate", "pictures", "repeat"])
def test_trust_is_of_one_command(command, monkeypatch):
    seen = []
    monkeypatch.delenv("LTVM_TRUST", raising=False)
    monkeypatch.setattr(
        f"ltvm.cli.{command}.run", lambda _: seen.append(os.environ.get("LTVM_TRUST")) or 0
    )
    assert main([command, "runs/seed=0", "--trust"]) == 0
    assert main([command, "runs/seed=0"]) == 0
    assert seen == ["1", None]
    assert "LTVM_TRUST" not in os.environ
