"""From the long table to paper-style tables: Markdown, LaTeX and CSV."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pandas as pd

from ltvm.report.comparability import Marks
from ltvm.report.statistics import INTERVALS, best_keys, format_estimate

FEATURES = {
    "digits": "digit features",
    **{f"inception{d}": f"Inception-{d}" for d in (2048, 768, 192, 64)},
}


def feature_titles(feature: str, words: str) -> dict[str, str]:
    """Titles of what is measured beside the Frechet distance on the same features."""
    distance = ("fd_" if feature == "digits" else "fid_") + feature
    return {
        f"{distance}_infinity": f"FD-infinity, {words} ↓",
        f"{distance}_error": f"resampling error of FD, {words}",
        f"kid_{feature}": f"KID, {words} ↓",
        f"kid_{feature}_sd": f"sd of KID over subsets, {words}",
        **{
            f"{kind}_{feature}": f"{kind}, {words} ↑"
            for kind in ("precision", "recall", "density", "coverage")
        },
    }


TITLES = {
    "fd_digits": "FD, digit features ↓",
    "fid_inception2048": "FID ↓",
    "fid_inception768": "FID-768 ↓",
    "fid_inception192": "FID-192 ↓",
    "fid_inception64": "FID-64 ↓",
    **{k: v for feature in FEATURES.items() for k, v in feature_titles(*feature).items()},
    "mse_train": "MSE, training images, own codes",
    "mse_test": "MSE, unseen images ↓",
    "mse_test_best3": "MSE, unseen, best of 3 restarts ↓",
    "latent_energy": "mean abs(z)²/d (prior: 1)",
    "latent_sliced_w2": "sliced W2 to prior ↓",
    "transport_cost": "transport cost to prior ↓",
    "transport_gap": "certified gap of that cost",
    "passes": "passes per image",
    "decoder_updates": "decoder updates",
    "inference_seconds": "inference, s",
    "transport_seconds": "transport, s",
    "learning_seconds": "learning, s",
    "evaluation_seconds": "evaluation, s",
    "training_seconds": "training, s",
    "peak_memory_mb": "peak memory, MB",
    "peak_gpu_memory_mb": "peak GPU memory, MB",
    "psnr_train": "PSNR, training images, own codes, dB",
    "psnr_test": "PSNR, unseen images, dB ↑",
    "psnr_test_best3": "PSNR, unseen, best of 3 restarts, dB ↑",
    "ssim_train": "SSIM, training images, own codes",
    "ssim_test": "SSIM, unseen images ↑",
    "ssim_test_best3": "SSIM, unseen, best of 3 restarts ↑",
    "latent_mmd2": "MMD² to prior ↓",
    "latent_mmd_p": "p of MMD (permutation)",
    "latent_ks": "largest KS of a dimension to N(0, 1) ↓",
    "latent_ks_p": "p of KS (Bonferroni)",
    "latent_eigenvalue_max": "largest eigenvalue of the codes' covariance",
    "latent_eigenvalue_min": "smallest eigenvalue of the codes' covariance",
    "latent_effective_rank": "effective rank of the codes' covariance",
    "ais_log_likelihood": "log p(x), nats (AIS, lower bound) ↑",
    "ais_effective_chains": "effective share of AIS chains",
    "ais_acceptance": "acceptance in AIS",
    "auprc_heldout": "AUPRC, digit left out ↑",
    "auroc_heldout": "AUROC, digit left out ↑",
}
# On a grid of chain steps and restarts: a table of its own, not columns of the main one.
CURVE = re.compile(r"mse_test_steps(\d+)_restarts(\d+)")
FAMILIES = {  # of metrics, by how their names begin; one table each where there are many
    "generation": ("fd_", "fid_", "kid_", "precision_", "recall_", "density_", "coverage_"),
    "reconstruction": ("mse_", "psnr_", "ssim_"),
    "codes": ("latent_", "transport_"),
    "likelihood and detection": ("ais_", "auprc_", "auroc_"),
}
WIDEST = 10  # metrics that one table shows
COSTS = (
    "passes", "decoder_updates", "inference_seconds", "transport_seconds", "learning_seconds",
    "training_seconds", "evaluation_seconds", "peak_memory_mb", "peak_gpu_memory_mb",
)  # fmt: skip


def title(metric: str) -> str:
    point = CURVE.fullmatch(metric)
    if point:
        return f"K = {point[1]}, best of {point[2]}"
    return TITLES.get(metric, metric)


def curve_metrics(table: pd.DataFrame) -> list[str]:
    """The points of ``UnseenCurve`` that were measured, by restarts, then steps."""
    points = [CURVE.fullmatch(str(metric)) for metric in table["metric"].dropna().unique()]
    return [p[0] for p in sorted(filter(None, points), key=lambda p: (int(p[2]), int(p[1])))]


def main_metrics(table: pd.DataFrame) -> list[str]:
    """Quality metrics present, headline ones (with a better direction) in the order of TITLES."""
    present = [m for m in table["metric"].dropna().unique() if m not in COSTS]
    present = [m for m in present if not (m.endswith("_floor") or CURVE.fullmatch(m))]
    present = [m for m in present if m.removesuffix("_error") not in set(present) - {m}]
    order = list(TITLES)
    return sorted(present, key=lambda m: order.index(m) if m in order else len(order))


def by_family(frame: pd.DataFrame, metrics: list[str]) -> dict[str, pd.DataFrame]:
    """A table of ``metrics`` as it is ({"": frame}), or one per family where it is too wide.

    What belongs to no family comes last, as "others".
    """
    titles = {title(m): m for m in metrics if title(m) in frame}
    if len(titles) <= WIDEST:
        return {"": frame}
    lead = [column for column in frame.columns if column not in titles]
    families: dict[str, list[str]] = {family: [] for family in [*FAMILIES, "others"]}
    for heading, metric in titles.items():
        family = next((f for f, begins in FAMILIES.items() if metric.startswith(begins)), "others")
        families[family].append(heading)
    return {family: frame[lead + columns] for family, columns in families.items() if columns}


def swept_keys(manifest: dict[str, Any]) -> list[str]:
    return [key for key in manifest["axes"] if key not in ("method", "data")]


def cell_names(table: pd.DataFrame, manifest: dict[str, Any]) -> dict[str, str]:
    """A name for every cell: its method's label and its swept values."""
    several_data = table["data"].nunique() > 1
    several_methods = table["method"].nunique() > 1
    keys = swept_keys(manifest)
    names: dict[str, str] = {}
    for cell, rows in table.groupby("cell", sort=False):
        first = rows.iloc[0]
        parts = [str(first["data"])] if several_data else []
        if several_methods or not keys:
            parts.append(str(first["label"] or first["method"]))
        swept = [key for key in keys if not pd.isna(first[key])]
        parts += [f"{key.split('.', 1)[-1]} = {value_text(first[key])}" for key in swept]
        names[str(cell)] = ", ".join([*parts, *filter(None, [first.get("note")])])
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    return {c: f"{name} [{c}]" if name in repeated else name for c, name in names.items()}


def value_text(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:g}"
    return str(value)


def by_cell(table: pd.DataFrame, metric: str) -> dict[str, dict[int, float]]:
    """cell -> seed -> value of one metric."""
    chosen = table[table["metric"] == metric]
    return {
        str(cell): {int(s): float(v) for s, v in zip(rows["seed"], rows["value"], strict=True)}
        for cell, rows in chosen.groupby("cell", sort=False)
    }


def estimates_table(
    table: pd.DataFrame,
    manifest: dict[str, Any],
    metrics: list[str],
    mark_best: bool,
    marks: Marks | None = None,
    interval: str = "t",
) -> pd.DataFrame:
    """One row per cell, one column per metric, texts such as ``457 ± 12``.

    A cell whose runs are not all done says so in the column ``runs``; a cell without any value
    keeps its row. The best value of a column is in ``**``, where ``best_keys`` finds one among
    cells that are all done and whose numbers are of one kind; ``marks`` adds footnote signs.
    ``interval`` is a key of ``INTERVALS``.
    """
    marks = marks or Marks()
    names = cell_names(table, manifest)
    columns: dict[str, dict[str, str]] = {"runs": {c: runs_text(table, c) for c in names}}
    direction = dict(
        table.dropna(subset=["metric"]).groupby("metric")["lower_is_better"].first()
        if "lower_is_better" in table
        else {}
    )
    groups = cells_by_data(table)
    unfinished = (table["status"] != "done").groupby(table["cell"]).sum()
    for metric in metrics:
        values = by_cell(table, metric)
        marked: list[str] = []
        better = direction.get(metric)
        if mark_best and better is not None and not pd.isna(better):
            for data, cells in groups:
                done = all(unfinished[cell] == 0 and cell in values for cell in cells)
                if done and marks.alike(data, metric):
                    marked += best_keys({c: values[c] for c in cells}, bool(better))
        columns[title(metric)] = {
            cell: format_estimate(
                INTERVALS[interval](list(values[cell].values())),
                cell in marked,
                marks.signs(metric, cell),
            )
            if cell in values
            else "-"
            for cell in names
        }
    frame = pd.DataFrame(columns).reindex(list(names))
    frame.index = pd.Index([names[cell] for cell in frame.index], name="cell")
    return frame.reset_index()


def crossed_key(manifest: dict[str, Any]) -> str | None:
    """The one key that is swept for every method, or None: then tables cross method and key."""
    keys = swept_keys(manifest)
    crossed = "method" in manifest["axes"] and manifest["combine"] == "product" and len(keys) == 1
    return keys[0] if crossed and not manifest.get("extra") else None


def crossed_table(
    table: pd.DataFrame, manifest: dict[str, Any], estimates: pd.DataFrame, metric: str
) -> pd.DataFrame:
    """One metric, methods by values of the swept key, from the texts of ``estimates_table``."""
    key = crossed_key(manifest)
    cells = table.drop_duplicates("cell")
    texts = dict(zip(estimates["cell"], estimates[title(metric)], strict=True))
    names = cell_names(table, manifest)
    frame = pd.DataFrame(
        {
            "method": cells["label"].fillna(cells["method"]),
            "value": cells[key].map(value_text),
            "text": [texts[names[cell]] for cell in cells["cell"]],
        }
    )
    rows = frame.pivot_table(
        index="method", columns="value", values="text", aggfunc="first", sort=False
    )
    return rows.reset_index().rename_axis(columns=None)


def data_keys(table: pd.DataFrame) -> list[str]:
    """The columns that say which images: the data set, and its keys where they are swept."""
    return ["data", *[str(c) for c in table.columns if str(c).startswith("data.")]]


def cells_by_data(table: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Cells of each data set and its swept keys: values on different data do not compete."""
    return [
        (str(rows["data"].iloc[0]), [str(cell) for cell in rows["cell"].unique()])
        for _, rows in table.groupby(data_keys(table), sort=False, dropna=False)
    ]


def runs_text(table: pd.DataFrame, cell: str) -> str:
    """``3`` if all runs are done, else how many and what the others are."""
    status = table[table["cell"] == cell].groupby("seed")["status"].first()
    done = int((status == "done").sum())
    others = status[status != "done"].value_counts()
    text = ", ".join(f"{count} {name}" for name, count in others.items())
    return f"{done}" if not text else f"{done} of {len(status)} ({text})"


def to_markdown(frame: pd.DataFrame) -> str:
    return frame.to_markdown(index=False, disable_numparse=True)


def to_latex(frame: pd.DataFrame, caption: str) -> str:
    """A booktabs table; marks become ``\\textbf``."""

    def cell(text: str) -> str:
        bold = text.startswith("**")
        plain = text.strip("*").replace("±", r"$\pm$").replace("²", r"$^2$")
        plain = plain.replace("↓", r"$\downarrow$").replace("↑", r"$\uparrow$")
        plain = plain.replace("†", r"$^\dagger$").replace("‡", r"$^\ddagger$")
        plain = plain.replace("_", r"\_").replace("%", r"\%")
        return rf"\textbf{{{plain}}}" if bold else plain

    header = " & ".join(cell(str(column)) for column in frame.columns)
    body = [" & ".join(cell(str(value)) for value in row) for row in frame.itertuples(index=False)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{cell(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(frame.columns) - 1)}}}",
        r"\toprule",
        header + r" \\",
        r"\midrule",
        *[row + r" \\" for row in body],
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
