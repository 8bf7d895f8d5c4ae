"""Effects as a forest plot: a line for every setting, a panel for every metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from ltvm.metrics.columns import FAMILIES
from ltvm.report.effects.pairing import Effect
from ltvm.report.plots.figures import PRINT, in_a_row, panels, save, themed

Groups = Mapping[str, Mapping[str, Sequence[Effect]]]  # terms -> settings -> effects
LINE, SIGN, PANEL = 0.2, 0.08, 2.9  # inches: of a line's height, of a sign's and a panel's width
HEAD = 1.3  # inches above and below the lines
STANDS, SUGGESTS = "#08306b", "#9ecae1"  # after adjustment, and not


@themed
def forest(groups: Groups, labels: tuple[str, str], path: Path) -> None:
    """Draw the effects of every setting, below its terms, in percent of the second row's mean.

    Dark: the paired t test stands after adjustment. One seed has no interval, and what has no
    share (``Effect.share``) no point.
    """
    effects = [e for lines in groups.values() for own in lines.values() for e in own]
    family = {(e.metric, e.title): FAMILIES.index(e.column.family) for e in effects}
    metrics = sorted(family, key=lambda metric: family[metric])
    names = [name for terms, lines in groups.items() for name in (terms, *lines)]
    columns = in_a_row(len(metrics))
    across = SIGN * max(map(len, names)) + PANEL * columns
    figure, axes = panels(len(metrics), across / columns, HEAD + LINE * len(names))
    figure.set_dpi(PRINT)  # as it is written: sizes of texts are rounded to dots
    for number, (axis, (metric, title)) in enumerate(zip(axes, metrics, strict=True)):
        draw_metric(axis, groups, metric)
        first = number % columns == 0
        axis.set_yticks(range(len(names)), names if first else [""] * len(names))
        axis.set_xlabel("difference, %")
        axis.set_title(title)
        for text in axis.get_yticklabels():
            if text.get_text() in groups:
                text.set(fontweight="bold", fontsize="small")
        for text in (*axis.get_yticklabels(), axis.title):
            text.set_parse_math(False)
    several = any(e.difference.n > 1 for e in effects)
    about = "\n95 % intervals; dark: adjusted p < 0.05" if several else "\none seed"
    figure.suptitle(
        f"{labels[0]} against {labels[1]}{about}",
        fontsize="medium", y=1 - 0.12 / figure.get_figheight(), va="top",
    ).set_parse_math(False)  # fmt: skip
    save(figure, path)


def draw_metric(axis: Axes, groups: Groups, metric: str) -> None:
    """A panel: effects by one metric, a band behind every other group."""
    axis.axvline(0, color="black", linewidth=0.8)
    axis.grid(axis="y", visible=False)
    height = 0
    for number, lines in enumerate(groups.values()):
        if number % 2:
            axis.axhspan(height - 0.5, height + len(lines) + 0.5, color="black", alpha=0.04)
        for place, own in enumerate(lines.values(), start=height + 1):
            for effect in own:
                if effect.metric == metric:
                    draw(axis, effect, place)
        height += len(lines) + 1
    axis.set_ylim(height - 0.5, -0.5)


def draw(axis: Axes, effect: Effect, height: int) -> None:
    share = effect.share
    if share is None:
        return
    mean, low, high = share
    colour = STANDS if effect.test is not None and effect.test.stands else SUGGESTS
    errors = None if effect.difference.n < 2 else [[mean - low], [high - mean]]
    axis.errorbar(mean, height, xerr=errors, color=colour, marker="o", markersize=4, capsize=2)
