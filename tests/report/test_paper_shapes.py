"""Tables of a paper from small sources, where columns, densities and misses meet."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ltvm.report.paper.shapes import generation, paired
from ltvm.report.paper.sources import Source
from ltvm.report.paper.write import lines_about
from ltvm.report.values.cells import cell_names
from ltvm.report.values.comparability import differences, marks_of
from ltvm.report.values.long_table import long_table_of_manifest
from ltvm.runs.ablations.manifest import read_manifest
from ltvm.runtime.files import read_json, write_json
from tests.report.conftest import Results

METHOD, VAE = (10.0, 11.0, 12.0), (11.0, 12.5, 13.9)


def source(results, **fields):
    manifest = read_manifest(results.manifest(**fields))
    table = long_table_of_manifest(manifest, results.root)
    found = differences(table, cell_names(table, manifest), manifest["axes"])
    return Source("ltvm ablate", results.root, manifest, table, marks_of(table, found), "float32")


def add(results, method, values, data="mnist5k", protocol="smoke", sampler=None):
    for seed, value in enumerate(values):
        cell = f"{method}-{data}-{sampler}"
        folder = results.run(method, seed, data=data, values={"data": data}, cell=cell)
        results.entries[-1] |= {"protocol": protocol}
        if sampler:
            results.entries[-1] |= {"sampler": {"name": sampler, "label": sampler.upper()}}
        results.evaluation(folder, "e1", {"fd_digits": value})


def test_what_is_best_is_corrected_over_all_columns(tmp_path):
    """As in a report: three data sets are three tests of the same metric."""
    p = stats.ttest_rel(METHOD, VAE).pvalue
    corrected = multipletests([p] * 3, method="holm")[1]
    assert p < 0.05 < corrected[0]
    for number, data in enumerate((["mnist"], ["mnist", "svhn", "celeba"])):
        results = Results(tmp_path / str(number))
        for name in data:
            add(results, "short_run_ot", METHOD, name)
            add(results, "vae", VAE, name)
        frame = generation([source(results, axes=["data", "method"])])[""]
        row = frame.set_index("method").loc["short-run OT"]
        assert all(text.startswith("**") == (len(data) == 1) for text in row)


def test_two_protocols_on_one_data_set_have_a_column_each(tmp_path):
    sources = []
    for protocol, values in (("small", METHOD), ("full", VAE)):
        results = Results(tmp_path / protocol)
        add(results, "short_run_ot", values, protocol=protocol)
        sources.append(source(results, reference=None))
    frame = generation(sources)[""].set_index("method")
    assert list(frame) == [f"mnist5k, {p}: FD, digit features ↓" for p in ("small", "full")]
    assert [text.split()[0] for text in frame.loc["short-run OT"]] == ["11.0", "12.5"]


def test_a_row_with_a_density_has_its_name_and_leaves_the_priors_alone(tmp_path):
    results = Results(tmp_path)
    add(results, "vae", VAE)
    add(results, "vae", np.array(VAE) / 2, sampler="gmm")
    frame = generation([source(results, axes=["method", "sampler"])])[""].set_index("method")
    texts = frame.iloc[:, 0].str.strip("*").str.split().str[0]
    assert texts.to_dict() == {"vae": "12.5", "vae + GMM": "6.2"}


@pytest.mark.parametrize(("status", "said"), [("failed", "missing"), ("diverged", "-")])
def test_what_diverged_is_not_missing(tmp_path, status, said):
    """A run that may still be done is missing; one that diverged is a result, and not tested."""
    results = Results(tmp_path)
    add(results, "short_run_ot", METHOD[:2])
    add(results, "short_run_uncorrected", VAE)
    results.run("short_run_ot", 2, status=status, reason="r", cell="short_run_ot-mnist5k-None")
    own = source(results)
    (row,) = paired([own])[""].to_dict("records")
    assert row["p (adjusted)"] == said
    assert row["difference"].startswith("-1.2")
    assert own.whole == (status == "diverged")
    lines, alone = lines_about([own])
    missing = [line for line in lines if line.startswith("Missing: 1 of 6 runs")]
    assert (len(missing), len(alone)) == ((1, 1) if status == "failed" else (0, 0))
    diverged = "Diverged, which is a result and is not tested: short-run OT, seed 2."
    assert (diverged in lines) == (status == "diverged")


def test_a_difference_of_unlike_numbers_says_so(tmp_path):
    results = Results(tmp_path)
    for method, values in (("short_run_ot", METHOD), ("short_run_uncorrected", VAE)):
        for seed, value in enumerate(values):
            results.evaluation(results.run(method, seed), "e1", {"fd_digits": value})
    results.change("short_run_ot", n=7)
    own = source(results)
    (row,) = paired([own])[""].to_dict("records")
    assert row["difference"].endswith("†")
    assert any(line.startswith("† FD") and "n differs" in line for line in lines_about([own])[0])


def test_a_difference_of_unequal_budgets_says_so(tmp_path):
    results = Results(tmp_path)
    for method, values in (("short_run_ot", METHOD), ("short_run_uncorrected", VAE)):
        for seed, value in enumerate(values):
            folder = results.run(method, seed)
            results.evaluation(folder, "e1", {"fd_digits": value})
            if method == "short_run_ot":
                record = read_json(folder / "record.json")
                write_json(folder / "record.json", record | {"flops": 3 * record["flops"]})
    own = source(results)
    (row,) = paired([own])[""].to_dict("records")
    assert row["difference"].endswith("§")
    assert not row["p (adjusted)"].strip("-")
    told = "Not on equal terms (§), and not tested: “short-run OT” against “same, no correction” "
    assert any(line.startswith(told) for line in lines_about([own])[0])
