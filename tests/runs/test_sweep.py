"""Ablations go seed by seed, say how long the rest takes, and leave a table when stopped."""

import pandas as pd
import pytest
from small_networks import SMALL

from ltvm.api import ablate, long_table
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.methods import VariationalAutoEncoder
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.forecast import Work, kind_of
from ltvm.runs.execution.execute import execute
from ltvm.runs.execution.progress import Reporter, current_reporter, set_reporter
from ltvm.runs.execution.running import Running
from ltvm.runs.files.locks import Holder
from ltvm.runs.files.store import Store
from ltvm.runs.identity import evaluation_identity
from ltvm.runs.launching import launch as launching
from ltvm.runs.launching import sweep as sweeping
from ltvm.runs.launching.outcome import Options, Outcome
from ltvm.runs.launching.watch import Watch

pytestmark = pytest.mark.usefixtures("undrawn")

TINY = [
    "ablation=ot", "ablation.axes.method=[vae,abp]", "ablation.seeds=[0,1,2]", "protocol=smoke",
    "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20", "device=cpu",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", *SMALL,
]  # fmt: skip


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """Runs that take no time, in order; ``status`` or an error for those listed in it."""
    done, otherwise = [], {}

    def execute(config, command):
        run = Store(tmp_path / "results").run(config)
        what = (config["method"]["name"], config["seed"])
        reporter = current_reporter()
        reporter.start_run(
            f"{what[0]} seed={what[1]}", Work(kind_of(config), run.status() != "done")
        )
        outcome = otherwise.get(what, "done")
        if isinstance(outcome, BaseException):
            raise outcome
        run.write_record({"status": outcome})
        run.write_evaluation({"identity": evaluation_identity(config), "status": outcome})
        done.append(what)
        reporter.finish_run(outcome)

    monkeypatch.setattr(launching, "execute", execute)
    return done, otherwise


def test_of_cells_that_share_a_training_the_first_one_trains(pretended):
    """And none does that was trained before: only its evaluation is left."""
    shared = [*TINY, "ablation.union=[{axes: {method: [vae], sampler: [gmm]}}]"]
    planned = plan(shared).runs
    before = sweeping.work_of(planned)
    assert len(set(before)) == 3
    assert sum(work.training for work in before) == 2 * 3
    sweeping.sweep(plan(TINY), [], lambda: None)
    after = sweeping.work_of(planned)
    assert [work.kind for work in after] == [work.kind for work in before]
    assert not any(work.training for work in after)


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


@pytest.mark.parametrize(("launcher", "quiet"), [([], False), (["hydra/launcher=joblib"], True)])
def test_workers_say_nothing_where_the_sweep_shows_their_runs(monkeypatch, launcher, quiet):
    seen = []

    def launch(jobs, hydra_overrides):
        kept = current_reporter()
        set_reporter(None)  # as in a process of its own
        seen.append(current_reporter().quiet)
        monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")  # which keeps what a job prints
        seen.append(current_reporter().quiet)
        monkeypatch.delenv("SUBMITIT_EXECUTOR")
        set_reporter(kept)

    monkeypatch.setattr(sweeping, "launch", launch)
    sweeping.sweep(plan([*TINY, "ablation.seeds=[0]"]), launcher, list)
    assert seen == [quiet, False]
    set_reporter(None)
    assert not current_reporter().quiet


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


def swept(options=None, plan_of=TINY):
    return sweeping.sweep(plan(plan_of), [], list, options)


def test_failed_and_diverged_runs_are_tried_again_where_asked(pretended):
    done, otherwise = pretended
    otherwise |= {("abp", 0): "failed", ("vae", 1): "diverged"}
    swept()
    assert len(done) == 6
    swept()
    assert len(done) == 6  # left as they are
    swept(Options(("failed",), retries=3))
    assert done[6:] == [("abp", 0)] * 3  # no more
    otherwise.clear()
    swept(Options(("diverged", "failed"), retries=3))
    assert done[9:] == [("abp", 0), ("vae", 1)]
    assert {planned.status for planned in plan(TINY).runs} == {"done"}
    with pytest.raises(InputError, match="--retry=done: allowed: failed, diverged"):
        Options(("done",))


def test_a_refused_cell_stops_its_own_runs_alone(pretended):
    done, otherwise = pretended
    otherwise["abp", 0] = InputError("data=moon: allowed: none")
    (reason,) = swept().values()
    assert reason == "data=moon: allowed: none"
    assert done == [("vae", 0), ("vae", 1), ("vae", 2)]
    outcome = Outcome(plan(TINY), None, {plan(TINY).runs[-1].cell: reason})
    assert outcome.failed
    assert outcome.summary() == [
        "6 runs: 3 done, 3 refused", "refused: abp: data=moon: allowed: none",
    ]  # fmt: skip
    otherwise["vae", 0] = otherwise["abp", 0]
    with pytest.raises(InputError, match="moon"):  # nothing can be done
        swept(plan_of=[*TINY, "protocol.batch=10"])


def test_a_launcher_that_stops_is_given_what_it_left(pretended, monkeypatch, capsys):
    done, _ = pretended
    original = sweeping.launch

    def launch(jobs, launcher):
        if len(jobs) > 1 and len(done) < 3:
            original(jobs[:1], launcher)
            raise OSError("a worker died")
        return original(jobs, launcher)

    monkeypatch.setattr(sweeping, "launch", launch)
    swept()
    assert len(done) == len(set(done)) == 6
    assert capsys.readouterr().err.count("the launcher stopped (OSError: a worker died)") == 2
    monkeypatch.setattr(sweeping, "launch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # it does nothing at all
        swept(plan_of=[*TINY, "protocol.batch=10"])


def test_a_batch_whose_worker_died_in_the_middle_is_begun_again(pretended, monkeypatch):
    done, _ = pretended
    original, first, stopped = sweeping.launch, plan(TINY).runs[0].run, []

    def launch(jobs, launcher):
        if len(stopped) < 2:  # nothing is finished, but something had been begun
            stopped.append(jobs)
            first.write_record({"status": "running"})
            raise OSError("a worker died")
        return original(jobs, launcher)

    monkeypatch.setattr(sweeping, "launch", launch)
    swept()
    assert len(stopped) == 2
    assert len(done) == 6


def test_hours_are_looked_at_before_every_run(pretended, monkeypatch):
    done, _ = pretended
    monkeypatch.setattr(sweeping.Sweep, "out_of_time", lambda self: len(done) >= 3)
    swept(plan_of=[*TINY, "ablation.max_hours=1"])
    assert len(done) == 3


def test_a_budget_of_runs_is_finished_where_these_are_done(pretended):
    done, _ = pretended
    given = [*TINY, "ablation.max_runs=2"]
    swept(plan_of=given)
    assert len(done) == 2
    assert not Outcome(plan(given), None).unfinished
    assert Outcome(plan([*TINY, "ablation.max_runs=3"]), None).unfinished


def test_what_another_process_is_at_is_left_or_waited_for(pretended, monkeypatch, capsys):
    done, _ = pretended
    planned = plan(TINY)
    taken = planned.runs[0]
    hold = taken.run.held()
    hold.__enter__()
    taken.run.write_record({"status": "running"})
    swept()
    assert len(done) == 5
    assert "holds 1 of the runs; --wait waits" in capsys.readouterr().err
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 2:  # it is killed: what it left is done here
            hold.__exit__(None, None, None)

    monkeypatch.setattr(sweeping.time, "sleep", sleep)
    swept(Options(wait=True))
    assert done[5:] == [("vae", 0)]
    assert len(looks) == 2


def test_a_damaged_record_is_named_set_aside_and_done_again(capsys, tmp_path):
    alone = ["ablation.axes.method=[vae]", "ablation.seeds=[0]"]
    outcome = ablate([*TINY, *alone])
    (planned,) = outcome.plan.runs
    planned.run.record_file.write_text('{"status": "do')
    (tmp_path / "results" / "ablations" / f"{outcome.plan.report_name}.json").write_text("[")
    assert planned.status == "unreadable"
    with pytest.warns(UserWarning, match="record.json is not a record"):
        assert long_table(tmp_path / "results").empty
    assert ablate([*TINY, *alone]).summary() == ["1 run: 1 done"]
    printed = capsys.readouterr().err
    assert "record.json.unreadable" in printed
    assert f"{outcome.plan.report_name}.json.unreadable" in printed
    assert planned.run.record_file.with_name("record.json.unreadable").is_file()


def test_a_run_that_was_taken_over_writes_nothing_more(monkeypatch, tmp_path):
    original = VariationalAutoEncoder.fit_iteration
    config = resolve([o for o in TINY if not o.startswith("ablation")] + ["method=vae"])
    run = Store(tmp_path / "results").run(config)

    def fit_iteration(self):
        run.lease_file.unlink()
        run.write_record({"status": "done", "by": "another process"})
        return original(self)

    monkeypatch.setattr(VariationalAutoEncoder, "fit_iteration", fit_iteration)
    record = execute(config, "ltvm train")
    assert record["status"] == "running"
    assert "taken over" in record["reason"]
    assert run.record()["by"] == "another process"
    assert not run.checkpoint_file.exists()


def test_a_run_that_another_process_has_just_taken_is_running(tmp_path, monkeypatch):
    config = resolve([o for o in TINY if not o.startswith("ablation")] + ["method=vae"])
    run = Store(tmp_path / "results").run(config)
    with run.held():
        assert run.status() == "pending"  # this process's own
        monkeypatch.setattr(Holder, "is_here", lambda _: False)
        assert run.status() == "running"
    assert run.status() == "pending"


def test_the_store_shows_runs_of_other_processes(tmp_path, capsys):
    planned = plan([*TINY, "ablation.seeds=[0]"]).runs
    reporter = Reporter(sweeping.work_of(planned))
    watch = Watch(planned, reporter, shown=True)
    first = planned[0].run
    with first.held() as hold:
        first.write_record({"status": "running", "started": "now"})
        running = Running(first, hold, 4)
        running.update(0, 0.0, "inference")
        watch.look()
        running.written = -10.0
        running.update(1, 0.25, "inference")
        watch.look()
        watch.look()
        running.finish()
    first.write_record({"status": "done", "started": "now"})
    first.write_evaluation({"identity": planned[0].evaluation, "status": "done", "started": "now"})
    watch.look()
    lines = [line.split("] ", 1)[-1] for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == "vae seed=0: iteration 0 of 4"
    assert lines[1].startswith("vae seed=0: iteration 1 of 4, ")
    assert lines[2] == "vae seed=0: done; 1 left"
    assert len(lines) == 4  # and what the other will take
    assert list(watch.left) == [planned[1]]


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
    assert printed.out.count("README.md") == 2  # after the first seed, and when stopped
    assert "stopped: the table of what is done (1 of 3 runs)" in printed.err
    assert "the same command goes on" in printed.err
    (page,) = (tmp_path / "reports").glob("*/README.md")
    assert "1 of 3" in page.read_text()
    table = pd.read_parquet(page.parent / "long.parquet")
    assert set(table[table["status"] == "done"]["seed"]) == {0}


def test_a_run_that_becomes_free_between_two_looks_is_still_waited_for(monkeypatch):
    """Its holder, on a machine that died, is there at one look and gone at the next."""

    class Seen:
        cell, config = "a", {"seed": 0}

        def __init__(self):
            self.seen = iter(["running", "running", "pending", "pending", "done"])
            self.run = self

        @property
        def status(self):
            return next(self.seen)

    run, begun = Seen(), []

    class Planned:
        ablation = type("A", (), {"max_hours": None})

        def by_seed(self):
            return [[run]]

    going = sweeping.Sweep(Planned(), [], Options(wait=True), Reporter())
    monkeypatch.setattr(sweeping, "POLL", 0.0)
    monkeypatch.setattr(going, "do", begun.extend)
    going.settle_others()
    assert begun == [run]
    assert next(run.seen, "no more") == "no more"
