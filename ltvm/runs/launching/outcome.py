"""What a sweep was asked to do, and how its runs stand at the end; nothing here needs torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltvm.errors import InputError, require
from ltvm.runs.ablations.ablation import Plan, PlannedRun

RETRIED = ("failed", "diverged")


@dataclass(frozen=True)
class Options:
    """How a sweep treats what is not simply to do.

    ``retry`` lists statuses that are tried again, up to ``retries`` times in this command; ``wait``
    waits for runs that other processes are at, and does those that they leave undone.
    """

    retry: tuple[str, ...] = ()
    retries: int = 1
    wait: bool = False

    def __post_init__(self) -> None:
        for status in self.retry:
            require(status in RETRIED, "--retry", status, ", ".join(RETRIED))
        require(self.retries >= 1, "--retries", self.retries, "1 or more")


@dataclass(frozen=True)
class Outcome:
    """An ablation that was worked on: its plan, its report's folder, and what was refused.

    ``refused`` has the reason for each cell, as manifests name it, or for ``CELL seed=N``, where
    it is that of one run.
    """

    plan: Plan
    folder: Path
    refused: dict[str, str] = field(default_factory=dict)  # cells, or single runs: the reason

    @property
    def failed(self) -> bool:
        """Whether a run failed, or a cell was refused."""
        return bool(self.refused) or any(p.status == "failed" for p in self.plan.runs)

    @property
    def unfinished(self) -> bool:
        """Whether other processes are at runs of it, or left some undone."""
        hours = self.plan.ablation.max_hours  # which leave what is pending for the next time
        undone = ("running", "interrupted", *(() if hours else ("pending",)))
        asked_for = [planned for seed in self.plan.by_seed() for planned in seed]  # ``max_runs``
        return any(p.status in undone for p in asked_for)

    def summary(self) -> list[str]:
        """How the runs stand, and why those that are not done are not: lines to print."""
        plan, refused = self.plan, self.refused
        statuses = {p: "refused" if is_refused(p, refused) else p.status for p in plan.runs}
        counts = Counter(statuses.values())
        order = ("done", "diverged", "failed", "refused", "unreadable", "interrupted", "running")
        words = [f"{counts[status]} {status}" for status in (*order, "pending") if counts[status]]
        lines = [f"{counted(plan.runs)}: {', '.join(words)}"]
        for planned, status in statuses.items():
            if status in ("failed", "diverged", "unreadable"):
                lines.append(f"{status}: {planned.label}: {reason_of(planned)}")
        for cell, reason in refused.items():
            label = next(p.label for p in plan.runs if cell in (p.cell, alone(p)))
            one = any(cell == alone(p) for p in plan.runs)
            lines.append(f"refused: {label if one else label.rpartition(' seed=')[0]}: {reason}")
        again = [status for status in RETRIED if counts[status]]
        if again:
            flags = " ".join(f"--retry {status}" for status in again)
            lines.append(f"they are left as they are; {flags} tries them again")
        return lines


def alone(planned: PlannedRun) -> str:
    """How a run is named among what was refused where its cell was not."""
    return f"{planned.cell} seed={planned.config['seed']}"


def is_refused(planned: PlannedRun, refused: Collection[str]) -> bool:
    return planned.cell in refused or alone(planned) in refused


def reason_of(planned: PlannedRun) -> str:
    """Why a run is not done, and the file that says more."""
    file = planned.run.record_file
    try:
        record: dict[str, Any] = planned.run.record() or {}
        if record.get("status") == "done":
            file = planned.run.evaluation_file(planned.evaluation)
            record = planned.run.evaluation(planned.evaluation) or {}
    except InputError as error:
        return str(error)
    return f"{' '.join(str(record.get('reason')).split())[:200]} ({file})"


def counted(runs: Sequence[PlannedRun]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"
