"""The index of a results directory: what its records said when they were last read, in one file.

    <results>/.records-index

A status or a report of thousands of runs opens only the files that have changed since. The index is
no record: a file is believed to say what the index says only while it is the same file (inode) of
the same size and times, so that an index that is old, copied from elsewhere or made up costs
reading, never truth. A damaged one, or one that cannot be written, is as good as none; so is one
that was made when other rules said what a record is (``ltvm.runs.files.content``), for what was
found to be one is not looked through again.

What many runs have in common (the declared columns, versions, where a number is from) is kept once,
in the file as in memory: contents of several files share it and are not to be changed.
"""

from __future__ import annotations

import gc
import hashlib
import json
import marshal
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from ltvm.runs.files.content import RULES, Sort
from ltvm.runs.files.reading import Files, without_seed
from ltvm.runtime.files import parse_json, parse_yaml, read_regular, writing

NAME = ".records-index"
FORMAT = "ltvm index of records, 2"
MANY = 500  # files read anew from which on the index is written: fewer are read in no time
SETTLED = 2.0  # seconds since its last change after which a file's times tell the next change
DAMAGED = (ValueError, TypeError, LookupError, AttributeError)  # what made-up content comes to

Signature = tuple[int, int, int, int]  # inode, bytes, and when content and file changed, in ns


class Entry(NamedTuple):
    """One file as it was read; ``content`` has numbers of shared parts in place of these."""

    signature: Signature
    content: Any
    sort: str | None = None  # what it was found to be: ``Sort.what``


class Index(Files):
    """Reads the files below ``root``, each at most once: what was read is what is there.

    ``look_again`` ends that, for those who wait for changes.
    """

    def __init__(self, root: Path) -> None:
        self.file = root / NAME
        self.below = "" if str(root) == "." else f"{root}{os.sep}"
        self.parts = Parts()
        self.entries: dict[str, Entry] = {}
        self.new = 0  # entries that the file has not
        self.seen: dict[str, Any] = {}
        self.sorts: dict[str, str | None] = {}  # of ``seen``
        self.configs: dict[bytes, Any] = {}  # text without its seed -> content
        with suppress(OSError, *DAMAGED):
            self.load()

    def look_again(self) -> None:
        self.seen.clear()
        self.sorts.clear()

    def json(self, path: Path, sort: Sort | None = None) -> Any:
        name = str(path)
        content = self.content(path, name, parse_json, sort)
        if sort is not None and self.sorts.get(name) != sort.what:
            sort.check(content)
            self.sorts[name] = sort.what
        return content

    def yaml(self, path: Path) -> Any:
        return self.content(path, str(path), self.parsed_config)

    def parsed_config(self, content: bytes) -> Any:
        known = without_seed(content)
        if known is None:
            return parse_yaml(content)
        rest, seed = known
        if rest not in self.configs:
            self.configs[rest] = parse_yaml(content)
        found = self.configs[rest]
        return {**found, "seed": seed} if isinstance(found, dict) else found

    def content(
        self, path: Path, name: str, parse: Callable[[bytes], Any], sort: Sort | None = None
    ) -> Any:
        """What a file says, from the index where that knows it; raises as ``Files``.

        What is read anew is looked through for its ``sort``.
        """
        if name in self.seen:
            return self.seen[name]
        key = name[len(self.below) :] if name.startswith(self.below) else None
        entry = self.entries.get(key) if key is not None else None
        if entry is not None and signature_of(path.stat()) == entry.signature:
            with suppress(*DAMAGED):
                self.seen[name] = found = self.parts.joined(entry.content)
                self.sorts[name] = entry.sort
                return found
        status = path.stat()  # of before it is read: one that changes meanwhile is read again
        content = parse(read_regular(path))
        found_to_be = None
        if sort is not None:
            sort.check(content)
            found_to_be = sort.what
        if isinstance(content, dict):
            split = self.parts.split(content)
            content = self.parts.joined(split)  # shares what others have
            changed = max(status.st_mtime, status.st_ctime)
            if key is not None and time.time() - changed > SETTLED:
                self.entries[key] = Entry(signature_of(status), split, found_to_be)
                self.new += 1
        self.seen[name], self.sorts[name] = content, found_to_be
        return content

    def load(self) -> None:
        """Read the index's own file; raises for one that is damaged or of another format."""
        head, _, body = read_regular(self.file).partition(b"\n")
        if head.decode() != heading(body):
            raise ValueError("another format, or damaged")
        content = parse_json(body)
        parts, files = content["parts"], content["files"]
        if not isinstance(parts, list) or not isinstance(files, dict):
            raise ValueError("not as it is written here")
        self.entries = {
            key: Entry(cast(Signature, tuple(signature)), split, sort)
            for key, (signature, split, sort) in files.items()
        }
        self.parts = Parts(parts)

    def save(self) -> None:
        """Write the index, without the files that are gone; raises ``OSError`` if it cannot."""
        there = {key: entry for key, entry in self.entries.items() if self.is_there(key, entry)}
        parts, contents = self.parts.of([entry.content for entry in there.values()])
        files = {
            key: (entry.signature, content, entry.sort)
            for (key, entry), content in zip(there.items(), contents, strict=True)
        }
        body = json.dumps({"parts": parts, "files": files}, separators=(",", ":")).encode()
        with writing(self.file) as file:
            file.write(heading(body).encode() + b"\n")
            file.write(body)
        self.new = 0

    def is_there(self, key: str, entry: Entry) -> bool:
        """Whether an entry is of this pass, or of a file that there still is."""
        if self.below + key in self.seen:
            return True
        with suppress(*DAMAGED):
            self.parts.joined(entry.content)
            return Path(self.below + key).exists()
        return False


class Parts:
    """Objects and lists that contents have in common, each once.

    A content is split at its first level, and the ``values`` of an evaluation at theirs, where the
    number itself differs from run to run and what is said of it does not.
    """

    def __init__(self, parts: list[Any] | None = None) -> None:
        self.list: list[Any] = parts or []
        self.numbers: dict[bytes, int] = {}
        self.numbered = 0  # parts that ``numbers`` has

    def number(self, part: Any) -> int:
        """The number of an equal part, which may be new."""
        for known in self.list[self.numbered :]:
            self.numbers.setdefault(marshal.dumps(known, 2), self.numbered)
            self.numbered += 1
        number = self.numbers.setdefault(marshal.dumps(part, 2), len(self.list))
        if number == len(self.list):
            self.list.append(part)
            self.numbered += 1
        return number

    def split(self, content: dict[str, Any]) -> dict[str, Any]:
        """``content`` with ``[number]`` for each object and list in it."""
        split: dict[str, Any] = {}
        for key, value in content.items():
            if key == "values" and is_values(value):
                split[key] = {name: self.split_value(own) for name, own in value.items()}
            else:
                split[key] = [self.number(value)] if isinstance(value, dict | list) else value
        return split

    def split_value(self, content: dict[str, Any]) -> list[Any]:
        rest = dict(content)
        return [rest.pop("value"), self.number(rest)]

    def joined(self, split: dict[str, Any]) -> dict[str, Any]:
        """The content that was split."""
        content: dict[str, Any] = {}
        for key, value in split.items():
            if isinstance(value, list):
                content[key] = self.list[value[0]]
            elif isinstance(value, dict):
                content[key] = {
                    name: {"value": own, **self.list[number]}
                    for name, (own, number) in value.items()
                }
            else:
                content[key] = value
        return content

    def of(self, splits: list[dict[str, Any]]) -> tuple[list[Any], list[dict[str, Any]]]:
        """The parts that these contents have, and the contents with the numbers in that list."""
        numbers: dict[int, int] = {}

        def moved(value: Any) -> Any:
            if isinstance(value, list):
                return [numbers.setdefault(value[0], len(numbers))]
            if isinstance(value, dict):
                return {
                    name: [own, numbers.setdefault(number, len(numbers))]
                    for name, (own, number) in value.items()
                }
            return value

        contents = [{key: moved(value) for key, value in split.items()} for split in splits]
        return [self.list[number] for number in numbers], contents


def is_values(value: Any) -> bool:
    """Whether these are an evaluation's values: objects that all begin with their number."""
    return isinstance(value, dict) and all(
        isinstance(own, dict) and next(iter(own), None) == "value" for own in value.values()
    )


def signature_of(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def heading(body: bytes) -> str:
    """The first line of the index's file: its format, what it was read by, and a checksum."""
    return f"{FORMAT} {RULES} {hashlib.sha256(body).hexdigest()}"


@contextmanager
def uncollected() -> Iterator[None]:
    """Do not look for cycles meanwhile: records have none, and to search thousands of them again
    and again, as ever more are read, takes a fifth of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def indexed(results: Path) -> Iterator[Index]:
    """Read records by the index of ``results``, which is then kept where it saves much reading.

    Of several processes that do, the last one's stays; each is whole. Where it cannot be written,
    the next one reads all files again.
    """
    with uncollected():
        index = Index(results)
    try:
        yield index
    finally:
        if index.new >= MANY:
            with suppress(OSError):
                index.save()
