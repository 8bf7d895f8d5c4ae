"""The engine in the methods that use it: independence, waits of the host, and precision."""

import itertools
import math

import pytest
import torch
from small_networks import SMALL

import ltvm
from ltvm.chain.kernels.contract import HostReads
from ltvm.config import resolve
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runtime.devices import bfloat16_is_native

native_bfloat16 = pytest.mark.skipif(
    not bfloat16_is_native(torch.device("cpu")),
    reason="without bfloat16 in the processor these seconds are minutes, and no run chooses it",
)


def random_images():
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 1, 28, 28), generator=draw, dtype=torch.uint8)
    return DataSet(ImageSet("r", "train", images[:48]), ImageSet("r", "test", images[48:]))


def method_for(*overrides):
    config = resolve(
        ["protocol=smoke", "model.latent_dim=4", "device=cpu", "precision=float32",
         "protocol.updates_per_batch=0", "method.batchnorm=running", *SMALL, *overrides]
    )  # fmt: skip
    return build_method(config, build_problem(config, random_images()))


def test_a_code_does_not_depend_on_batch_size_or_order():
    swept = []
    for batch in (6, 16, 48):
        method = method_for(f"protocol.batch={batch}")
        method.infer_and_learn(method.inference_share)
        swept.append(method.codes)
    for codes in swept[1:]:
        torch.testing.assert_close(codes, swept[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(swept[0], method_for("protocol.batch=6").codes, atol=1e-2)


@pytest.mark.parametrize("work", ["sweep", "learn"])
def test_the_host_does_not_wait_within_a_sweep(work):
    reads = []
    for batch in (24, 6):
        method = method_for(f"protocol.batch={batch}", "method.updates_per_batch=1")
        clock, share = method.problem.clock, method.inference_share
        assert method.problem.flops  # counted once a run
        looks = iter(range(10**9))
        clock._now = lambda looks=looks: float(next(looks))  # on CUDA each look waits
        with HostReads() as counter:
            method.infer_and_learn(share) if work == "sweep" else method.learn()
        reads.append((counter.count, next(looks)))
        sweeps = math.ceil(method.decoder_updates * batch / len(method.codes))
        assert counter.count <= sweeps + 1
        assert reads[-1][1] <= 2
    assert reads[0] == reads[1]  # not one per batch


@native_bfloat16
def test_bfloat16_metrics_agree_with_float32_within_the_spread_of_seeds():
    values = {}
    for precision, seed in itertools.product(("float32", "bfloat16"), range(2)):
        record = ltvm.train(
            ["protocol=smoke", f"precision={precision}", f"seed={seed}", "device=cpu",
             "evaluation.every=2", *SMALL]
        )  # fmt: skip
        for name in ("fd_digits", "mse_train", "mse_test", "latent_energy", "transport_cost"):
            values.setdefault((name, precision), []).append(record["metrics"][name]["value"])
    for name in {name for name, _ in values}:
        full, low = (torch.tensor(values[name, p]) for p in ("float32", "bfloat16"))
        assert not torch.equal(full, low)
        # A fifth of it; two seeds may lie closer together than bfloat16 resolves (3 digits).
        allowed = max((full.max() - full.min()) / 5, 0.005 * full.mean().abs())
        assert (low - full).mean().abs() < allowed, name
