"""Manifests: what a report needs of an ablation besides its records.

The question, the cells, their runs and evaluations, in ``<results>/ablations/<name>.json``.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ltvm.errors import InputError, UnreadableError
from ltvm.runs.ablations.ablation import Plan, tuned_of
from ltvm.runs.ablations.claims import claims_of
from ltvm.runs.files.locks import LEASE, holding
from ltvm.runs.files.store import Run
from ltvm.runs.trust import check_inside, check_name, check_stays
from ltvm.runtime.commands import command_with
from ltvm.runtime.files import asides, read_json, remove_aside, set_aside, write_sealed_json

Kind = type | types.UnionType
KINDS: dict[str, Kind] = {
    "name": str, "ablation": str, "question": str, "reference": str | None, "combine": str,
    "axes": list | dict, "command": str, "seeds": list, "runs": list,
}  # fmt: skip
KINDS_OF_RUNS: dict[str, Kind] = {
    "path": str, "cell": str, "seed": int, "data": str, "method": str, "label": str, "style": dict,
    "protocol": str, "evaluations": list, "values": dict, "note": str, "command": str,
}  # fmt: skip

MAY_STAND: dict[str, Kind] = {"margin": float, "claims": list}  # beside these
MAY_STAND_IN_RUNS: dict[str, Kind] = {
    "about": str, "sampler": dict | None, "tuned": dict | None,
}  # fmt: skip
KINDS_WITHIN_RUNS: dict[str, dict[str, Kind]] = {
    "sampler": {"name": str, "label": str | None},
    "tuned": {"trials": int},
}
MAY_STAND_WITHIN_RUNS: dict[str, dict[str, Kind]] = {
    "tuned": {
        "metric": str,
        "study": str,
        "seeds": int,
        "flops": int | float,
        "seconds": int | float,
    },
}


def manifest_file(results: Path, name: str) -> Path:
    return results / "ablations" / f"{name}.json"


def manifest_of(
    plan: Plan, results: Path, external: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Of a plan's runs, and of its ``external`` rows by their entries."""
    return {
        "name": plan.report_name,
        "ablation": plan.ablation.name,
        "question": plan.ablation.question,
        "reference": plan.ablation.reference,
        "margin": plan.ablation.margin,
        **({"claims": plan.ablation.claims} if plan.ablation.claims else {}),
        "combine": plan.ablation.combine,
        "axes": plan.ablation.keys,
        "command": plan.command,
        "seeds": list(dict.fromkeys([*plan.ablation.seeds, *(own["seed"] for own in external)])),
        "runs": [
            {
                **planned.row,
                "path": str(planned.run.directory.relative_to(results)),
                "seed": planned.config["seed"],
                "label": planned.config["method"].get("label", ""),
                "about": planned.config["method"].get("about", ""),
                "style": planned.config["method"].get("style") or {},
                "protocol": planned.config["protocol"]["name"],
                "evaluations": [planned.evaluation],
                **tuned_of(planned.config),
                "command": planned.command,
            }
            for planned in plan.runs
        ]
        + [dict(entry) for entry in external],
    }


def read_manifest(file: Path) -> dict[str, Any]:
    """Raises :class:`ltvm.errors.UnreadableError` for a damaged one.

    It has a sound name and a list of sound paths; one to be ``shown`` has all that a status or a
    report says of it.
    """
    remedy = "the command that made it makes it again"
    try:
        content = read_json(file)
        if not isinstance(content, dict) or not isinstance(content["runs"], list):
            raise ValueError("it lists no runs")
        check_name("name", content["name"])
        for entry in content["runs"]:
            check_inside(file, entry["path"])
            check_kinds(entry, KINDS_OF_RUNS, "a run's ", MAY_STAND_IN_RUNS)
            for key, kinds in KINDS_WITHIN_RUNS.items():
                if entry.get(key) is not None:
                    others = MAY_STAND_WITHIN_RUNS.get(key)
                    check_kinds(entry[key], kinds, f"a run's {key}: ", others)
            if study := (entry.get("tuned") or {}).get("study"):
                check_name("study", study)
            for key in ("data", "method"):  # of which names of files are made
                check_name(key, entry[key] or key)
            for evaluation in entry["evaluations"]:
                check_name("evaluations", evaluation)
        check_kinds(content, KINDS, "its ", MAY_STAND)
        claims_of(content.get("claims", []))
        for axis in content["axes"]:
            check_name("axes", axis)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())[:400]
        raise UnreadableError(file, f"is not a manifest ({why})", remedy) from error
    return content


def check_kinds(
    content: Any, kinds: dict[str, Kind], whose: str, others: dict[str, Kind] | None = None
) -> None:
    """Raise ``ValueError`` unless an object has these entries, each of its kind.

    Of ``others`` those that it has are of theirs.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{whose}entry is no object")
    there = {key: kind for key, kind in (others or {}).items() if key in content}
    for key, kind in (kinds | there).items():
        if key not in content or not isinstance(content[key], kind):
            what = f"is a {type(content[key]).__name__}" if key in content else "is missing"
            raise ValueError(f"{whose}{key} {what}")


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Hold a manifest while it is changed: one process at a time, on any host."""
    check_stays(path.parent, path.parent.parent.resolve())
    with holding(path.with_name(f".{path.name}.held"), timeout=2 * LEASE) as hold:
        if hold is None:
            raise InputError(f"{path}: kept by another process; allowed: one at a time")
        remove_aside(path)
        yield


def write_manifest(plan: Plan, results: Path, external: Sequence[dict[str, Any]] = ()) -> Path:
    """Write the manifest; further seeds and evaluations of the same cells stay in it.

    But for an evaluation that failed and that the plan does not ask for, which is said. A damaged
    one is set aside. One that says it all already is left as it is, so that the report of a sweep
    that is done can be made of results that can only be read.
    """
    path = manifest_file(results, plan.report_name)
    manifest = manifest_of(plan, results, external)
    if path.is_file():
        with suppress(UnreadableError):
            known = read_manifest(path)
            merge(manifest, known["runs"], failed(known["runs"], results))
            if manifest == known and not list(asides(path)):
                return path
    with changing(path):
        manifest = manifest_of(plan, results, external)
        if path.is_file():
            try:
                others = read_manifest(path)["runs"]
                say_left_out(path, merge(manifest, others, failed(others, results)))
            except UnreadableError as error:
                print(f"ltvm: {path} {error.what}: set aside as {set_aside(path).name}",
                      file=sys.stderr)  # fmt: skip
        write_sealed_json(path, manifest)
    return path


def merge(manifest: dict[str, Any], others: list[dict[str, Any]], without: set[str]) -> set[str]:
    """Add further seeds and evaluations of a manifest's own cells to it; returns those left out.

    Its own runs get no evaluation of ``without``.
    """
    own = {(entry["cell"], entry["seed"]): entry for entry in manifest["runs"]}
    cells = {cell for cell, _ in own}
    left_out: set[str] = set()
    for entry in others:
        same = own.get((entry["cell"], entry["seed"]))
        if same is not None:
            left_out |= {*entry["evaluations"]} & without - {*same["evaluations"]}
            kept = [name for name in entry["evaluations"] if name not in without]
            same["evaluations"] = list(dict.fromkeys([*same["evaluations"], *kept]))
        elif entry["cell"] in cells:
            manifest["runs"].append(entry)
    order = list(dict.fromkeys(entry["cell"] for entry in manifest["runs"]))
    manifest["runs"].sort(key=lambda entry: (order.index(entry["cell"]), entry["seed"]))
    set_seeds(manifest, sorted({entry["seed"] for entry in manifest["runs"]}))
    return left_out


def set_seeds(manifest: dict[str, Any], seeds: list[int]) -> None:
    """Give a manifest these seeds, and a command that makes all of them if it has others."""
    if seeds != sorted(manifest["seeds"]):
        numbers = ",".join(map(str, seeds))
        manifest["command"] = command_with(manifest["command"], f"ablation.seeds=[{numbers}]")
    manifest["seeds"] = seeds


def failed(entries: list[dict[str, Any]], results: Path) -> set[str]:
    """The evaluations that failed for a run, and of which no run has more than that.

    Where one is done for a run, its values are in the table, and those of the others are lacking.
    """
    found: dict[str, set[str]] = {}
    for entry in entries:
        for name in entry["evaluations"]:
            try:
                content = Run(results / entry["path"]).evaluation(name)
            except UnreadableError:
                content = {"status": "unreadable"}
            if content is not None:
                found.setdefault(name, set()).add(content["status"])
    return {name for name, statuses in found.items() if statuses == {"failed"}}


def say_left_out(path: Path, evaluations: set[str]) -> None:
    """Say which evaluations a manifest lists no more."""
    for name in sorted(evaluations):
        print(f"ltvm: {path}: evaluation {name} failed and is not asked for: no longer listed",
              file=sys.stderr)  # fmt: skip
