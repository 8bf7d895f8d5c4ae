"""Noise per image: a counter-based generator against known answers and by its properties."""

import pytest
import torch

from ltvm.runtime.randomness import (
    ImageNoise,
    image_normals,
    number_of_batches,
    philox,
    shuffled_batches,
    smallest_batch,
    stream_key,
)


# Known answers of the authors of Philox (Random123, kat_vectors).
@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([2**32 - 1] * 4, 2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0A4093822,
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, words):
    signed = key - 2**64 if key >> 63 else key  # the same 64 bits, as int64 has them
    for given in (key, torch.tensor(signed)):
        got = philox(torch.tensor(counter), given)
        assert " ".join(f"{int(word):08x}" for word in got) == words


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(21, 2, [2] * 9 + [3]), (20, 2, [2] * 10), (3, 2, [3]), (8, 3, [3, 3, 2]), (7, 3, [3, 4])],
)
def test_no_batch_has_one_image(n, size, sizes):
    batches = shuffled_batches(n, size, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == sizes
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert (number_of_batches(n, size), smallest_batch(n, size)) == (len(sizes), min(sizes))


def test_a_key_may_be_a_tensor():
    key, images = torch.zeros((), dtype=torch.int64), torch.tensor([3, 2**32 - 1, 0])
    for number in (0, 1, stream_key(0, "noise", 3), 2**63 - 1):
        key.fill_(number)
        expected = image_normals(number, images, 4, 7, first=2)
        assert torch.equal(image_normals(key, images, 4, 7, first=2), expected)
        assert torch.equal(ImageNoise(key, images, 2).normals(4, 7), expected)
    assert ImageNoise(0, images).normals(4, 0) is None


def test_image_normals_are_normal_and_independent():
    from scipy import stats

    draws = image_normals(7, torch.arange(4000), 4, 5).double()
    assert stats.kstest(draws.flatten().numpy(), "norm").pvalue > 1e-3
    columns = draws.permute(0, 2, 1).reshape(20, 4000)  # one per step and dimension
    off = columns.corrcoef().fill_diagonal_(0).abs().max()
    assert off < 5 / 4000**0.5
    neighbours = torch.stack([draws[0, :-1, 0], draws[0, 1:, 0]]).corrcoef()[0, 1]
    assert abs(neighbours) < 5 / 4000**0.5
    other = image_normals(8, torch.arange(4000), 4, 5).double()
    assert torch.stack([draws.flatten(), other.flatten()]).corrcoef()[0, 1].abs() < 5 / 80000**0.5


def test_an_images_noise_is_its_own():
    whole = image_normals(7, torch.arange(50), 6, 5)
    some = torch.tensor([31, 4, 17])
    assert torch.equal(image_normals(7, some, 6, 5), whole[:, some])
    assert torch.equal(image_normals(7, some, 2, 5), whole[:2, some])
    assert torch.equal(image_normals(7, some, 6, 3), whole[:, some, :3])
