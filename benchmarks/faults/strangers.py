"""What hostile inputs are made of, how commands get them, and what these must not do."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults.cases import Case, Ended, start
from ltvm.runtime.files import read_json

# In a file called .png it is given to Ghostscript by whoever opens images by their content.
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\n(executed) (w) file\n"
SECONDS = 60.0  # after which a command counts as hung
SECRET = "a-secret-of-this-machine"  # in the environment and at home; to be found nowhere else
NAME = "strange"  # of the ablation
REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"


class Executes:
    """Unpickled, it leaves a file named ``executed``."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch executed",)


def place(results: Path) -> Path:
    """One of the reference runs, without its weights, and a manifest below ``results``.

    Returns the run's folder.
    """
    manifest = read_json(REFERENCE / "ablations" / "ot-mnist5k.json")
    entry = next(run for run in manifest["runs"] if run["method"] == "vae")
    manifest |= {"name": NAME, "runs": [entry], "seeds": [entry["seed"]], "reference": None}
    (results / "ablations").mkdir(parents=True)
    (results / "ablations" / f"{NAME}.json").write_text(json.dumps(manifest))
    run = results / entry["path"]
    shutil.copytree(REFERENCE / entry["path"], run)
    return run


def furnish_home(folder: Path) -> Path:
    """A home with a secret and files that nothing may touch."""
    home = folder / "home"
    (home / "victim").mkdir(parents=True)
    (home / "secret.txt").write_text(SECRET)
    (home / "victim" / "kept.txt").write_text(SECRET)
    return home


def state_of(folder: Path) -> dict[str, str]:
    """What is in a folder: every path with its content's checksum."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def tried(
    folder: Path,
    commands: Sequence[Sequence[str]],
    named: str | None = None,
    codes: tuple[int, ...] = (2,),
) -> str | None:
    """Run commands in ``folder / "work"``; what was executed, written outside, leaked, or not said.

    ``named``: what the answer of each has to name; ``codes``: how it may end.
    """
    home, work = folder / "home", folder / "work"
    before = state_of(home)
    for command in commands:
        ended = ended_of(work, command, home)
        said = ended.out + ended.err
        shown = f"{' '.join(command)[:80]}: {' / '.join(ended.err.splitlines())[-300:]}"
        if (wrong := done_wrong(folder, before)) is not None:
            return f"{wrong}: {shown}"
        if ended.code not in codes:
            return f"exit code {ended.code} of {shown}"
        if "Traceback" in said or any(f"ltvm: {name}" in said for name in RAW):
            return f"no words of its own: {shown}"
        if ended.code == 2 and len(ended.errors) != 1:
            return f"{len(ended.errors)} lines of error: {shown}"
        if named is not None and named not in said:
            return f"{named} is not named: {shown}"
    return None


RAW = ("KeyError", "TypeError", "AttributeError", "RecursionError", "ValueError", "IndexError",
       "UnicodeDecodeError", "MemoryError")  # fmt: skip


def done_wrong(folder: Path, before: dict[str, str]) -> str | None:
    """What was executed, written outside, or leaked."""
    executed = list(folder.rglob("executed*"))
    if executed:
        return f"executed: {executed[0]}"
    after = state_of(folder / "home")
    if after != before:
        changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
        return f"written outside: {', '.join(sorted(changed))}"
    outside = {path.name for path in folder.iterdir()} - {"home", "work", "cache"}
    if outside:
        return f"written outside: {', '.join(outside)}"
    for path in (folder / "work").rglob("*"):
        plain = path.is_file() and not path.is_symlink() and path.stat().st_size < 2**24
        if plain and SECRET.encode() in path.read_bytes():
            return f"the secret is in {path}"
    return None


def ended_of(work: Path, command: Sequence[str], home: Path) -> Ended:
    """``ltvm COMMAND`` in ``work``; killed, with code -9, where it hangs."""
    environment = {"HOME": str(home), "LTVM_SECRET": SECRET, "LTVM_DATA_ROOT": str(work / "data")}
    begun = start(work, command, lambda: os.environ.update(environment))
    until = time.monotonic() + SECONDS
    while begun.poll() is None:
        if time.monotonic() > until:
            begun.kill()
        time.sleep(0.005)
    return begun.wait()


def changed_config(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A run's stored configuration, changed by a stranger."""
    import yaml

    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    change(config)
    file.write_text(yaml.safe_dump(config))


def set_at(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets ``a.b.c`` of a configuration."""

    def change(config: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value

    return change


def evil_pickle() -> bytes:
    return pickle.dumps(Executes())


def evil_zip(path: Path) -> None:
    """A checkpoint as torch writes it, with an object in it that executes."""
    import torch

    torch.save({"made_with": Executes(), "method": {}}, path)


Build = Callable[[Path], object]  # makes an input in the folder that commands work in


@dataclass(frozen=True)
class Hostile:
    """An input, the commands that get it (``RUN`` is the run's folder), and how they answer."""

    kind: str
    what: str
    build: Build
    commands: Sequence[Sequence[str]]
    named: str | None = None  # in every answer
    codes: tuple[int, ...] = (2,)
    short: bool = False

    def case(self) -> Case:
        return Case(f"{self.kind}: {self.what}", self.run)

    def run(self, folder: Path) -> str | None:
        furnish_home(folder)
        work = folder / "work"
        work.mkdir()
        self.build(work)
        run = next(iter(sorted((work / "results").glob("runs/*/*/*/*"))), work)
        own = [[in_words(word, run, command) for word in command] for command in self.commands]
        return tried(folder, own, self.named, self.codes)


def in_words(word: str, run: Path, command: Sequence[str]) -> str:
    """A word of a command; ``RUN`` is the run's folder, ``SUM`` the checksum of its weights."""
    if word == "SUM":
        weights = run / command[command.index("--weights") + 1]
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    return str(run) if word == "RUN" else word


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(
    width: int,
    height: int,
    bits: int = 8,
    before: bytes = b"",
    rows: int | None = None,
    grey: int = 0,
) -> bytes:
    """A PNG of one grey; of ``rows`` rows (None: all), with ``before`` before its pixels."""
    rows = height if rows is None else rows
    pixels = (b"\0" + bytes([grey]) * ((width * bits + 7) // 8)) * rows if rows else b""
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
        + chunk(b"IDAT", zlib.compress(pixels, 1)) + chunk(b"IEND", b"")
    )  # fmt: skip
