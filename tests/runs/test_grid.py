"""The cells of an ablation: how axes combine, grids join, and cells are left out."""

import pytest

from ltvm.errors import InputError
from ltvm.runs.ablations.ablation import plan
from ltvm.runs.ablations.claims import claims_of, compared
from ltvm.runs.ablations.grid import Ablation


def cells(**changes):
    content = {"name": "x", "question": "?", "base": [], "axes": {"a": [1, 2], "b": [3, 4]}}
    return list(Ablation(**(content | changes)).cells())


def test_how_axes_combine():
    assert cells() == [("a=1", "b=3"), ("a=1", "b=4"), ("a=2", "b=3"), ("a=2", "b=4")]
    assert cells(combine="one_factor") == [(), ("a=1",), ("a=2",), ("b=3",), ("b=4",)]
    assert cells(combine="paired") == [("a=1", "b=3"), ("a=2", "b=4")]
    assert cells(extra=[["c=9"]])[-1] == ("c=9",)


@pytest.mark.parametrize(
    "changes",
    [{"combine": "zip"}, {"seeds": []}, {"seeds": [0, 0]}, {"seeds": [-1]}, {"axes": {"a": 3}},
     {"axes": {"a": [1], "b": [1, 2]}, "combine": "paired"}, {"exclude": [{"c": 1}]},
     {"union": [{"axis": {}}]}, {"union": [{"axes": {"c": 1}}]}, {"max_runs": 0},
     {"max_hours": "1"}],
)  # fmt: skip
def test_bad_ablations_are_refused(changes):
    with pytest.raises(InputError, match="ablation"):
        cells(**changes)


def test_cells_are_left_out_and_grids_joined():
    assert cells(exclude=[{"a": 1, "b": 3}, {"a": 2, "b": [3, 4]}]) == [("a=1", "b=4")]
    assert cells(combine="one_factor", exclude=[{"b": 4}]) == [(), ("a=1",), ("a=2",), ("b=3",)]
    paired = {"axes": {"a": [5, 6], "c": [7, 8]}, "combine": "paired", "exclude": [{"c": 7}]}
    joined = cells(axes={"a": [1]}, union=[paired, {"axes": {"d": [None]}}])
    assert joined == [("a=1",), ("a=6", "c=8"), ("d=null",)]


def test_the_budget_takes_all_cells_at_the_first_seed_before_the_second():
    for most, expected in ((7, [5, 2, 0]), (3, [3, 0, 0]), (100, [5, 5, 5])):
        planned = plan(["ablation=ot", f"ablation.max_runs={most}"])
        assert [len(runs) for runs in planned.by_seed()] == expected
        assert len(planned.runs) == 15  # what the report shows, missing ones too


def test_a_method_without_a_key_joins_a_sweep_of_it():
    definition = ["ablation=alpha", "ablation.axes={method:[short_run_ot],method.alpha:[0.1,0.5]}"]
    planned = plan([*definition, "ablation.union=[{axes:{method:[vae]}}]", "ablation.seeds=[0]"])
    assert [run.label for run in planned.runs] == [
        "short_run_ot alpha=0.1 seed=0", "short_run_ot alpha=0.5 seed=0", "vae seed=0",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "cells"), [("what_matters", 26), ("chains", 12), ("reasons", 14)])
def test_every_cell_of_the_variants_has_a_twin_of_its_own_kind(name, cells):
    """Differences are taken to the twin whose swept keys, but for the method, are equal."""
    planned = plan([f"ablation={name}", "ablation.seeds=[0]"])
    assert len({run.cell for run in planned.runs}) == cells

    def kind(run):
        return {k: v for k, v in run.values.items() if k != "method"}

    twins = [kind(r) for r in planned.runs if r.values["method"] == "short_run_uncorrected"]
    assert all(kind(run) in twins for run in planned.runs)


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("large", 5),
        ("hot_chain", 3),
        ("mechanism", 6),
        ("moments", 2),
        ("dose", 2),
        ("anomaly", 2),
        ("all_digits", 1),
        ("twin_settings", 2),
    ],
)
def test_every_claim_that_ships_is_of_rows_that_are_there(name, claims):
    planned = plan([f"ablation={name}", "ablation.seeds=[0]", "ablation.tuned=null"])
    stated = claims_of(planned.ablation.claims)
    rows = [run.row for run in planned.runs]
    assert len(stated) == claims
    for claim in stated:
        pairs = compared(claim, rows)
        assert len(pairs) == (5 if claim.over else 1), claim.name
        assert {tuple(map(len, pair)) for pair in pairs.values()} == {(1, 1)}, claim.name
