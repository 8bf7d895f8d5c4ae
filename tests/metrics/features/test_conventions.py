"""Inception with its real weights, parity with other libraries, and well-known wrong variants.

Everything runs with random weights on made-up images, and with the real ones of a data folder
beside the checkout where there is one. Distances here are of few images (singular covariances):
parity is about the same images giving the same number, not about what the number is.
"""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ltvm.data import ImageSet
from ltvm.errors import InputError
from ltvm.metrics.base import Context
from ltvm.metrics.features.conventions import Pixels
from ltvm.metrics.features.digits import DigitFeatures
from ltvm.metrics.features.folded import CHECKSUM, FILE, FoldedInception
from ltvm.metrics.features.inception import InceptionFeatures
from ltvm.metrics.features.inception_conventions import (
    after_resize,
    half_pixel_bilinear,
    pillow_bicubic,
)
from ltvm.metrics.features.moments import frechet_distance, moments_of
from ltvm.metrics.generation.frechet import FrechetDistance

CPU = torch.device("cpu")
PARITY = 1e-3  # relative, in the distance


@pytest.fixture(scope="session")
def weights(real_data):
    path = real_data / "features" / FILE
    if not path.is_file():
        pytest.skip(f"no folded Inception weights at {path}")
    return path


@pytest.fixture(scope="session")
def real_images(real_data):
    """Real digits 1x28x28, house numbers 3x32x32 and faces 3x64x64, ``(kind, n) -> uint8``."""
    import gzip

    from PIL import Image

    def digits(n):
        raw = real_data / "mnist" / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
        with gzip.open(raw) as file:
            packed = file.read(16 + 784 * n)[16:]
        return torch.from_numpy(np.frombuffer(packed, np.uint8).copy()).view(n, 1, 28, 28)

    def houses(n):
        images = np.load(real_data / "svhn" / "svhn_cropped.npz")["images"][:n]
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def faces(n):
        file = np.load(real_data / "celeba" / "celeba_first10000_half_jpeg.npz")
        data, offsets = file["data"], file["offsets"]
        made = []
        for i in range(n):
            image = Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes()))
            box = (9.5, 19.5, 79.5, 89.5)
            made.append(np.asarray(image.convert("RGB").resize((64, 64), Image.BICUBIC, box=box)))
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).contiguous()

    makers = {"digits": digits, "houses": houses, "faces": faces}
    return lambda kind, n: makers[kind](n)


def made_up(kind, n):
    """Smooth random images in the shape of digits, house numbers or faces."""
    channels, size = {"digits": (1, 28), "houses": (3, 32), "faces": (3, 64)}[kind]
    coarse = torch.rand(n, channels, 9, 9, generator=torch.Generator().manual_seed(7))
    smooth = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)
    return (smooth.clamp(0, 1) * 255).round().to(torch.uint8)


@pytest.fixture(scope="session", params=["random weights", "real weights and images"])
def inception(request):
    """An extractor of 64 features and images for it, ``(kind, n) -> uint8``."""
    if request.param == "random weights":
        weights, checksum = request.getfixturevalue("random_inception")
        extractor = InceptionFeatures(dimension=64, weights=weights, checksum=checksum)
        return extractor, made_up
    weights = request.getfixturevalue("weights")
    extractor = FoldedInception(dimension=64, weights=str(weights))
    return extractor, request.getfixturevalue("real_images")


def two_sets(images):
    """The first half against the second, which has noise: distances far from 0."""
    half = len(images) // 2
    noise = torch.randint(-20, 21, images[half:].shape, generator=torch.Generator().manual_seed(0))
    return Pixels(images[:half]), Pixels((images[half:] + noise).clamp(0, 255).to(torch.uint8))


def by_name(extractor):
    return {c.name: c.distance for c in extractor.conventions()}


def documented_forward(path, images):
    """Features from the folded file by its own layer names, as published with it: [n, 768]."""
    import json

    z = np.load(path)
    layers = {layer["name"]: layer for layer in json.loads(str(z["layers_json"]))}

    def conv(x, *names):
        for n in names:
            kernel, bias = torch.from_numpy(z[n + ".weight"]), torch.from_numpy(z[n + ".bias"])
            x = F.relu(F.conv2d(x, kernel, bias, layers[n]["stride"], tuple(layers[n]["padding"])))
        return x

    def average(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def largest(x):
        return F.max_pool2d(x, 3, 2)

    out = {}
    x = out[64] = largest(conv(images, "conv", "conv_1", "conv_2"))
    x = out[192] = largest(conv(x, "conv_3", "conv_4"))
    for m in ("mixed", "mixed_1", "mixed_2"):
        t, u = m + "_tower_conv", m + "_tower_1_conv"
        x = torch.cat([conv(x, m + "_conv"), conv(x, t, t + "_1"), conv(x, u, u + "_1", u + "_2"),
                       conv(average(x), m + "_tower_2_conv")], 1)  # fmt: skip
    t = "mixed_3_tower_conv"
    x = torch.cat([conv(x, "mixed_3_conv"), conv(x, t, t + "_1", t + "_2"), largest(x)], 1)
    for m in ("mixed_4", "mixed_5", "mixed_6", "mixed_7"):
        t, u = m + "_tower_conv", m + "_tower_1_conv"
        x = torch.cat([conv(x, m + "_conv"), conv(x, t, t + "_1", t + "_2"),
                       conv(x, u, *[f"{u}_{i}" for i in (1, 2, 3, 4)]),
                       conv(average(x), m + "_tower_2_conv")], 1)  # fmt: skip
    out[768] = x
    return {d: value.mean((2, 3)) for d, value in out.items()}


@pytest.mark.parametrize("dimension", [64, 192, 768])
def test_folded_weights_give_the_documented_features(weights, real_images, dimension):
    """Every layer in its place: torch-fidelity's network against the file's own description."""
    extractor = FoldedInception(dimension=dimension, weights=str(weights))
    assert extractor.checksum == CHECKSUM
    prepared = half_pixel_bilinear(real_images("faces", 2))
    ours = after_resize(extractor.network, prepared, dimension)
    expected = documented_forward(weights, prepared)[dimension]
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("kind", "size"), [("digits", 28), ("houses", 32), ("faces", 64)])
def test_the_distance_equals_torch_fidelity(inception, kind, size):
    extractor, images = inception
    first, second = two_sets(images(kind, 8))
    assert first.rounded.shape[2] == size
    distances = by_name(extractor)
    ours = distances["ltvm"](first, second)
    assert distances["torch-fidelity"](first, second) == pytest.approx(ours, rel=PARITY)


def test_the_768_features_equal_torch_fidelity(weights, real_images):
    extractor = FoldedInception(weights=str(weights))
    first, second = two_sets(real_images("faces", 4))
    distances = by_name(extractor)
    ours = distances["ltvm"](first, second)
    assert distances["torch-fidelity"](first, second) == pytest.approx(ours, rel=PARITY)


def test_the_well_known_wrong_variants_are_told_apart(inception):
    """Faces as a model makes them: floats, whose rounding and truncation differ."""
    extractor, images = inception
    faces = images("faces", 24)
    first, second = Pixels(faces[:12]), Pixels(faces[12:])
    draws = torch.Generator().manual_seed(1)
    noise = 0.98 * (torch.rand(second.rounded.shape, generator=draws) - 0.5)
    unrounded = ((second.rounded + noise) / 255).clamp(0, 1)
    assert torch.equal((unrounded * 255).round().to(torch.uint8), second.rounded)
    generated = Pixels(second.rounded, unrounded)
    distances = by_name(extractor)
    value = {name: distances[name](generated, first) for name in (
        "ltvm", "torchmetrics, corrected", "torchmetrics, antialiased only",
        "torchmetrics, truncated only")}  # fmt: skip
    ours = value.pop("ltvm")
    assert value.pop("torchmetrics, corrected") == pytest.approx(ours, rel=PARITY)
    for name, wrong in value.items():
        assert abs(wrong / ours - 1) > 3 * PARITY, name


def test_truncation_and_rounding_of_the_same_floats():
    unit = torch.tensor([0.0, 0.5 / 255, 0.6 / 255, 254.9 / 255, 1.0]).view(5, 1, 1, 1)
    pixels = Pixels((unit * 255).round().to(torch.uint8), unit)
    assert pixels.truncated.flatten().tolist() == [0, 0, 0, 254, 255]
    assert pixels.rounded.flatten().tolist() == [0, 0, 1, 255, 255]


def test_resizes_in_the_style_of_other_code_are_those_resizes():
    """pytorch-fid's and clean-fid's own formulas, on one image at a time."""
    from PIL import Image

    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    channel = Image.fromarray(images[1, 2].numpy().astype(np.float32), mode="F")
    resized = np.asarray(channel.resize((299, 299), resample=Image.BICUBIC))
    assert resized.min() < 0  # what is clipped, as clean-fid does
    assert resized.max() > 255
    expected = (resized.clip(0, 255) - 128) / 128
    np.testing.assert_allclose(pillow_bicubic(images)[1, 2], expected, rtol=1e-6)
    identity = torch.randint(0, 256, (1, 3, 299, 299), dtype=torch.uint8)
    for prepare, scaled in (
        (pillow_bicubic, (identity.float() - 128) / 128),
        (half_pixel_bilinear, 2 * (identity.float() / 255) - 1),
    ):
        torch.testing.assert_close(prepare(identity), scaled, rtol=1e-5, atol=1e-5)


def test_the_half_pixel_resize_is_its_formula():
    """Output i samples at (i + 1/2) 32 / 299 - 1/2, edges repeated, no antialiasing."""
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    place = ((np.arange(299) + 0.5) * 32 / 299 - 0.5).clip(0)
    low = np.floor(place).astype(int)
    weights = np.zeros((299, 32))
    np.add.at(weights, (np.arange(299), low), 1 - (place - low))
    np.add.at(weights, (np.arange(299), (low + 1).clip(max=31)), place - low)
    expected = 2 * (weights @ (images[0].numpy() / 255) @ weights.T) - 1
    np.testing.assert_allclose(half_pixel_bilinear(images)[0], expected, atol=1e-5)


def test_styled_distances_are_those_of_their_resize(inception):
    extractor, images = inception
    first, second = two_sets(images("houses", 24))
    distances = by_name(extractor)
    for name, prepare in (
        ("pytorch-fid style", half_pixel_bilinear),
        ("clean-fid style", pillow_bicubic),
    ):
        moments = [
            moments_of([after_resize(extractor.network, prepare(x.rounded), 64)], 64)
            for x in (first, second)
        ]
        expected = frechet_distance(*moments)
        assert distances[name](first, second) == pytest.approx(expected, rel=1e-6)
        assert abs(expected / distances["ltvm"](first, second) - 1) > 3 * PARITY


def test_after_resize_is_the_network_without_its_resize(inception):
    extractor, _ = inception
    images = torch.randint(0, 256, (2, 3, 299, 299), dtype=torch.uint8)
    expected = extractor(images)  # 299 already: the resize is the identity
    ours = after_resize(extractor.network, (images.float() - 128) / 128, 64)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-6)


def test_the_metric_runs_the_real_network_on_real_images(weights, real_images):
    faces = real_images("faces", 6)
    metric = FrechetDistance(FoldedInception(weights=str(weights)))
    real = ImageSet("faces", "train", faces[:3])
    context = Context(0, CPU)
    generated = metric.of_images(ImageSet("faces", "test", faces[3:]), context)
    (name, found), = metric.compare(generated, real, context).items()  # fmt: skip
    assert name == "fid_inception768"
    assert found.provenance["checksum"] == CHECKSUM
    assert found.provenance["batch"] == 50
    assert "singular" in found.provenance["warning"]
    assert 0 < found.value < 100


def test_folded_weights_end_at_768(weights):
    with pytest.raises(InputError, match="dimension=2048: allowed: 64, 192, 768"):
        FoldedInception(dimension=2048, weights=str(weights))


def test_truncated_weights_are_an_error_and_stay(weights, tmp_path):
    cut = tmp_path / FILE
    cut.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(InputError, match=r"truncated or another file"):
        FoldedInception(weights=str(cut))
    assert cut.stat().st_size == 100_000


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_another_file_with_the_expected_checksum_is_an_error(tmp_path, content):
    from ltvm.runtime.files import sha256_of

    file = tmp_path / "other.npz"
    if content is None:
        np.savez(file, x=np.zeros(3))
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match="no folded Inception weights"):
        FoldedInception(dimension=64, weights=str(file), checksum=sha256_of(file))
    assert file.exists()


def test_digit_conventions_differ_by_the_cast_alone():
    images = torch.randint(0, 256, (160, 1, 28, 28), dtype=torch.uint8)
    unrounded = (images[80:] / 255 - 0.4 / 255).clamp(0, 1)
    first, second = Pixels(images[:80]), Pixels(images[80:], unrounded)
    distances = {c.name: c.distance(second, first) for c in DigitFeatures().conventions()}
    assert distances["torch-fidelity"] == pytest.approx(distances["ltvm"], rel=PARITY)
    assert distances["truncating cast"] != pytest.approx(distances["ltvm"], rel=PARITY)
