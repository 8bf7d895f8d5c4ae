"""Contracts of all that can be added from outside, as checks that authors can run on theirs.

    ltvm check method=toy prior=mine --config-dir mine

or in a test:

    from ltvm.testing import check
    def test_contract():
        check(["method=toy"])

Each check returns the sentences that hold, and raises ``AssertionError`` with the first that does
not. Bad input raises :class:`ltvm.errors.InputError`, as it does in a run.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ltvm.chain.kernels.contract import check_kernel
from ltvm.config import Config, resolve
from ltvm.data.cache import load_data
from ltvm.data.image_set import DataSet
from ltvm.densities.base import Density
from ltvm.errors import InputError, did_you_mean, require
from ltvm.methods.base import Method
from ltvm.methods.chain_method import build_kernel
from ltvm.methods.counted import TOLERANCE, count_iteration
from ltvm.metrics.base import Context, Metric
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor
from ltvm.models.networks import build_decoder, build_encoder, build_prior
from ltvm.models.prior import Prior
from ltvm.overrides import parse
from ltvm.runs.execution.build import build_extractor, build_method, build_metrics, build_problem
from ltvm.runs.execution.sampler import build_density
from ltvm.runtime.randomness import GeneratorDraws, ImageDraws, stream
from ltvm.transport import Solver, build_solver
from ltvm.transport.coupling import checked

SMOKE = ("protocol=smoke", "device=cpu", "precision=float32")


def build(overrides: Sequence[str]) -> Method:
    """A method that has not been trained, on the smoke protocol and the CPU, for tests of it."""
    config = resolve([*SMOKE, *overrides])
    return build_method(config, build_problem(config, load_data(config)))


def check(overrides: Sequence[str]) -> list[str]:
    """Check every part that ``overrides`` choose, on the smoke protocol and the CPU."""
    chosen = {key for key, _ in parse(overrides)} & set(CHECKS)
    if not chosen:
        given = [key for key, _ in parse(overrides)]
        meant = [name for key in given for name in CHECKS if name.split(".")[-1] == key]
        near = f"; did you mean {meant[0]}?" if meant else did_you_mean(" ".join(given), CHECKS)
        raise InputError(f"check: nothing chosen; allowed: {', '.join(CHECKS)}{near}")
    config = resolve([*SMOKE, *overrides])
    return [sentence for key, run in CHECKS.items() if key in chosen for sentence in run(config)]


def expect(holds: object, sentence: str) -> None:
    """Raise ``AssertionError`` with the sentence of the contract that does not hold."""
    if not holds:
        raise AssertionError(f"broken: {sentence}")


def checking(held: list[str]) -> Callable[[object, str], None]:
    """``expect`` that keeps the sentences that hold."""

    def check_one(condition: object, sentence: str) -> None:
        expect(condition, sentence)
        held.append(sentence)

    return check_one


def check_prior(prior: Prior, d: int) -> list[str]:
    """Draws, energies and gradients of a prior in R^d."""
    held: list[str] = []
    holds = checking(held)
    draws = prior.sample(6, GeneratorDraws(stream(0, "contract")))
    holds(draws.shape == (6, d) and draws.isfinite().all(), "a prior's draws are finite [n, d]")
    holds(draws.dtype == torch.float32 and not draws.requires_grad, "draws are float32, no graph")
    again = prior.sample(6, GeneratorDraws(stream(0, "contract")))
    holds(torch.equal(draws, again), "draws depend on the given numbers alone")
    several = prior.sample(3, ImageDraws(1, torch.tensor([4, 5, 6])))
    alone = prior.sample(1, ImageDraws(1, torch.tensor([5])))
    holds(torch.allclose(several[1:2], alone, atol=1e-5), "a code's draw depends on no other code")
    codes = draws.clone().requires_grad_(True)
    energies = prior.energy(codes)
    holds(energies.shape == (6,), "energy is [n]")
    (gradient,) = torch.autograd.grad(energies.sum(), codes)
    holds(gradient.shape == codes.shape and gradient.isfinite().all(), "energy has a gradient")
    alone_energy = prior.energy(draws[2:3])
    same = torch.allclose(energies[2:3].detach(), alone_energy.detach(), rtol=1e-4, atol=1e-5)
    holds(same, "a code's energy depends on no other code")
    holds(prior.precise_energy(draws).dtype == torch.float64, "precise_energy is float64")
    if prior.is_standard_normal:
        difference = energies - codes.square().sum(1) / 2
        holds(difference.std() < 1e-5, "who says standard normal has the energy |z|^2 / 2")
    return held


def check_density(density: Density, n: int = 200, d: int = 4) -> list[str]:
    """A fit to n correlated codes in R^d, draws from it, and its density where that is known."""
    held: list[str] = []
    holds = checking(held)
    density.check(n, d)
    codes = torch.randn(n, d, generator=stream(0, "contract")).cumsum(1) + 2

    def fitted(codes: Tensor) -> Tensor:
        density.fit(codes, stream(1, "contract"))
        return density.sample(7, stream(2, "contract"))

    before = codes.clone()
    drawn = fitted(codes)
    holds(torch.equal(codes, before), "a fit leaves the codes as they were")
    holds(drawn.shape == (7, d) and drawn.isfinite().all(), "draws are finite [n, d]")
    holds(drawn.dtype == torch.float32 and not drawn.requires_grad, "draws are float32, no graph")
    again = density.sample(7, stream(2, "contract"))
    holds(torch.equal(drawn, again), "draws depend on the fit and the generator alone")
    other = fitted(codes + 5)
    holds(not torch.equal(drawn, other), "draws depend on the codes")
    holds(torch.equal(drawn, fitted(codes)), "a fit depends on its codes and generator alone")
    many = density.sample(2_000, stream(3, "contract"))
    spread = codes.std(0).max()
    holds((many.mean(0) - codes.mean(0)).abs().max() < spread, "draws lie where the codes do")
    holds(json.dumps(density.found) and isinstance(density.found, dict), "found is a dict for JSON")
    try:
        known = density.log_density(codes)
    except NotImplementedError:
        return [*held, "its density is not known"]
    holds(known.shape == (n,) and known.isfinite().all(), "log densities are finite [n]")
    holds(known.dtype == torch.float64, "log densities are float64")
    alone = density.log_density(codes[3:4])
    same = torch.allclose(known[3:4], alone, rtol=1e-4, atol=1e-5)
    holds(same, "a code's density depends on no other code")
    return held


def check_decoder(config: Config, data: DataSet) -> list[str]:
    """Shapes, range and gradients of a decoder, and of the encoder beside it if there is one."""
    held: list[str] = []
    holds = checking(held)
    d, shape, seed = config["model"]["latent_dim"], data.train.shape, config["seed"]
    decoder = build_decoder(config["decoder"], d, shape, seed)  # refuses other shapes and ranges
    held.append("a decoder makes images of the data's shape in [-1, 1]")
    twin = build_decoder(config["decoder"], d, shape, seed)
    equal = [
        torch.equal(a, b) for a, b in zip(decoder.parameters(), twin.parameters(), strict=True)
    ]
    holds(all(equal), "initial weights depend on the seed alone")
    codes = torch.randn(4, d, generator=stream(0, "contract"), requires_grad=True)
    (gradient,) = torch.autograd.grad(decoder(codes).sum(), codes)
    holds(gradient.isfinite().all() and gradient.abs().sum() > 0, "images depend on codes")
    if config["decoder"].get("encoder"):
        norm = config["decoder"].get("norm", "batch")
        build_encoder(config["decoder"]["encoder"], d, shape, seed, norm)  # refuses other shapes
        held.append("its encoder makes means and log-variances [n, 2 d]")
    return held


def check_extractor(extractor: Extractor, data: DataSet) -> list[str]:
    """Features of a few training images, and what an extractor declares."""
    held: list[str] = []
    holds = checking(held)
    for name in ("name", "feature_name", "title", "distance", "checksum", "resize"):
        given = getattr(extractor, name, None)
        holds(isinstance(given, str) and given, f"an extractor declares its {name}")
    images = data.train.images[:8]
    features = extractor(images)
    holds(features.shape == (8, extractor.dimension), "features are [n, dimension]")
    holds(features.dtype == torch.float64, "features are float64")
    alone = extractor(images[3:4])
    holds(torch.allclose(features[3:4], alone, rtol=1e-4, atol=1e-5), "no image affects another")
    return held


def check_metric(
    metric: Metric, method: Method, data: DataSet, context: Context, complete: bool = True
) -> list[str]:
    """The values of a metric on a method, each with a column that says what it is.

    ``complete``: the method has all that a metric may look at, so that this one has to say
    something; of another method it may have nothing to say.
    """
    held: list[str] = []
    holds = checking(held)
    metric.check(data, context)
    columns, curve_columns = metric.columns(), metric.curve_columns()
    declared = [*columns.values(), *curve_columns.values()]
    holds(all(isinstance(c, Column) for c in declared), "columns are of the class Column")
    holds(all(c.title and c.definition for c in declared), "columns have a title and a definition")
    values, curve = metric(method, data, context), metric.curve(method, data, context)
    if complete:
        holds(values or curve, "a metric gives a value or a point of a curve")
    holds(set(values) <= set(columns), "every value has a column")
    finite = all(torch.isfinite(torch.tensor(m.value)) for m in values.values())
    holds(finite, "values are finite")
    again = metric(method, data, context)
    same = {k: m.value for k, m in values.items()} == {k: m.value for k, m in again.items()}
    holds(same, "a second call gives the same values")
    holds(set(curve) <= set(curve_columns), "curves have columns")
    return held


def check_solver(solver: Solver, n: int = 60, d: int = 5) -> list[str]:
    """A coupling of random codes to random targets."""
    held: list[str] = []
    holds = checking(held)
    draw = stream(0, "contract")
    codes, targets = 2 * torch.randn(n, d, generator=draw) + 1, torch.randn(n, d, generator=draw)
    before, elsewhere = (codes.clone(), targets.clone()), torch.get_rng_state()
    coupling = checked(solver(codes, targets, {}, stream(1, "contract")), solver)
    same = torch.equal(elsewhere, torch.get_rng_state())
    holds(same, "a solver draws from the generator that it is given")
    same = torch.equal(codes, before[0]) and torch.equal(targets, before[1])
    holds(same, "a solver leaves codes and targets as they were")
    holds(coupling.mapped.shape == (n, d), "a solver maps every code: [n, d]")
    again = solver(codes, targets, {}, stream(1, "contract"))
    holds(torch.equal(coupling.mapped, again.mapped), "a coupling depends on its arguments alone")
    cost = (codes.double() - coupling.mapped.double()).square().sum(1).mean().item()
    holds(abs(coupling.cost - cost) <= 1e-6 * max(1.0, cost), "cost is the mean squared distance")
    if coupling.assignment is not None:
        whole = torch.equal(coupling.assignment.sort().values, torch.arange(n))
        holds(whole, "an assignment is a permutation")
        mapped = targets[coupling.assignment]
        holds(torch.equal(coupling.mapped, mapped), "codes go to their targets")
    if coupling.lower_bound is not None:
        holds(coupling.lower_bound <= cost * (1 + 1e-6), "a lower bound is below the cost")
    solver(codes, targets, coupling.state, stream(1, "contract"))
    held.append("a coupling's state is a warm start")
    return held


def check_data(data: DataSet) -> list[str]:
    """Both splits of a data set."""
    held: list[str] = []
    holds = checking(held)
    holds(data.train.shape == data.test.shape, "both splits have images of one shape")
    holds(data.train.fingerprint != data.test.fingerprint, "the splits are different images")
    holds(data.train.images.is_contiguous(), "images are contiguous")
    return held


def check_method(config: Config, data: DataSet) -> list[str]:
    """An iteration, its cost, samples, inference and resumption of a method; some seconds."""

    def fresh() -> Method:
        return build_method(config, build_problem(config, data))

    held: list[str] = []
    check = checking(held)
    method = fresh()
    n, d = len(data.train), config["model"]["latent_dim"]
    before = {key: value.clone() for key, value in method.decoder.state_dict().items()}
    scalars = method.fit_iteration()
    finite = all(torch.isfinite(torch.tensor(float(value))) for value in scalars.values())
    check(finite, "fit_iteration returns finite scalars")
    check(method.iteration == 1, "fit_iteration counts the iteration")
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
    check(codes.isfinite().all(), "infer returns finite codes")
    company = torch.cat([images[:3], data.test.scaled(slice(6, 9))])  # of the same number
    others = method.infer(company, stream(1, "contract"))
    same = torch.allclose(codes[:3], others[:3], rtol=1e-3, atol=1e-4)
    check(same, "an image's code depends on no other image")
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
    return held + check_cost(resumed)


def check_cost(method: Method) -> list[str]:
    """An iteration of a method that has trained before costs what the method declares."""
    held: list[str] = []
    holds, counted = checking(held), count_iteration(method)
    holds(
        counted.allowance_holds,
        "fit_iteration spends its allowance, within one batch (see Method.visits)",
    )
    holds(
        counted.flops_hold,
        f"fit_iteration declares the FLOPs that it does, within {100 * TOLERANCE:.0f} %: "
        f"declares {counted.declared_flops:.4g}, does {counted.flops:.4g}",
    )
    holds(
        counted.updates_hold,
        f"fit_iteration declares the decoder updates that it makes: prices "
        f"{counted.priced_updates}, counts {counted.declared_updates}, makes {counted.updates}",
    )
    return held


def _metrics(config: Config) -> list[str]:
    data = load_data(config)
    method = build_method(config, build_problem(config, data))
    method.fit_iteration()
    context = Context(config["seed"], torch.device("cpu"))
    metrics = build_metrics(config, torch.device("cpu"))
    complete = config["method"]["name"] == "short_run_ot"  # chains, a correction, an energy
    return [
        f"{name}: {sentence}"
        for name, metric in metrics.items()
        for sentence in check_metric(metric, method, data, context, complete)
    ]


def _sampler(config: Config) -> list[str]:
    density = build_density(config)
    return ["prior: nothing is fitted"] if density is None else check_density(density)


def _prior(config: Config) -> list[str]:
    d = config["model"]["latent_dim"]
    return check_prior(build_prior(config["prior"], d, config["seed"]), d)


def _extractor(config: Config) -> list[str]:
    extractor = build_extractor(config, torch.device("cpu"))
    require(extractor is not None, "evaluation.extractor", None, "an extractor")
    return check_extractor(cast(Extractor, extractor), load_data(config))


def _solver(config: Config) -> list[str]:
    method: dict[str, Any] = config["method"]
    return check_solver(build_solver(method["solver"], **method["solver_options"]))


CHECKS: dict[str, Callable[[Config], list[str]]] = {
    "data": lambda config: check_data(load_data(config)),
    "decoder": lambda config: check_decoder(config, load_data(config)),
    "prior": _prior,
    "sampler": _sampler,
    "method.kernel": lambda config: check_kernel(build_kernel(config["method"]["kernel"])),
    "method.solver": _solver,
    "method": lambda config: check_method(config, load_data(config)),
    "evaluation.extractor": _extractor,
    "evaluation": _metrics,
}
