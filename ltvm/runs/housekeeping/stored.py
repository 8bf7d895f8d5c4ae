"""Runs that ship with the package, so that a comparison need train its new method alone.

    stored_runs.json.xz    {"format", "ltvm", "files": {"runs/.../record.json": text, ...}}

Records, configurations, histories and evaluations of ``PROTOCOLS``, as results/reference has them;
no weights, no pictures. A run is taken where a plan has the same one (its identity, seed and
evaluation) of the same images; it is then a run of the results directory whose record says
``stored``. ``make stored`` makes the file anew.
"""

from __future__ import annotations

import lzma
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ltvm.config import Config
from ltvm.errors import InputError, UnreadableError
from ltvm.runs.ablations.ablation import Plan, PlannedRun
from ltvm.runs.environment import versions
from ltvm.runs.files.store import Run, Store
from ltvm.runs.housekeeping.export import CONFIG
from ltvm.runs.housekeeping.merge import RECORD
from ltvm.runs.identity import identity
from ltvm.runs.places import with_places
from ltvm.runtime.files import parse_json, parse_yaml, sealed, write_text, writing

FILE = Path(__file__).with_name("stored_runs.json.xz")
FORMAT = "ltvm stored runs, 1"
PROTOCOLS = ("small", "medium")
LARGEST = 5_000_000  # bytes of the file
KEPT = (CONFIG, "history.csv", RECORD)  # and evaluations
PRECISIONS = ("float32", "bfloat16")

Files = dict[str, str]  # path below a results directory -> text


@cache
def stored(file: Path) -> tuple[str, Files]:
    """Which version's runs there are, and their files.

    Raises :class:`InputError` for a damaged file.
    """
    try:
        content = parse_json(lzma.decompress(file.read_bytes()))
        if content["format"] != FORMAT:
            raise ValueError(f"the format is {content['format']}")
        return f"ltvm {content['ltvm']}", content["files"]
    except (OSError, ValueError, KeyError, TypeError, lzma.LZMAError) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(
            f"{file}: cannot be read ({why}); stored=false does without, installing ltvm anew "
            "mends it"
        ) from error


def build(results: Path, file: Path = FILE, protocols: Sequence[str] = PROTOCOLS) -> int:
    """Write what of ``results`` is to ship; returns how many runs. Equal records make equal files.

    Left out are runs that are not done, and those that no configuration of today leads to. Raises
    :class:`InputError` for damaged files, or more than ``LARGEST`` bytes.
    """
    files: Files = {}
    count = 0
    for run in Store(results).runs():
        record = run.record() or {}
        shipped = record["status"] == "done" and record.get("protocol") in protocols
        if not shipped or "external" in record or identity(run.config()) != record["identity"]:
            continue
        done = [name for name, content in run.evaluations().items() if content["status"] == "done"]
        parts = [*(run.directory / name for name in KEPT), *map(run.evaluation_file, done)]
        for part in parts:
            if part.is_file():
                files[part.relative_to(results).as_posix()] = part.read_bytes().decode()
        count += 1
    content = {"format": FORMAT, "ltvm": versions()["ltvm"], "files": files}
    packed = lzma.compress(sealed(content).encode(), preset=9 | lzma.PRESET_EXTREME)
    if len(packed) > LARGEST:
        raise InputError(f"{file}: {len(packed):,} bytes; allowed: {LARGEST:,}: leave runs out")
    with writing(file) as target:
        target.write(packed)
    return count


def candidates(plan: Plan) -> list[PlannedRun]:
    """The runs of a plan that are not there and that the package has, with all their evaluations.

    Not those whose terms are equal in seconds: these are of one machine.
    """
    if plan.ablation.stored is not True:
        return []
    _, files = stored(FILE)
    absent = [p for p in plan.runs if p.status == "pending" and p.run.record() is None]
    lacking = {p.run.directory for p in absent if not is_there(files, p.config, p.evaluation)}
    return [planned for planned in absent if planned.run.directory not in lacking]


def is_there(files: Files, config: Config, evaluation: str) -> bool:
    path = path_of(config)
    wanted = (f"{path}/{RECORD}", f"{path}/evaluations/{evaluation}.json")
    return config["protocol"]["equal"] != "seconds" and all(file in files for file in wanted)


def path_of(config: Config) -> str:
    """Of a configuration's run, below a results directory."""
    return Store(Path()).run(config).directory.as_posix()


def of_other_precision(plan: Plan) -> dict[str, int]:
    """precision -> how many runs of a plan that are to be trained the package has in that one."""
    if plan.ablation.stored is not True:
        return {}
    _, files = stored(FILE)
    found: dict[str, int] = {}
    for planned in (p for p in plan.runs if p.status == "pending"):
        for other in PRECISIONS:
            config = planned.config | {"precision": other}
            if other != planned.config["precision"] and is_there(files, config, planned.evaluation):
                found[other] = found.get(other, 0) + 1
    return found


def of_these_images(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Those whose images, as they are here, are the ones that the stored runs were trained on."""
    from ltvm.data.cache import load_data  # torch takes seconds to import

    _, files = stored(FILE)
    found, seen = [], dict[str, bool]()
    for planned in runs:
        record = parse_json(files[f"{path_of(planned.config)}/{RECORD}"].encode())
        data, protocol = planned.config["data"], planned.config["protocol"]
        limits = (protocol["train_images"], protocol["test_images"])
        about = repr((data, limits, record["fingerprints"]))
        if about not in seen:
            seen[about] = load_data(planned.config).fingerprints == record["fingerprints"]
            if not seen[about]:
                say(f"stored runs on {data['name']} are of other images than here: not taken")
        if seen[about]:
            found.append(planned)
    return found


def take(planned: PlannedRun, results: Path) -> dict[str, Any] | None:
    """Add a stored run to a results directory; its record, or None where somebody is at it."""
    whose, files = stored(FILE)
    run, prefix = planned.run, f"{path_of(planned.config)}/"
    own = {
        path.removeprefix(prefix): text for path, text in files.items() if path.startswith(prefix)
    }
    with run.held() as hold:
        if hold is None or run.record() is not None:
            return None
        record: dict[str, Any] = parse_json(own.pop(RECORD).encode())
        config = with_places(parse_yaml(own.pop(CONFIG).encode()), results)
        run.write_config(config)
        for name, text in own.items():
            write_text(run.directory / name, text)
        run.write_record(record | {"stored": whose})
    return record


def is_stored(run: Run) -> bool:
    """Whether a run is one that was taken from the package, and so without weights."""
    try:
        return (run.record() or {}).get("stored") is not None
    except UnreadableError:
        return False


def forget(run: Run) -> None:
    """Remove what was taken of a stored run, so that it is trained; for who holds it."""
    for file in sorted((run.directory / "evaluations").glob("*")):
        file.unlink(missing_ok=True)
    run.record_file.unlink(missing_ok=True)  # last: without its evaluations it is forgotten again


def forget_held(run: Run) -> None:
    """The same while holding it; left to a process that is at it."""
    with run.held() as hold:
        if hold is not None and is_stored(run):
            forget(run)


def take_all(plan: Plan, runs: Sequence[PlannedRun], results: Path) -> None:
    """Take the stored runs of a plan, and say which."""
    taken: Counter[str] = Counter()
    made: dict[str, None] = {}
    for planned in runs:
        record = take(planned, results)
        if record is not None:
            taken[planned.label.rpartition(" seed=")[0]] += 1
            about = (f"commit {record['commit'][:12]}", f"torch {record['versions']['torch']}")
            made["; ".join((record["device"], *about))] = None
    if taken:
        said = "; ".join(f"{name} ({count})" for name, count in taken.items())
        whose, _ = stored(FILE)
        say(f"of {whose}, not trained here: {said}; stored=false trains them")
        say(f"they were made on {', and on '.join(made)}")
    for precision, count in of_other_precision(plan).items():
        say(f"stored in precision={precision}: {count} of the runs to be trained")


def say(text: str) -> None:
    print(f"ltvm: {text}", file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """``python -m ltvm.runs.housekeeping.stored RESULTS``"""
    count = build(Path(arguments[0]))
    print(f"{FILE}: {count} runs, {FILE.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
