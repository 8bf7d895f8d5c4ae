"""What a study found, as files that ``ltvm train`` and ``ltvm ablate`` take with ``--config-dir``.

best trial -> method/tuned/STUDY-TRIALS.yaml; several methods -> ablation/NAME.yaml
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from ltvm.overrides import parse
from ltvm.runs.ablation import train_command
from ltvm.runtime.files import write_text
from ltvm.tuning.search import Search, Trial

TWIN = "short_run_uncorrected"  # the reference of the ablation, where it was tuned
NOT_SHARED = (
    "validation_images",
    "method",
    "seed",
    "device",
    "tensorboard",
)  # overrides of trials that runs do without


def write_trials(search: Search, trials: Sequence[Trial]) -> None:
    """A table of all trials beside the study: settings, value, status, the command of the run."""
    rows = [
        {
            "trial": trial.number + 1,
            "status": trial.status,
            search.metric: trial.value,
            **trial.settings,
            "command": train_command(search.command(trial.settings)),
        }
        for trial in trials
    ]
    write_text(search.folder / f"{search.name}.csv", pd.DataFrame(rows).to_csv(index=False))


def write_method(search: Search, best: Trial, trials: int) -> str:
    """The method with the best settings, and how many were tried; returns its ``method=``."""
    method = search.config["method"]
    content = nested(best.settings)
    content["method"] = {
        **content.get("method", {}),
        "label": f"{method.get('label', search.method)}, tuned",
        "tuned": {"trials": trials, "metric": search.metric, "study": search.name},
    }
    content = {"defaults": [f"/method/{chosen(search)}@method", "_self_"], **content}
    choice = f"{search.name}-{trials}"
    head = (
        "# @package _global_\n"
        f"# Trial {best.number + 1} of {trials}: {search.metric} {best.value:.6g} on "
        f"{search.config['validation_images']} validation images.\n"
        f"# {train_command(search.command(best.settings))}\n"
    )
    file = search.folder.parent / "method" / "tuned" / f"{choice}.yaml"
    write_text(file, head + yaml.safe_dump(content, sort_keys=False))
    return f"tuned/{choice}"


def chosen(search: Search) -> str:
    """What the user wrote for ``method=``, which names the file it is in."""
    return next(str(value) for key, value in parse(search.overrides) if key == "method")


def write_ablation(
    search: Search, name: str, choices: Sequence[str], methods: Sequence[str], trials: int
) -> None:
    """The ablation that compares tuned methods on the test images."""
    keys = [key for key, _ in parse(search.overrides)]
    base = [o for o, key in zip(search.overrides, keys, strict=True) if shared(key)]
    content = {
        "name": name,
        "question": (
            f"How do methods compare when each has had {trials} trials of tuning, by "
            f"{search.metric} on validation images?"
        ),
        "base": base,
        "axes": {"method": list(choices)},
        "combine": "product",
        "seeds": [0, 1, 2],
        "extra": [],
        "reference": TWIN if TWIN in methods else None,
    }
    folder = search.folder.parent
    head = f"# ltvm ablate {shlex.join([f'ablation={name}', '--config-dir', str(folder)])}\n"
    write_text(
        folder / "ablation" / f"{name}.yaml", head + yaml.safe_dump(content, sort_keys=False)
    )


def shared(key: str) -> bool:
    """Whether an override of trials is one of the runs that compare what was found."""
    return key not in NOT_SHARED and not key.startswith("paths.")


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
