"""Decoders, encoders and priors from their configuration: built, initialised, tried out.

Any ``nn.Module`` will do whose shapes fit. Linear and convolutional layers start from Xavier-normal
weights and zero biases, whoever wrote the network, so that decoders compare; whatever else it draws
when it is made comes from the seed as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ltvm.errors import InputError, require
from ltvm.models.batchnorm import statistics
from ltvm.models.prior import Prior
from ltvm.models.weights import xavier_
from ltvm.runtime.construct import construct, takes
from ltvm.runtime.randomness import GeneratorDraws, stream, stream_key

Parameters = Mapping[str, Any]
WIDEST = 100_000  # channels of a layer
LARGEST = 1 + 1e-6  # of pixels in [-1, 1]


def build_decoder(
    parameters: Parameters, latent_dim: int, shape: tuple[int, ...], seed: int
) -> nn.Module:
    """A decoder g: codes [n, latent_dim] -> images [n, *shape] in [-1, 1], on the CPU.

    ``parameters`` are those of ``config["decoder"]``. Its class is given ``latent_dim``, and of
    ``channels`` and ``size`` (pixels) what it takes. Raises :class:`ltvm.errors.InputError` if it
    cannot be built or makes other images.
    """
    require(latent_dim >= 1, "model.latent_dim", latent_dim, "1 or more")
    own = {k: v for k, v in parameters.items() if k not in ("name", "encoder")}
    decoder: nn.Module = _network("decoder", own, latent_dim, shape, seed)
    name = parameters.get("name", parameters["_target_"])
    images = dry_pass(decoder, 3 * torch.randn(2, latent_dim, generator=stream(0, "dry pass")))
    require(
        tuple(images.shape) == (2, *shape), f"decoder={name}: makes images",
        "x".join(map(str, images.shape[1:])), f"{'x'.join(map(str, shape))}, as the data has",
    )  # fmt: skip
    largest = images.abs().max().item()
    require(
        largest <= LARGEST, f"decoder={name}: makes pixels", f"{largest:.3g}", "from -1 to 1 (Tanh)"
    )
    return decoder


def build_encoder(
    parameters: Parameters | None, latent_dim: int, shape: tuple[int, ...], seed: int, norm: str
) -> nn.Module:
    """An encoder: images [n, *shape] in [-1, 1] -> mean and log-variance [n, 2 * latent_dim].

    ``parameters`` are those of ``config["decoder"]["encoder"]``; its class is given ``norm``, the
    decoder's, if it takes it and they do not say. Raises :class:`ltvm.errors.InputError`.
    """
    if parameters is None:
        raise InputError("decoder.encoder=null: allowed: the _target_ of an encoder, its mirror")
    own = dict(parameters)
    if takes("decoder.encoder", own, "norm"):
        own.setdefault("norm", norm)
    encoder = _network("encoder", own, latent_dim, shape, seed)
    try:
        codes = dry_pass(encoder, torch.zeros(2, *shape))
    except InputError as error:
        raise InputError(f"decoder.encoder: {error}") from error
    require(
        tuple(codes.shape) == (2, 2 * latent_dim), "decoder.encoder: makes",
        list(codes.shape), f"[n, {2 * latent_dim}], mean and log-variance",
    )  # fmt: skip
    return encoder


def build_prior(parameters: Parameters, latent_dim: int, seed: int) -> Prior:
    """The prior of ``config["prior"]``, on the CPU.

    Raises :class:`ltvm.errors.InputError` if its draws or energies have another shape.
    """
    own = {k: v for k, v in parameters.items() if k != "name"}
    name = parameters.get("name", parameters["_target_"])
    with seeded_defaults(stream_key(seed, "prior weights")):
        prior = construct("prior", own, latent_dim=latent_dim)
    if not isinstance(prior, Prior):
        raise InputError(f"prior={name}: a {type(prior).__name__}; allowed: a subclass of Prior")
    codes = prior.sample(3, GeneratorDraws(stream(0, "dry pass")))
    shape = tuple(codes.shape)
    require(shape == (3, latent_dim), f"prior={name}: draws", list(shape), f"[n, {latent_dim}]")
    energies = prior.energy(codes)
    require(tuple(energies.shape) == (3,), f"prior={name}: energy", list(energies.shape), "[n]")
    return prior


def check_widths(kind: str, own: Parameters) -> None:
    """Raise :class:`InputError` for channels or pixels that no layer can have."""
    for key in ("widths", "stem_size"):
        if key in own:
            several = own[key] if isinstance(own[key], list | tuple) else [own[key]]
            sound = bool(several) and all(type(n) is int and 1 <= n <= WIDEST for n in several)
            require(sound, f"{kind}.{key}", own[key], f"1 to {WIDEST:,}")


def _network(
    kind: str, own: Parameters, latent_dim: int, shape: tuple[int, ...], seed: int
) -> nn.Module:
    check_widths(kind, own)
    given = {"latent_dim": latent_dim, "channels": shape[0], "size": shape[-1]}
    given = {k: v for k, v in given.items() if k == "latent_dim" or takes(kind, own, k)}
    key = {"encoder": "decoder.encoder"}.get(kind, kind)
    with seeded_defaults(stream_key(seed, f"{kind} defaults")):
        network: nn.Module = construct(key, own, **given)
    xavier_(network, stream(seed, kind))
    return network


@torch.no_grad()
def dry_pass(network: nn.Module, inputs: Tensor) -> Tensor:
    """What a network makes of inputs with running statistics.

    Raises :class:`ltvm.errors.InputError` if it fails.
    """
    try:
        with statistics(network, "running"):
            made: Tensor = network(inputs)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        what = " ".join(str(error).split())[:160]
        raise InputError(
            f"{type(network).__name__}: fails on inputs {list(inputs.shape)} ({what}); "
            "allowed: a network for this latent dimension and these images"
        ) from error
    return made


@contextmanager
def seeded_defaults(key: int) -> Iterator[None]:
    """What is drawn from torch's global generator comes from ``key``; its state is put back."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(key)
    try:
        yield
    finally:
        torch.set_rng_state(state)
