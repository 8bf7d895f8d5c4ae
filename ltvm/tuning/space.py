"""What is searched of a method: ``tuning`` in its YAML, as distributions.

key: {low: 0.1, high: 1.0}              a number; log: true, evenly in its logarithm
key: {around: 10}                       in the logarithm, from value / 10 to value * 10
key: {choices: [exact, blocks]}         one of these
key: null                               not searched (a method that builds on another one)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ltvm.config import Config
from ltvm.errors import InputError, require
from ltvm.overrides import is_choice
from ltvm.runs.ablations.ablation import value_of

Space = dict[str, BaseDistribution]
FORMS = "{low, high} with log, {around}, {choices} or null"
DIGITS = 4  # of a number that is tried: commands stay readable


def space_of(
    config: Config, fixed: Collection[str], ranges: Mapping[str, Any] | None = None
) -> Space:
    """Key -> distribution, of ``config``'s method; ``fixed`` keys are the user's own.

    ``ranges`` are in place of the method's own, for keys that it has.
    Raises :class:`InputError` for what is no search space, or where there is nothing to search.
    """
    name = config["method"]["name"]
    declared = config["method"].get("tuning") or {}
    ranges = ranges or {}
    space = {
        key: distribution(
            f"{'ablation.tuned.space' if key in ranges else 'method.tuning'}: {key}",
            ranges.get(key, spec),
            value_of(config, key),
        )
        for key, spec in declared.items()
        if spec is not None and key not in fixed
    }
    require(bool(space), f"method.tuning of {name}", declared, "key: " + FORMS)
    for key in space:
        require(not is_choice(key), "method.tuning", key, "single keys, no choices of groups")
    return space


def distribution(key: str, spec: Any, value: Any) -> BaseDistribution:
    """The distribution of one key, whose ``value`` says whether it is a whole number."""
    if not isinstance(spec, Mapping):
        raise InputError(f"{key}={spec}: allowed: {FORMS}")
    try:
        match sorted(set(spec) - {"log"}):
            case ["choices"]:
                return CategoricalDistribution(list(spec["choices"]))
            case ["around"]:
                factor = float(spec["around"])
                require(factor > 1, f"{key}.around", factor, "a factor above 1")
                low, high = value / factor, value * factor
                if type(value) is int:
                    return IntDistribution(max(1, round(low)), round(high), log=True)
                return FloatDistribution(low, high, log=True)
            case ["high", "low"]:
                numbers, log = (spec["low"], spec["high"]), bool(spec.get("log", False))
                if all(type(number) is int for number in (*numbers, value)):
                    return IntDistribution(*numbers, log=log)
                low, high = map(float, numbers)
                return FloatDistribution(low, high, log=log)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{key}={dict(spec)}: {error}") from error
    raise InputError(f"{key}={dict(spec)}: allowed: {FORMS}")


def rounded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What is tried, numbers to ``DIGITS`` significant digits."""
    return {
        key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for key, value in parameters.items()
    }


def usual(config: Config, space: Space) -> dict[str, Any] | None:
    """The values that the configuration has itself; None where one lies outside of the space."""
    values = {key: value_of(config, key) for key in space}
    return values if all(contains(space[key], value) for key, value in values.items()) else None


def contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and distribution.low <= value <= distribution.high
