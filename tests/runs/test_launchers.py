"""Where runs go: every launcher for real, and all of them the same to who asks."""

import os
import signal
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from errands import errand
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from pretended_slurm import install

import ltvm
from ltvm.errors import InputError, LaunchError
from ltvm.hydra_private import error_of
from ltvm.runs.files.locks import LEASE
from ltvm.runs.files.store import Store
from ltvm.runs.launching import launch as launching
from ltvm.runs.launching.launch import check_launcher, launch, outcome_of
from ltvm.runs.launching.launchers.base import Engine, JobDiedError, do_all
from ltvm.runtime.place import Place
from ltvm.runtime.threads import available_cores

FEW = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "device=cpu",
]  # fmt: skip
ENGINES = ["ray", "submitit_local", "submitit_slurm"]


@pytest.fixture(scope="module")
def ray_here(tmp_path_factory):
    """One Ray for all tests, which pretends to have a GPU; launchers leave it as it is."""
    ray = pytest.importorskip("ray")
    from ltvm.runs.launching.launchers.ray import start

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.setattr(ray, "init", partial(ray.init, num_gpus=1))
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background
        start(None)
        signal.signal(signal.SIGINT, before)
    yield ray
    ray.shutdown()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory to launch from, relative paths included; what workers import is found there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTVM_RESULTS", "results")
    modules = [str(Path(__file__).parents[1]), os.environ["PYTHONPATH"]]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, modules)))
    return tmp_path


@pytest.fixture
def launcher(request, place, monkeypatch):
    """The overrides that choose an engine; the processes do errands in place of runs."""
    if request.param == "ray":
        request.getfixturevalue("ray_here")
    else:
        core = pytest.importorskip("submitit.core.core")
        monkeypatch.setattr(core.Job, "_results_timeout_s", 0)  # the file system is a fast one
    if request.param == "submitit_slurm":
        from ltvm.runs.launching.launchers import submitit as engine

        (place / "slurm").mkdir()
        install(place / "bin")
        monkeypatch.setenv("PATH", f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PRETENDED_SLURM", str(place / "slurm"))
        monkeypatch.setitem(engine.LOOKS, "slurm", 0.2)
        core.Job.watcher.clear()
    monkeypatch.setattr(launching, "Task", lambda *_: errand)
    parts = {"ray": ["num_gpus=0.5"], "submitit_local": []}
    parts["submitit_slurm"] = ["cpus_per_task=1", "timeout_min=5"]  # short: a signal means its end
    chosen = [f"hydra.launcher.{part}" for part in parts[request.param]]
    return [f"hydra/launcher={request.param}", *chosen]


def jobs(*errands):
    return [["method=vae", f"method.name={name}", f"seed={seed}"] for name, seed in errands]


@pytest.mark.parametrize("launcher", ENGINES, indirect=True)
def test_runs_come_back_in_order_from_processes_of_their_own(launcher, place):
    first = "killed" if "ray" in launcher[0] else "preempted"
    records = launch(jobs((first, 1), ("plain", 2), ("plain", 3)), launcher)
    assert [record["seed"] for record in records] == [1, 2, 3]
    cores = available_cores()
    threads = max(1, cores // min(3, cores)) if "local" in launcher[0] else 1
    assert {record["OMP_NUM_THREADS"] for record in records} == {str(threads)}
    if "ray" in launcher[0]:
        assert {record["CUDA_VISIBLE_DEVICES"] for record in records} == {"0"}  # halves of it
    diary = (place / "diary").read_text().splitlines()
    assert sorted(diary) == sorted([f"{first} 1", f"{first} 1", "plain 2", "plain 3"])
    if "slurm" in launcher[0]:  # one array; the first was requeued by its own process
        assert {file.name for file in (place / "slurm").iterdir()} == {
            "100.sh", "100_0", "100_1", "100_2"
        }  # fmt: skip


@pytest.fixture
def _in_the_background():
    """As of a command that a shell started with ``&``, which only SIGTERM ends."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    handlers = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: interrupt}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_in_the_background")
@pytest.mark.parametrize("launcher", ENGINES, indirect=True)
def test_what_ends_the_command_ends_what_runs_and_what_waits(launcher, place):
    diary, over = place / "diary", threading.Event()

    def interrupt():
        while not over.wait(0.05):
            if diary.exists() and "endless" in diary.read_text():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    one_at_a_time = "num_gpus=1" if "ray" in launcher[0] else "array_parallelism=1"
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            launch(
                jobs(("endless", 1), ("endless", 2)),
                [*launcher, f"hydra.launcher.{one_at_a_time}"],
            )
    finally:
        over.set()
    if "slurm" in launcher[0]:
        states = {file.name: file.read_text() for file in (place / "slurm").iterdir()}
        assert {states["100_0"], states["100_1"]} == {"CANCELLED"}
    else:
        assert "interrupted" in diary.read_text()


class Unset:
    """Hydra's configuration of a job without overrides."""

    overrides = SimpleNamespace(task=[])


class Here(Engine):
    """Does jobs in this process; ``deaths`` says of some how often they die first."""

    def __init__(self, deaths=(), slots=None):
        self.deaths, self.slots, self.most = dict(deaths), slots, 0
        self.sent, self.cancelled = [], []

    def submit(self, jobs):
        self.sent += jobs
        return list(range(len(self.sent) - len(jobs), len(self.sent)))

    def ended(self, handles):
        self.most = max(self.most, len(handles))
        return handles[-1:]

    def result(self, handle):
        job = self.sent[handle]
        if self.deaths.get(job.overrides, 0):
            self.deaths[job.overrides] -= 1
            raise JobDiedError("killed")
        return job()

    def cancel(self, handles):
        self.cancelled = [self.sent[handle].overrides for handle in handles]

    def close(self):
        pass


class Sent:
    def __init__(self, name):
        self.overrides, self.times = (name,), 1

    def again(self):
        self.times += 1
        return self

    def __call__(self):
        if self.overrides == ("Ctrl-C",):
            raise KeyboardInterrupt
        return JobReturn(status=JobStatus.COMPLETED, _return_value=self.overrides[0])


def test_a_process_that_dies_is_replaced_so_often_and_no_more():
    said, told, sent = [], [], [Sent(name) for name in "abc"]
    engine = Here({("a",): 2, ("b",): 3}, slots=2)
    a, b, c = do_all(engine, sent, 2, lambda number, job: told.append(number), said.append)
    assert [job.times for job in sent] == [3, 3, 1]
    assert sorted(told) == [0, 1, 2]
    assert (a.return_value, c.return_value) == ("a", "c")
    assert isinstance(error_of(b), JobDiedError)
    assert len(said) == 4
    assert engine.most == 2


def test_what_stops_the_master_cancels_the_jobs():
    engine = Here()
    with pytest.raises(KeyboardInterrupt):
        do_all(engine, [Sent("a"), Sent("Ctrl-C")], retries=2)
    assert engine.cancelled == [("a",)]


@pytest.fixture(params=[[], ["hydra/launcher=basic"], ["hydra/launcher=ray"]], ids=str)
def in_this_process(request, place, monkeypatch):
    """The overrides of a launcher that does errands in place of runs, in this process."""
    plugin = pytest.importorskip("hydra_plugins.ltvm_launchers")
    monkeypatch.setattr(plugin.RayLauncher, "package", "ltvm")
    monkeypatch.setattr(plugin.RayLauncher, "engine", lambda *_: Here())
    monkeypatch.setattr(launching, "execute", lambda config, _: errand(OmegaConf.create(config)))
    return request.param


def test_a_refused_input_has_a_record_that_says_so_and_the_others_are_done(in_this_process):
    bad, good = launch(jobs(("refused", 1), ("plain", 2)), in_this_process)
    assert bad == {"status": "refused", "reason": "method.alpha=7: allowed: less"}
    assert good["status"] == "done"


def test_what_else_a_job_raises_is_raised_when_the_others_are_done(in_this_process, place):
    with pytest.raises(ZeroDivisionError):
        launch(jobs(("wrong", 1), ("plain", 2)), in_this_process)
    assert "plain 2" in (place / "diary").read_text()


def test_a_run_that_no_launcher_has_is_told_its_words_as_one_that_basic_has(place, monkeypatch):
    told = []
    monkeypatch.setattr(launching, "execute", lambda *told_it: told.append(told_it) or {})
    words = [*FEW, "method.solver=shortlist", "method.solver_options.gap=0.1",
             "method.kernel=hamiltonian", "paths.results=a zoë"]  # fmt: skip
    for launcher in ([], ["hydra/launcher=basic"]):
        launch([words], launcher)
    assert told[0] == told[1]
    assert "method.solver_options.gap=0.1 method.kernel=hamiltonian" in told[0][1]


def test_a_run_whose_process_died_waits_for_the_lease_that_it_left(monkeypatch):
    task, seen = launching.Task(Place.here(), 1), []
    monkeypatch.setattr(launching, "resolve", lambda overrides: overrides)
    monkeypatch.setattr(launching, "HydraConfig", SimpleNamespace(get=Unset))
    monkeypatch.setattr(launching, "execute", lambda *_, timeout=1: seen.append(timeout))
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    task(None)
    task.sent_again()(None)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    task(None)
    assert seen[0] == 1
    assert min(seen[1:]) > LEASE


def test_a_run_whose_process_died_is_failed_where_there_is_a_record():
    overrides = [*FEW, "method=vae"]
    job = JobReturn(status=JobStatus.FAILED, _return_value=JobDiedError("out of memory"))
    assert isinstance(outcome_of(overrides, job), JobDiedError)  # it never got so far
    config = ltvm.config.resolve(overrides)
    run = Store(Path(config["paths"]["results"])).run(config)
    run.write_record({"status": "running", "reason": None})
    outcome = outcome_of(overrides, job)
    assert outcome["status"] == run.status() == "failed"
    assert outcome["reason"] == "its process died: out of memory"


def test_a_launcher_that_fails_is_told_apart(monkeypatch):
    plugin = pytest.importorskip("hydra_plugins.hydra_joblib_launcher.joblib_launcher")

    def launch_nothing(self, job_overrides, initial_job_idx):
        raise RuntimeError("no workers left")

    monkeypatch.setattr(plugin.JoblibLauncher, "launch", launch_nothing)
    with pytest.raises(LaunchError, match="hydra/launcher=joblib: RuntimeError: no workers left"):
        launch(jobs(("plain", 1)), ["hydra/launcher=joblib"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hydra/launcher=pbs"], "hydra/launcher=pbs: allowed: basic, .*submitit_slurm"),
        (["hydra/launcher=ray", "hydra.launcher.gpus=1"],
         "hydra.launcher.gpus=1: no such key; allowed: address, max_retries, num_cpus, num_gpus"),
        (["hydra/launcher=ray", "hydra.launcher.num_cpus=all"], "num_cpus=all.*to Float"),
    ],
)  # fmt: skip
def test_what_a_launcher_does_not_take_is_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        check_launcher(overrides)


def test_a_launcher_is_refused_before_anything_is_begun(monkeypatch):
    def check_input(config):
        raise AssertionError("too late")

    # first: it imports the other
    monkeypatch.setattr("ltvm.runs.launching.sweep.check_input", check_input)
    monkeypatch.setattr("ltvm.runs.execution.execute.check_input", check_input)
    with pytest.raises(InputError, match="hydra/launcher=pbs"):
        ltvm.train([*FEW, "hydra/launcher=pbs"])
    with pytest.raises(InputError, match="hydra/launcher=pbs"):
        ltvm.ablate(["ablation=ot", "ablation.axes.method=[vae]", *FEW, "hydra/launcher=pbs"])


@pytest.mark.parametrize(
    ("name", "package"),
    [("ray", "ray"), ("submitit_slurm", "submitit"), ("submitit_local", "submitit")],
)
def test_an_engine_that_is_not_installed_says_what_installs_it(monkeypatch, name, package):
    from ltvm.runs.launching.launchers import base

    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf'pip install "ltvm\[{package}\]"'):
        check_launcher([f"hydra/launcher={name}"])


MINE = {
    "mortal.py": """
import os, pathlib
from torch import nn
from ltvm.methods import Method

class Mortal(Method):
    def __init__(self, problem, *, signal):
        super().__init__(problem)
        self.signal = signal

    def fit_iteration(self):
        diary = pathlib.Path(f"{self.signal}.txt")  # in the directory of who launched
        with diary.open("a") as file:
            file.write(f"{self.iteration} ")
        if self.signal and diary.read_text() == "0 1 ":
            os.kill(os.getpid(), self.signal)
        self.iteration += 1
        return {"loss": 0.0}

    def infer(self, images, generator):
        return self.problem.sample_prior(len(images), generator)

class Small(nn.Sequential):
    def __init__(self, latent_dim, channels):
        super().__init__(nn.Linear(latent_dim, 784), nn.Tanh(), nn.Unflatten(1, (channels, 28, 28)))
""",
    "method/mortal.yaml": """
# Gets a signal where it begins its second iteration for the first time.
_target_: mortal.Mortal
name: mortal
signal: 0
""",
    "evaluation/nothing.yaml": """
# Nothing is measured.
name: nothing
every: 1
extractor: null
metrics: {}
""",
    "decoder/small.yaml": """
# One layer.
_target_: mortal.Small
name: small
encoder: null
""",
}


@pytest.mark.parametrize(
    ("engine", "number"),
    [("ray", signal.SIGKILL), ("submitit_local", signal.SIGUSR2)],  # died; preempted
)
def test_a_run_goes_on_from_its_last_iteration_in_another_process(request, place, engine, number):
    if engine == "ray":
        request.getfixturevalue("ray_here")
    for name, content in MINE.items():
        (place / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "mine" / name).write_text(content)
    ltvm.config.add_config_dir("mine")
    signals = [int(number), *([0] if engine == "ray" else [])]
    parts = ["method=mortal", "decoder=small", "evaluation=nothing"]
    runs = [[*FEW, *parts, f"method.signal={n}"] for n in signals]
    records = launch(runs, [f"hydra/launcher={engine}"])
    assert (place / f"{signals[0]}.txt").read_text() == "0 1 1 "
    stored = {run.record()["identity"]: run for run in Store(Path("results")).runs()}
    assert len(stored) == len(runs)
    for record, overrides in zip(records, runs, strict=True):
        assert record["status"] == stored[record["identity"]].status() == "done"
        assert record["command"] == " ".join(["ltvm train", *overrides, "--config-dir mine"])
        threads = 1 if engine == "ray" else available_cores()  # a core for each; all for the one
        assert record["device"].endswith(f", {threads} threads")
