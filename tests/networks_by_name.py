"""Networks of the suite by name, for tests that need one and no configuration around it."""

from ltvm.config import resolve
from ltvm.models.networks import build_decoder, build_encoder
from ltvm.models.weights import xavier_

SIZES = {"mnist": 28, "svhn": 32, "celeba": 64}


def decoder_of(name, d, channels, generator=None, seed=0, **changes):
    """A decoder of Table 1; ``changes`` such as ``norm`` override its configuration."""
    parameters = resolve([f"decoder={name}"])["decoder"] | changes
    decoder = build_decoder(parameters, d, (channels, SIZES[name], SIZES[name]), seed)
    if generator is not None:
        xavier_(decoder, generator)
    return decoder


def encoder_of(name, d, channels, norm="batch"):
    """Its mirror."""
    parameters = resolve([f"decoder={name}"])["decoder"]["encoder"]
    return build_encoder(parameters, d, (channels, SIZES[name], SIZES[name]), 0, norm)
