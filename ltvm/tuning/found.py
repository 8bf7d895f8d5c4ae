"""What a study found, as files: settings of a cell, which ``ablation=tuned`` takes, and a method.

best trial -> found/STUDY-TRIALS.json (sealed), and method/tuned/STUDY-TRIALS.yaml, which anything
takes with ``--config-dir``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ltvm.config import resolve
from ltvm.errors import UnreadableError
from ltvm.overrides import parse
from ltvm.runs.ablations.ablation import train_command
from ltvm.runs.ablations.found import found_file, read_found, tuned, untuned
from ltvm.runs.files.store import Store
from ltvm.runs.identity import evaluation_identity
from ltvm.runtime.files import write_sealed_json, write_text
from ltvm.runtime.phases import PHASES
from ltvm.tuning.search import Search, Trial


def write_found(search: Search, trials: Sequence[Trial], best: Trial | None) -> dict[str, Any]:
    """Write what was found, with all trials and what they cost; returns it.

    A file that says the same already is left: the records of its trials may be gone by now.
    """
    config, results = search.config, Path(search.config["paths"]["results"])
    content: dict[str, Any] = {
        "study": search.name,
        "cell": untuned(config),
        "evaluation": evaluation_identity(config),
        **{part: config[part]["name"] for part in ("method", "data", "protocol")},
        **{key: config[key] for key in ("precision", "validation_images", "seed")},
        "metric": search.metric,
        **({"seed": search.seeds[0], "seeds": list(search.seeds)} if search.seeds else {}),
        "searched": sorted(search.space),
        "space": dict(search.ranges),
        "settings": None if best is None else best.settings,
        "trials": [told(search, trial) for trial in trials],
    }
    file = found_file(results, search.name, len(trials))
    try:
        known = read_found(file)
        if {"space": content["space"], **known, "cost": None} == {**content, "cost": None}:
            return known
    except UnreadableError:  # none yet, or a damaged one
        pass
    content["cost"] = cost_of(search, trials)
    write_sealed_json(file, content)
    return content


def told(search: Search, trial: Trial) -> dict[str, Any]:
    """One trial: its number from 1, its settings, its value and how its run ended."""
    return {
        "trial": trial.number + 1,
        "status": trial.status,
        search.metric: trial.value,
        "settings": trial.settings,
    }


def cost_of(search: Search, trials: Sequence[Trial]) -> dict[str, float]:
    """What the trainings of trials took, as far as their records say: FLOP and seconds.

    Seconds are those of inference, transport and learning, as everywhere.
    """
    results = Path(search.config["paths"]["results"])
    commands = (command for trial in trials for command in search.commands(trial.settings))
    runs = [Store(results).run(resolve(command)) for command in commands]
    records = [record for run in runs if (record := run.record()) is not None]
    phases = [phase for phase in PHASES if phase != "evaluation"]
    seconds = [
        record.get("seconds", {}).get(phase) or 0.0 for record in records for phase in phases
    ]
    flops = sum(record.get("flops") or 0 for record in records)
    return {"flops": flops, "seconds": round(sum(seconds), 3)}


def write_trials(search: Search, trials: Sequence[Trial]) -> None:
    """A table of trials beside the study: settings, value, status, the command of the run."""
    rows = [
        {
            "trial": trial.number + 1,
            "status": trial.status,
            search.metric: trial.value,
            **trial.settings,
            **commands_of(search, trial),
        }
        for trial in trials
    ]
    write_text(search.folder / f"{search.name}.csv", pd.DataFrame(rows).to_csv(index=False))


def commands_of(search: Search, trial: Trial) -> dict[str, str]:
    """Column -> the command of a trial's run: one, or one a seed."""
    commands = [train_command(command) for command in search.commands(trial.settings)]
    columns = [f"command, seed {seed}" for seed in search.seeds] or ["command"]
    return dict(zip(columns, commands, strict=True))


def write_method(search: Search, best: Trial, found: Mapping[str, Any]) -> str:
    """The method with the best settings, and how many were tried; returns its ``method=``."""
    trials = len(found["trials"])
    method = search.config["method"]
    content = nested(best.settings)
    content["method"] = {
        **content.get("method", {}),
        "label": f"{method.get('label', search.method)}, tuned",
        "tuned": tuned(found),
    }
    content = {"defaults": [f"/method/{chosen(search)}@method", "_self_"], **content}
    choice = f"{search.name}-{trials}"
    head = (
        "# @package _global_\n"
        f"# Trial {best.number + 1} of {trials}: {search.metric} {best.value:.6g} on "
        f"{search.config['validation_images']} validation images{of_seeds(search)}.\n"
        f"# {train_command(search.commands(best.settings)[0])}\n"
    )
    file = search.folder.parent / "method" / "tuned" / f"{choice}.yaml"
    write_text(file, head + yaml.safe_dump(content, sort_keys=False))
    return f"tuned/{choice}"


def of_seeds(search: Search) -> str:
    """``, the mean of seeds 0, 1`` where trials have several."""
    seeds = ", ".join(map(str, search.seeds))
    return f", the mean of seeds {seeds}" if len(search.seeds) > 1 else ""


def chosen(search: Search) -> str:
    """What the user wrote for ``method=``, which names the file it is in."""
    return next(str(value) for key, value in parse(search.overrides) if key == "method")


def nested(settings: dict[str, Any]) -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}"""
    content: dict[str, Any] = {}
    for key, value in settings.items():
        *parents, last = key.split(".")
        place = content
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return content
