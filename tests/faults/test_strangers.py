"""Bad arguments and hostile inputs of the faults bench, in short, and that they can fail."""

import pytest

from benchmarks.faults import arguments, hostile
from benchmarks.faults.cases import preload

ALL = {"arguments": arguments, "hostile": hostile}
CASES = {part: module.short() for part, module in ALL.items()}
KINDS = sorted({(part, case.kind) for part, cases in CASES.items() for case in cases})


HANGS = "exit code -9"


@pytest.fixture(autouse=True)
def _one_thread():
    """As the bench has it: a fork has no other threads of torch's."""
    import torch

    threads = torch.get_num_threads()
    preload()
    yield
    torch.set_num_threads(threads)


def tried(cases, tmp_path):
    """Case -> what did not hold of it."""
    wrong = {}
    for number, case in enumerate(cases):
        folder = tmp_path / str(number) / "case"
        folder.mkdir(parents=True)
        wrong[case.name] = case.run(folder)
    return {name: what for name, what in wrong.items() if what is not None}


@pytest.mark.parametrize(("part", "kind"), KINDS)
def test_nothing_is_taken_in_silence_or_let_in(part, kind, tmp_path):
    assert tried([case for case in CASES[part] if case.kind == kind], tmp_path) == {}


def named(part, words):
    return [case for case in ALL[part].cases() if words in case.name][:1]


@pytest.mark.parametrize(
    ("part", "words", "guard", "expected"),
    [
        ("arguments", "method=../data/mnist5k", "ltvm.config.check_choice", "without"),
        ("hostile", "configuration: data.load", "ltvm.runs.execution.load.check_parts", "executed"),
        (
            "hostile",
            "links: a run's folder",
            "ltvm.runs.housekeeping.export.check_no_link",
            "the secret is in",
        ),
        ("hostile", "images: a named pipe", "ltvm.data.folder.refuse_irregular", HANGS),
    ],
)
def test_a_broken_guard_is_seen(part, words, guard, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, lambda *_, **__: None)
    if expected == HANGS:
        monkeypatch.setattr("benchmarks.faults.strangers.SECONDS", 3.0)
    wrong = tried(named(part, words), tmp_path)
    assert wrong
    assert expected in next(iter(wrong.values()))
