"""The contract of a method, as a check that anyone can run on theirs.

    ltvm check-method method=toy --config-dir my_methods

or in a test:

    from ltvm.testing import check_method
    def test_contract():
        check_method(["method=toy"])
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch

from ltvm.config import resolve
from ltvm.data.cache import load_data
from ltvm.methods.base import Method
from ltvm.runs.build import build_method, build_problem
from ltvm.runtime.randomness import stream


def expect(holds: object, sentence: str) -> None:
    """Raise ``AssertionError`` with the sentence of the contract that does not hold."""
    if not holds:
        raise AssertionError(f"broken: {sentence}")


def check_method(overrides: Sequence[str]) -> list[str]:
    """Check the method that ``overrides`` choose on the smoke protocol; CPU, some seconds.

    Returns the sentences that hold; raises ``AssertionError`` with the first that does not.
    """
    config = resolve(["protocol=smoke", "device=cpu", "precision=float32", *overrides])
    data = load_data(config)

    def fresh() -> Method:
        return build_method(config, build_problem(config, data))

    held: list[str] = []

    def check(condition: object, sentence: str) -> None:
        expect(condition, sentence)
        held.append(sentence)

    method = fresh()
    n, d = len(data.train), config["model"]["latent_dim"]
    before = {key: value.clone() for key, value in method.decoder.state_dict().items()}
    scalars = method.fit_iteration()
    finite = all(torch.isfinite(torch.tensor(float(value))) for value in scalars.values())
    check(finite, "fit_iteration returns finite scalars")
    check(method.iteration == 1, "fit_iteration counts the iteration")
    check(method.passes > 0, "fit_iteration counts the passes it makes")
    after = {key: value.clone() for key, value in method.decoder.state_dict().items()}
    moved = any(not torch.equal(before[key], after[key]) for key in before)
    check(moved, "fit_iteration trains the decoder")
    check(method.codes.shape == (n, d), "codes are [n, d], one per training image")
    check(method.codes.isfinite().all(), "codes are finite")
    check(method.posterior_draws().shape == (n, d), "posterior_draws are [n, d]")

    shape = (data.train.channels, data.train.size, data.train.size)
    samples = method.sample(7, stream(0, "contract"))
    check(samples.shape == (7, *shape), "sample(n) returns n images [n, c, h, w]")
    check(samples.abs().max() <= 1, "samples lie in [-1, 1]")
    check(
        torch.equal(samples, method.sample(7, stream(0, "contract"))),
        "sample depends on its generator alone",
    )
    images = data.test.scaled(slice(0, 6))
    codes = method.infer(images, stream(1, "contract"))
    check(codes.shape == (6, d), "infer(images) returns codes [n, d]")
    check(not codes.requires_grad, "infer returns codes without a graph")
    rebuilt = method.reconstruct(images, stream(1, "contract"))
    check(rebuilt.shape == images.shape, "reconstruct(images) returns images of their shape")
    check(
        torch.allclose(rebuilt, method.decode(codes), atol=1e-5), "reconstruct is decode of infer"
    )
    check(
        all(torch.equal(after[k], v) for k, v in method.decoder.state_dict().items()),
        "evaluation leaves the decoder as it was",
    )

    buffer = io.BytesIO()
    torch.save(method.state_dict(), buffer)
    method.fit_iteration()
    buffer.seek(0)
    resumed = fresh()
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    resumed.fit_iteration()
    same = all(
        torch.equal(value, resumed.decoder.state_dict()[key])
        for key, value in method.decoder.state_dict().items()
    )
    check(
        same and torch.equal(method.codes, resumed.codes),
        "state_dict and load_state_dict resume bit for bit",
    )
    return held
