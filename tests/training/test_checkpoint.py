"""Checkpoints: damage is noticed wherever it is, and costs one iteration."""

import random

import pytest
import torch

from ltvm.errors import UnreadableError
from ltvm.runs.execution import execute
from ltvm.runs.execution.load import load_method
from ltvm.training.checkpoint import (
    KEYS,
    delete_checkpoints,
    newest,
    previous_of,
    read_checkpoint,
    write_checkpoint,
)

CPU = torch.device("cpu")


def state(number):
    draw = torch.Generator().manual_seed(number)
    return dict.fromkeys(KEYS, "") | {
        "method": {"codes": torch.randn(200, 30, generator=draw)},
        "history": [{"iteration": number}],
    }


def same(a, b):
    return torch.equal(a["method"]["codes"], b["method"]["codes"]) and a["history"] == b["history"]


def test_the_one_before_is_kept_and_both_go(tmp_path):
    path = tmp_path / "checkpoint.pt"
    assert newest(path) is None
    for number in (1, 2, 3):
        write_checkpoint(path, state(number))
    assert same(read_checkpoint(newest(path), CPU), state(3))
    assert same(read_checkpoint(previous_of(path), CPU), state(2))
    path.unlink()  # as a kill between two renames leaves it
    assert newest(path) == previous_of(path)
    delete_checkpoints(path)
    assert not list(tmp_path.iterdir())


def test_no_flipped_bit_and_no_cut_goes_unnoticed(tmp_path):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, state(1))
    content, draw, noticed = path.read_bytes(), random.Random(0), 0
    damaged = [content[: int(len(content) * part)] for part in (0, 0.01, 0.5, 0.9, 0.999)]
    for _ in range(100):
        flipped = bytearray(content)
        flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        damaged.append(bytes(flipped))
    for number, bytes_ in enumerate(damaged):
        path.write_bytes(bytes_)
        try:
            assert same(read_checkpoint(path, CPU), state(1)), number  # in what nobody reads
        except UnreadableError:
            noticed += 1
    assert noticed > 90


def test_a_checkpoint_without_an_entry_is_damaged(tmp_path):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, {k: v for k, v in state(1).items() if k != "made_with"})
    with pytest.raises(UnreadableError, match="without made_with"):
        read_checkpoint(path, CPU)


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(tmp_path, capsys):
    path, seen = tmp_path / "checkpoint.pt", []
    for number in (1, 2):
        write_checkpoint(path, state(number))
    path.write_bytes(path.read_bytes()[:-100])

    class Pretended:
        def resume(self):
            seen.append(read_checkpoint(newest(path), CPU)["history"])

    execute.resume(Pretended())
    assert seen == [[{"iteration": 1}]]
    assert "checkpoint.pt.unreadable" in capsys.readouterr().err


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, state(1))

    def full(content, file):
        file.write(b"half of it")
        raise RuntimeError("unexpected pos 104141696 vs 104141584")

    monkeypatch.setattr(torch, "save", full)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 10}))
    with pytest.raises(OSError, match=r"cannot be written, 10 bytes left.*checkpoint\.pt"):
        write_checkpoint(path, state(2))
    assert same(read_checkpoint(path, CPU), state(1))
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("why", [KeyboardInterrupt, OSError("no space")])
def test_what_stops_a_write_is_raised_not_what_torch_makes_of_it(tmp_path, monkeypatch, why):
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, state(1))

    class Stopping:
        def __init__(self, file):
            self.file, self.written = file, 0

        def write(self, content):
            self.written += 1
            if self.written == 3:
                raise why
            return self.file.write(content)

        def flush(self):
            self.file.flush()

    original = torch.save
    monkeypatch.setattr(torch, "save", lambda content, file: original(content, Stopping(file)))
    with pytest.raises(type(why) if isinstance(why, Exception) else why):
        write_checkpoint(path, state(2))
    assert same(read_checkpoint(path, CPU), state(1))


def test_a_trained_file_is_held_against_its_record(tmp_path):
    import ltvm
    from ltvm.errors import InputError

    ltvm.train(
        ["method=vae", "protocol=smoke", "protocol.train_images=40", "protocol.test_images=12",
         "protocol.batch=20", "evaluation=none", "protocol.iterations=1", "device=cpu"]
    )  # fmt: skip
    (trained,) = (tmp_path / "results").rglob("final.safetensors")
    load_method(trained.parent)
    content = bytearray(trained.read_bytes())
    content[-1000] ^= 1
    trained.write_bytes(content)
    with pytest.raises(InputError, match=r"final\.safetensors is damaged"):
        load_method(trained.parent)
