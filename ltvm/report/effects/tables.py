"""Effects as tables: one to read, and one for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ltvm.report.comparisons.differences import signed, test_text
from ltvm.report.comparisons.statistics import INTERVALS, format_estimate
from ltvm.report.effects.along import measured
from ltvm.report.effects.pairing import Effect

USUAL = "the defaults"


def count(passes: float) -> str:
    """``22.8``, ``1,088``"""
    return f"{passes:,.0f}" if passes >= 100 else f"{passes:.3g}"


def table(
    own: Sequence[Effect], labels: tuple[str, str], interval: str, by: Mapping[str, str]
) -> pd.DataFrame:
    """A row for every setting of one metric; ``by``: further metrics of the second row, titled."""

    def mean_of(effect: Effect, place: int) -> str:
        return format_estimate(INTERVALS[interval]([v[place] for v in effect.by_seed.values()]))

    def passes_of(effect: Effect) -> str:
        both = effect.cost("passes")
        return " / ".join(dict.fromkeys(map(count, both))) if both else "-"

    columns = {
        "images, protocol": [e.terms.title for e in own],
        "settings": [e.settings or USUAL for e in own],
        "precision": [e.first.precision for e in own],
        "passes per image": list(map(passes_of, own)),
        "seeds": [str(len(e.by_seed)) for e in own],
        f"mean, {labels[1]}": [mean_of(e, 1) for e in own],
        f"mean, {labels[0]}": [mean_of(e, 0) for e in own],
        "difference": [signed(e.difference, bold=False) for e in own],
        "%": [f"{e.share[0]:+.1f}" if e.share else "-" for e in own],
        "p": [test_text(e.test) for e in own],
    }
    for metric, title in by.items():
        known = (measured(effect, metric) for effect in own)
        columns[f"{title}, {labels[1]}"] = ["-" if v is None else f"{v:.3g}" for v in known]
    marks = ["; ".join(sorted({*e.first.marks, *e.second.marks})) for e in own]
    return pd.DataFrame(columns | ({"to know": marks} if any(marks) else {}))


def raw(found: Sequence[Effect], by: Sequence[str]) -> pd.DataFrame:
    """A row for every setting, metric and seed, with both records, and the second run's ``by``."""
    return pd.DataFrame([
        {
            "terms": e.terms.title, "settings": e.settings, "precision": e.first.precision,
            "metric": e.metric, "direction": e.column.direction, "seed": seed,
            **{f"{place}_{key}": value
               for place, one, own in zip(("first", "second"), values, (e.first, e.second),
                                          strict=True)
               for key, value in (("value", one),
                                  ("record", str(own.row.entries[seed].run.record_file)))},
            **{f"second_{metric}": e.values[1].values.get(metric, {}).get(seed) for metric in by},
        }
        for e in found for seed, values in e.by_seed.items()
    ])  # fmt: skip
