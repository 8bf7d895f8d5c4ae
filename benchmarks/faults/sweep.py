"""The sweep that is killed, raced and damaged: two methods, some seeds, a second or less a run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.faults.cases import Ended, ltvm

ONE_RUN = (
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12", "protocol.batch=20",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.unseen_for_distance=4",
    "protocol.evaluation.codes=40", "protocol.evaluation.curve_samples=20", "device=cpu",
    "precision=float32", "+decoder.widths=[32,16,16]", "+decoder.encoder.widths=[16,16,32]",
)  # fmt: skip
NAME = "faults"
MESSAGE = re.compile(r"ltvm: (?!error)[A-Z]\w*(Error|Exception|Warning)\b")  # of Python, not ours


def ablate(methods: str = "vae,abp", seeds: str = "0,1", *others: str) -> list[str]:
    """The command of a sweep."""
    return [
        "ablate", "ablation=ot", f"ablation.axes.method=[{methods}]", f"ablation.seeds=[{seeds}]",
        "ablation.reference=null", *ONE_RUN, *others, "--name", NAME,
    ]  # fmt: skip


COMMAND = ablate("vae", "0,1", "protocol.iterations=3")  # what most parts try


@cache
def template(*command: str) -> Path:
    """A folder in which a command was done undisturbed, made once; its copies are to be damaged."""
    folder = _scratch() / f"template{len(list(_scratch().iterdir()))}"
    folder.mkdir()
    ended = ltvm(folder, *command)
    if ended.code != 0:
        raise RuntimeError(f"the undisturbed command ended with {ended.code}: {ended.err[-500:]}")
    return folder


@cache
def _scratch() -> Path:
    """A folder of this process, with the cache of features and executions that all cases share."""
    import atexit

    folder, own = Path(tempfile.mkdtemp(prefix="ltvm-faults-")), os.getpid()
    (folder / "cache").mkdir()
    os.environ["LTVM_CACHE_DIR"] = str(folder / "cache")

    def remove() -> None:
        if os.getpid() == own:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def copy(source: Path, folder: Path) -> None:
    """What the commands of a template left, in a case's folder."""
    for part in ("results", "reports"):
        shutil.copytree(source / part, folder / part)


def runs(folder: Path) -> list[Path]:
    """The directories of all runs below a folder's results."""
    return sorted(path.parent for path in (folder / "results" / "runs").glob("*/*/*/*/config.yaml"))


def numbers(folder: Path) -> dict[str, Any]:
    """What a sweep found: per run every value, its history without seconds, its weights' SHA-256.

    Only of what a record and its evaluations call ``done``; read here without the suite.
    """
    found = {}
    for run in runs(folder):
        try:
            record = json.loads((run / "record.json").read_text())
            files = sorted((run / "evaluations").glob("*.json"))
            evaluations = {file.name: json.loads(file.read_text()) for file in files}
        except (OSError, ValueError):
            continue
        done = [content.get("status") == "done" for content in (record, *evaluations.values())]
        if not evaluations or not all(done):
            continue
        values = {
            (name, metric): content["value"]
            for name, evaluation in evaluations.items()
            for metric, content in evaluation["values"].items()
        }
        weights = (run / "final.safetensors").read_bytes()
        history = pd.read_csv(run / "history.csv", float_precision="round_trip")
        history = history.loc[:, [c for c in history if not str(c).endswith("_seconds")]]
        found[str(run.relative_to(folder))] = {
            "values": values,
            "history": history.to_csv(index=False),
            "weights": hashlib.sha256(weights).hexdigest(),
        }
    return found


def table(folder: Path) -> dict[str, str]:
    """The report's quality tables, as text."""
    files = (folder / "reports" / NAME).glob("table*.csv")
    return {file.name: file.read_text() for file in sorted(files)}


def same_as(reference: Path, folder: Path) -> str | None:
    """None if a sweep and its report are whole and equal the undisturbed one bit for bit."""
    expected, found = numbers(reference), numbers(folder)
    if set(expected) != set(found):
        return f"{len(found)} of {len(expected)} runs are done"
    for run, content in expected.items():
        for what, value in content.items():
            if found[run][what] != value:
                return f"{run}: {what} differ from the undisturbed run's"
    if table(reference) != table(folder) or not table(folder):
        return "the table is not the undisturbed one's"
    return None


def temporary(folder: Path) -> list[Path]:
    """Files that were written aside and are still there."""
    return [path for path in folder.rglob(".*.tmp") if "cache" not in path.parts]


def is_one_line(ended: Ended, allowed: Sequence[int] = (0, 1, 2)) -> str | None:
    """None if a command ended as it should: a known exit code, no traceback, no bare exception."""
    if ended.code not in allowed:
        return f"exit code {ended.code}: {last_line(ended)}"
    if "Traceback" in ended.err or MESSAGE.search(ended.err):
        return f"not in our words: {last_line(ended)}"
    repeated = [line for line, times in Counter(ended.errors).items() if times > 1]
    return f"said more than once: {repeated[0][:200]}" if repeated else None


def last_line(ended: Ended) -> str:
    lines = ended.err.strip().splitlines()
    return lines[-1][:300] if lines else "nothing on stderr"


def diary(folder: Path) -> Callable[[], None]:
    """Have a command note, in ``diary``, every iteration that it has kept and every evaluation.

    A line is one write, so that those of several processes do not mix; a kill between what is
    done and its line loses the line.
    """

    def install() -> None:
        from ltvm.runs.execution import execute
        from ltvm.runs.execution.running import Running
        from ltvm.training.trainer import Trainer

        file = os.open(folder / "diary", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        save, evaluate = Trainer.save, execute.evaluate_run

        def noted_save(self: Trainer) -> None:
            save(self)
            where = self.checkpoint_file
            assert where is not None
            os.write(file, f"{where.parent} iteration {self.method.iteration}\n".encode())

        def noted_evaluate(config: Any, running: Running, *others: Any) -> Any:
            content = evaluate(config, running, *others)
            if content["status"] == "done":
                os.write(file, f"{running.run.directory} evaluation\n".encode())
            return content

        Trainer.save = noted_save  # type: ignore[method-assign]
        execute.evaluate_run = noted_evaluate

    return install


def done_twice(folder: Path) -> str | None:
    """None if nothing in the diary stands there twice."""
    lines = Counter((folder / "diary").read_text().splitlines())
    twice = [line for line, times in lines.items() if times > 1]
    return f"done {lines[twice[0]]} times: {twice[0]}" if twice else None
