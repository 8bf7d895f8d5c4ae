"""Effects: which rows are a pair, what their differences are, what is said of them."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scipy import stats

import ltvm
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.errors import InputError
from ltvm.report.comparisons.statistics import holm
from ltvm.report.effects.pairing import effects
from ltvm.report.leaderboard.entries import read_entries
from ltvm.report.leaderboard.pages import pages
from ltvm.runtime.files import read_json, write_json, write_text
from tests.report.conftest import Results

METHOD, TWIN = "short_run_ot", "short_run_uncorrected"
DISTANCES = {METHOD: [90.0, 93.0, 99.0], TWIN: [100.0, 104.0, 108.0]}


class Configured(Results):
    """Runs whose configuration is what overrides resolve to."""

    def row(self, method, *overrides, values=None, cell=None, **fields):
        """Three seeds of a method; ``values`` are distances, the error is a hundredth of them."""
        for seed, distance in enumerate(values or DISTANCES[method]):
            made = [f"method={method}", f"seed={seed}", "protocol=smoke", *overrides]
            name = cell or "-".join([method, *overrides]).replace("=", "")
            folder = self.run(method, seed, cell=name)
            config = resolve([*made, "precision=float32"])
            write_text(folder / "config.yaml", yaml.safe_dump(config))
            record = folder / "record.json"
            write_json(record, read_json(record) | fields)
            self.evaluation(folder, "e1", {"fd_digits": distance, "mse_test": distance / 100})

    def effects(self, first=METHOD, second=TWIN):
        return effects(pages(read_entries([self.root])), first, second)


@pytest.fixture
def results(tmp_path):
    made = Configured(tmp_path / "results")
    made.row(METHOD)
    made.row(TWIN)
    return made


def settings(found, metric="fd_digits"):
    return [effect.settings for effect in found if effect.metric == metric]


def test_an_effect_is_the_paired_difference(results):
    distance, error = results.effects()
    assert (distance.metric, error.metric) == ("fd_digits", "mse_test")
    assert distance.difference.mean == pytest.approx(-10)  # of -10, -11 and -9
    assert distance.difference.half_width == pytest.approx(stats.t.ppf(0.975, 2) / 3**0.5)
    assert distance.reference == pytest.approx(104)
    assert distance.share[0] == pytest.approx(-1000 / 104)
    assert distance.share[2] - distance.share[0] == pytest.approx(
        100 / 104 * stats.t.ppf(0.975, 2) / 3**0.5
    )
    expected = stats.ttest_rel(DISTANCES[METHOD], DISTANCES[TWIN]).pvalue
    assert distance.test.p == pytest.approx(expected)
    assert [e.test.corrected for e in (distance, error)] == pytest.approx(
        holm([expected, expected])
    )
    assert distance.is_better
    assert not results.effects(TWIN, METHOD)[0].is_better


def test_a_pair_has_the_same_settings(results):
    results.row(METHOD, "model.sigma=0.6")
    assert settings(results.effects()) == [""]
    results.row(TWIN, "model.sigma=0.6", values=[1.0, 2.0, 3.0])
    results.row(TWIN, "method.kernel.temperature=3", values=[4.0, 5.0, 6.0])
    found = results.effects()
    assert settings(found) == ["", "sigma = 0.6"]
    assert found[2].difference.mean == pytest.approx((90 + 93 + 99) / 3 - 2)


def test_what_the_methods_differ_in_is_the_first_ones_setting(results):
    """The twin has alpha = 0 by default, so a method with another alpha is compared with it too."""
    results.row(METHOD, "method.alpha=0.3", values=[1.0, 2.0, 4.0])
    assert settings(results.effects()) == ["", "alpha = 0.3"]
    assert settings(results.effects(TWIN, METHOD)) == [""], "the second one as its file says"


def test_methods_of_other_keys_are_compared(results):
    results.row("vae", values=[80.0, 85.0, 99.0])
    (found, _) = results.effects(METHOD, "vae")
    assert found.difference.mean == pytest.approx((10 + 8 + 0) / 3)


def test_rows_with_a_run_that_diverged_are_none_of_a_pair(results):
    (file,) = results.root.glob(f"runs/*/{TWIN}/*/seed=1/record.json")
    write_json(file, read_json(file) | {"status": "diverged"})
    assert results.effects() == []


def test_a_run_in_two_currencies_counts_once(results):
    for method in (METHOD, TWIN):
        results.row(method, "protocol.equal=passes", equal="passes")
    assert len(results.effects()) == 2
    results.row(METHOD, "protocol.equal=updates", equal="updates", values=[1.0, 2.0, 4.0])
    results.row(TWIN, "protocol.equal=updates", equal="updates")
    assert len(results.effects()) == 4


def test_samplers_are_compared_with_the_same(results):
    for method, values in ((METHOD, [10.0, 11.0, 13.0]), (TWIN, [9.0, 9.0, 9.0])):
        for seed, value in enumerate(values):
            (folder,) = results.root.glob(f"runs/*/{method}/*/seed={seed}")
            sampler = {"stated": {"name": "gmm", "components": 10}, "fit_seconds": 1.0}
            results.evaluation(folder, "e2", {"fd_digits": value}, sampler=sampler)
    found = results.effects()
    assert settings(found) == ["", "+ GMM"]
    assert found[-1].difference.mean == pytest.approx(7 / 3)


def test_the_page_has_every_effect_and_its_records(results, tmp_path, capsys):
    results.row(METHOD, "method.solver=random")
    arguments = ["effects", METHOD, TWIN, "--results", str(results.root), "--reports",
                 str(tmp_path / "r")]  # fmt: skip
    assert main(arguments) == 0
    assert "has the better mean at 1 of 1 settings" in capsys.readouterr().out
    folder = tmp_path / "r" / "effects" / f"{METHOD}-against-{TWIN}"
    page = (folder / "README.md").read_text()
    assert "| -10.0 ± 2.5" in page
    assert "| -9.6 |" in page
    assert "over all 2 tests" in page
    assert "without such a counterpart: mnist5k, smoke: short-run OT, solver = random." in page
    assert f"Command: `ltvm effects {METHOD} {TWIN} --results {results.root}`" in page
    rows = pd.read_csv(folder / "effects.csv")
    assert len(rows) == 6
    assert (rows.groupby("metric").first_value.mean() > 0).all()
    for file in (*rows.first_record, *rows.second_record):
        assert read_json(Path(file))["status"] == "done"
    assert (folder / "effects.png").read_bytes()[1:4] == b"PNG"
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["effects"][0]["difference"] == pytest.approx(-10)
    assert told["effects"][0]["seeds"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (METHOD, METHOD, "allowed: two methods that differ"),
        (METHOD, "gan", f"effects=gan: allowed: a method with records: {METHOD}, {TWIN}, vae"),
        (METHOD, "vae", "allowed: two methods run with all else equal"),
    ],
)
def test_what_has_no_effects_is_refused(results, tmp_path, first, second, message):
    results.row("vae", "model.sigma=0.6", values=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match=message):
        ltvm.make_effects(first, second, results.root, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()
