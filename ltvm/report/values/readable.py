"""What of a store can stand in a table; what is damaged is named and left out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any

from ltvm.errors import InputError, UnreadableError
from ltvm.report.values.declared import column_of
from ltvm.report.values.flat import Flattener
from ltvm.report.values.rows import Row
from ltvm.runs.files.content import is_number
from ltvm.runs.files.store import Run


def readable(runs: Iterable[Run]) -> list[tuple[Run, Row, dict[str, dict[str, Any]]]]:
    """Runs with their flat configurations and evaluations; a damaged one is named and left out.

    A damaged evaluation alone is left out alone.
    """
    found, flat = [], Flattener()
    for run in runs:
        try:
            run.record()
            config = flat(run.config())
            absent = [key for key in ("data.name", "method.name", "seed") if key not in config]
            if absent:
                raise InputError(f"{run.config_file} has no {', '.join(absent)}")
        except InputError as error:
            warnings.warn(f"left out of the table: {error}", stacklevel=2)
            continue
        evaluations = {}
        for identity in run.evaluation_names():
            try:
                evaluation = readable_evaluation(run, identity)
            except InputError as error:
                warnings.warn(f"left out of the table: {error}", stacklevel=2)
                continue
            if evaluation is not None:
                evaluations[identity] = evaluation
        found.append((run, config, evaluations))
    return found


def readable_evaluation(run: Run, identity: str) -> dict[str, Any] | None:
    """An evaluation of a run, if there is one.

    Raises :class:`ltvm.errors.UnreadableError` where a table could not say what its values are.
    """
    evaluation = run.evaluation(identity)
    if evaluation is None or evaluation["status"] != "done":
        return evaluation
    wrong = [f"no {key}" for key in ("name", "identity", "values", "columns", "versions")
             if key not in evaluation]  # fmt: skip
    if not wrong:
        values = evaluation["values"].items()
        said = ((name, wrong_with_value(name, content, evaluation)) for name, content in values)
        wrong = [f"{name} {what}" for name, what in said if what is not None]
    if wrong:
        file = run.evaluation_file(identity)
        what = f"is not an evaluation ({', '.join(wrong[:3])})"
        raise UnreadableError(file, what, "delete it to do it again")
    return evaluation


def wrong_with_value(name: str, content: dict[str, Any], evaluation: dict[str, Any]) -> str | None:
    """Why a value cannot stand in a table, in words; None where it can."""
    column, n = evaluation["columns"].get(name), content.get("n")
    if "value" not in content or column is None:
        return "has no value" if column is not None else "has no column"
    if n is not None and not is_number(n):
        return "has an n that is no number"
    try:
        return wrong_with_column(tuple(column.items()))
    except TypeError:  # what is no text cannot be looked up
        return "has a column that is none"


@cache
def wrong_with_column(fields: tuple[tuple[str, Any], ...]) -> str | None:
    try:
        column_of(dict(fields))
    except (TypeError, ValueError) as error:
        return f"has a column that is none ({error})"
    return None
