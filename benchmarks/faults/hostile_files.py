"""Archives, images and weights of a stranger."""

from __future__ import annotations

import gzip
import io
import os
import random
import socket
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.strangers import EPS, Build, Hostile, chunk, evil_zip, png


def archive(*members: tuple[str, dict[str, Any]], name: str = "a.tar.gz") -> Build:
    """A ``.tar.gz`` of members by name, each with fields of its ``TarInfo`` and its content."""

    def build(work: Path) -> None:
        with tarfile.open(work / name, "w:gz") as packed:
            for path, fields in members:
                member = tarfile.TarInfo(path)
                content = fields.get("content", b"")
                member.size = len(content)
                for key, value in fields.items():
                    if key != "content":
                        setattr(member, key, value)
                packed.addfile(member, io.BytesIO(content))

    return build


def sparse(work: Path) -> None:
    """A member that says it is 10 TB, nearly all of it a hole."""
    fields = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "x/a",
              "GNU.sparse.size": str(10**13), "GNU.sparse.map": f"0,1,{10**13 - 1},1"}  # fmt: skip
    archive(("x/a", {"content": b"ab", "pax_headers": fields}))(work)


def bomb(work: Path) -> None:
    """4 GB of zeros, in 4 MB; made as one gzip member many times over."""
    header = tarfile.TarInfo("x/runs/zeros")
    header.size = 2**32
    once = gzip.compress(b"\0" * 2**24, 1)
    with (work / "a.tar.gz").open("wb") as file:
        file.write(gzip.compress(header.tobuf(tarfile.GNU_FORMAT)))
        for _ in range(2**8):
            file.write(once)


IMPORT = (["import", "a.tar.gz"],)
LINK = {"type": tarfile.SYMTYPE, "linkname": "../../home/victim"}
ARCHIVES = [
    *(
        Hostile("archives", what, build, IMPORT, "a.tar.gz", short=short)
        for what, build, short in (
            ("an absolute name", archive(("/tmp/ltvm-executed", {"content": b"x"})), False),
            ("a name with ..", archive(("x/../../home/victim/a", {"content": b"x"})), True),
            ("a symbolic link", archive(("x/a", LINK)), True),
            (
                "a link and what goes through it",
                archive(("x", LINK), ("x/a", {"content": b"x"})),
                False,
            ),
            (
                "a hard link",
                archive(("x/a", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})),
                False,
            ),
            (
                "a device",
                archive(("x/a", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})),
                False,
            ),
            ("a named pipe", archive(("x/a", {"type": tarfile.FIFOTYPE})), False),
            (
                "a name twice",
                archive(("x/a", {"content": b"1"}), ("x/a", {"content": b"2"})),
                False,
            ),
            ("a huge sparse member", sparse, True),
            ("what grows a thousandfold", bomb, True),
            ("no checksums", archive(("x/a", {"content": b"x"})), False),
            (
                "other files than its checksums",
                archive(("x/SHA256SUMS", {"content": b"0  ../../x\n"})),
                False,
            ),
            (
                "a truncated archive",
                lambda work: (work / "a.tar.gz").write_bytes(gzip.compress(b"x" * 999)[:-9]),
                False,
            ),
            ("no archive", lambda work: (work / "a.tar.gz").write_bytes(b"PK\3\4"), False),
        )
    ),
    Hostile(
        "archives",
        "a named pipe in its place",
        lambda work: os.mkfifo(work / "a.tar.gz"),
        IMPORT,
        "a.tar.gz",
    ),
]


def images(name: str, content: bytes | Callable[[Path], object]) -> Build:
    """Eight good images in ``images``, and one more."""

    def build(work: Path) -> None:
        folder = work / "images"
        folder.mkdir()
        for number in range(8):
            (folder / f"{number}.png").write_bytes(png(28, 28, grey=20 * number))
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            content(folder / name)

    return build


def saved(form: str, mode: str, **options: Any) -> bytes:
    """A small image as Pillow writes it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, (28, 28)).save(buffer, form, **options)
    return buffer.getvalue()


def frames() -> bytes:
    from PIL import Image

    return saved("WEBP", "RGB", save_all=True, append_images=[Image.new("RGB", (28, 28), "red")])


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)


IMAGES = [
    Hostile(
        "images", what, images(name, content), commands, named[0] if named else name, short=short
    )
    for what, name, content, short, *named in (
        ("a named pipe", "x.png", lambda p: os.mkfifo(p), True),
        ("a socket", "x.png", a_socket, False),
        ("a link to a device", "x.png", lambda p: p.symlink_to("/dev/zero"), True),
        ("a folder", "x.png", lambda p: p.mkdir(), True),
        ("a link that leads out", "x.png", lambda p: p.symlink_to("../../home/secret.txt"), True),
        ("a link to itself", "x.png", lambda p: p.symlink_to(p), False),
        ("a link to nothing", "x.png", lambda p: p.symlink_to("nothing.png"), False),
        ("13,000 x 13,000 pixels", "x.png", png(13_000, 13_000, 1), True),
        (
            "2,000,000,000 pixels a side, in the header alone",
            "x.png",
            png(2 * 10**9, 2 * 10**9, rows=0),
            True,
        ),
        (
            "a text chunk that grows",
            "x.png",
            png(28, 28, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 2**27, 1))),
            False,
        ),
        ("truncated", "x.png", png(28, 28)[:-30], True),
        ("16 bits", "x.png", png(28, 28, 16), True),
        ("transparent", "x.png", saved("PNG", "RGBA"), False),
        ("several frames", "x.webp", frames(), False),
        ("PostScript called .png", "x.png", EPS, True),
        ("a TIFF called .png", "x.png", saved("TIFF", "L"), False),
        ("text", "x.jpg", b"no image", False),
        ("empty", "x.bmp", b"", False),
        ("another size", "x.png", png(32, 32), False, "32x32 (1 files)"),
    )
    for commands in [(["evaluate", "images", "mnist5k", "--channels", "1"],)]
]


def evil_extractor(work: Path) -> None:
    """Weights of an extractor that execute when unpickled, with the checksum that they have."""
    from PIL import Image

    (work / "images").mkdir()
    for number in range(9):
        noise = random.Random(number).randbytes(28 * 28)
        Image.frombytes("L", (28, 28), noise).save(work / "images" / f"{number}.png")
    evil_zip(work / "evil.pth")
    import numpy as np

    np.savez(work / "evil.npz", x=np.array([object()], dtype=object))


def with_sum(file: str, extractor: str) -> list[list[str]]:
    """The command that gives an extractor these weights, with the checksum that they have."""
    return [["evaluate", "images", "mnist5k", "--extractor", extractor, "--weights", file,
             "--checksum", "SUM"]]  # fmt: skip


WEIGHTS = [
    Hostile(
        "weights",
        "a pickle with its own checksum, as .pth",
        evil_extractor,
        with_sum("evil.pth", "inception"),
        "evil.pth",
    ),
    Hostile(
        "weights",
        "objects with their own checksum, as .npz",
        evil_extractor,
        with_sum("evil.npz", "digits"),
        "evil.npz",
    ),
]
