"""The index of records says what the files say, opens what has changed, and is never believed."""

import gc
import json
import multiprocessing
import os
import shutil
import sys

import pytest
import yaml

from ltvm.errors import UnreadableError
from ltvm.runs.files import content as content_module
from ltvm.runs.files import index as index_module
from ltvm.runs.files.index import NAME, Index, heading, indexed, uncollected
from ltvm.runs.files.reading import DISK
from ltvm.runs.files.store import Run, Store
from ltvm.runs.housekeeping.archive import verify, write_sums
from ltvm.runtime.files import parse_json, parse_yaml, write_json, write_text

VALUES = {"fd": {"value": 1.5, "n": 10, "split": "test"}, "mse": {"value": 2, "n": 10}}
OPENED = []  # names of files, while ``opened`` counts


def note_opening(event, arguments):
    if event == "open" and OPENED and isinstance(arguments[0], str):
        OPENED.append(arguments[0])


sys.addaudithook(note_opening)


def opened(call):
    """(what ``call`` returns, the names of the files of runs that it opened)."""
    OPENED.append("")
    try:
        result = call()
        return result, [name for name in OPENED if "/runs/" in name]
    finally:
        OPENED.clear()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Three cells of four seeds, with configurations and evaluations, that changed long ago."""
    monkeypatch.setattr(index_module, "SETTLED", -1.0)
    monkeypatch.setattr(index_module, "MANY", 1)
    for cell in "abc":
        for seed in range(4):
            run = Run(tmp_path / "records" / "runs" / "d" / "m" / cell / f"seed={seed}")
            record = {"status": "done", "seconds": {"inference": seed + 0.1}, "identity": cell}
            run.write_record(record | {"versions": {"torch": "2"}, "temperature": [1.0, 0.5]})
            values = {name: own | {"value": own["value"] + seed} for name, own in VALUES.items()}
            run.write_evaluation({"status": "done", "identity": "e", "values": values})
            config = {"method": {"name": cell, "betas": [0.5, 0.9]}, "seed": seed, "device": "cpu"}
            run.write_config(config)
    return tmp_path / "records"


def everything(root, files):
    return [
        (run.record(), run.evaluations(), run.config(), run.status("e"))
        for run in Store(root, files).runs()
    ]


def read(root):
    with indexed(root) as index:
        return everything(root, index)


def test_what_the_index_says_is_what_the_files_say(root):
    plain = everything(root, DISK)
    assert len(plain) == 12
    assert read(root) == plain
    assert (root / NAME).is_file()
    for first, second in zip(read(root), plain, strict=True):
        assert first == second
        assert [list(part) for part in first[:3]] == [list(part) for part in second[:3]]  # order
    assert type(read(root)[0][1]["e"]["values"]["mse"]["value"]) is int


def test_every_file_is_opened_once_and_then_only_what_has_changed(root):
    _, first = opened(lambda: read(root))
    assert len(first) == len(set(first)) == 36
    found, again = opened(lambda: read(root))
    assert again == []
    run = Store(root).runs()[5]
    run.write_record(run.record() | {"status": "failed"})
    changed, names = opened(lambda: read(root))
    assert names == [str(run.record_file)]
    assert [a == b for a, b in zip(found, changed, strict=True)].count(False) == 1
    assert changed[5][0]["status"] == "failed"
    run.record_file.unlink()
    assert len(read(root)) == 11
    assert str(run.record_file.relative_to(root)) in Index(root).entries  # not written for that
    run.write_config(run.config() | {"seed": 9})
    Store(root).runs()[0].write_record({"status": "done"})
    read(root)
    assert str(run.record_file.relative_to(root)) not in Index(root).entries


def test_configurations_of_a_cell_are_parsed_once_and_are_those_of_their_text(root, monkeypatch):
    texts = []
    monkeypatch.setattr(index_module, "parse_yaml", lambda t: texts.append(t) or parse_yaml(t))
    read(root)
    assert len(texts) == 3
    odd = Store(root).runs()[0].config_file
    for text in ("seed: 1\nseed: 2\n", "a: [1\n", "a: b\n", "seed: one\n", "- seed\n", "{seed: 3}"):
        write_text(odd, text)
        try:
            expected = yaml.safe_load(text)
        except yaml.YAMLError:
            with pytest.raises(ValueError, match="line 1, column 4"):
                Index(root).yaml(odd)
        else:
            assert Index(root).yaml(odd) == expected


def test_a_file_with_the_same_size_and_time_is_read_anew_where_it_is_another(root):
    read(root)
    file = Store(root).runs()[0].record_file
    before = file.stat()
    text = json.dumps(json.loads(file.read_text()) | {"checksum": None}, indent=2)
    text = text.replace(',\n  "checksum": null', "")  # one that is not sealed may say anything
    write_text(file, text)
    read(root)
    before = file.stat()
    write_text(file, text.replace('"done"', '"DONE"'))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert read(root)[0][0]["status"] == "DONE"
    with file.open("r+") as same:  # the same inode
        same.write(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read(root)[0][0]["status"] == "done"


def test_what_has_just_changed_is_not_kept(root, monkeypatch):
    monkeypatch.setattr(index_module, "SETTLED", 3600.0)
    read(root)
    assert not (root / NAME).exists()


def test_few_files_need_no_index(root, monkeypatch):
    monkeypatch.setattr(index_module, "MANY", 500)
    read(root)
    assert not (root / NAME).exists()


@pytest.mark.parametrize("damage", [
    lambda b: b"", lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b"\0" * len(b),
    lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], lambda b: b.replace(b", 1 ", b", 9 ", 1),
    lambda b: signed(b"[]"), lambda b: signed(b"{}"), lambda b: signed(b"[" * 100_000),
    lambda b: signed(b'{"parts": [], "files": []}'), lambda b: signed(b'{"parts": 1, "files": 2}'),
    lambda b: signed(b'{"parts": [], "files": {"x": 1, "y": [1, 2]}}'),
    lambda b: signed(b.partition(b"\n")[2].replace(b'"parts":[', b'"parts":[],"p":[')),
])  # fmt: skip
def test_a_damaged_index_is_made_again(root, damage):
    plain = read(root)
    file = root / NAME
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert read(root) == plain
    assert Index(root).entries.keys() == parse_json(whole.partition(b"\n")[2])["files"].keys()
    _, names = opened(lambda: read(root))
    assert names == []


def signed(body):
    return heading(body).encode() + b"\n" + body


def test_an_index_of_another_directory_or_a_made_up_one_is_not_believed(root, tmp_path):
    plain = read(root)
    body = (root / NAME).read_bytes().partition(b"\n")[2]
    (root / NAME).write_bytes(signed(body.replace(b'"done"', b'"DONE"')))
    shutil.copytree(root, tmp_path / "copy")  # with all times but that of the inode's change
    assert [row[0] for row in read(tmp_path / "copy")] == [row[0] for row in plain]


def test_an_index_that_cannot_be_written_costs_only_time(root):
    (root / NAME).mkdir()
    assert len(read(root)) == 12
    assert not list(root.glob(".*.tmp"))


def test_the_index_is_no_file_of_an_export(root):
    write_sums(root)
    read(root)
    assert (root / NAME).is_file()
    verify(root, root)


def read_often(root, times):
    index_module.SETTLED, index_module.MANY = -1.0, 1
    for _ in range(times):
        assert len(read(root)) == 12
        (root / NAME).unlink(missing_ok=True)
    read(root)


def test_several_processes_at_once_leave_one_whole_index(root):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=read_often, args=(root, 10)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert {path.name for path in root.iterdir()} == {NAME, "runs"}
    assert len(Index(root).entries) == 36


@pytest.mark.parametrize(
    "content",
    [
        [], "text", {}, {"status": 1}, {"status": "done", "seconds": {"inference": "abc"}},
        {"status": "done", "passes": "abc"}, {"status": "done", "flops": float("nan")},
        {"status": "done", "versions": []}, {"status": "done", "temperature": "hot"},
    ],
)  # fmt: skip
def test_a_record_of_another_kind_is_damaged_whoever_reads_it(root, content):
    run = Store(root).runs()[0]
    run.record_file.write_text(json.dumps(content))
    for files in (DISK, Index(root)):
        assert Run(run.directory, files).status() == "unreadable"


@pytest.mark.parametrize("value", [None, "abc", float("nan"), float("inf"), True, [1.0]])
def test_an_evaluation_whose_value_is_no_number_is_damaged(root, value):
    run = Store(root).runs()[0]
    content = {"status": "done", "identity": "e", "values": {"fd": {"value": value}}}
    run.evaluation_file("e").write_text(json.dumps(content))
    for files in (DISK, Index(root)):
        assert Run(run.directory, files).status("e") == "unreadable"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "- " * 9_000])
def test_what_is_nested_too_deeply_is_damaged_like_anything_else(root, text):
    run = Store(root).runs()[0]
    write_text(run.record_file, text)
    assert run.status() == "unreadable"
    write_text(run.config_file, text)
    write_json(run.record_file, {"status": "done"})
    if not text.startswith("- "):
        with pytest.raises(ValueError, match="cannot be read"):
            run.config()


def checked(monkeypatch):
    """The contents that are looked through from here on."""
    contents = []
    original = content_module.what_is_wrong

    def looked_through(content, kinds):
        contents.append(content)
        return original(content, kinds)

    monkeypatch.setattr(content_module, "what_is_wrong", looked_through)
    return contents


def test_what_was_found_sound_is_not_looked_through_again(root, monkeypatch):
    read(root)
    contents = checked(monkeypatch)
    read(root)
    assert contents == []


def test_other_rules_look_through_everything_again(root, monkeypatch):
    read(root)
    monkeypatch.setattr(index_module, "RULES", "others")
    contents = checked(monkeypatch)
    read(root)
    assert len(contents) == 3 * 4 * 2


def test_what_was_read_as_any_file_is_looked_through_where_it_has_to_be_a_record(root):
    run = Store(root).runs()[0]
    write_json(run.record_file, {"status": 3})
    with indexed(root) as index:
        assert index.json(run.record_file) == {"status": 3}
        with pytest.raises(UnreadableError, match="status is not a text"):
            Run(run.directory, index).record()
    with indexed(root) as index, pytest.raises(UnreadableError, match="status is not a text"):
        Run(run.directory, index).record()  # the index has it, as a file of no sort


def test_cycles_are_looked_for_again_after_the_reading():
    def read_in_vain():
        with uncollected():
            assert not gc.isenabled()
            raise ValueError("in vain")

    assert gc.isenabled()
    with pytest.raises(ValueError, match="in vain"):
        read_in_vain()
    assert gc.isenabled()
