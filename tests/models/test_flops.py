"""Operations as they are counted, against what the layers of the paper's Table 1 multiply."""

import pytest
import torch
from networks_by_name import decoder_of, encoder_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ltvm.models.doubling import DoublingConv
from ltvm.models.flops import autoencoder_flops, model_flops
from ltvm.models.prior import Prior, StandardNormal

# name: latent dimension, multiplications and additions of every layer, first layer first
LAYERS = {
    "mnist": (30, [30 * 1024, 1024 * 7 * 7 * 128, 7 * 7 * 128 * 64 * 4, 14 * 14 * 64 * 4]),
    "svhn": (
        64,
        [64 * 2 * 2 * 512]
        + [s * s * a * b * 25 for s, a, b in ((2, 512, 256), (4, 256, 128), (8, 128, 64))]
        + [16 * 16 * 64 * 3 * 25],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_decoder_costs_what_its_layers_multiply(name):
    d, layers = LAYERS[name]
    decoder = decoder_of(name, d, 1 if name == "mnist" else 3)
    before = {key: value.clone() for key, value in decoder.state_dict().items()}
    flops = model_flops(decoder, StandardNormal(d), d)
    forward = 2 * sum(layers)
    assert flops.chain == 2 * forward  # forward, and back to the code
    assert flops.update == 3 * forward - 2 * layers[0]  # and to the weights, but not to the code
    assert flops.prior_update == 0
    assert all(torch.equal(before[key], v) for key, v in decoder.state_dict().items())
    assert all(p.grad is None for p in decoder.parameters())


@pytest.mark.parametrize("name", ["svhn", "celeba"])
def test_the_count_is_that_of_torch(name):
    decoder, codes = decoder_of(name, 64, 3), torch.randn(2, 64)
    for layer in decoder.modules():
        if isinstance(layer, DoublingConv):
            layer.by_products = False
    with FlopCounterMode(display=False) as counter:
        decoder(codes).square().sum().backward()
    expected = counter.get_total_flops() // 2
    assert model_flops(decoder, StandardNormal(64), 64).update == expected


def test_a_vae_costs_both_networks():
    """The encoder's gradient of the images is not computed; the decoder's of the codes is."""
    d, layers = LAYERS["mnist"]
    encoder, decoder = encoder_of("mnist", d, 1), decoder_of("mnist", d, 1)
    mirrored = [14 * 14 * 64 * 4, 7 * 7 * 64 * 128 * 4, 7 * 7 * 128 * 1024, 1024 * 2 * d]
    expected = 6 * sum(layers) + 6 * sum(mirrored) - 2 * mirrored[0]
    assert autoencoder_flops(encoder, decoder, (1, 28, 28)) == expected


class Linear(Prior):
    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.layer = nn.Linear(latent_dim, 1)

    def energy(self, codes: Tensor) -> Tensor:
        return self.layer(codes)[:, 0] + codes.square().sum(1) / 2

    def sample(self, n, draws):
        return draws.normal(n, self.latent_dim)


def test_a_prior_of_one_s_own_is_counted():
    d, _ = LAYERS["mnist"]
    usual = model_flops(decoder_of("mnist", d, 1), StandardNormal(d), d)
    own = model_flops(decoder_of("mnist", d, 1), Linear(d), d)
    assert own.chain == usual.chain + 2 * 2 * d  # forward, and back to the code
    assert own.prior_update == 2 * 2 * 2 * d  # codes and draws, forward and to the weights
