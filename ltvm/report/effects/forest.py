"""Effects as a forest plot: a line for every setting, a panel for every kind of metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from ltvm.report.effects.pairing import Effect
from ltvm.report.plots.figures import panels, save

Groups = Mapping[str, Mapping[str, Sequence[Effect]]]  # terms -> settings -> effects
LINE, SIGN, PANEL = 0.2, 0.08, 2.9  # inches: of a line's height, of a sign's and a panel's width
STANDS, SUGGESTS = "#08306b", "#9ecae1"  # after correction, and not


def forest(groups: Groups, labels: tuple[str, str], path: Path) -> None:
    """Draw the effects of every setting, below its terms, in percent of the second row's mean.

    Dark: the paired t test stands after adjustment. One seed has no interval.
    """
    effects = [e for lines in groups.values() for own in lines.values() for e in own]
    families = list(dict.fromkeys(e.family for e in effects))
    names = [name for terms, lines in groups.items() for name in (terms, *lines)]
    across = SIGN * max(map(len, names)) + PANEL * len(families)
    figure, axes = panels(len(families), across / len(families), 1.3 + LINE * len(names))
    for axis, family in zip(axes, families, strict=True):
        draw_family(axis, groups, family)
        axis.set_yticks(range(len(names)), [f"   {n}" if axis is axes[0] else "" for n in names])
        axis.set_xlabel("difference, %")
        titles = [e.page.headings[e.metric] for e in effects if e.family == family]
        axis.set_title("\n".join(dict.fromkeys(titles)))
    for text in axes[0].get_yticklabels():
        if text.get_text().strip() in groups:
            text.set(fontweight="bold", fontsize="small")
    figure.suptitle(
        f"{labels[0]} against {labels[1]}\n95 % intervals; dark: p < 0.05 adjusted for all tests",
        fontsize="medium",
    )
    save(figure, path)


def draw_family(axis: Axes, groups: Groups, family: str) -> None:
    """A panel: effects of one family, a band behind every other group."""
    axis.axvline(0, color="black", linewidth=0.8)
    axis.grid(axis="y", visible=False)
    height = 0
    for number, lines in enumerate(groups.values()):
        if number % 2:
            axis.axhspan(height - 0.5, height + len(lines) + 0.5, color="black", alpha=0.04)
        for place, own in enumerate(lines.values(), start=height + 1):
            for effect in own:
                if effect.family == family:
                    draw(axis, effect, place)
        height += len(lines) + 1
    axis.set_ylim(height - 0.5, -0.5)


def draw(axis: Axes, effect: Effect, height: int) -> None:
    mean, low, high = effect.share
    colour = STANDS if effect.test is not None and effect.test.stands else SUGGESTS
    errors = None if effect.difference.n < 2 else [[mean - low], [high - mean]]
    axis.errorbar(mean, height, xerr=errors, color=colour, marker="o", markersize=4, capsize=2)
