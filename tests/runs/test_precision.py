"""What numbers say of the precision that they were computed in, where chains run in bfloat16."""

import pytest
import torch
from small_networks import SMALL

from ltvm.chain.execution import Execution
from ltvm.config import resolve
from ltvm.data.cache import load_data
from ltvm.metrics.base import Context
from ltvm.runs.execution.build import build_method, build_metrics, build_problem
from ltvm.runs.execution.evaluate import Trained, measure
from ltvm.runtime.randomness import stream

CPU = torch.device("cpu")
CHOSEN = [
    "protocol=smoke", "protocol.train_images=20", "protocol.test_images=12", "protocol.batch=20",
    "model.latent_dim=4", "protocol.infer_steps=2",
    "protocol.evaluation.unseen_images=4", "protocol.evaluation.unseen_for_distance=4",
    "protocol.evaluation.codes=20", "evaluation=digits_thorough",
    "evaluation.metrics.unseen_curve.steps=[2]", "evaluation.metrics.likelihood.images=2",
    "evaluation.metrics.likelihood.steps=3", "device=cpu", *SMALL,
]  # fmt: skip
UNINFERRED = {
    "fd_digits", "fd_digits_floor", "fd_digits_unseen_floor", "fd_digits_infinity",
    "fd_digits_error", "kid_digits", "kid_digits_sd", "precision_digits", "recall_digits",
    "density_digits", "coverage_digits", "transport_cost_floor", "latent_eigenvalue_max_floor",
    "latent_eigenvalue_min_floor", "latent_effective_rank_floor", "ais_log_likelihood",
    "ais_effective_chains", "ais_acceptance",
}  # fmt: skip
INFERRED = {
    "mse_train", "mse_test", "mse_test_best3", "ssim_test", "mse_test_steps2_restarts1",
    "fd_digits_decoded", "prior_gap", "fd_digits_unseen", "latent_energy", "transport_cost",
    "latent_mmd2", "latent_ks", "latent_eigenvalue_max",
}  # fmt: skip


@pytest.fixture
def build():
    def built(method, precision):
        config = resolve([*CHOSEN, f"method={method}"])
        data = load_data(config)
        problem = build_problem(config, data, execution=Execution(precision=precision))
        return build_method(config, problem), data, build_metrics(config, CPU)

    return built


@pytest.mark.parametrize(("method", "stated"), [("short_run", "bfloat16"), ("vae", "float32")])
def test_numbers_with_inferred_codes_say_what_inference_computed_in(build, method, stated):
    trained, data, metrics = build(method, "bfloat16")
    values, _ = measure(metrics, Trained(trained, data, Context(0, CPU)))
    assert {v["dtype"] for v in values.values()} == {"float32"}  # of decoding
    said = {name: value.get("inference_precision") for name, value in values.items()}
    assert {name for name, precision in said.items() if precision is None} == UNINFERRED
    assert said.keys() >= INFERRED - ({"mse_test_steps2_restarts1"} if method == "vae" else set())
    assert set(said.values()) == {None, stated}


@pytest.mark.parametrize("method", ["short_run", "short_run_ot", "abp", "vae"])
def test_what_is_said_is_so(build, method):
    """In float32 the execution changes nothing; in bfloat16 codes differ. Decoding never does."""
    low, data, _ = build(method, "bfloat16")
    full, _, _ = build(method, "float32")
    images = data.test.scaled()
    codes = [each.infer(images, stream(0, "codes")) for each in (low, full)]
    assert torch.equal(*codes) == (low.inference_precision == "float32")
    assert full.inference_precision == "float32"
    assert torch.equal(low.decode(codes[0]), full.decode(codes[0]))
