"""A sound machine passes, one that computes wrongly does not, and hours follow from rates."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from ltvm.chain.engine import Engine
from ltvm.cli.main import main
from ltvm.config import resolve
from ltvm.doctor import agreement, forecast, report, speed
from ltvm.doctor.agreement import Check, numpy_distance
from ltvm.methods.base import Method

NAMES = {
    "noise", "chain, float32", "learning step, float32", "Frechet distance", "coupling",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_float32_alone(monkeypatch):
    """Two precisions would take twice as long, and emulated bfloat16 more."""
    monkeypatch.setattr("ltvm.config.native_precision", lambda _: "float32")


def wrong_chain(engine, *arguments, **options):
    state = right_chain(engine, *arguments, **options)
    return {name: value * 1.05 for name, value in state.items()}


def wrong_update(method, images, codes):
    return right_update(method, images * 1.1, codes)


right_chain, right_update = Engine.short_run, Method.update_decoder


def test_this_machine_is_sound_and_the_file_says_all(tmp_path, capsys):
    out = tmp_path / "doctor.json"
    assert main(["doctor", "--device", "cpu", "--quick", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert {check["name"] for check in found["checks"]} == NAMES
    assert found["reasons"] == []
    assert found["precision"] == resolve(["device=cpu"])["precision"]
    assert found["device"]
    assert capsys.readouterr().out.rstrip().endswith("sound")


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "reason"),
    [(Engine, "short_run", wrong_chain, "chain, float32 on"),
     (Method, "update_decoder", wrong_update, "learning step, float32 on"),
     (agreement, "frechet_distance", lambda a, b: 1.0, "Frechet distance on"),
     (agreement, "coupling_difference", lambda _: math.nan, "coupling on")],
)  # fmt: skip
def test_what_disagrees_is_the_reason_and_the_exit_code(
    monkeypatch, capsys, tmp_path, owner, name, wrong, reason
):
    monkeypatch.setattr(owner, name, wrong)
    out = tmp_path / "doctor.json"
    assert main(["doctor", "--device", "cpu", "--quick", "--out", str(out)]) == 1
    assert len(json.loads(out.read_text())["reasons"]) == 1
    said = capsys.readouterr()
    assert said.err.count("allowed: ") == 1
    assert f"ltvm: {reason}" in said.err
    assert said.out.count("DISAGREES") == 1


def test_a_difference_that_is_no_number_does_not_pass():
    assert not Check("x", math.nan, 1.0).passed
    assert Check("x", 1.0, 1.0).passed


def test_the_distance_compared_with_is_that_of_two_normals():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(200, 5)), draw.normal(1, 2, size=(300, 5))
    a, b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    expected = np.square(first.mean(0) - second.mean(0)).sum()
    expected += np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert numpy_distance(first, second) == pytest.approx(expected)


def test_a_batch_that_memory_does_not_hold_is_halved(monkeypatch):
    def measured(_data, _device, n):
        if n > 20:
            raise torch.cuda.OutOfMemoryError("no room")
        return n

    monkeypatch.setattr(speed, "rates_at", measured)
    assert speed.rates("mnist", "cpu") == 12  # of 200


def test_where_bfloat16_is_native_both_precisions_are_examined(monkeypatch):
    monkeypatch.setattr("ltvm.config.native_precision", lambda _: "bfloat16")
    asked = []
    monkeypatch.setattr(agreement, "of_decoder", lambda *given: asked.append(given) or [])
    agreement.agreement("cpu")
    assert asked == [("cpu", "float32"), ("cpu", "bfloat16")]


FLOPS = {"chain": 20, "learning": 30, "vae": 60}
RATES = {"mnist": {"chain": 1000.0, "learning": 500.0, "vae": 250.0, "flops": FLOPS}}
ALL = 50 * 50 * 20 + (50 * 3 + 50) * 30  # operations per image and iteration


@pytest.mark.parametrize(
    ("method", "seconds_per_image"),
    [
        ("short_run_ot", 50 * 50 / 1000 + (50 * 3 + 50) / 500),
        ("vae", ALL / 60 * 2 / 250),
        ("abp", ALL / (50 * 20 + 30) * (50 / 1000 + 1 / 500)),
        ("short_run", ALL / (50 * 20 + 3 * 30) * (50 / 1000 + 3 / 500)),
    ],
)
def test_hours_are_passes_by_rates(method, seconds_per_image):
    config = resolve(["data=mnist", "protocol=full", f"method={method}"])
    found = forecast.hours(config, RATES)
    assert found == pytest.approx(15 * 60_000 * seconds_per_image / 3600)
    assert forecast.hours(resolve(["data=svhn"]), RATES) is None
    by_clock = resolve(["data=mnist", "protocol=full", "protocol.equal=seconds"])
    assert forecast.hours(by_clock, RATES) == 24


def test_every_protocol_and_ablation_has_its_hours(monkeypatch):
    rows = forecast.of_protocols(RATES)
    assert [row["protocol"] for row in rows] == ["small", "medium", "full"]
    assert all(row[method] > 0 for row in rows for method in forecast.METHODS)
    monkeypatch.setattr(forecast, "choices", lambda _: ["ot"])  # of all: a minute of composing
    (row,) = forecast.of_ablations(RATES)
    assert (row["ablation"], row["runs"]) == ("ot", 15)
    assert row["hours"] > 0


def test_rates_are_measured_and_shown():
    found = speed.rates_at("mnist", "cpu", 4)
    assert all(found[kind] > 0 for kind in ("chain", "learning", "vae"))
    everything = {
        "device": "a", "software": "b", "precision": "float32", "memory_mb": {"machine": 1.0},
        "checks": [], "reasons": [], "rates": {"mnist": found},
        "protocol_hours": forecast.of_protocols(RATES),
        "ablation_hours": [{"ablation": "ot", "runs": 15, "hours": None}],
    }  # fmt: skip
    text = report.as_text(everything)
    assert "mnist    chain" in text
    assert "unknown" in text
