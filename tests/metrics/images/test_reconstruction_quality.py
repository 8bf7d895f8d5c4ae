"""PSNR and SSIM against their formulas; the curve over chain steps and restarts."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from small_networks import SMALL

from ltvm.chain.short_run import short_run
from ltvm.config import resolve
from ltvm.data import DataSet, ImageSet
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.images.reconstruction import Reconstruction
from ltvm.metrics.images.scores import psnr, ssim
from ltvm.metrics.images.unseen_curve import UnseenCurve
from ltvm.runs.execution.build import build_method, build_problem
from ltvm.runtime.randomness import image_normals, key_from

CPU = torch.device("cpu")


def pair(n=3, channels=1):
    draw = torch.Generator().manual_seed(0)
    real = torch.rand(n, channels, 28, 28, generator=draw) * 2 - 1
    noise = torch.randn(real.shape, generator=draw) * torch.tensor([0.05, 0.2, 0.6]).view(
        3, 1, 1, 1
    )
    return (real + noise).clamp(-1, 1), real


def test_psnr_is_that_of_a_data_range_of_2():
    made, real = pair()
    errors = ((made - real) ** 2).flatten(1).mean(1).double().numpy()
    np.testing.assert_allclose(psnr(made, real).numpy(), 10 * np.log10(4 / errors), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_wang_et_al_with_a_data_range_of_2(channels):
    made, real = pair(channels=channels)

    def window(x):  # sigma 1.5, 11 pixels wide; inner pixels only
        return gaussian_filter(x, 1.5, truncate=5 / 1.5, axes=(0, 1))[5:-5, 5:-5]

    def reference(x, y):
        mx, my = window(x), window(y)
        vx, vy, vxy = window(x * x) - mx**2, window(y * y) - my**2, window(x * y) - mx * my
        c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
        quotient = (mx**2 + my**2 + c1) * (vx + vy + c2)
        return ((2 * mx * my + c1) * (2 * vxy + c2) / quotient).mean()

    a, b = made.double().numpy(), real.double().numpy()
    expected = [
        np.mean([reference(*xy) for xy in zip(p, q, strict=True)])
        for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(made, real).numpy(), expected, rtol=1e-4)


@pytest.fixture
def build(tiny):
    def built(*overrides):
        config = resolve(
            ["protocol=smoke", "protocol.batch=20", "model.latent_dim=6", "device=cpu",
             "precision=float32", *SMALL, *overrides]
        )  # fmt: skip
        method = build_method(config, build_problem(config, tiny))
        method.fit_iteration()
        return method

    return built


def test_quality_stands_beside_the_same_errors(build, tiny):
    method, context = build(), Context(0, CPU)
    plain = Reconstruction(test_images=8)(method, tiny, context)
    values = Reconstruction(test_images=8, quality=True)(method, tiny, context)
    assert {name: values[name] for name in plain} == plain
    assert not any("psnr" in name for name in plain)
    made = method.decode(method.codes)
    errors = (made - tiny.train.scaled()).square().flatten(1).mean(1).double()
    assert values["psnr_train"].value == pytest.approx((10 * (4 / errors).log10()).mean().item())
    assert values["psnr_train"].provenance["data_range"] == 2
    for name in ("psnr_test", "psnr_test_best3", "ssim_train", "ssim_test", "ssim_test_best3"):
        assert values[name].provenance["n"] == (40 if "train" in name else 8)
    assert values["ssim_test_best3"].provenance["restarts"] == 3


def test_the_curve_passes_through_the_usual_numbers(build, tiny):
    method, context = build(), Context(0, CPU)
    usual = Reconstruction(test_images=8, restarts=3)(method, tiny, context)
    curve = UnseenCurve(images=8, steps=[2, 4], restarts=[1, 3, 4])(method, tiny, context)
    assert method.infer_steps == 4
    found = [curve[f"mse_test_steps4_restarts{r}"].value for r in (1, 3)]
    expected = [usual[name].value for name in ("mse_test", "mse_test_best3")]
    assert found == pytest.approx(expected, rel=1e-5)
    assert len(curve) == 6
    shorter = Reconstruction(test_images=8, restarts=4)(
        build("method.infer_steps=2"), tiny, context
    )
    best = curve["mse_test_steps2_restarts4"]
    assert best.value == pytest.approx(shorter["mse_test_best4"].value, rel=1e-5)
    assert (best.provenance["steps"], best.provenance["restarts"], best.provenance["n"]) == (
        2,
        4,
        8,
    )


def test_a_longer_chain_begins_with_the_shorter(build, tiny):
    """Three steps are the first three of six, with the start and the noise of the longer."""
    method, images = build("method.infer_noise_free=0"), tiny.test.scaled(slice(0, 4))
    constants = method.kernel.constants(max(0, method.iteration - 1))
    assert constants[1] > 0  # tau: there is noise
    draws = torch.Generator().manual_seed(0)
    start_key, noise_key = key_from(draws), key_from(draws)
    rows, d = torch.arange(4), method.problem.latent_dim
    noise, codes = image_normals(noise_key, rows, 6, d), image_normals(start_key, rows, 1, d)[0]
    for begin, end in ((0, 3), (3, 6)):
        codes = short_run(
            method.decoder, images, method.kernel.init(codes), kernel=method.kernel,
            constants=constants, steps=3, sigma=method.problem.sigma, prior=method.problem.prior,
            noise=noise[begin:end], batchnorm="running",
        )["codes"]  # fmt: skip
        made = method.infer(images, torch.Generator().manual_seed(0), steps=end)
        torch.testing.assert_close(made, codes, rtol=1e-4, atol=1e-4)


def test_a_method_without_a_chain_has_no_curve(build, tiny):
    assert UnseenCurve()(build("method=vae"), tiny, Context(0, CPU)) == {}


def test_a_perfect_reconstruction_is_as_good_as_rounding():
    _, real = pair()
    assert psnr(real, real).tolist() == pytest.approx([20 * np.log10(255) + 10 * np.log10(12)] * 3)
    rounded = torch.rand(1, 1, 200, 200) * 2 - 1
    stored = (rounded * 127.5).round() / 127.5
    assert psnr(stored, rounded).item() == pytest.approx(58.92, abs=0.1)


def test_images_smaller_than_the_window_are_refused():
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    data = DataSet(ImageSet("small", "train", images), ImageSet("small", "test", images))
    with pytest.raises(InputError, match="SSIM's window has 11"):
        Reconstruction(quality=True).check(data, Context(0, CPU))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train_images": 0}, "train_images=0: allowed: integers from 1, null"),
        ({"test_images": -5}, "test_images=-5: allowed: integers from 2"),
        ({"curve_images": 2.5}, "curve_images=2.5"),
        ({"restarts": 0}, "restarts=0"),
    ],
)
def test_bad_counts_name_the_key(options, words):
    with pytest.raises(InputError, match=words):
        Reconstruction(**options)


def test_bad_grids_name_the_key():
    with pytest.raises(InputError, match=r"unseen_curve.steps=\[5, 0\]: allowed: integers from 1"):
        UnseenCurve(steps=[5, 0])
