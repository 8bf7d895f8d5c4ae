"""The frontier of two metrics: closed forms, a brute force, and what a report says of it."""

import itertools

import numpy as np
import pandas as pd
import pytest

import ltvm
from ltvm.metrics.columns import Column
from ltvm.report.comparisons.trade_off import Traded, dominates
from ltvm.report.plots import drawing, trade_off_figure
from ltvm.report.values.comparability import Marks
from ltvm.report.values.equal_terms import Spent

GENERATION = Column("G", "d", family="generation", direction="higher", headline=True)
ERROR = Column("E", "d", family="reconstruction", direction="lower", headline=True)


def traded(points):
    return Traded(("g", "e"), (GENERATION, ERROR), {c: {0: p} for c, p in points.items()})


def test_the_frontier_has_what_nothing_else_is_as_good_as():
    # generation is better higher, the error lower
    points = {"a": (5.0, 1.0), "b": (9.0, 2.0), "c": (4.0, 1.5), "d": (9.0, 2.5), "e": (8.0, 2.0)}
    found = traded(points)
    assert found.on_frontier(found.at(0), Marks()) == {"a", "b"}
    assert found.on_frontier({}, Marks()) == set()
    twice = traded({"a": (5.0, 1.0), "b": (5.0, 1.0)})
    assert twice.on_frontier(twice.at(0), Marks()) == {"a", "b"}  # neither is better


def test_it_is_what_a_search_over_weights_and_a_brute_force_find():
    draws = np.random.default_rng(3)
    for _ in range(20):
        points = {str(i): tuple(p) for i, p in enumerate(draws.integers(0, 6, (9, 2)).tolist())}
        found = traded(points)
        front = found.on_frontier(found.at(0), Marks())
        for cell, (g, e) in points.items():
            beaten = any(og >= g and oe <= e and (og > g or oe < e) for og, oe in points.values())
            assert (cell in front) != beaten
        for weight in np.linspace(0.01, 0.99, 12):  # best by any weighted sum: on the frontier
            score = {c: weight * g - (1 - weight) * e for c, (g, e) in points.items()}
            assert max(score, key=lambda cell: score[cell]) in front
    pairs = itertools.permutations([(0, 4), (1, 3), (1, 4)], 2)
    assert [pair for pair in pairs if dominates(*pair)] == [((0, 4), (1, 4)), ((1, 3), (1, 4))]


def test_a_report_says_at_how_many_seeds_a_row_is_on_the_frontier(written, unrendered):
    third = {"fd_digits": (10.2, 20.0, 20.0), "mse_test": (0.2, 0.6, 0.6)}
    for seed in range(3):
        folder = written.run("vae", seed)
        written.evaluation(folder, "e1", {name: v[seed] for name, v in third.items()})
    written.manifest()
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    table = pd.read_csv(folder / "trade-off.csv", dtype=str).set_index("cell")
    # seed 0: FD 10, 10.5, 10.2 at errors 0.5, 0.3, 0.2; seeds 1 and 2: the third is behind in both
    assert table["on the frontier"].to_dict() == {
        "short-run OT": "2 of 3 seeds", "same, no correction": "2 of 3 seeds", "vae": "1 of 3 seeds"
    }  # fmt: skip
    assert table["of the means"].to_dict() == {
        "short-run OT": "yes", "same, no correction": "yes", "vae": "-"
    }  # fmt: skip
    text = (folder / "README.md").read_text()
    assert "## Reconstruction against generation" in text
    assert "![Reconstruction against generation on mnist5k](trade-off.png)" in text


def test_means_are_over_the_seeds_that_all_rows_have():
    """A row that was lucky with its one seed is compared with the others' values at that seed."""
    easy, hard, hardest = (2.0, 1.0), (3.0, 1.0), (3.0, 2.0)  # generation is better higher
    points = {
        "ahead": {0: (3.0, 0.5), 1: (1.0, 9.0), 2: (1.0, 9.0)},
        "behind": {0: hardest, 1: (0.0, 9.5), 2: (0.0, 9.5)},
        "once": {0: easy},
    }
    found = Traded(("g", "e"), (GENERATION, ERROR), points)
    assert found.means() == {"ahead": (3.0, 0.5), "behind": hardest, "once": easy}
    assert found.on_frontier(found.means(), Marks()) == {"ahead"}
    apart = Traded(("g", "e"), (GENERATION, ERROR), points | {"late": {1: hard}})
    assert apart.means() == {}
    whole = Traded(("g", "e"), (GENERATION, ERROR), points, unfinished={"once"})
    assert set(whole.means()) == {"ahead", "behind"}
    assert whole.means()["ahead"] == pytest.approx((5 / 3, 18.5 / 3))


def test_a_row_with_a_run_that_failed_has_no_part_in_the_frontier_of_the_means(written, unrendered):
    for seed in range(3):
        folder = written.run("vae", seed, **({"status": "failed", "reason": "r"} if seed else {}))
        if seed == 0:
            written.evaluation(folder, "e1", {"fd_digits": 0.1, "mse_test": 0.01})
    written.manifest()
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    table = pd.read_csv(folder / "trade-off.csv", dtype=str).set_index("cell")
    assert table["of the means"].to_dict()["vae"] == "-"
    assert "yes" in set(table["of the means"])


def test_the_figure_has_the_frontier_of_the_table(written, monkeypatch):
    """A row with a diverged seed is drawn, and is on no frontier of means, however well it does."""
    drawn = []
    monkeypatch.setattr(drawing, "draw_trade_off", lambda found, names, *_: drawn.append(found))
    best = {"fd_digits": 0.1, "mse_test": 0.01}
    for seed in range(3):
        folder = written.run("vae", seed, status="done" if seed else "diverged", reason="nan")
        if seed:
            written.evaluation(folder, "e1", best)
    written.manifest()
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    table = pd.read_csv(folder / "trade-off.csv", dtype=str).set_index("cell")
    (found,) = drawn
    assert "vae-cell" in found.points
    assert "vae-cell" not in found.on_frontier(found.means(), Marks())
    assert len(found.on_frontier(found.means(), Marks())) == (table["of the means"] == "yes").sum()


def test_a_row_that_samples_from_a_density_has_its_runs_error(written, unrendered):
    entries = [e for e in written.entries if e["method"] == "short_run_uncorrected"]
    for entry in entries:
        folder = written.root / entry["path"]
        sampled = {"sampler": {"name": "gmm", "label": "GMM", "fit_seconds": 1.0}}
        written.evaluation(folder, "e2", {"fd_digits": 5.0 + entry["seed"]}, **sampled)
        other = entry | {"cell": "sampled", "evaluations": ["e2"]}
        other["sampler"] = {"name": "gmm", "label": "GMM"}
        entry["evaluations"].remove("e2")
        written.entries.append(other)
    written.manifest(axes=["method", "sampler"])
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    table = pd.read_csv(folder / "trade-off.csv", dtype=str).set_index("cell")
    assert len(table) == 3
    error = "MSE, unseen images ↓"
    of_density = table[table.index.str.contains("GMM")]
    assert of_density[error].tolist() == [table.loc["same, no correction", error]]
    assert of_density["on the frontier"].tolist() == ["3 of 3 seeds"]
    assert table.loc["same, no correction", "on the frontier"] == "0 of 3 seeds"


def test_rows_of_one_run_keep_the_errors_that_are_their_own(written, unrendered):
    """As where cells differ in what is measured, not in what is trained."""
    for entry in [e for e in written.entries if e["method"] == "short_run_uncorrected"]:
        folder = written.root / entry["path"]
        written.evaluation(folder, "e2", {"fd_digits": 9.0, "mse_test": 0.9})
        entry["evaluations"].remove("e2")
        again = entry | {"cell": "again", "evaluations": ["e2"]}
        again["values"] = entry["values"] | {"method.infer_steps": 1}
        written.entries.append(again)
    written.manifest(axes=["method", "method.infer_steps"])
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    table = pd.read_csv(folder / "trade-off.csv", dtype=str)
    errors = table["MSE, unseen images ↓"].tolist()
    assert len(errors) == len(set(errors)) == 3


def test_two_rows_have_no_frontier(written, unrendered):
    folder = ltvm.make_report("ot-mnist5k", written.root, written.root / "reports")
    assert not (folder / "trade-off.csv").exists()
    assert not (folder / "trade-off.png").exists()


@pytest.mark.parametrize(("flops", "line"), [(1.0, "-"), (4.0, "None")])
def test_a_frontier_of_rows_that_do_not_compare_is_no_line(monkeypatch, tmp_path, flops, line):
    seen = []
    monkeypatch.setattr(trade_off_figure, "save", lambda figure, _: seen.append(figure))
    points = {"a": (5.0, 1.0), "b": (9.0, 2.0), "c": (4.0, 3.0)}
    spent = {cell: Spent("flops", flops if cell == "c" else 1.0) for cell in points}
    styles = dict.fromkeys(points, ("#000000", "o"))
    titles = {"g": "G", "e": "E"}
    trade_off_figure.draw_trade_off(
        traded(points), {c: c for c in points}, styles, titles, Marks(spent=spent), tmp_path / "f"
    )
    (axis,) = seen[0].axes
    (front,) = [own for own in axis.lines if own.get_label().startswith("frontier of the means")]
    assert front.get_linestyle() == line
    assert len(front.get_xdata()) == (2 if line == "-" else 3)
