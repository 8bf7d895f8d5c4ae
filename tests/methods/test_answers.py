"""What a method must not answer: named in one line with the method, and by the contract."""

import pytest
import torch
from small_networks import small

from ltvm.config import resolve
from ltvm.data.cache import load_data
from ltvm.errors import DivergedError, InputError
from ltvm.methods.abp import AlternatingBackPropagation
from ltvm.methods.answers import inferred, sampled
from ltvm.methods.vae import VariationalAutoEncoder
from ltvm.testing import check_method

FEW = ["protocol=smoke", "device=cpu", "precision=float32", "protocol.train_images=40",
       "protocol.test_images=12", "protocol.batch=20"]  # fmt: skip


class Toy:
    """Answers what it is given to answer."""

    codes = torch.zeros(9, 5)

    def __init__(self, answer):
        self.answer = answer

    def infer(self, *_):
        return self.answer

    def sample(self, *_):
        return self.answer


NAN = torch.tensor(float("nan"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (torch.zeros(3), "Toy.infer: shape of codes=3: allowed: 2x5, a code for each image"),
        (torch.zeros(2, 6), "Toy.infer: shape of codes=2x6: allowed: 2x5"),
        (torch.zeros(2, 5, dtype=torch.int64), "Toy.infer: shape of codes=2x5 of int64"),
        (None, "Toy.infer: shape of codes=NoneType: allowed"),
    ],
)
def test_codes_of_another_shape(answer, words):
    with pytest.raises(InputError) as error:
        inferred(Toy(answer), torch.zeros(2, 1, 4, 4), torch.Generator())
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (torch.zeros(1, 1, 4, 4), "Toy.sample: shape of 2 images=1x1x4x4: allowed: 2 x channels"),
        (torch.zeros(2, 16), "Toy.sample: shape of 2 images=2x16"),
        ((), "Toy.sample: shape of 2 images=tuple"),
    ],
)
def test_samples_of_another_shape(answer, words):
    with pytest.raises(InputError) as error:
        sampled(Toy(answer), 2, torch.Generator())
    assert words in str(error.value)


def test_what_is_not_finite_is_a_divergence_with_its_name():
    images = torch.zeros(2, 1, 4, 4)
    with pytest.raises(DivergedError, match="Toy.infer: codes that are not finite"):
        inferred(Toy(torch.zeros(2, 5) + NAN), images, torch.Generator())
    assert (
        inferred(Toy(torch.zeros(2, 5) + NAN), images, torch.Generator(), finite=False)
        .isnan()
        .all()
    )
    with pytest.raises(DivergedError, match="Toy.sample: samples that are not finite"):
        sampled(Toy(images + NAN), 2, torch.Generator())


@pytest.mark.parametrize("kind", [VariationalAutoEncoder, AlternatingBackPropagation])
def test_the_contract_finds_inference_that_looks_at_other_images(kind, monkeypatch):
    config = resolve([*FEW, *small("vae" if kind is VariationalAutoEncoder else "abp")])
    infer = kind.infer

    def together(self, images, generator, **options):
        codes = infer(self, images, generator, **options)
        return codes - 0.01 * codes.mean(0)

    monkeypatch.setattr(kind, "infer", together)
    with pytest.raises(AssertionError, match="broken: an image's code depends on no other image"):
        check_method(config, load_data(config))
