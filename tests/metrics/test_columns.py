"""Every value of every evaluation has a column, and every column is complete."""

import pytest
import torch
from small_networks import SMALL

from ltvm.config import choices, resolve
from ltvm.data.cache import load_data
from ltvm.errors import DivergedError, InputError
from ltvm.metrics.base import Context, Measurement, record_values
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
from ltvm.metrics.generation.frechet import FrechetDistance
from ltvm.metrics.generation.kernel_distance import KernelDistance
from ltvm.metrics.generation.manifold import Manifold
from ltvm.metrics.generation.resampling import FrechetResampling
from ltvm.runs.execution.build import build_method, build_metrics, build_problem

CPU = torch.device("cpu")
FEW = [
    "protocol=smoke", "protocol.train_images=40", "protocol.test_images=24", "protocol.batch=20",
    "device=cpu", *SMALL,
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.codes=40", "precision=float32",
]  # fmt: skip
LATENTS = ["evaluation.metrics.unseen_curve.steps=[1,2]", "evaluation.metrics.likelihood.images=2",
           "evaluation.metrics.likelihood.steps=3"]  # fmt: skip
GROUPS = {
    "none": [], "digits": [], "latents": LATENTS, "digits_thorough": LATENTS,
    "inception": ["+inception"], "inception_thorough": ["+inception", *LATENTS],
    "anomaly": ["data=mnist5k_without"], "digits_samples": [], "inception_samples": ["+inception"],
    "digits_copying": [], "inception_copying": ["+inception"], "chain": [],
    "inference": LATENTS[:1],
}  # fmt: skip


@pytest.mark.parametrize("group", choices("evaluation"))
def test_every_value_has_a_column(group, request):
    overrides = list(GROUPS[group])
    if "+inception" in overrides:
        overrides.remove("+inception")
        weights, checksum = request.getfixturevalue("random_inception")
        chosen = {"dimension": 64, "weights": weights, "checksum": checksum}
        overrides += [f"evaluation.extractor.{key}={value}" for key, value in chosen.items()]
        overrides += ["protocol.train_images=20", "protocol.test_images=12", "protocol.batch=10",
                      "protocol.evaluation.codes=20"]  # fmt: skip
    config = resolve([*FEW, f"evaluation={group}", *overrides])
    data = load_data(config)
    method = build_method(config, build_problem(config, data))
    method.fit_iteration()
    context = Context(0, CPU, {}, {})
    names: set[str] = set()
    for metric in build_metrics(config, CPU).values():
        columns, curve_columns = metric.columns(), metric.curve_columns()
        assert set(metric.curve(method, data, context)) <= set(curve_columns)
        metric.check(data, context)
        values, kept = record_values(columns, metric(method, data, context), {"seed": 0})
        assert not names & set(values), "two metrics give one value"
        names |= set(values)
        assert values.keys() == kept.keys()
        for name, column in (columns | curve_columns).items():
            assert column.definition, name
            assert column.family != "others", name
            assert column.of is None or column.of in set(columns) | {"fd_digits", "fid_inception64"}
    of_codes = {"mse_train", "mse_test", "transport_cost"}
    without = group.endswith("_samples") or group == "chain"
    assert of_codes.isdisjoint(names) if without else of_codes <= names
    assert names


def test_the_titles_are_those_of_the_tables():
    metrics = build_metrics(resolve(["evaluation=digits_thorough"]), CPU)
    titles = {name: c.title for m in metrics.values() for name, c in m.columns().items()}
    for name, title in {
        "fd_digits": "FD, digit features", "fd_digits_infinity": "FD-infinity, digit features",
        "kid_digits_sd": "sd of KID over subsets, digit features", "mse_test": "MSE, unseen images",
        "precision_digits": "precision, digit features", "latent_mmd2": "MMD² to prior",
        "psnr_test_best3": "PSNR, unseen, best of 3 restarts, dB",
        "mse_test_steps5_restarts3": "K = 5, best of 3",
        "prior_gap": "prior gap, FD, digit features",
    }.items():  # fmt: skip
        assert titles[name] == title
    headlines = [n for m in metrics.values() for n, c in m.columns().items() if c.headline]
    assert headlines == ["mse_train", "mse_test", "fd_digits", "prior_gap"]


class Outside(Extractor):
    """Three channels' means."""

    name, feature_name, title, checksum = "means", "means", "channel means", "0" * 64
    dimension, resize, batch, device = 3, "none", 100, CPU

    def __call__(self, images):
        return images.expand(-1, 3, -1, -1).float().mean((2, 3)).double()


def test_an_outside_extractor_names_its_values():
    extractor = Outside()
    metrics = [m(extractor) for m in (FrechetDistance, FrechetResampling, KernelDistance, Manifold)]
    columns = {name: c for m in metrics for name, c in m.columns().items()}
    assert columns["fd_means"].title == "FD, channel means"
    assert columns["fd_means_error"].of == columns["fd_means_floor"].of == "fd_means"
    assert columns["kid_means"].direction == "lower"
    assert columns["recall_means"].direction == "higher"
    names = [convention.name for convention in extractor.conventions()]
    assert names == ["ltvm", "torch-fidelity", "truncating cast"]


def test_a_record_says_what_each_value_is():
    column = Column("error", "The error of nothing.")
    values, columns = record_values(
        {"e": column, "unused": column}, {"e": Measurement(1.0, {"n": 3})}, {"n": 1, "commit": "x"}
    )
    assert values == {"e": {"value": 1.0, "n": 3, "commit": "x"}}
    assert columns == {"e": column.as_dict()}
    with pytest.raises(InputError, match="metric value f: no column; allowed: .*e"):
        record_values({"e": column}, {"f": Measurement(1.0)}, {})
    with pytest.raises(DivergedError, match="metric e is nan"):
        record_values({"e": column}, {"e": Measurement(float("nan"))}, {})


def test_warnings_of_all_and_of_a_value_both_stand():
    columns = {"e": Column("e", "an e"), "f": Column("f", "an f")}
    measured = {"e": Measurement(1.0, {"warning": "near copies"}), "f": Measurement(2.0)}
    values, _ = record_values(columns, measured, {"warning": "EM did not converge"})
    assert values["e"]["warning"] == "EM did not converge; near copies"
    assert values["f"]["warning"] == "EM did not converge"
    values, _ = record_values(columns, measured, {})
    assert (values["e"]["warning"], "warning" in values["f"]) == ("near copies", False)
