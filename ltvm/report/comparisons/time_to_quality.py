"""What it takes to get somewhere: the cost at which a learning curve reaches a target.

histories -> spent when the target is first reached, or a miss -> tables, performance profiles

The target is the final value of the reference's curve at the same seed. A curve is measured after
iterations, so what is spent is that of the first measurement at the target or beyond it. Clocks
count inference, transport and learning: no trial of an execution, no tuning, no measuring.

Curves are those of runs that are done. One that diverged has no end: a row of it has missed the
target at that seed, and a reference of it sets none.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ltvm.metrics.columns import Column
from ltvm.report.comparisons.differences import pairs, signed
from ltvm.report.comparisons.statistics import INTERVALS, Direction, format_estimate
from ltvm.report.values.cells import cell_names, cells_by_data, swept_keys, trained_rows
from ltvm.report.values.declared import ARROWS
from ltvm.report.values.equal_terms import are_equal, spent_by_cell
from ltvm.runtime.phases import PHASES

CLOCKS = {"flops": "FLOP", "seconds": "s"}
TIMED = [f"{phase}_seconds" for phase in PHASES if phase != "evaluation"]
UP_TO = 4.0  # ratios that a performance profile counts, as in AlgoPerf
LOOSER = (1.0, 1.25, 1.5)  # targets of profiles: so many times the reference's final value
LAST = 0.75  # from here on a curve's last quarter
NEARLY = 0.01  # by so much a curve may begin or end beside a place: terms are equal to a batch
FEWEST = 3  # data sets that profiles are made of
MISSED = "missed"
LAST_QUARTER = "over its last quarter, %"
CELLS = 30  # of a report with more there is no such table: only what is drawn is read


def time_to_target(
    spent: Sequence[float], values: Sequence[float], target: float, direction: Direction
) -> float | None:
    """What was spent at the first value that is as good as ``target``; None: a miss.

    >>> time_to_target([1, 2, 3], [9.0, 5.0, 7.0], 6.0, "lower")
    2
    """
    for cost, value in zip(spent, values, strict=True):
        if value <= target if direction == "lower" else value >= target:
            return cost
    return None


def frontier(
    points: Iterable[tuple[float, float]], direction: Direction
) -> list[tuple[float, float]]:
    """The (spent, value) points that no cheaper or equal one is as good as, by what is spent."""
    sign = 1 if direction == "lower" else -1
    found: list[tuple[float, float]] = []
    for spent, value in sorted(points, key=lambda point: (point[0], sign * point[1])):
        if not found or sign * value < sign * found[-1][1]:
            found.append((spent, value))
    return found


def value_at(spent: Sequence[float], values: Sequence[float], at: float) -> float | None:
    """A curve's value where ``at`` is spent, on straight lines between measurements.

    None outside of them, by more than one per cent.

    >>> value_at([2, 4], [8.0, 4.0], 3), value_at([2, 4], [8.0, 4.0], 1)
    (6.0, None)
    """
    if not len(spent) or not spent[0] * (1 - NEARLY) <= at <= spent[-1] * (1 + NEARLY):
        return None
    return float(np.interp(at, spent, values))


def last_quarter(spent: Sequence[float], values: Sequence[float]) -> float | None:
    """The change of a curve over the last quarter of what was spent, as a share of where it began.

    None where the first measurement is later than three quarters, or the curve is zero or less.

    >>> last_quarter([1, 2, 3, 4], [9.0, 5.0, 4.0, 3.0])
    -0.25
    """
    before = value_at(spent, values, LAST * spent[-1]) if len(spent) else None
    return None if before is None or before <= 0 else values[-1] / before - 1


Times = Mapping[str, Mapping[str, float | None]]  # workload -> method -> what it took


def ratios(times: Times) -> dict[str, list[float]]:
    """Method -> for every workload, what it took over the least that any took; a miss: infinite.

    Of methods that all workloads have; the others have no part in the least either.
    """
    methods = [one for one in methods_of(times) if all(one in own for own in times.values())]
    found: dict[str, list[float]] = {method: [] for method in methods}
    for own in times.values():
        reached = [time for method in methods if (time := own[method]) is not None]
        best = min(reached, default=math.inf)
        for method in methods:
            time = own[method]
            found[method].append(math.inf if time is None else time / best)
    return found


def methods_of(times: Times) -> list[str]:
    return list(dict.fromkeys(method for own in times.values() for method in own))


def profile(own: Sequence[float], ratio: float) -> float:
    """The share of workloads on which a method is within ``ratio`` of the best.

    A performance profile (Dolan and More, Mathematical Programming 2002) at one point.
    """
    return sum(one <= ratio for one in own) / len(own)


def integrated(own: Sequence[float], up_to: float = UP_TO) -> float:
    """The mean of a method's profile over ratios from 1 to ``up_to``: 1 is the best everywhere.

    AlgoPerf's score (Dahl et al., arXiv:2306.07179, section 4). A profile is a sum of steps, so
    the integral is exact: a step at r is worth (up_to - r) / (up_to - 1).
    """
    return sum(max(0.0, up_to - one) for one in own) / (up_to - 1) / len(own)


def quality_curve(curves: Mapping[str, Column]) -> str | None:
    """The curve that targets are of: the first headline one of generation with a direction."""
    for name, column in curves.items():
        if column.headline and column.family == "generation" and column.direction is not None:
            return name
    return None


def with_seconds(histories: pd.DataFrame) -> pd.DataFrame:
    """Histories with the column ``seconds``, where they have the phases that clocks count."""
    if not set(TIMED) <= set(histories):
        return histories
    return histories.assign(seconds=histories[TIMED].sum(axis=1, min_count=len(TIMED)))


@dataclass(frozen=True)
class Measured:
    """The curves of one page: which column, what it is, and the clocks that can be compared."""

    histories: pd.DataFrame
    curve: str
    column: Column
    clocks: tuple[str, ...]
    lost: Mapping[str, Sequence[int]] = field(default_factory=dict)  # cell -> diverged seeds

    @property
    def direction(self) -> Direction:
        assert self.column.direction is not None
        return self.column.direction

    def of(self, cell: str) -> dict[int, pd.DataFrame]:
        """seed -> the rows of its history that have the curve, in the order of iterations."""
        rows = self.histories[self.histories["cell"] == cell].dropna(subset=[self.curve])
        parts = rows.groupby("seed", sort=True)
        return {int(str(seed)): part.sort_values("iteration") for seed, part in parts}

    def finals(self, cell: str) -> dict[int, float]:
        return {seed: float(part[self.curve].iloc[-1]) for seed, part in self.of(cell).items()}

    def last_quarters(self, cell: str) -> list[float]:
        """The change over the last quarter of the FLOPs in per cent, of every seed that has it."""
        found = (
            last_quarter(part["flops"].tolist(), part[self.curve].tolist())
            for part in self.of(cell).values()
        )
        return [100 * change for change in found if change is not None]

    def times(self, cell: str, targets: Mapping[int, float], clock: str) -> dict[int, float | None]:
        """seed -> what it took to reach the seed's target; None: missed, or diverged before."""
        times = {
            seed: time_to_target(
                part[clock].tolist(), part[self.curve].tolist(), targets[seed], self.direction
            )
            for seed, part in self.of(cell).items()
            if seed in targets
        }
        return times | {seed: None for seed in self.lost.get(cell, ()) if seed in targets}


def measured(
    histories: pd.DataFrame, curves: Mapping[str, Column], table: pd.DataFrame
) -> Measured | None:
    """What can be compared; None without a curve of quality.

    Seconds are only where all runs were computed on one device, and all of them are known.
    """
    curve = quality_curve(curves)
    if curve is None or curve not in histories:
        return None
    histories = with_seconds(histories)
    known = "seconds" in histories and bool(histories["seconds"].notna().all())
    alike = "device" in table and table["device"].dropna().nunique() == 1
    clocks = tuple(clock for clock in CLOCKS if clock == "flops" or (known and alike))
    runs = table.drop_duplicates(["cell", "seed"])
    seeds = {
        status: set(zip(part["cell"].map(str), part["seed"].map(int), strict=True))
        for status, part in runs.groupby("status")
    }
    done = seeds.get("done", set())
    places = zip(histories["cell"].map(str), histories["seed"].map(int), strict=True)
    histories = histories[[place in done for place in places]]
    lost: dict[str, list[int]] = {}
    for cell, seed in sorted(seeds.get("diverged", ())):
        lost.setdefault(cell, []).append(seed)
    return Measured(histories, curve, curves[curve], clocks, lost)


def compared_cells(table: pd.DataFrame, manifest: dict[str, Any]) -> dict[str, str]:
    """cell -> its reference, which is its own, in the order of the table."""
    found = dict(pairs(table, manifest))
    references = {other: other for other in found.values()}
    every = found | references
    return {str(cell): every[str(cell)] for cell in table["cell"].unique() if str(cell) in every}


def time_table(
    found: Measured, table: pd.DataFrame, manifest: dict[str, Any], interval: str = "t"
) -> pd.DataFrame | None:
    """A row per cell that has a reference: its curve's end, and what the reference's end took.

    None where nothing is compared.
    """
    table = trained_rows(table)
    names, rows = cell_names(table, manifest), []
    heading = found.column.title + ARROWS[found.direction]
    for cell, reference in compared_cells(table, manifest).items():
        targets, finals = found.finals(reference), found.finals(cell)
        row = {"cell": names[cell], heading: "-", LAST_QUARTER: "-", "reached": "-"}
        if finals:
            row[heading] = format_estimate(INTERVALS[interval](list(finals.values())))
        if changes := found.last_quarters(cell):
            row[LAST_QUARTER] = signed(INTERVALS[interval](changes), bold=False)
        for clock in found.clocks:
            times = found.times(cell, targets, clock)
            own = found.times(reference, targets, clock)
            row["reached"] = f"{sum(t is not None for t in times.values())} of {len(times)}"
            shares = {s: t / o for s, t in times.items() if t is not None and (o := own.get(s))}
            row[f"{CLOCKS[clock]} to it"] = text_of(times, interval)
            row[f"{CLOCKS[clock]}, of the reference's"] = text_of(
                {seed: shares.get(seed) for seed in times}, interval
            )
        rows.append(row)
    reached = [row for row in rows if row["reached"] not in ("-", "0 of 0")]
    return pd.DataFrame(rows) if len(reached) > 1 else None


def text_of(times: Mapping[int, float | None], interval: str) -> str:
    """An estimate where every seed reached it; else that it was missed, which is no mean."""
    reached = [time for time in times.values() if time is not None]
    if not times:
        return "-"
    if len(reached) < len(times):
        return MISSED
    return format_estimate(INTERVALS[interval](reached))


def workloads(
    found: Measured, table: pd.DataFrame, manifest: dict[str, Any], clock: str
) -> dict[str, dict[str, float | None]]:
    """``mnist, 1.25 x`` -> row -> median over seeds of what its target took, None being a miss.

    A row that was not run there is left out. A row is called as on one data set.
    """
    times: dict[str, dict[str, float | None]] = {}
    table = trained_rows(table)
    for data, rows in table.groupby("data", sort=False):
        names = cell_names(rows, manifest)
        for cell, reference in compared_cells(rows, manifest).items():
            finals = found.finals(reference)
            for factor in LOOSER:
                scale = factor if found.direction == "lower" else 1 / factor
                targets = {seed: value * scale for seed, value in finals.items()}
                own = found.times(cell, targets, clock).values()
                if not own:
                    continue
                median = statistics.median([math.inf if t is None else t for t in own])
                time = None if math.isinf(median) else median
                times.setdefault(f"{data}, {factor:g} x", {})[names[cell]] = time
    return times


def profile_table(
    found: Measured, table: pd.DataFrame, manifest: dict[str, Any]
) -> pd.DataFrame | None:
    """A row per method: its integrated profile on every clock, and how often it is within 1 and 2.

    Dashes where a method was not run on every data set. None for fewer than ``FEWEST`` data sets
    with a reference, or two methods that were run on all, and where anything but the method is
    swept: rows with several references have several targets, and no least cost in common. So have
    rows of unequal budgets, the larger of which reach more.
    """
    spent = spent_by_cell(table)
    budgets = [[spent[c] for c in cells if c in spent] for _, cells in cells_by_data(table)]
    if swept_keys(manifest) or not all(map(are_equal, budgets)):
        return None
    columns: dict[str, dict[str, str]] = {}
    for clock in found.clocks:
        times = workloads(found, table, manifest, clock)
        if len({workload.rpartition(", ")[0] for workload in times}) < FEWEST:
            return None
        unit, known = CLOCKS[clock], ratios(times)
        if len(known) < 2:
            return None
        for method in methods_of(times):
            own = known.get(method, [])
            score = f"{integrated(own):.3f}" if own else "-"
            columns.setdefault(f"score, {unit}", {})[method] = score
            for ratio in (1.0, 2.0):
                share = f"{sum(one <= ratio for one in own)} of {len(own)}" if own else "-"
                columns.setdefault(f"within {ratio:g}, {unit}", {})[method] = share
    frame = pd.DataFrame(columns)
    frame.index = pd.Index(frame.index, name="row")
    return frame.reset_index()
