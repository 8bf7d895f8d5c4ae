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
from ltvm.report.effects.along import correlation_text, points, rho
from ltvm.report.effects.pairing import SETTINGS, VARIANTS, effects
from ltvm.report.effects.rows import terms_of_both
from ltvm.report.effects.write import drawn
from ltvm.report.leaderboard.entries import read_entries
from ltvm.runs.identity import identity
from ltvm.runtime.files import read_json, write_json, write_text
from tests.report.conftest import Results

METHOD, TWIN = "short_run_ot", "short_run_uncorrected"
GMM = {"name": "gmm", "components": 10}  # what samples state of it before it is fitted
DISTANCES = {METHOD: [90.0, 93.0, 99.0], TWIN: [100.0, 104.0, 108.0]}


class Configured(Results):
    """Runs whose configuration is what overrides resolve to."""

    def row(self, method, *overrides, values=None, cell=None, codes=None, **fields):
        """Three seeds of a method; ``values`` are distances, the error is a hundredth of them.

        ``codes``: how far its codes are from the prior.
        """
        for seed, distance in enumerate(values or DISTANCES[method]):
            made = [f"method={method}", f"seed={seed}", "protocol=smoke", *overrides]
            name = cell or "-".join([method, *overrides]).replace("=", "")
            folder = self.run(method, seed, cell=name)
            config = resolve([*made, "precision=float32"])
            write_text(folder / "config.yaml", yaml.safe_dump(config))
            record = folder / "record.json"
            write_json(record, read_json(record) | fields)
            measured = {"fd_digits": distance, "mse_test": distance / 100}
            measured |= {} if codes is None else {"latent_sliced_w2": codes + seed / 100}
            self.evaluation(folder, "e1", measured)

    def effects(self, first=METHOD, second=TWIN):
        return effects(terms_of_both(read_entries([self.root]), first, second))

    def found(self, first=METHOD, second=TWIN):
        return self.effects(first, second).effects

    def why_not(self, first=METHOD, second=TWIN):
        return [why for _, _, why in self.effects(first, second).left_out]

    def change(self, name, file="record.json", **fields):
        """Change every record, or evaluation, of one row."""
        found = sorted(self.root.glob(f"runs/*/*/{name}/*/{file}"))
        assert found
        for one in found:
            write_json(one, read_json(one) | fields)


@pytest.fixture
def results(tmp_path):
    made = Configured(tmp_path / "results")
    made.row(METHOD)
    made.row(TWIN)
    return made


def settings(found, metric="fd_digits"):
    return [effect.settings for effect in found if effect.metric == metric]


def test_an_effect_is_the_paired_difference(results):
    distance, error = results.found()
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
    assert not results.found(TWIN, METHOD)[0].is_better


def test_a_pair_has_the_same_settings(results):
    results.row(METHOD, "model.sigma=0.6")
    assert settings(results.found()) == [""]
    results.row(TWIN, "model.sigma=0.6", values=[1.0, 2.0, 3.0])
    results.row(TWIN, "method.kernel.temperature=3", values=[4.0, 5.0, 6.0])
    found = results.found()
    assert settings(found) == ["", "sigma = 0.6"]
    assert found[2].difference.mean == pytest.approx((90 + 93 + 99) / 3 - 2)


def test_what_the_methods_differ_in_is_the_first_ones_setting(results):
    """The twin has alpha = 0 by default, so a method with another alpha is compared with it too."""
    results.row(METHOD, "method.alpha=0.3", values=[1.0, 2.0, 4.0])
    assert settings(results.found()) == ["", "alpha = 0.3"]
    assert settings(results.found(TWIN, METHOD)) == [""], "the second one as its file says"


def test_keys_that_the_second_has_no_use_for_are_the_first_ones_setting(results):
    """Without a correction the twin's solver is idle, as its file says."""
    results.row(METHOD, "method.solver=gaussian", values=[1.0, 2.0, 4.0])
    found = results.found()
    assert settings(found) == ["", "solver = gaussian"]
    assert [e.is_variant for e in found if e.metric == "fd_digits"] == [False, True]
    assert settings(results.found(TWIN, METHOD)) == [""], "the method does use it"


def test_methods_of_other_keys_are_compared(results):
    results.row("vae", values=[80.0, 85.0, 99.0])
    (found, _) = results.found(METHOD, "vae")
    assert found.difference.mean == pytest.approx((10 + 8 + 0) / 3)


def test_rows_with_a_run_that_diverged_are_none_of_a_pair(results):
    (file,) = results.root.glob(f"runs/*/{TWIN}/*/seed=1/record.json")
    write_json(file, read_json(file) | {"status": "diverged"})
    assert results.found() == []


def test_a_run_in_two_currencies_counts_once(results):
    for method in (METHOD, TWIN):
        results.row(method, "protocol.equal=passes", equal="passes")
    assert len(results.found()) == 2
    results.row(METHOD, "protocol.equal=updates", equal="updates", values=[1.0, 2.0, 4.0])
    results.row(TWIN, "protocol.equal=updates", equal="updates")
    assert len(results.found()) == 4


def test_equal_values_on_other_terms_are_effects_of_their_own(results):
    """As of a metric of few values: 0 against 0 of other images, or of another budget."""
    for more, fields in (
        (["model.sigma=0.6"], {}),
        (["model.sigma=0.6", "data=svhn"], {"fingerprints": {"train": "f2", "test": "f2"}}),
        (["model.sigma=0.6", "protocol.iterations=9"], {"passes": 27, "flops": 9e13}),
    ):
        for method in (METHOD, TWIN):
            results.row(method, *more, values=[0.0], **fields)
    found = results.effects()
    own = [e for e in found.effects if e.metric == "fd_digits" and e.settings == "sigma = 0.6"]
    assert len({e.terms.title for e in own}) == 3
    assert found.left_out == []


def test_samplers_are_compared_with_the_same(results):
    for method, values in ((METHOD, [10.0, 11.0, 13.0]), (TWIN, [9.0, 9.0, 9.0])):
        for seed, value in enumerate(values):
            (folder,) = results.root.glob(f"runs/*/{method}/*/seed={seed}")
            sampler = {"stated": GMM, "fit_seconds": 1.0}
            results.evaluation(folder, "e2", {"fd_digits": value}, sampler=sampler)
    found = results.found()
    assert settings(found) == ["", "GMM on the codes"]
    assert found[-1].difference.mean == pytest.approx(7 / 3)


@pytest.mark.parametrize("said", [{"stated": GMM, "fit_seconds": None}, None])
@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_density_whose_fit_ended_badly_is_left_out_and_the_prior_is_not(results, said, status):
    """Files of earlier code say nothing of the sampler then; those of the other seeds do."""
    for method, level in ((METHOD, 30.0), (TWIN, 50.0)):
        for seed in range(3):
            (folder,) = results.root.glob(f"runs/*/{method}/*/seed={seed}")
            fitted = {"stated": {**GMM, "n": 9, "found": {}}, "fit_seconds": 1.0}
            values = {"fd_digits": level + seed * (1.1 if method == METHOD else 1.0)}
            if (method, seed) == (METHOD, 2):
                results.evaluation(folder, "e2", {}, sampler=said, status=status)
            else:
                results.evaluation(folder, "e2", values, sampler=fitted)
    assert settings(results.found()) == [""]
    assert results.why_not() == [f"1 evaluation {status}"]


def test_a_run_that_diverged_is_one_of_every_sampler(results):
    """It has no evaluation that would say of which; the other seeds' are of two."""
    for method in (METHOD, TWIN):
        for seed in range(3):
            (folder,) = results.root.glob(f"runs/*/{method}/*/seed={seed}")
            if (method, seed) != (METHOD, 2):
                sampler = {"stated": GMM, "fit_seconds": 1.0}
                results.evaluation(folder, "e2", {"fd_digits": 9.0 + seed}, sampler=sampler)
            else:
                (folder / "evaluations" / "e1.json").unlink()
                record = folder / "record.json"
                write_json(record, read_json(record) | {"status": "diverged"})
    assert results.found() == []
    assert results.why_not() == ["1 diverged of 3 runs"] * 2


def test_a_third_method_has_no_part_in_it(results):
    """On the leaderboard rows compete with all: what most spend, and the kind that most have."""
    for seed in range(3):
        for name in ("a", "b", "c"):
            folder = results.run("abp", seed, cell=name)
            results.evaluation(folder, "e1", {"fd_digits": 5.0})
    for name in ("a", "b", "c"):
        results.change(name, flops=9e13)
    assert settings(results.found()) == [""]


def test_rows_that_spent_otherwise_are_no_pair(results):
    results.change(TWIN, flops=9e13)
    assert results.found() == []
    assert results.why_not() == ["nothing was measured of both alike"]


def test_values_of_another_kind_are_not_subtracted(results):
    for file in results.root.glob(f"runs/*/*/{TWIN}/*/evaluations/e1.json"):
        content = read_json(file)
        content["values"]["fd_digits"]["n"] = 500
        write_json(file, content)
    assert [e.metric for e in results.found()] == ["mse_test"]


def test_a_row_with_a_seed_of_another_kind_is_not_tested_on_the_others(results):
    (file,) = results.root.glob(f"runs/*/*/{TWIN}/seed=2/evaluations/e1.json")
    content = read_json(file)
    content["values"]["fd_digits"]["n"] = 500
    write_json(file, content)
    assert [e.metric for e in results.found()] == ["mse_test"]


@pytest.mark.parametrize("status", ["diverged", "failed", "interrupted"])
def test_seeds_that_an_evaluation_lost_make_no_pair(results, status):
    (file,) = results.root.glob(f"runs/*/*/{TWIN}/seed=2/evaluations/e1.json")
    write_json(file, read_json(file) | {"status": status, "values": {}, "columns": {}})
    assert results.found() == []
    assert results.why_not() == [f"its counterpart: 1 evaluation {status}"]


def test_seeds_that_were_not_evaluated_make_no_pair(results):
    (file,) = results.root.glob(f"runs/*/*/{METHOD}/seed=2/evaluations/e1.json")
    file.unlink()
    assert results.found() == []
    assert results.why_not() == ["1 of 3 runs without evaluation"]


def test_a_null_by_default_is_not_an_absent_key(results):
    """Chains have a temperature, which is null by default; a VAE has none at all."""
    results.row("vae", values=[80.0, 85.0, 99.0])
    results.row(METHOD, "method.kernel.temperature=3", values=[81.0, 83.0, 84.0])
    assert settings(results.found(METHOD, "vae")) == ["", "kernel.temperature = 3"]


def test_settings_of_equal_values_are_two_rows_and_one_test(results):
    for method in (METHOD, TWIN):
        results.row(method, "method.batchnorm=running")  # of no consequence, say
    found = results.found()
    assert settings(found) == ["", "batchnorm = running"]
    assert [e.test.again for e in found if e.metric == "fd_digits"] == [False, True]
    assert found[0].test.corrected == pytest.approx(2 * found[0].test.p), "of two tests"


def test_each_kind_is_adjusted_for_its_own_tests(results):
    for alpha, nothing in ((0.3, [101.0, 103.0, 109.0]), (0.7, [99.0, 104.0, 110.0])):
        results.row(METHOD, f"method.alpha={alpha}", values=nothing)  # of larger p: more to adjust
    distance, error, *_ = found = results.found()
    assert [e.kind for e in found if e.metric == "fd_digits"] == [SETTINGS, VARIANTS, VARIANTS]
    assert [e.test.corrected for e in (distance, error)] == pytest.approx(
        holm([distance.test.p, error.test.p])
    )


def test_runs_of_earlier_code_give_way_to_those_of_todays(results):
    config = resolve([f"method={TWIN}", "protocol=smoke", "precision=float32"])
    results.row(TWIN, values=[50.0, 53.0, 59.0], cell=identity(config))
    results.change(identity(config), identity=identity(config))
    (found, _) = results.found()
    assert found.difference.mean == pytest.approx(40)
    assert "of earlier code" in found.first.marks
    assert "of earlier code" not in found.second.marks


def test_a_mean_of_nothing_has_no_share(results):
    for method, values in ((METHOD, [1.0, 2.0, 3.0]), (TWIN, [-1.0, 0.0, 1.0])):
        for seed, value in enumerate(values):
            (folder,) = results.root.glob(f"runs/*/{method}/*/seed={seed}")
            results.evaluation(folder, "e1", {"fd_digits": value})
    (found,) = results.found()
    assert found.share is None
    assert found.difference.mean == pytest.approx(2)


def test_a_tie_is_not_better(results):
    for seed in range(3):
        (folder,) = results.root.glob(f"runs/*/{TWIN}/*/seed={seed}")
        same = {"fd_digits": DISTANCES[METHOD][seed]}
        results.evaluation(folder, "e1", same)
    assert [e.is_better for e in results.found()] == [False]


def test_records_without_passes_and_labels_with_signs_are_drawn(results, tmp_path):
    for file in results.root.glob("runs/*/*/*/*/record.json"):
        content = read_json(file) | {"label": r"a $\foo$ | b"}
        del content["passes"]
        write_json(file, content)
    made = ltvm.make_effects(METHOD, TWIN, results.root, tmp_path / "reports", "bootstrap")
    page = Path(made["page"]).read_text()
    assert page.startswith(f"# {METHOD} against {TWIN}\n"), "they are called the same"
    assert "95 % bootstrap intervals" in page
    assert "--interval bootstrap`" in page


def test_the_page_has_every_effect_and_its_records(results, tmp_path, capsys):
    results.row(METHOD, "method.batchnorm=running")
    arguments = ["effects", METHOD, TWIN, "--results", str(results.root), "--reports",
                 str(tmp_path / "r"), "--config-dir", str(results.root)]  # fmt: skip
    assert main(arguments) == 0
    assert "has the better mean at 1 of 1 settings" in capsys.readouterr().out
    folder = tmp_path / "r" / "effects" / f"{METHOD}-against-{TWIN}"
    page = (folder / "README.md").read_text()
    assert "| -10.0 ± 2.5" in page
    assert "| -9.6 |" in page
    assert "(settings that both have: 2)" in page
    assert "- mnist5k, smoke: batchnorm = running, float32 (no counterpart)" in page
    command = f"ltvm effects {METHOD} {TWIN} --results {results.root} --config-dir {results.root}"
    assert f"Command: `{command}`" in page
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
        (METHOD, "vae", "two methods that were run with all else equal .no counterpart"),
    ],
)
def test_what_has_no_effects_is_refused(results, tmp_path, first, second, message):
    results.row("vae", "model.sigma=0.6", values=[1.0, 2.0, 3.0])
    with pytest.raises(InputError, match=message):
        ltvm.make_effects(first, second, results.root, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


@pytest.fixture
def along(tmp_path):
    """Five settings: the farther the twin's codes, the more the method helps; one pair without."""
    made = Configured(tmp_path / "results")
    for number, sigma in enumerate((0.5, 0.4, 0.3, 0.2, 0.1)):
        distances = [100.0 - 10 * number, 103.0 - 10 * number, 101.0 - 10 * number]
        made.row(METHOD, f"model.sigma={sigma}", values=distances, codes=9.0)
        made.row(TWIN, f"model.sigma={sigma}", values=[100.0, 101.0, 102.0], codes=0.1 * 2**number)
    made.row(METHOD, "model.sigma=0.7")
    made.row(TWIN, "model.sigma=0.7")
    return made


def test_effects_are_set_against_what_the_second_method_is_like(along):
    found = along.found()
    own = points(found, "latent_sliced_w2")["FD, digit features ↓"]
    assert [p.against for p in sorted(own, key=lambda p: p.against)] == pytest.approx(
        [0.11, 0.21, 0.41, 0.81, 1.61]  # of the twin, mean of three seeds
    )
    assert rho(own) == pytest.approx(-1)
    (text, _) = correlation_text(found, "latent_sliced_w2", "sliced W2", "the twin")
    assert text.startswith(
        "FD, digit features ↓: rank correlation (Spearman) of the difference in percent with "
        "sliced W2 of “the twin” at the same setting: -1.00 over 5 settings of mnist5k, smoke."
    )


def test_settings_of_the_first_method_alone_are_set_against_nothing(along):
    before = len(points(along.found(), "latent_sliced_w2")["FD, digit features ↓"])
    along.row(METHOD, "model.sigma=0.3", "method.alpha=0.1")
    found = along.found()
    assert {effect.kind for effect in found} == {SETTINGS, VARIANTS}
    assert len(points(found, "latent_sliced_w2")["FD, digit features ↓"]) == before == 5


def test_the_page_has_the_metric_its_figure_and_its_correlation(along, tmp_path):
    command = ["effects", METHOD, TWIN, "--results", str(along.root), "--reports", str(tmp_path)]
    assert main([*command, "--by", "latent_sliced_w2"]) == 0
    folder = tmp_path / "effects" / f"{METHOD}-against-{TWIN}"
    page = (folder / "README.md").read_text()
    assert "(effects-by-latent_sliced_w2.png)" in page
    assert "| sliced W2 to prior, same, no correction" in page
    assert page.count("| 0.41 ") == 2
    assert page.count("| - ") > 0  # of the pair whose codes were not measured
    assert "--by latent_sliced_w2`" in page
    assert (folder / "effects-by-latent_sliced_w2.svg").is_file()
    rows = pd.read_csv(folder / "effects.csv")
    drawn = rows[rows.settings == "sigma = 0.4"].drop_duplicates("seed")
    for record, value in zip(drawn.second_record, drawn.second_latent_sliced_w2, strict=True):
        (file,) = Path(record).parent.glob("evaluations/*.json")
        assert read_json(file)["values"]["latent_sliced_w2"]["value"] == pytest.approx(value)
    assert len(drawn) == 3
    assert rows[rows.settings == "sigma = 0.7"].second_latent_sliced_w2.isna().all()
    both = [*command, "--by", "latent_sliced_w2", "--by", "mse_test"]
    assert main(both) == 0  # each has a column; the second is known at too few settings to draw
    page = (folder / "README.md").read_text()
    assert "--by latent_sliced_w2 --by mse_test`" in page
    (head, *_) = [line for line in page.splitlines() if "| sliced W2 to prior, same" in line]
    words = [word.strip() for word in head.split("|")]
    first = words.index("sliced W2 to prior, same, no correction")
    assert words[first - 1] == "p"
    assert words[first + 1].endswith(", same, no correction")
    assert main(command) == 0  # without it the figure goes
    assert not (folder / "effects-by-latent_sliced_w2.svg").exists()


def test_a_metric_that_nothing_has_is_refused_and_few_settings_say_nothing(
    results, tmp_path, capsys
):
    command = ["effects", METHOD, TWIN, "--results", str(results.root), "--reports", str(tmp_path)]
    assert main([*command, "--by", "latent_sliced"]) == 2
    assert "--by=latent_sliced: allowed: a metric of the second" in capsys.readouterr().err
    assert main([*command, "--by", "mse_test"]) == 0
    assert not list(tmp_path.rglob("effects-by-*"))


def test_a_setting_that_makes_the_first_method_the_second_is_no_effect(results):
    results.row(METHOD, "method.alpha=0.0", values=DISTANCES[TWIN])
    assert settings(results.found()) == [""]
    assert results.why_not() == ["it is the second method there: equal values"]


def test_metrics_of_few_settings_have_a_figure_of_their_own(along, monkeypatch):
    for cell in ("0.5", "0.4", "0.3", "0.2"):
        for method in (METHOD, TWIN):
            name = f"{method}-model.sigma{cell}"
            for file in along.root.glob(f"runs/*/*/{name}/*/evaluations/e1.json"):
                content = read_json(file)
                del content["values"]["mse_test"]
                write_json(file, content)
    groups = {name: lines for name, _, lines in drawn(along.found())}
    shown = {name: [len(lines) for lines in own.values()] for name, own in groups.items()}
    assert shown == {"effects": [6], "effects-others": [2]}
    monkeypatch.setattr("ltvm.report.effects.along.LEAST", 1)
    assert list(points(along.found(), "latent_sliced_w2")) == ["FD, digit features ↓"]
