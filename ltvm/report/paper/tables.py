"""Which tables a paper on the method has, each from an ablation or two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltvm.report.paper import shapes
from ltvm.report.paper.sources import Source

TWINS = "ablation.axes.method=[short_run_ot,short_run_uncorrected]"


@dataclass(frozen=True)
class PaperTable:
    """``sources`` are overrides of ``ltvm ablate``; ``figure`` draws its frames as heat maps.

    ``family`` is that of the values which published ones are shown of, below it; ``note`` says what
    else a reader must know.
    """

    name: str
    caption: str
    sources: tuple[tuple[str, ...], ...]
    shape: Callable[[Sequence[Source]], shapes.Frames]
    family: str | None = None
    figure: bool = False
    note: str = ""


TABLES = (
    PaperTable(
        "generation",
        "Generation: Frechet distance of prior samples to training images, methods by data sets.",
        (("ablation=baselines",), ("ablation=paper",)),
        shapes.generation,
        "generation",
    ),
    PaperTable(
        "reconstruction",
        "Reconstruction: mean squared error per pixel of unseen images, methods by data sets.",
        (("ablation=baselines",), ("ablation=paper",)),
        shapes.reconstruction,
        "reconstruction",
    ),
    PaperTable(
        "correction",
        "With and without the optimal-transport correction, paired by seed.",
        (
            ("ablation=ot", TWINS),
            ("ablation=ot", TWINS, "protocol=medium"),
            ("ablation=paper", TWINS),
        ),
        shapes.paired,
        note="p of the paired t test, and in brackets after Holm's adjustment over all tests of "
        "this table, of which there are more when what is missing is done.",
    ),
    PaperTable("steps", "Chain steps K, at equal cost.", (("ablation=steps",),), shapes.rows),
    PaperTable("alpha", "Amount of correction alpha.", (("ablation=alpha",),), shapes.rows),
    PaperTable(
        "sigma", "Standard deviation of the likelihood.", (("ablation=sigma",),), shapes.rows
    ),
    PaperTable(
        "step-size",
        "Step size and noise of the chain, one factor at a time.",
        (("ablation=step_size",),),
        shapes.rows,
    ),
    PaperTable(
        "alpha-by-steps",
        "Amount of correction alpha by chain steps K.",
        (("ablation=alpha_steps",),),
        shapes.grids,
        figure=True,
    ),
    PaperTable(
        "anomaly",
        "Anomaly detection: area under the precision-recall curve, by the digit left out.",
        (("ablation=anomaly",),),
        shapes.by_digit,
        "detection",
    ),
    PaperTable(
        "cost",
        "Minutes per phase and iteration, beside the paper's own.",
        (("ablation=ot",), ("ablation=cost",)),
        shapes.costs,
        note="Minutes of inference, transport and learning; measuring is in none of them.",
    ),
    PaperTable(
        "what-matters",
        "What in the correction matters.",
        (("ablation=what_matters",),),
        shapes.rows,
    ),
)
