"""Ablations go seed by seed, say how long the rest takes, and leave a table when stopped."""

import pandas as pd
import pytest

from ltvm.cli.main import main
from ltvm.methods import VariationalAutoEncoder
from ltvm.runs import launch as launching
from ltvm.runs import sweep as sweeping
from ltvm.runs.ablation import plan
from ltvm.runs.forecast import Forecast, kind_of
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.progress import current_reporter
from ltvm.runs.store import Store

TINY = [
    "ablation=ot", "ablation.axes.method=[vae,abp]", "ablation.seeds=[0,1,2]", "protocol=smoke",
    "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20", "device=cpu",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40",
]  # fmt: skip


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """Runs that take no time, in order; ``status`` or an error for those listed in it."""
    done, otherwise = [], {}

    def execute(config, command):
        run = Store(tmp_path / "results").run(config)
        what = (config["method"]["name"], config["seed"])
        reporter = current_reporter()
        reporter.start_run(f"{what[0]} seed={what[1]}", kind_of(config))
        outcome = otherwise.get(what, "done")
        if isinstance(outcome, BaseException):
            raise outcome
        run.write_record({"status": outcome})
        run.write_evaluation({"identity": evaluation_identity(config), "status": outcome})
        done.append(what)
        reporter.finish_run(outcome)

    monkeypatch.setattr(launching, "execute", execute)
    return done, otherwise


def test_a_forecast_knows_what_each_kind_takes():
    forecast = Forecast(["a", "b", "a", "b", "c"])
    assert forecast.seconds_left() is None
    assert forecast.sentence() == ""
    forecast.finished("a", 10.0)
    assert forecast.seconds_left() == 4 * 10
    forecast.finished("b", 30.0)
    assert forecast.seconds_left() == 10 + 30 + 20  # the one not met yet: the mean of the others
    assert forecast.sentence() == "the other 3 runs will take about 60 s"
    for kind in "abc":
        forecast.finished(kind, 20.0)
    assert forecast.seconds_left() == 0
    assert forecast.sentence() == ""


def test_a_table_after_every_seed(pretended, capsys):
    done, _ = pretended
    tables = []
    sweeping.sweep(plan(TINY), [], lambda: tables.append(list(done)))
    first, second = [("vae", 0), ("abp", 0)], [("vae", 1), ("abp", 1)]
    assert tables == [first, first + second]  # the whole one is made by who asked for the runs
    assert done == [*first, *second, ("vae", 2), ("abp", 2)]
    lines = capsys.readouterr().err.splitlines()
    (place,) = [n for n, line in enumerate(lines) if line.endswith("5 left")]
    assert lines[place + 1] == "the other 5 runs will take about 10 s"
    assert [line for line in lines if line.startswith("seed ")] == [
        "seed 0 done for all 2 cells: a first table (1 of 3 seeds); "
        "the other 4 runs will take about 10 s",
        "seed 1 done for all 2 cells: the table (2 of 3 seeds); "
        "the other 2 runs will take about 10 s",
    ]


def test_launchers_get_a_batch_for_every_seed(monkeypatch):
    batches = []

    def launch(jobs, hydra_overrides):
        batches.append([job[-1] for job in jobs])
        assert hydra_overrides == ["hydra/launcher=joblib"]

    monkeypatch.setattr(sweeping, "launch", launch)
    planned, tables = plan(TINY), []
    sweeping.sweep(planned, ["hydra/launcher=joblib"], lambda: tables.append(len(batches)))
    assert batches == [["seed=0"] * 2, ["seed=1"] * 2, ["seed=2"] * 2]
    assert tables == [1, 2]


def test_what_is_done_already_makes_no_table(pretended):
    tables = []
    for seeds in ("[0]", "[0,1]"):
        sweeping.sweep(plan([*TINY, f"ablation.seeds={seeds}"]), [], lambda: tables.append(1))
    assert tables == []  # one batch each: the table of all is the table after it


def test_stopped_runs_leave_a_table(pretended, capsys):
    done, otherwise = pretended
    otherwise["abp", 1] = KeyboardInterrupt()
    tables = []
    with pytest.raises(KeyboardInterrupt):
        sweeping.sweep(plan(TINY), [], lambda: tables.append(list(done)))
    assert tables[1:] == [[("vae", 0), ("abp", 0), ("vae", 1)]]
    assert "stopped: the table of what is done (3 of 6 runs)" in capsys.readouterr().err


def test_stopped_before_anything_is_done_there_is_no_table(pretended, capsys):
    _, otherwise = pretended
    otherwise["vae", 0] = KeyboardInterrupt()
    tables = []
    with pytest.raises(KeyboardInterrupt):
        sweeping.sweep(plan(TINY), [], lambda: tables.append(1))
    assert tables == []
    assert "table" not in capsys.readouterr().err


def test_a_table_that_cannot_be_made_stops_no_run(pretended, capsys):
    def fail():
        raise ValueError("no ink")

    done, _ = pretended
    sweeping.sweep(plan(TINY), [], fail)
    assert len(done) == 6
    assert capsys.readouterr().err.count("no table of it (ValueError: no ink)") == 2


def test_a_failed_run_is_said_after_its_seed(pretended, capsys):
    _, otherwise = pretended
    otherwise["abp", 0] = "failed"
    sweeping.sweep(plan(TINY), [], list)
    assert "seed 0 done for 1 of 2 cells: a first table (0 of 3 seeds)" in capsys.readouterr().err


def test_ctrl_c_prints_and_writes_the_table_of_what_is_done(monkeypatch, capsys, tmp_path):
    original, count = VariationalAutoEncoder.fit_iteration, []

    def fit_iteration(self):
        count.append(self)
        if len(count) == 3:  # the first iteration of the second seed
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(VariationalAutoEncoder, "fit_iteration", fit_iteration)
    assert main(["ablate", *TINY, "ablation.axes.method=[vae]"]) == 130
    printed = capsys.readouterr()
    assert printed.out.count("Report: ") == 2  # after the first seed, and when stopped
    assert "stopped: the table of what is done (1 of 3 runs)" in printed.err
    assert "the same command goes on" in printed.err
    (page,) = (tmp_path / "reports").glob("*/README.md")
    assert "1 of 3" in page.read_text()
    table = pd.read_parquet(page.parent / "long.parquet")
    assert set(table[table["status"] == "done"]["seed"]) == {0}
