"""Seconds and memory of `status`, the long table and a report, by the number of records.

    python benchmarks/records.py                     # 1,000 and 10,000 records
    python benchmarks/records.py --records 300 --at /tmp/records   # and keep them there

The records are synthetic: a real run of the method and one of its twin (results/reference), with
their evaluations and histories, copied to a grid of cells and seeds, their values moved a little by
seed and cell. Each measurement is a process of its own, as a user's command is: the first of
each kind finds no index of the records, the second finds what the first left. The file system's
cache is warm in both. Beside what was measured stands its goal; a busy machine
stretches processor seconds, those of the process itself, less than the clock's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltvm.runs.files.index import NAME as INDEX
from ltvm.runs.files.index import SETTLED
from ltvm.runtime.files import read_json

REFERENCE = Path(__file__).resolve().parents[1] / "results" / "reference"
METHODS = ("short_run_ot", "short_run_uncorrected")
GRID = {  # swept beside the method: 500 cells of each method
    "method.steps": (1, 2, 3, 4, 6, 8, 12, 16, 20, 24),
    "model.sigma": tuple(round(0.1 * n, 1) for n in range(1, 11)),
    "method.kernel.size": (0.03, 0.05, 0.1, 0.15, 0.2),
}
NAME = "grid"
SEEDS = 10
VARIANTS = 16  # of a history; more would only take time to write
MOVED = 0.05  # standard deviation of what values are multiplied by, around 1
PLACE = re.compile(r'"@(\w+)@"')  # of a value in the text of a record


@dataclass(frozen=True)
class Template:
    """A real run as text with places for what differs from copy to copy."""

    method: str
    entry: dict[str, Any]  # of its manifest
    record: list[str]  # fixed text and names of places, in turn
    evaluation: list[str]
    config: str
    history: list[str]  # variants
    values: dict[str, float]  # place -> its value in the real run
    pictures: tuple[Path, ...]


def read_template(method: str) -> Template:
    manifest = read_json(REFERENCE / "ablations" / "ot-mnist5k.json")
    entry = next(entry for entry in manifest["runs"] if entry["method"] == method)
    folder = REFERENCE / entry["path"]
    record = json.loads((folder / "record.json").read_text())
    (file,) = [folder / "evaluations" / f"{one}.json" for one in entry["evaluations"]]
    evaluation = json.loads(file.read_text())
    values = {f"seconds_{phase}": taken for phase, taken in record["seconds"].items()}
    record["seconds"] = {phase: f"@seconds_{phase}@" for phase in record["seconds"]}
    record |= {"seed": "@seed@", "identity": "@cell@"}
    for name, content in evaluation["values"].items():
        values[f"value_{name}"], content["value"] = content["value"], f"@value_{name}@"
    lines = (folder / "history.csv").read_text().splitlines()
    return Template(
        method,
        entry,
        PLACE.split(json.dumps(record, indent=2)),
        PLACE.split(json.dumps(evaluation, indent=2)),
        (folder / "config.yaml").read_text(),
        ["\n".join([lines[0], *moved_rows(lines[1:], at)]) + "\n" for at in range(VARIANTS)],
        values,
        tuple(folder / f"{kind}.png" for kind in ("samples", "reconstructions")),
    )


def moved_rows(rows: list[str], variant: int) -> Iterator[str]:
    """Rows of a history with all but the iteration and the counts moved a little."""
    draw = np.random.default_rng(variant)
    for row in rows:
        kept, rest = row.split(",")[:4], row.split(",")[4:]
        factors = 1 + MOVED * draw.standard_normal(len(rest))
        yield ",".join(
            [
                *kept,
                *(str(float(float(x) * f)) if x else x for x, f in zip(rest, factors, strict=True)),
            ]
        )


def write_records(root: Path, records: int, seeds: int = SEEDS, status: str = "done") -> Path:
    """Write so many runs of one ablation, its manifest ``grid``, below ``root``."""
    templates = {method: read_template(method) for method in METHODS}
    cells = itertools.islice(itertools.product(*GRID.values(), METHODS), -(-records // seeds))
    entries: list[dict[str, Any]] = []
    for number, (*swept, method) in enumerate(cells):
        values = dict(zip(GRID, swept, strict=True))
        for seed in range(min(seeds, records - len(entries))):
            entries.append(write_run(root, templates[method], number, values, seed, status))
    manifest = read_json(REFERENCE / "ablations" / "ot-mnist5k.json")
    manifest |= {
        "name": NAME, "question": "How much does a large grid take?", "axes": ["method", *GRID],
        "command": "python benchmarks/records.py", "seeds": list(range(seeds)), "runs": entries,
    }  # fmt: skip
    file = root / "ablations" / f"{NAME}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(manifest, indent=2) + "\n")
    return file


def write_run(
    root: Path, template: Template, number: int, swept: dict[str, Any], seed: int, status: str
) -> dict[str, Any]:
    """Write one run of the cell ``number``; returns its entry in the manifest."""
    cell = f"{number:012x}"
    path = f"runs/mnist5k/{template.method}/{cell}/seed={seed}"
    folder = root / path
    (folder / "evaluations").mkdir(parents=True)
    draw = np.random.default_rng([number, seed])
    factors = 1 + MOVED * draw.standard_normal(len(template.values))
    places = {
        name: repr(float(v * f))
        for (name, v), f in zip(template.values.items(), factors, strict=True)
    }
    places |= {"seed": str(seed), "cell": f'"{cell}"'}
    record = filled(template.record, places).replace('"status": "done"', f'"status": "{status}"', 1)
    (folder / "record.json").write_text(record + "\n")
    (evaluation,) = template.entry["evaluations"]
    if status == "done":
        file = folder / "evaluations" / f"{evaluation}.json"
        file.write_text(filled(template.evaluation, places) + "\n")
        (folder / "history.csv").write_text(template.history[(number + seed) % VARIANTS])
        for picture in template.pictures:
            os.link(shared(root, template.method, picture), folder / picture.name)
    (folder / "config.yaml").write_text(configured(template.config, swept, seed))
    values = {"method": template.method, **swept}
    command = " ".join(["ltvm train", *(f"{k}={v}" for k, v in values.items()), f"seed={seed}"])
    own = {"path": path, "cell": cell, "seed": seed, "values": values, "command": command}
    return template.entry | own


def filled(parts: list[str], places: dict[str, str]) -> str:
    """The text with all places filled in."""
    return "".join(places[part] if at % 2 else part for at, part in enumerate(parts))


def configured(text: str, swept: dict[str, Any], seed: int) -> str:
    """A configuration with other values of swept keys, and another seed."""
    for key, value in (*swept.items(), ("seed", seed)):
        *groups, last = key.split(".")
        before = "".join(rf"^{'  ' * depth}{group}:\n(?:^{'  ' * (depth + 1)}.*\n)*?"
                         for depth, group in enumerate(groups))  # fmt: skip
        pattern = re.compile(rf"({before}^{'  ' * len(groups)}{last}: ).*$", re.MULTILINE)
        text, found = pattern.subn(rf"\g<1>{value}", text, count=1)
        assert found == 1, f"no {key} in the configuration"
    return text


def shared(root: Path, method: str, picture: Path) -> Path:
    """A picture below ``root`` that all runs of a method link to: 10,000 copies say no more."""
    copy = root / "pictures" / method / picture.name
    if not copy.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(picture.read_bytes())
    return copy


COMMANDS = {  # what a user does -> Python, with the folders of records and reports
    "status": "from ltvm.cli.main import main; main(['status', '--results', {records!r}])",
    "long_table": "import ltvm; ltvm.long_table({records!r})",
    "report": "import ltvm; ltvm.make_report('grid', {records!r}, {reports!r})",
}


MOST_MEMORY = 1_000  # MB, of each of them
GOALS = {  # (records, command) -> seconds on two cores with nothing else to do
    (10_000, "status"): 5,
    (10_000, "long_table"): 5,
    (10_000, "report"): 15,
}


@dataclass(frozen=True)
class Taken:
    """What a command took in a process of its own, its start included."""

    seconds: float
    processor: float  # seconds, of all threads
    memory: float  # MB at the most

    def row(self, goal: int | None) -> dict[str, str]:
        """As a table has it; without a goal there is nothing to meet."""
        met = goal is not None and self.seconds <= goal and self.memory <= MOST_MEMORY
        return {
            "seconds": f"{self.seconds:.1f}",
            "processor seconds": f"{self.processor:.1f}",
            "peak memory, MB": f"{self.memory:,.0f}",
            "goal": "" if goal is None else f"{goal} s, {MOST_MEMORY:,} MB",
            "met": "" if goal is None else "yes" if met else "no",
        }


def measured(command: str, cores: int) -> Taken:
    """What a command takes; raises ``RuntimeError`` where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": str(cores)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"exit {os.waitstatus_to_exitcode(status)} of: {command}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes here
    processor = usage.ru_utime + usage.ru_stime
    return Taken(time.perf_counter() - started, processor, usage.ru_maxrss / unit)


def measure(root: Path, records: int, cores: int) -> list[dict[str, Any]]:
    """A row per command, without and with an index."""
    rows = []
    for name, command in COMMANDS.items():
        (root / INDEX).unlink(missing_ok=True)
        text = command.format(records=str(root), reports=str(root / "reports"))
        for index in ("made", "there"):
            head = {"records": f"{records:,}", "command": name, "index": index}
            rows.append(head | measured(text, cores).row(GOALS.get((records, name))))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--cores", type=int, default=2, help="to run on (%(default)s)")
    parser.add_argument("--at", type=Path, help="write records below this folder, to stay")
    parser.add_argument("--out", type=Path, help="write records.md and records.json there")
    options = parser.parse_args()

    if hasattr(os, "sched_setaffinity"):  # of this process and those that it starts
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for records in options.records:
            root = (options.at or Path(temporary)) / str(records)
            if not (root / "ablations").is_dir():
                write_records(root, records)
            time.sleep(SETTLED)  # what has just been written is not kept in an index
            rows += measure(root, records, options.cores)
    from common import publish  # torch, which no child needs

    cells = f"{SEEDS} seeds a cell, {options.cores} cores"
    publish(
        "records",
        "Status, long table and report by the number of records",
        {f"{cells}; the index of the records is made by the command, or is there:": rows},
        options.out,
        "cpu",
    )


if __name__ == "__main__":
    main()
