"""What is searched of a method: ``tuning`` in its YAML, as distributions.

key: {low: 0.1, high: 1.0}              a number; log: true, evenly in its logarithm
key: {around: 10}                       in the logarithm, from value / 10 to value * 10
key: {choices: [exact, blocks]}         one of these
key: null                               not searched (a method that builds on another one)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
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
from ltvm.runs.ablations.found import PLAIN, searched, unequal

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
    asked = ranges or {}
    space = {
        key: distribution(
            f"{'ablation.tuned.space' if key in asked else 'method.tuning'}: {key}",
            spec,
            value_of(config, key),
        )
        for key, spec in searched(config, fixed, asked).items()
    }
    declared = config["method"].get("tuning") or {}
    no_others = "".join(f", of other keys than {key}" for key in unequal(config))
    require(bool(space), f"method.tuning of {name}", declared, f"key: {FORMS}{no_others}")
    for key in space:
        require(not is_choice(key), "method.tuning", key, "single keys, no choices of groups")
    return space


def distribution(key: str, spec: Any, value: Any) -> BaseDistribution:
    """The distribution of one key, whose ``value`` says whether it is a whole number."""
    if not isinstance(spec, Mapping):
        raise InputError(f"{key}={spec}: allowed: {FORMS}")
    try:
        match sorted(spec):
            case ["choices"]:
                choices = spec["choices"]
                plain = isinstance(choices, list) and all(type(one) in PLAIN for one in choices)
                require(plain, f"{key}.choices", choices, "a list of numbers or words")
                return CategoricalDistribution(choices)
            case ["around"]:
                factor = finite(f"{key}.around", spec["around"])
                require(factor > 1, f"{key}.around", factor, "a factor above 1")
                low, high = value / factor, value * factor
                if type(value) is int:
                    return IntDistribution(max(1, round(low)), round(high), log=True)
                return FloatDistribution(low, high, log=True)
            case ["high", "low"] | ["high", "log", "low"]:
                low, high = (finite(f"{key}.{end}", spec[end]) for end in ("low", "high"))
                log = spec.get("log", False)
                require(type(log) is bool, f"{key}.log", log, "true or false")
                if type(value) is int and low.is_integer() and high.is_integer():
                    return IntDistribution(int(low), int(high), log=log)
                return FloatDistribution(low, high, log=log)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{key}={dict(spec)}: {error}") from error
    raise InputError(f"{key}={dict(spec)}: allowed: {FORMS}")


def finite(key: str, value: Any) -> float:
    """A number; raises :class:`InputError` for a word, a truth value or an infinite one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    require(number and isfinite(value), key, value, "a finite number")
    return float(value)


def ends(distribution: BaseDistribution) -> list[Any]:
    """The least and the largest value of a range, or all choices."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def at_most(space: Space, key: str, most: int) -> Space:
    """A space whose whole number ``key``, where it is searched, does not exceed ``most``."""
    found = space.get(key)
    if not isinstance(found, IntDistribution) or found.high <= most:
        return space
    return space | {key: IntDistribution(min(found.low, most), most, log=found.log)}


def rounded(parameters: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """What is tried, numbers of a range to ``DIGITS`` significant digits."""
    return {
        key: float(f"{value:.{DIGITS}g}")
        if isinstance(space.get(key), FloatDistribution)
        else value
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
