"""Which execution is chosen, and what of it may be asked for."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from filelock import FileLock
from networks_by_name import decoder_of

from ltvm.chain import choosing
from ltvm.chain.choosing import choose_execution
from ltvm.chain.execution import Execution, check_wanted
from ltvm.errors import InputError

WANTED = {"precision": "float32", "layout": "auto", "products": "auto", "graph": "auto"}


def choose(wanted=WANTED, architecture="svhn"):
    shape = (6, 1, 28, 28) if architecture == "mnist" else (6, 3, 32, 32)
    decoder = decoder_of(architecture, 5, shape[1], generator=torch.Generator().manual_seed(3))
    return choose_execution(wanted, lambda: decoder, shape, 5, torch.device("cpu"), architecture)


@pytest.fixture
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LTVM_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_own_cache")
def test_an_execution_is_measured_once_and_kept(monkeypatch, capsys, tmp_path):
    ratios = iter([2.0, 0.9])
    tried = []

    def trial(_build, first, second, *_):
        tried.append((first, second))
        return next(ratios)

    monkeypatch.setattr(choosing, "trial", trial)
    monkeypatch.setattr(choosing, "onednn_available", lambda: True)
    how = choose()
    assert how == Execution("float32", "channels_last", "torch")
    assert tried[1] == (how, Execution("float32", "channels_last", "onednn"))
    assert "layout=channels_last 2.00x; products=onednn 0.90x" in capsys.readouterr().err
    assert choose() == how  # the iterator is exhausted: another trial would raise
    kept = json.loads((tmp_path / "cache" / "executions.json").read_text())
    assert len(kept) == 1
    monkeypatch.setattr(choosing, "software", lambda _: "another driver")
    with pytest.raises(StopIteration):  # measured again
        choose()


@pytest.mark.usefixtures("_own_cache")
def test_of_several_that_ask_at_once_one_measures_and_all_decide_the_same(monkeypatch):
    """Threads here; the lock is that of a file, as between processes."""
    ratios, at_it = iter([2.0, 0.9]), []

    def trial(*_):
        at_it.append(1)
        time.sleep(0.2)
        assert at_it.pop() == 1
        assert not at_it
        return next(ratios)

    monkeypatch.setattr(choosing, "trial", trial)
    monkeypatch.setattr(choosing, "onednn_available", lambda: True)
    with ThreadPoolExecutor(4) as pool:
        chosen = [asked.result() for asked in [pool.submit(choose) for _ in range(4)]]
    assert set(chosen) == {Execution("float32", "channels_last", "torch")}


@pytest.mark.usefixtures("_own_cache")
def test_what_others_found_meanwhile_is_kept(monkeypatch, tmp_path):
    def trial(*_):
        other = tmp_path / "cache" / "executions.json"
        other.write_text(json.dumps({"another": {"layout": "contiguous"}}))
        return 1.0

    monkeypatch.setattr(choosing, "trial", trial)
    choose()
    assert len(json.loads((tmp_path / "cache" / "executions.json").read_text())) == 2


@pytest.mark.usefixtures("_own_cache")
def test_one_that_holds_the_lock_for_ever_is_not_waited_for(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(choosing, "PATIENCE", 0.1)
    monkeypatch.setattr(choosing, "trial", lambda *_: 1.0)
    (tmp_path / "cache").mkdir()
    with FileLock(tmp_path / "cache" / "executions.lock"):
        assert choose() == Execution()
    assert "others may be measuring at the same time" in capsys.readouterr().err


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_timing_decides_the_precision(monkeypatch, precision):
    monkeypatch.setattr(choosing, "trial", lambda *_: 100.0)
    assert choose({**WANTED, "precision": precision}).precision == precision


@pytest.mark.usefixtures("_own_cache")
def test_what_is_given_is_not_tried(monkeypatch):
    monkeypatch.setattr(choosing, "trial", None)
    given = {"precision": "bfloat16", "layout": "channels_last", "products": "torch"}
    for graph in (True, False):  # there are none on a CPU
        assert choose({**given, "graph": graph}) == Execution("bfloat16", "channels_last", "torch")
    assert choose({**WANTED, "products": "torch"}, "mnist") == Execution()


@pytest.mark.usefixtures("_own_cache")
def test_a_damaged_cache_is_measured_again(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "executions.json").write_text("{")
    assert isinstance(choose(), Execution)  # by real trials
    assert json.loads((tmp_path / "cache" / "executions.json").read_text())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("precision", "half"),
        ("precision", "auto"),
        ("layout", "rows"),
        ("graph", "yes"),
        ("graph", 1),
    ],
)
def test_bad_engine_values_name_what_is_allowed(field, value):
    allowed = "float32, bfloat16$" if field == "precision" else "auto"
    with pytest.raises(InputError, match=f"{field}={value}.*{allowed}"):
        check_wanted({**WANTED, field: value})


@pytest.mark.parametrize("value", ["auto", True, False])
def test_a_graph_is_asked_for_by_true_and_false(value):
    check_wanted({**WANTED, "graph": value})
