"""Claims stated beforehand: which rows they name, and what is judged of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ltvm.errors import InputError, UnreadableError
from ltvm.report.comparisons.claims import (
    ABSENT,
    PENDING,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Compared,
    Judged,
    corrected_by_family,
    means,
    verdict,
)
from ltvm.report.comparisons.statistics import Estimate, mean_interval
from ltvm.report.page.write import write_report
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.claims import claims_of, compared, fitting, refuse_ambiguous
from ltvm.runtime.files import read_json, write_json
from tests.report.conftest import Results

ROOT = Path(__file__).parents[2]
CLAIM = {
    "name": "C1", "claim": "The correction lowers the distance.", "metric": "fd_digits",
    "row": {"method": "short_run_ot"}, "against": {"method": "short_run_uncorrected"},
    "smallest": 0.1, "stated": "2026-11-29",
}  # fmt: skip


def entry(cell: str, method: str, note: str = "", **values: Any) -> dict[str, Any]:
    sampler = values.pop("sampler", None)
    own = {"cell": cell, "data": "mnist5k", "method": method, "note": note, "values": values}
    return own | ({"sampler": {"name": sampler, "label": sampler}} if sampler else {})


ENTRIES = [
    entry("a", "short_run_ot", **{"method.temperature": 1.0}),
    entry("a", "short_run_ot", **{"method.temperature": 1.0}),  # another seed
    entry("b", "short_run_ot", **{"method.temperature": 30.0}),
    entry("c", "short_run_ot", "method.solver=gaussian, method.alpha=0.5"),
    entry("d", "short_run_uncorrected"),
    entry("e", "short_run_uncorrected", sampler="gmm"),
]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ({"method": "short_run_uncorrected"}, ["d"]),  # not the one with a sampler
        ({"method": "short_run_uncorrected", "sampler": "gmm"}, ["e"]),
        ({"method": "short_run_ot"}, ["a", "b"]),  # not the further cell
        ({"method": "short_run_ot", "method.temperature": 30.0}, ["b"]),
        ({"method": "short_run_ot", "method.solver": "gaussian", "method.alpha": 0.5}, ["c"]),
        ({"method": "short_run_ot", "method.solver": "gaussian"}, []),  # at which alpha?
        ({"method": "vae"}, []),
        ({"method": "short_run_uncorrected", "method.temperature": None}, ["d"]),
        ({"method": "short_run_ot", "method.temperature": None}, []),
    ],
)
def test_a_row_is_named_by_what_tells_it_from_the_others(
    row: dict[str, Any], cells: list[str]
) -> None:
    assert fitting(row, ENTRIES) == cells


def test_a_sampler_is_left_out_where_every_row_has_one() -> None:
    """As with `sampler=gmm` for a whole ablation; of two samplers a row has to say which."""
    every = [
        entry("a", "short_run_ot", sampler="gmm"),
        entry("b", "short_run_uncorrected", sampler="gmm"),
    ]
    assert fitting({"method": "short_run_ot"}, every) == ["a"]
    assert fitting({"method": "short_run_ot", "sampler": "gmm"}, every) == ["a"]
    assert fitting({"method": "short_run_ot", "sampler": "flow"}, every) == []
    two = [*every, entry("c", "short_run_ot", sampler="flow")]
    assert fitting({"method": "short_run_ot"}, two) == ["a", "c"]
    assert fitting({"method": "short_run_ot", "sampler": "flow"}, two) == ["c"]
    with pytest.raises(InputError, match="2 fit"):
        refuse_ambiguous(claims_of([CLAIM]), two)


@pytest.mark.parametrize("stated", ["2026-11-29", "20261129", "2026-W48-7"])
def test_a_date_is_the_same_however_it_is_written(stated: str) -> None:
    """It is held against the dates of runs as text."""
    assert claims_of([CLAIM | {"stated": stated}])[0].stated == "2026-11-29"


def test_a_claim_of_two_rows_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(InputError, match=r"ablation\.claims\.row=method=short_run_ot: .*2 fit"):
        refuse_ambiguous(claims_of([CLAIM]), ENTRIES)
    refuse_ambiguous(claims_of([CLAIM]), ENTRIES[3:])  # none is there: said in the report


def test_the_claims_that_ship_are_asked_by_their_own_ablations(monkeypatch: Any) -> None:
    monkeypatch.setenv("LTVM_RESULTS", str(ROOT / "results" / "reference"))  # what searches found
    asked = 0
    for file in sorted((ROOT / "ablations" / "ablation").glob("*.yaml")):
        if "\nclaims:" in file.read_text():
            planned = plan([f"ablation={file.stem}", "precision=bfloat16"])
            assert planned.not_asked() == [], file.stem
            asked += len(planned.ablation.claims)
    assert asked > 20


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"smallest": 10}, "claims.smallest=10"),
        ({"expected": "lower"}, "claims.expected=lower"),
        ({"stated": "yesterday"}, "claims.stated=yesterday"),
        ({"row": {}}, "claims.row="),
        ({"metrc": "fd"}, "did you mean metric"),
        ({"metric": None}, "claims.metric=None"),
        ({"absolute": "yes"}, "claims.absolute=yes"),
        ({"absolute": True, "smallest": 0.0}, "claims.smallest=0.0"),
        ({"over": ["digit"]}, "claims.over="),
        ({"over": "method"}, "claims.row=method=short_run_ot"),
    ],
)
def test_what_is_no_claim_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told.replace(".", r"\.")):
        claims_of([CLAIM | change])


OVER = CLAIM | {"over": "digit"}


def test_a_claim_of_means_has_a_pair_for_each_value_of_its_key() -> None:
    (claim,) = claims_of([OVER])
    entries = [
        entry("a1", "short_run_ot", digit=1),
        entry("a4", "short_run_ot", digit=4),
        entry("b4", "short_run_uncorrected", digit=4),  # in another order
        entry("b1", "short_run_uncorrected", digit=1),
        entry("c7", "vae", digit=7),  # of neither row
        entry("d", "abp"),
    ]
    assert compared(claim, entries) == {"1": (["a1"], ["b1"]), "4": (["a4"], ["b4"])}
    refuse_ambiguous([claim], entries)
    with pytest.raises(InputError, match=r"claims\.against=.*2 fit"):
        refuse_ambiguous([claim], [*entries, entry("b", "short_run_uncorrected", digit=1, k=2)])


def test_a_claim_is_whole_and_has_a_name_of_its_own() -> None:
    with pytest.raises(InputError, match="C1: without against"):
        claims_of([{key: value for key, value in CLAIM.items() if key != "against"}])
    with pytest.raises(InputError, match="every name once"):
        claims_of([CLAIM, CLAIM])


def test_verdicts_follow_their_definitions() -> None:
    """Against scipy, for random differences of many sizes, in both directions."""
    draw = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        n = int(draw.integers(2, 8))
        values = draw.normal(draw.uniform(-3, 3), draw.uniform(0.1, 2), n)
        p = float(stats.ttest_1samp(values, 0).pvalue)
        reach = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
        low, high = values.mean() - reach, values.mean() + reach
        falls = REFUTED if low > -1 else UNDECIDED
        rises = REFUTED if high < 1 else UNDECIDED
        falls = SUPPORTED if p < 0.05 and values.mean() <= -1 else falls
        rises = SUPPORTED if p < 0.05 and values.mean() >= 1 else rises
        assert verdict(mean_interval(values.tolist()), p, 1.0, falls=True) == falls
        assert verdict(mean_interval(values.tolist()), p, 1.0, falls=False) == rises
        seen |= {falls, rises}
    assert seen == {SUPPORTED, REFUTED, UNDECIDED}


def test_one_seed_refutes_nothing() -> None:
    assert verdict(Estimate(5.0, None, 1), 1.0, 1.0, falls=True) == UNDECIDED


def judged(
    results: Results, tmp_path: Path, *claims: dict[str, Any], **fields: Any
) -> pd.DataFrame:
    manifest = results.manifest(claims=list(claims), **fields)
    folder = write_report(manifest, tmp_path / "reports")
    return pd.read_csv(folder / "claims.csv", dtype=str, keep_default_na=False).set_index("claim")


def test_a_report_judges_what_was_claimed(written, tmp_path):
    """Errors of unseen images: 0.5, 0.52, 0.51 against 0.3, 0.32, 0.33, so +0.193 ± 0.029."""
    worse = CLAIM | {"name": "C2", "claim": "It costs.", "metric": "mse_test", "expected": "worse"}
    better = worse | {"name": "C3", "claim": "It pays.", "expected": "better"}
    much = worse | {"name": "C4", "smallest": 0.65, "family": "M"}  # 0.206 of 0.317
    found = judged(written, tmp_path, CLAIM, worse, better, much)
    assert found.loc["C4", "verdict"] == (
        "undecided here; there is a difference, but it may be smaller than what is of interest"
    )
    difference = "+0.193 ± 0.029 (+61 %)"
    assert found.loc["C2", ["verdict", "difference"]].tolist() == [
        "supported", difference,
    ]  # fmt: skip
    assert found.loc["C3", ["verdict", "difference"]].tolist() == ["refuted", difference]
    p = stats.ttest_rel([0.5, 0.52, 0.51], [0.3, 0.32, 0.33]).pvalue
    assert float(found.loc["C2", "p, adjusted"]) == pytest.approx(p, rel=0.05)
    first = found.iloc[0]  # 0.1 of 11.1 is not far from -0.1 ± 1.1
    assert (
        first["verdict"]
        == "undecided here; seeds that a difference like this needs: 167 [47, >1000]"
    )
    assert first["rows"] == "short-run OT against same, no correction"
    assert first["of interest"] == "better by 10 %"
    page = (tmp_path / "reports" / "ot-mnist5k" / "README.md").read_text()
    assert "## Claims, stated beforehand" in page
    index = (tmp_path / "reports" / "ot-mnist5k" / "index.html").read_text()
    assert "<strong>Refuted.</strong>" in index
    assert "It pays." in index


def of_values(tmp_path: Path, first: list[float], second: list[float], **change: Any) -> pd.Series:
    """What a report judges of a claim on two rows with these values by seed."""
    results = Results(tmp_path / "records")
    rows = {"short_run_ot": first, "short_run_uncorrected": second}
    for method, values in rows.items():
        for seed, value in enumerate(values):
            results.evaluation(results.run(method, seed), "e1", {"fd_digits": value})
    return judged(results, tmp_path, CLAIM | change, seeds=list(range(len(first)))).iloc[0]


@pytest.mark.parametrize("step", [0.1, 0.0, -0.1])
@pytest.mark.parametrize(("seeds", "told"), [(2, None), (5, None), (6, "refuted")])
def test_equal_differences_refute_where_the_sign_test_decides(
    tmp_path: Path, unrendered: None, step: float, seeds: int, told: str | None
) -> None:
    """Of 0.1 some differ by rounding, and so has the interval a width."""
    base = [10.0 + seed for seed in range(seeds)]
    found = of_values(tmp_path, [value + step for value in base], base)
    few = (
        f"undecided here; the differences of {seeds} seeds are equal, which may be chance of so few"
    )
    assert found["verdict"] == (told or few)


@pytest.mark.parametrize("far", [1e-7, -3.0])
def test_a_share_of_nothing_is_no_difference_of_interest(
    tmp_path: Path, unrendered: None, far: float
) -> None:
    values = [far * (seed + 5) for seed in range(3)]
    told = "the second row's mean is 0, and so would be the smallest difference of interest"
    assert of_values(tmp_path, values, [0.0] * 3)["verdict"] == f"undecided here; {told}"


def test_an_absolute_difference_of_interest_needs_no_mean(tmp_path: Path, unrendered: None) -> None:
    values = [-3.0 - seed / 10 for seed in range(3)]
    found = of_values(tmp_path, values, [0.0] * 3, absolute=True, smallest=1.0)
    assert found["verdict"] == "supported"


AUPRC = {  # method -> digit left out -> values of seeds 0 to 2
    "short_run_ot": {1: (10.0, 11.0, 12.0), 4: (20.0, 22.0, 21.0)},
    "short_run_uncorrected": {4: (20.5, 23.0, 21.0), 1: (10.0, 11.5, 12.5)},
}


def of_digits(results: Results, key: str = "digit") -> None:
    for method, digits in AUPRC.items():
        for digit, values in digits.items():
            for seed, value in enumerate(values):
                cell = f"{method}-{digit}"
                folder = results.run(method, seed, cell=cell, values={key: digit})
                results.evaluation(folder, "e1", {"fd_digits": value})


def test_means_over_a_key_are_compared_at_every_seed(tmp_path):
    results = Results(tmp_path / "records")
    of_digits(results)
    absolute = OVER | {"name": "C2", "absolute": True, "smallest": 0.6}
    found = judged(results, tmp_path, OVER, absolute, absolute | {"name": "C3", "smallest": 0.2})
    averages = [
        [np.mean(pair) for pair in zip(*digits.values(), strict=True)] for digits in AUPRC.values()
    ]
    differences = np.subtract(*averages)
    assert differences.tolist() == [-0.25, -0.75, -0.25]
    p = stats.ttest_1samp(differences, 0).pvalue
    assert [float(p_) for p_ in found["p, adjusted"]] == pytest.approx([p] * 3, rel=0.05)
    assert found.loc["C1", "difference"].startswith("-0.42 ± 0.72 (-3 %)")
    assert found["of interest"].tolist() == ["better by 10 %", "better by 0.6", "better by 0.2"]
    assert found.loc["C1", "verdict"] == "refuted"  # -1.13 is not as far as -1.6
    assert found.loc["C2", "verdict"].startswith("undecided here")
    assert found.loc["C1", "rows"] == (
        "method=short_run_ot against method=short_run_uncorrected, mean over digit (2 rows each)"
    )


def test_a_mean_is_of_the_seeds_that_all_its_rows_have():
    assert means({"a": {0: 1.0, 1: 2.0}, "b": {1: 4.0, 2: 5.0}}, ("a", "b")) == {1: 3.0}


def test_rows_of_a_mean_are_compared_with_those_of_the_same_value(tmp_path):
    """What a swept value decides about a number differs between values, not between methods."""
    results, key = Results(tmp_path / "records"), "data.load.digit"
    of_digits(results, key)
    for entry in results.entries:
        file = results.root / entry["path"] / "evaluations" / "e1.json"
        content = read_json(file)
        content["values"]["fd_digits"]["positives"] = entry["values"][key]
        write_json(file, content)
    found = judged(results, tmp_path, CLAIM | {"over": key}, axes=["method", key])
    assert found.iloc[0]["verdict"] == "refuted"


def test_a_mean_with_a_row_missing_is_not_judged(tmp_path):
    results = Results(tmp_path / "records")
    of_digits(results)
    folder = results.run("short_run_ot", 0, cell="more", values={"digit": 7})
    results.evaluation(folder, "e1", {"fd_digits": 1.0})
    told = "not asked here; method=short_run_uncorrected digit=7: no row"
    assert judged(results, tmp_path, OVER).iloc[0]["verdict"] == told
    elsewhere = OVER | {"over": "method.alpha"}
    told = "not asked here; no rows that differ in method.alpha"
    assert judged(results, tmp_path, elsewhere).iloc[0]["verdict"] == told


def test_a_mean_with_a_diverged_run_is_undecided(tmp_path):
    results = Results(tmp_path / "records")
    of_digits(results)
    record = results.root / results.entries[0]["path"] / "record.json"
    write_json(record, read_json(record) | {"status": "diverged"})
    found = judged(results, tmp_path, OVER).iloc[0]
    assert found["verdict"].startswith("undecided here; runs diverged")


def test_claims_of_a_family_are_corrected_together_answered_or_not(written, tmp_path):
    alone = CLAIM | {"metric": "mse_test", "expected": "worse"}
    again = CLAIM | {"name": "C2"}  # of a large p, and it counts all the same
    unasked = alone | {"name": "C3", "row": {"method": "vae"}}
    found = judged(written, tmp_path, *(c | {"family": "F"} for c in (alone, again, unasked)))
    other = judged(written, tmp_path, alone)
    p, of_two = (float(one.iloc[0]["p, adjusted"]) for one in (other, found))
    assert of_two == pytest.approx(2 * p, rel=0.1)
    told = "not asked here; method=vae: no row"
    assert found.iloc[2][["verdict", "p, adjusted", "seeds"]].tolist() == [told, "-", ""]


def test_a_claim_waits_for_the_last_run_and_one_stated_late_says_so(written, tmp_path):
    for entry in written.entries:
        file = written.root / entry["path"] / "record.json"
        started = f"2026-11-{27 + entry['seed']}T12:00:00+00:00"
        write_json(file, read_json(file) | {"started": started})
    found = judged(written, tmp_path, CLAIM | {"stated": "2026-11-28"}).iloc[0]
    assert found["verdict"].endswith("stated after 2 of 6 runs were begun")
    record = written.root / written.entries[0]["path"] / "record.json"
    write_json(record, read_json(record) | {"status": "running"})
    found = judged(written, tmp_path, CLAIM | {"stated": "2026-11-27"}).iloc[0]
    assert found["verdict"] == "not answered yet; runs are still to come"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metric": "nosuch"}, "nosuch was not measured"),
        ({"metric": "mse_train"}, "mse_train has no better direction"),
    ],
)
def test_what_was_not_measured_is_not_judged(written, tmp_path, change, told):
    assert judged(written, tmp_path, CLAIM | change).iloc[0]["verdict"] == f"not asked here; {told}"


def test_a_manifest_with_what_is_no_claim_is_damaged(written, tmp_path):
    with pytest.raises(UnreadableError, match=r"not a manifest.*claims\.smallest"):
        write_report(written.manifest(claims=[CLAIM | {"smallest": 7}]), tmp_path / "reports")


def test_what_is_asked_and_not_answered_is_one_more_test_of_its_family():
    (claim,) = claims_of([CLAIM])
    answered = Judged(claim, (("a",), ("b",)), Compared((1.0, 2.0), 9.0, 0.02), None, "")
    pending = Judged(claim, (("a",), ("c",)), None, None, PENDING)
    unasked = Judged(claim, None, None, None, ABSENT)
    assert corrected_by_family([pending, answered, unasked])[:2] == [1.0, 0.04]
    assert corrected_by_family([answered, unasked])[0] == 0.02
