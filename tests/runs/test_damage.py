"""What is damaged, full or gone is said in a line, stops nothing else, and changes no number."""

import errno
import json
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from small_networks import SMALL

import ltvm
from ltvm.api import ablate, make_report
from ltvm.chain import choosing
from ltvm.chain.execution import Execution
from ltvm.cli.main import main
from ltvm.errors import InputError, UnreadableError, VanishedError
from ltvm.methods import VariationalAutoEncoder
from ltvm.report.page import write as page
from ltvm.report.plots.history_figures import history_table
from ltvm.report.plots.picture_pages import pixels_of
from ltvm.runs.ablations.manifest import manifest_file, read_manifest
from ltvm.runs.afterwards.evaluate_again import evaluate_again
from ltvm.runs.files.index import NAME as INDEX
from ltvm.runs.files.index import Index
from ltvm.runs.files.locks import holding
from ltvm.runs.files.store import Run, check_writable
from ltvm.runtime.files import read_json, remove_aside, write_json, write_sealed_json, writing
from ltvm.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("unrendered")

TINY = [
    "ablation=ot", "ablation.axes.method=[vae]", "ablation.seeds=[0]", "ablation.reference=null",
    "protocol=smoke", "protocol.iterations=1", "protocol.train_images=40",
    "protocol.test_images=12", "protocol.batch=20", "protocol.evaluation.unseen_images=4",
    "protocol.evaluation.codes=40", "evaluation=latents", "device=cpu", *SMALL,
]  # fmt: skip


def flip(file, word):
    """One bit of the first letter of a word the other way round."""
    content = file.read_bytes()
    at = content.index(word)
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_a_sealed_file_shows_every_flipped_bit_in_what_it_says(tmp_path):
    file, content = tmp_path / "a.json", {"value": 0.25, "of": {"checksum": "c", "n": [1, 2]}}
    write_sealed_json(file, content)
    assert read_json(file) == content
    text = file.read_bytes()
    for at in range(len(text)):
        for bit in range(8):
            file.write_bytes(text[:at] + bytes([text[at] ^ (1 << bit)]) + text[at + 1 :])
            try:
                found = read_json(file)
            except ValueError:
                continue
            assert {k: found.get(k) for k in content} == content, (at, bit)  # the seal's own name
    write_json(file, content)  # of before there were seals
    assert read_json(file) == content
    file.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(file)


def test_what_is_written_aside_by_the_dead_goes_with_the_next_writer(tmp_path):
    file = tmp_path / "a.json"
    for name in (".a.json.0123.tmp", ".b.json.0123.tmp"):
        (tmp_path / name).write_text("half")
    remove_aside(file)
    assert [path.name for path in tmp_path.iterdir()] == [".b.json.0123.tmp"]


def test_a_full_disk_is_told_with_the_file(tmp_path):
    with (
        pytest.raises(OSError, match=r"No space left on device.*a\.json"),
        writing(tmp_path / "a.json"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A run that is done, with its report; tests take copies."""
    folder = tmp_path_factory.mktemp("once")
    paths = [f"paths.{part}={folder / part}" for part in ("results", "reports")]
    with pytest.MonkeyPatch.context() as patch:
        from matplotlib.figure import Figure

        patch.setattr(Figure, "savefig", lambda *_, **__: None)
        outcome = ablate([*TINY, *paths])
    return folder, outcome.plan.report_name


@pytest.fixture
def done(once, tmp_path):
    """Its results, in this test's own directory; the run, and the name of the ablation."""
    shutil.copytree(once[0] / "results", tmp_path / "results")
    (record,) = (tmp_path / "results").rglob("record.json")
    return Run(record.parent), once[1]


def test_another_value_in_an_evaluation_is_damage(done, capsys, tmp_path):
    run, name = done
    (file,) = (run.directory / "evaluations").glob("*.json")
    content = json.loads(file.read_text())
    next(iter(content["values"].values()))["value"] = 0.125
    file.write_text(json.dumps(content, indent=2) + "\n")
    with pytest.raises(UnreadableError, match=r"its checksum is another"):
        run.evaluation(file.stem)
    with pytest.raises(InputError, match=rf"none of its 1 runs.*{file.name}"):
        make_report(name, tmp_path / "results", tmp_path / "reports")


def test_another_configuration_than_the_records_is_refused(done, capsys):
    run, _ = done
    flip(run.config_file, b"batch: 20")
    run.config_file.write_text(run.config_file.read_text().replace("catch: 20", "batch: 10"))
    for use in (ltvm.load, evaluate_again):
        with pytest.raises(InputError, match=r"config\.yaml is not the configuration that its"):
            use(run.directory)


def fifo(path):
    """A named pipe in a file's place, with a writer who leaves: who reads it does not wait."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    threading.Thread(target=lambda: path.open("wb").close(), daemon=True).start()


def test_a_named_pipe_is_no_file_of_a_run_or_of_an_index(done, tmp_path):
    run, _ = done
    results = run.directory.parents[4]
    entry = {"path": str(run.directory.relative_to(results)), "cell": "a", "method": "m", "seed": 0}
    fifo(run.directory / "history.csv")
    unread = []
    assert history_table([entry], results, unread).empty
    assert unread == [f"{run.directory / 'history.csv'}: no regular file"]
    index = Index(results)
    fifo(results / INDEX)
    with pytest.raises(ValueError, match="no regular file"):
        index.load()
    for path in (run.directory / "history.csv", results / INDEX):  # lets the writers go
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def test_a_damaged_history_or_picture_is_named_and_not_drawn(done):
    run, _ = done
    history, results = run.directory / "history.csv", run.directory.parents[4]
    entry = {"path": str(run.directory.relative_to(results)), "cell": "a", "method": "m", "seed": 0}
    unread = []
    assert len(history_table([entry], results, unread)) == 1
    assert unread == []
    flip(history, b"iteration")
    assert history_table([entry], results, unread).empty
    assert unread[0].startswith(f"{history}: its checksum is not that of its record")
    picture = run.directory / "samples.png"
    assert pixels_of(picture, unread) is not None
    picture.write_bytes(picture.read_bytes()[:200])
    assert pixels_of(picture, unread) is None
    assert unread[1].startswith(f"{picture} is no picture")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("axes"), "its axes is missing"),
        (lambda m: m.update(seeds=3), "its seeds is a int"),
        (lambda m: m["runs"][0].pop("cell"), "a run's cell is missing"),
        (lambda m: m["runs"].append(3), "not subscriptable"),
    ],
)
def test_a_manifest_without_an_entry_is_damaged(done, tmp_path, change, words):
    _, name = done
    file = manifest_file(tmp_path / "results", name)
    content = read_manifest(file)
    change(content)
    write_json(file, content)
    with pytest.raises(UnreadableError, match=words):
        read_manifest(file)


def test_what_no_trial_can_have_found_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.setenv("LTVM_CACHE_DIR", str(tmp_path))
    choosing.remember("a", Execution(layout="channels_last"))
    assert choosing.known_executions() == {"a": Execution(layout="channels_last")}
    for text in ("[]", '{"a": 3}', '{"a": {"layout": "cosy"}}', '{"a": {"colour": "red"}}'):
        choosing.cache_file().write_text(text)
        assert choosing.known_executions() == {}
        choosing.remember("b", Execution())


def test_a_report_whose_runs_all_failed_says_why(monkeypatch, capsys, tmp_path):
    def fit_iteration(self):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(VariationalAutoEncoder, "fit_iteration", fit_iteration)
    assert main(["ablate", *TINY]) == 1
    assert "failed: vae seed=0: RuntimeError: out of luck" in capsys.readouterr().err
    (page,) = (tmp_path / "reports").glob("*/README.md")
    assert "out of luck" in page.read_text()


def test_results_that_vanish_end_the_command_with_that(monkeypatch, capsys, tmp_path):
    original = VariationalAutoEncoder.fit_iteration

    def fit_iteration(self):
        (tmp_path / "results").rename(tmp_path / "elsewhere")
        return original(self)

    monkeypatch.setattr(VariationalAutoEncoder, "fit_iteration", fit_iteration)
    assert main(["ablate", *TINY]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"ltvm: {tmp_path / 'results'}")
    assert "is gone while its run was under way" in last
    assert "done" not in {read_json(f)["status"] for f in tmp_path.rglob("record.json")}


def test_a_lease_whose_folder_is_gone_says_so(tmp_path):
    with holding(tmp_path / "run" / ".held") as hold:
        (tmp_path / "run").rename(tmp_path / "gone")
        with pytest.raises(VanishedError, match="is gone"):
            hold.check()


def test_reports_that_cannot_be_written_are_found_before_the_training(capsys, tmp_path):
    (tmp_path / "reports").write_text("a file")
    assert main(["ablate", *TINY]) == 2
    told = capsys.readouterr().err
    assert f"paths.reports={tmp_path / 'reports'}" in told
    assert "cannot be written" in told
    assert not list(tmp_path.rglob("record.json"))


def test_a_disk_that_takes_names_but_no_bytes_is_full(tmp_path, monkeypatch):
    def write_bytes(self, content):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        check_writable("paths.results", tmp_path / "results")
    assert not list(tmp_path.rglob(".writable*"))


def test_of_two_reports_the_later_reads_what_is_there_by_then(done, tmp_path, monkeypatch):
    """One at a time, so that a table of what was there earlier never takes a later one's place."""
    _, name = done
    original, seen = page.write_report, []

    def write_report(manifest, reports, *others):
        with holding(reports / f".{name}.held", timeout=0) as other:
            seen.append(other)
        (reports / name).mkdir(parents=True, exist_ok=True)
        return original(manifest, reports, *others)

    monkeypatch.setattr(page, "write_report", write_report)
    aside = tmp_path / "reports" / name / ".long.csv.0123456789abcdef.tmp"
    aside.parent.mkdir(parents=True)
    aside.write_text("half")
    folder = make_report(name, tmp_path / "results", tmp_path / "reports")
    assert seen == [None]
    assert not aside.exists()
    assert len(pd.read_csv(folder / "long.csv")["seed"].unique()) == 1


def test_a_checkpoint_that_does_not_fit_is_named(tmp_path, monkeypatch):
    def load_state_dict(state):
        return state["codes"]

    world = SimpleNamespace(copied=lambda state, device: state)
    problem = SimpleNamespace(device="cpu", world=world)
    method = SimpleNamespace(problem=problem, load_state_dict=load_state_dict)
    trainer = Trainer(method, 1, tmp_path / "checkpoint.pt")
    monkeypatch.setattr(trainer, "read", lambda: {"method": {}})
    with pytest.raises(InputError, match=r"checkpoint\.pt does not fit.*codes.*--restart"):
        trainer.resume()
