"""The tables of a paper: numbers are those of the records, what is missing says how it is made."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ltvm.cli.main import main
from ltvm.errors import InputError
from ltvm.report.comparisons.statistics import format_estimate, holm, mean_interval
from ltvm.report.paper import tables, write, write_paper_tables
from ltvm.report.paper.heat_map import mean_of
from ltvm.report.paper.shapes import can_match
from ltvm.runs.execution import execute

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference"
TWINS = "ablation.axes.method=[short_run_ot,short_run_uncorrected]"
SVHN = ("ablation=paper", "ablation.axes.data=[svhn]")
SHOWN = "ablation.axes.method=[short_run_ot,abp,vae,wae_mmd,encoder_started]"
NARROWED = {  # what there are records of, and some of the rest
    "generation": (("ablation=baselines", SHOWN),
                   (*SVHN, "ablation.axes.method=[short_run,vae]")),
    "correction": (("ablation=ot", TWINS), ("ablation=ot", TWINS, "protocol=medium"),
                   (*SVHN, TWINS)),
    "alpha": (("ablation=alpha",),),
    "cost": (("ablation=ot", "ablation.axes.method=[short_run_ot,vae]"),
             ("ablation=cost", "ablation.axes.method=[vae]")),
    "alpha-by-steps": (("ablation=alpha_steps", "ablation.axes.method.alpha=[0.5,1.0]",
                        "ablation.axes.method.steps=[3,12]"),),
    "anomaly": (("ablation=anomaly", "ablation.axes.method=[vae]",
                 "ablation.axes.data.load.digit=[1,9]"),),
}  # fmt: skip
OWN = tuple(NARROWED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Some of the tables from the committed records, with nothing to draw."""
    out = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "train", lambda *_: pytest.fail("trained"))
        shown = [
            replace(table, sources=NARROWED[table.name])
            for table in tables.TABLES
            if table.name in OWN
        ]
        patch.setattr(write, "TABLES", shown)
        patch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: None)
        write_paper_tables(REFERENCE, out)
    return out


def read(folder, name):
    return pd.read_csv(folder / f"{name}.csv", dtype=str, comment="#", keep_default_na=False)


def long_table(name="ot-mnist5k"):
    return pd.read_csv(ROOT / "reports" / "reference" / name / "long.csv")


def text(table, method, metric):
    rows = table[(table["method"] == method) & (table["metric"] == metric)]
    return format_estimate(mean_interval(list(rows["value"])))


def test_numbers_are_those_of_the_long_table(folder):
    table = read(folder, "generation").set_index("method")
    long = long_table("baselines-mnist5k")
    column = "mnist5k, small: FD, digit features ↓"
    for label, method in (("short-run OT", "short_run_ot"), ("ABP", "abp"), ("VAE", "vae")):
        assert table.loc[label, column] == text(long, method, "fd_digits")
    assert table.loc["encoder-started, OT", column] == "missing"
    assert table.loc["encoder-started, OT", "svhn, full: FD ↓"] == "-"  # no ablation plans it
    assert table.loc["VAE", "svhn, full: FD ↓"] == "missing"
    alpha, title = read(folder, "alpha").set_index("cell"), column.split(": ")[1]
    assert alpha.loc["alpha = 0.5", title] == text(long, "short_run_ot", "fd_digits")
    assert alpha.loc["alpha = 0.7", "MSE, unseen images ↓"] == "missing"


def test_the_correction_is_paired_and_tested(folder):
    table = read(folder, "correction").set_index(["data, protocol", "value"])
    row = table.loc[("mnist5k, medium", "FD, digit features ↓")]
    long = long_table("correction-mnist5k-medium")
    assert row["with"] == text(long, "short_run_ot", "fd_digits")
    assert row["without"] == text(long, "short_run_uncorrected", "fd_digits")
    assert row["difference"] == "-87 ± 40"
    p = [float(text.split()[0]) for text in table["p (adjusted)"] if text != "missing"]
    corrected = [
        float(text.split("(")[1].strip(")")) for text in table["p (adjusted)"] if "(" in text
    ]
    assert len(p) == 4  # two values on two protocols, corrected together
    assert corrected == pytest.approx(holm(p), rel=0.1)
    assert "**" not in (folder / "correction.md").read_text()  # while cells are missing
    assert list(table.loc[("svhn, full", "FD ↓")]) == ["missing"] * 4


def test_a_grid_of_two_keys_has_a_figure(folder):
    grid = read(folder, "alpha-by-steps-generation").set_index("alpha")
    assert list(grid.columns) == ["steps = 3", "steps = 12"]
    assert grid.loc["0.5", "steps = 3"] == text(
        long_table("baselines-mnist5k"), "short_run_ot", "fd_digits"
    )
    assert grid.loc["1", "steps = 12"] == "missing"
    assert "![" in (folder / "alpha-by-steps.md").read_text()
    assert (mean_of("798 ± 39"), mean_of("0.5 (1 seed)")) == (798.0, 0.5)
    assert mean_of("missing") != mean_of("missing")


def test_minutes_stand_beside_the_papers(folder):
    table = read(folder, "cost").set_index("method")
    paper = table.loc["short-run OT, as published (An, Xie, Li, CVPR 2021)"]
    phases = ["inference, min", "transport, min", "learning, min"]
    assert [paper[phase] for phase in phases] == ["124", "10", "5"]
    assert paper["device"] == "two TitanX"
    long = long_table()
    seconds = long[(long["method"] == "vae") & (long["metric"] == "learning_seconds")]["value"]
    own = table.loc["VAE"]
    own = own[own["data, protocol"] == "mnist5k, small"].iloc[0]
    assert own["learning, min"] == format_estimate(mean_interval(list(seconds / 60 / 2)))


def test_every_form_says_what_it_is_and_what_makes_the_missing_cells(folder):
    for name in OWN:
        page = (folder / f"{name}.md").read_text()
        assert page.startswith("# ")
        file = name if name != "alpha-by-steps" else f"{name}-generation"
        forms = [page, *((folder / f"{file}{suffix}").read_text() for suffix in (".tex", ".csv"))]
        for form in forms:
            assert "Command: " in form
            assert "Protocol: " in form
            assert "Missing: " in form
            assert "ltvm train " in form
            assert "paths.results" not in form
            assert str(REFERENCE) not in form
    page = (folder / "generation.md").read_text()
    command = f"ltvm ablate ablation=baselines '{SHOWN}'"
    assert f"Missing: 3 of 15 runs; `{command}` makes them." in page
    command = "ltvm ablate ablation=alpha"
    assert f"Missing: 9 of 18 runs; `{command}` makes them." in (folder / "alpha.md").read_text()
    command = "ltvm train data=mnist5k method=encoder_started protocol=small"
    assert f"- encoder-started, OT, seeds 0, 1, 2: `{command}" in page
    whole = (folder / "README.md").read_text()
    assert all(f"]({name}.md)" in whole for name in OWN)


def test_published_figures_stand_beside_ours_where_their_protocol_can_match(folder):
    assert can_match("as ours")
    assert can_match("n, split not stated")
    assert can_match("not measured here")
    assert not can_match("extractor inception, ours digits; n, split not stated")
    table = read(folder, "generation").set_index("method")
    row = table.loc["SRI, as published (Cui, Wu, Han, ICCV 2023)"]
    assert row["svhn, full: FD ↓"] == "35.23"
    assert row["mnist5k, small: FD, digit features ↓"] == "-"
    assert not read(folder, "anomaly")["method"].str.contains("published").any()
    page = (folder / "anomaly.md").read_text()  # of MNIST in full, ours of 5,000 digits
    assert "0.063" in page
    assert "data mnist, ours mnist5k_without; not measured here" in page


def test_what_the_user_gives_takes_the_place_of_a_tables_own():
    sources = [("ablation=ot", "a=1"), ("ablation=ot", "a=1", "protocol=medium")]
    assert write.changed(sources, ["protocol=large"]) == [("ablation=ot", "a=1")]
    assert write.changed(sources, ["model.sigma=1"]) == sources


def test_bad_input(tmp_path, capsys):
    out = ["--results", str(REFERENCE), "--out", str(tmp_path / "out")]
    assert main(["paper-tables", *out, "method.nosuch=3"]) == 2
    assert "method.nosuch=3: no such key" in capsys.readouterr().err
    assert main(["paper-tables", *out, "seed=1"]) == 2
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="--out"):
        write_paper_tables(REFERENCE, Path("/proc/nowhere"))
