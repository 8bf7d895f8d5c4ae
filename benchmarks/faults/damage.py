"""Every kind of file that the suite reads, damaged, and every command that reads it.

Truncated, emptied, a flipped bit, of another type, without a key, of an older schema. Commands say
which file in a line, in their own words; what can be done again is done again, what is not needed
is done without; no value is ever another than the undisturbed one.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults.cases import Case, Ended, ltvm
from benchmarks.faults.sweep import (
    COMMAND,
    NAME,
    ONE_RUN,
    copy,
    is_one_line,
    numbers,
    runs,
    template,
)

SEED = 2026
ITERATIONS = 3
EXPLAINED = 300  # characters of what went wrong

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """A file of the first run, or beside the runs, and what is expected once it is damaged.

    ``reads``: the commands that are tried, in their order. ``named``: those of them that have to
    name the file. ``again``: ``ablate`` does again what it lacks. ``json``: whether it is JSON.
    """

    name: str
    find: Callable[[Path], Path]
    reads: str
    named: str = ""
    again: bool = False
    json: bool = False
    unfinished: bool = False  # of a run that was killed in its last iteration


def in_first_run(name: str) -> Callable[[Path], Path]:
    return lambda folder: next(iter(sorted(runs(folder)[0].glob(name))))


def in_cache(name: str) -> Callable[[Path], Path]:
    return lambda folder: next(iter(sorted((folder / "cache").glob(name))))


def manifest(folder: Path) -> Path:
    return folder / "results" / "ablations" / f"{NAME}.json"


READERS = ("report", "evaluate", "export", "train")
DONE = "status report evaluate export ablate train gc"
KILLED = "status report ablate gc"
TARGETS = (
    Target("record", in_first_run("record.json"), DONE, "report ablate evaluate", True, True),
    Target("evaluation", in_first_run("evaluations/*.json"), DONE, "report ablate", True, True),
    Target("configuration", in_first_run("config.yaml"), "status report evaluate gc", "evaluate"),
    Target("history", in_first_run("history.csv"), "status report", "report"),
    Target("weights", in_first_run("final.safetensors"), "status report evaluate", "evaluate"),
    Target("picture", in_first_run("samples.png"), "report"),
    Target(
        "manifest", manifest, "status report export ablate gc", "status report export ablate",
        True, True,
    ),
    Target("checkpoint", in_first_run("checkpoint.pt"), KILLED, "ablate", unfinished=True),
    Target(
        "checkpoint before", in_first_run("checkpoint.previous.pt"), KILLED, unfinished=True
    ),
    Target(
        "record of a run under way", in_first_run("record.json"), KILLED, "ablate",
        json=True, unfinished=True,
    ),
    Target("progress", in_first_run("running.json"), KILLED, json=True, unfinished=True),
    Target("features kept", in_cache("features/*.f32"), "train"),
    Target("executions kept", in_cache("executions.json"), "train", json=True),
)  # fmt: skip


def truncated(part: float) -> Damage:
    return lambda content, _: content[: int(len(content) * part)]


def flipped(content: bytes, draw: random.Random) -> bytes:
    """One bit of it the other way round."""
    changed = bytearray(content)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def zeroed(content: bytes, draw: random.Random) -> bytes:
    """A part of it is zeros, as of a file whose blocks never reached the disk."""
    begin = draw.randrange(len(content))
    end = min(len(content), begin + max(16, len(content) // 4))
    return content[:begin] + bytes(end - begin) + content[end:]


def replaced(text: str) -> Damage:
    return lambda *_: text.encode()


def changed(change: Callable[[Any], object]) -> Damage:
    """JSON with something else in it, written as by somebody else."""

    def damage(content: bytes, _: random.Random) -> bytes:
        read = json.loads(content)
        change(read)
        return json.dumps(read, indent=2).encode()

    return damage


def without(key: str) -> Damage:
    return changed(lambda content: content.pop(key, None))


BYTES: dict[str, Damage] = {
    **{f"truncated to {part:.1%}": truncated(part) for part in (0.001, 0.3, 0.7, 0.999)},
    "emptied": replaced(""),
    **{f"a flipped bit, {number}": flipped for number in range(4)},
    "zeros in it": zeroed,
}
JSON: dict[str, Damage] = {
    "a list": replaced("[]\n"),
    "a number": replaced("3\n"),
    "null": replaced("null\n"),
    "an empty object": replaced("{}\n"),
}


def keys_of(target: str) -> dict[str, Damage]:
    """What can be wrong with the entries of a JSON file."""
    if target.startswith("record"):
        gone = ("status", "fingerprints", "identity", "versions", "seconds", "curves", "command",
                "execution_settings", "final_sha256")  # fmt: skip
        return {f"without {key}": without(key) for key in gone} | {
            "older, without numerics and equal": changed(
                lambda r: [r.pop(key, None) for key in ("numerics", "equal", "checksum")]
            ),
            "status nosuch": changed(lambda r: r.update(status="nosuch")),
        }
    if target == "evaluation":
        gone = ("status", "identity", "values", "columns", "versions", "name", "config")
        return {f"without {key}": without(key) for key in gone} | {
            "a value that is a word": changed(lambda e: first_value(e).update(value="abc")),
            "a value that is NaN": changed(lambda e: first_value(e).update(value=float("nan"))),
            "a value that is null": changed(lambda e: first_value(e).update(value=None)),
            "another value": changed(lambda e: first_value(e).update(value=0.125)),
            "a value without a column": changed(lambda e: e["columns"].popitem()),
        }
    if target == "manifest":
        gone = ("name", "runs", "axes", "question", "command", "seeds", "reference")
        entry = ("path", "cell", "seed", "values", "evaluations", "label")
        return {f"without {key}": without(key) for key in gone} | {
            f"a run without {key}": changed(lambda m, k=key: m["runs"][0].pop(k)) for key in entry
        }
    return {}


def first_value(evaluation: Any) -> Any:
    return next(iter(evaluation["values"].values()))


def damages_of(target: Target) -> dict[str, Damage]:
    return BYTES | (JSON | keys_of(target.name) if target.json else {})


def cases() -> list[Case]:
    return [
        damage_case(target, how, damage, number)
        for target in TARGETS
        for number, (how, damage) in enumerate(damages_of(target).items())
    ]


def short() -> list[Case]:
    wanted = {"evaluation": "another value", "manifest": "a flipped bit, 0", "history": "emptied"}
    return [case for case in cases() if wanted.get(case.kind) == case.name.partition(": ")[2]]


def damage_case(target: Target, how: str, damage: Damage, number: int) -> Case:
    def run(folder: Path, target: Target = target) -> str | None:
        source = interrupted() if target.unfinished else template(*COMMAND)
        copy(source, folder)
        shutil.copytree(source.parent / "cache", folder / "cache")
        file = target.find(folder)
        content = file.read_bytes()
        draw = random.Random(f"{SEED} {target.name} {number}")
        file.write_bytes(damage(content, draw))
        if file.read_bytes() == content:
            return "nothing was damaged"
        if how.startswith("older") or says(file, content) == says(file, file.read_bytes()):
            target = replace(
                target, named=""
            )  # a bit in a blank, or in the name of the checksum; or as it was
        whole = numbers(template(*COMMAND))
        for name, command in commands(folder, target, number).items():
            wrong = wrong_of(folder, target, name, command, file, whole)
            if wrong is not None:
                return f"{name}: {wrong}"[:EXPLAINED]
        return None

    return Case(f"{target.name}: {how}", run)


def says(file: Path, content: bytes) -> Any:
    """What a file says that numbers or words could come from; bytes where it is no text of ours."""
    try:
        if file.suffix == ".json":
            found = dict(json.loads(content))
            return [value for value in found.values() if not is_checksum(value)], list(found)[:-1]
        if file.name == "config.yaml":
            return yaml.safe_load(content) | {"paths": None}
    except (ValueError, TypeError, yaml.YAMLError):
        pass
    return content


def is_checksum(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def commands(folder: Path, target: Target, number: int) -> dict[str, list[str]]:
    """What is tried, in this order: what only reads, then what mends.

    Of several that only read one after the other is tried, one with each damage.
    """
    other = "4" if target.name.endswith("kept") else "0"  # a run that is not done
    all_of_them = {
        "status": ["status"],
        "report": ["report"],
        "evaluate": ["evaluate", str(runs(folder)[0]), "evaluation=latents"],
        "export": ["export", NAME, "--to", "exported"],
        "ablate": COMMAND,
        "train": [
            "train", "method=vae", *ONE_RUN, f"protocol.iterations={ITERATIONS}", f"seed={other}",
        ],
        "gc": ["gc", "--yes"],
    }  # fmt: skip
    readers = [name for name in target.reads.split() if name in READERS]
    left_out = {name for at, name in enumerate(readers) if at != number % len(readers)}
    return {name: all_of_them[name] for name in target.reads.split() if name not in left_out}


def wrong_of(
    folder: Path, target: Target, name: str, command: Sequence[str], file: Path, whole: Any
) -> str | None:
    """What is wrong with how one command took it."""

    def own_cache() -> None:
        import os

        os.environ["LTVM_CACHE_DIR"] = str(folder / "cache")

    ended = ltvm(folder, *command, before=own_cache)
    wrong = is_one_line(ended)
    if wrong is None and name in target.named.split() and not names(ended, folder, file):
        wrong = f"{file.name} is not named: exit code {ended.code}, {ended.err[-150:]!r}"
    if wrong is None and name in ("status", "gc", "train") and ended.code != 0:
        wrong = f"exit code {ended.code}: {ended.err[-200:]!r}"
    if wrong is None and name == "ablate" and (target.again or target.unfinished):
        lost = set(whole) - set(numbers(folder))
        if lost or ended.code != 0:
            wrong = f"not done again, exit code {ended.code}: {ended.err[-200:]!r}"
    if wrong is None and name == "ablate":
        found = numbers(folder)
        other = [run for run in found if run in whole and not is_part(whole[run], found[run])]
        wrong = f"{other[0]} has other numbers" if other else None
    return wrong or another_number(folder, whole)


def is_part(content: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a run found all that it had found, maybe with a further evaluation."""
    values = other["values"]
    same = all(values.get(key) == value for key, value in content["values"].items())
    return same and all(content[key] == other[key] for key in ("history", "weights"))


def names(ended: Ended, folder: Path, file: Path) -> bool:
    """Whether a command, or the report that it made, names the file."""
    page = folder / "reports" / NAME / "README.md"
    said = ended.out + ended.err + (page.read_text() if page.is_file() else "")
    return file.name in said.replace(f"/{file.name}`", "")  # where a page lists all records


def another_number(folder: Path, whole: Any) -> str | None:
    """None if what the report shows is what the undisturbed runs found, as far as it is shown."""
    import pandas as pd

    file = folder / "reports" / NAME / "long.csv"
    if not file.is_file():
        return None
    shown = pd.read_csv(file, float_precision="round_trip")  # not the default before pandas 3
    for row in shown[shown["metric"].notna()].itertuples():
        values = whole[str(Path("results") / str(row.path))]["values"]
        known = [value for (_, metric), value in values.items() if metric == row.metric]
        if known and row.value not in known:
            return f"{row.metric} is {row.value}, was {known[0]}"
    return None


_interrupted: list[Path] = []


def interrupted() -> Path:
    """A folder whose first run was stopped in its last iteration: two checkpoints, no result."""
    if not _interrupted:
        folder = template(*COMMAND).parent / "interrupted"
        (folder / "reports").mkdir(parents=True)
        ltvm(folder, *COMMAND, before=killed_in_last_iteration)
        _interrupted.append(folder)
    return _interrupted[0]


def killed_in_last_iteration() -> None:
    import os
    import signal

    from ltvm.methods import VariationalAutoEncoder
    from ltvm.runs.execution.running import Running

    original = VariationalAutoEncoder.fit_iteration

    def fit_iteration(self: Any) -> Any:
        if self.iteration == ITERATIONS - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self)

    VariationalAutoEncoder.fit_iteration = fit_iteration  # type: ignore[method-assign]
    Running.finish = lambda _: None  # type: ignore[method-assign,assignment]
