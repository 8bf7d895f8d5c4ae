"""Effects against what the second method is like at the same setting: where does the first help?

effects -> the second row's mean of another metric -> a scatter, rank correlations
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import seaborn as sns
from scipy import stats

from ltvm.errors import require
from ltvm.metrics.columns import FAMILIES, Column
from ltvm.report.effects.pairing import SETTINGS, Effect
from ltvm.report.plots.figures import add_legend, panels, save, themed
from ltvm.report.values.declared import column_of

LEAST = 4  # settings that a panel, and a rank correlation, is of
MARKERS = "osD^vPX*"
WIDE = 10.0  # largest over smallest value from which on an axis is logarithmic


@dataclass(frozen=True)
class Point:
    """An effect in percent of the second row's mean, and that row's mean of another metric."""

    effect: Effect
    against: float
    share: tuple[float, float, float]  # the difference and the ends of its interval

    @property
    def terms(self) -> str:
        """``mnist5k, medium``: of its terms the first two words, images and protocol."""
        return ", ".join(self.effect.terms.title.split(", ")[:2])


def measured(effect: Effect, metric: str) -> float | None:
    """The second row's mean of a metric over the seeds of the effect; None where it has none."""
    values = effect.values[1].values.get(metric, {})
    shared = [values[seed] for seed in effect.by_seed if seed in values]
    return fmean(shared) if len(shared) == len(effect.by_seed) else None


def points(found: Sequence[Effect], metric: str) -> dict[str, list[Point]]:
    """The effects at settings that both methods have, where ``metric`` is known, by their metric.

    Generation first, without metrics of fewer than ``LEAST``, or of less than half as many as the
    most. Settings of the first method alone would repeat the one value of the second.
    """
    by_title: dict[str, list[Point]] = {}
    for effect in found:
        against, share = measured(effect, metric), effect.share
        if effect.kind == SETTINGS and share is not None and against is not None:
            by_title.setdefault(effect.title, []).append(Point(effect, against, share))
    most = max(map(len, by_title.values()), default=0)
    enough = [own for own in by_title.values() if len(own) >= max(LEAST, most / 2)]
    enough.sort(key=lambda own: FAMILIES.index(own[0].effect.column.family))
    return {own[0].effect.title: own for own in enough}


def declared(found: Sequence[Effect], metric: str) -> Column:
    """What a metric is, by the records; raises :class:`ltvm.errors.InputError` if they lack it."""
    known: dict[str, Column] = {}
    for effect in found:
        for of_seed in effect.second.row.evaluations.values():
            for one in of_seed:
                known |= {name: column_of(one["columns"][name]) for name in one["values"]}
    names = sorted(name for name, column in known.items() if column.role == "value")
    require(metric in names, "--by", metric, f"a metric of the second method: {', '.join(names)}")
    return known[metric]


def correlation_text(found: Sequence[Effect], metric: str, title: str, second: str) -> list[str]:
    """A sentence for every metric with enough settings on the same terms: Spearman's rho."""
    said = []
    for name, own in points(found, metric).items():
        by_terms: dict[str, list[Point]] = {}
        for point in own:
            by_terms.setdefault(point.terms, []).append(point)
        parts = [
            f"{rho(group):+.2f} over {len(group)} settings of {terms}"
            for terms, group in by_terms.items()
            if len(group) >= LEAST
        ]
        if parts:
            said.append(
                f"{name}: rank correlation (Spearman) of the difference in percent with {title} of "
                f"“{second}” at the same setting: {'; '.join(parts)}. Without settings at which it "
                "is not known. A description: settings were not drawn at random."
            )
    return said


def rho(group: Sequence[Point]) -> float:
    found = stats.spearmanr([p.against for p in group], [p.share[0] for p in group])
    return float(found.statistic)


@themed
def scatter(
    found: Sequence[Effect], metric: str, title: str, labels: tuple[str, str], path: Path
) -> None:
    """Draw every effect in percent against the second row's mean of ``metric``."""
    by_title = points(found, metric)
    terms = list(dict.fromkeys(p.terms for own in by_title.values() for p in own))
    colours = dict(zip(terms, sns.color_palette("colorblind", len(terms)), strict=True))
    markers = {name: MARKERS[number % len(MARKERS)] for number, name in enumerate(terms)}
    figure, axes = panels(len(by_title), 5.2, 3.8)
    for axis, (name, own) in zip(axes, by_title.items(), strict=True):
        axis.axhline(0, color="black", linewidth=0.8)
        for point in own:
            mean, low, high = point.share
            errors = None if point.effect.difference.n < 2 else [[mean - low], [high - mean]]
            axis.errorbar(
                point.against, mean, yerr=errors, marker=markers[point.terms], markersize=5,
                color=colours[point.terms], capsize=2, linestyle="none", label=point.terms,
            )  # fmt: skip
        least, most = (limit(p.against for p in own) for limit in (min, max))
        if least > 0 and most / least > WIDE:
            axis.set_xscale("log")
        axis.set_title(name)
        axis.set_xlabel(f"{title}, “{labels[1]}”")
        axis.set_ylabel("difference, %")
        for text in (axis.title, axis.xaxis.label):
            text.set_parse_math(False)
    add_legend(figure, axes)
    save(figure, path)
