"""A folder as one file: ``.tar.gz`` with a SHA-256 for every file in it, checked before use.

    NAME/SHA256SUMS   NAME/ablations/NAME.json   NAME/runs/...   NAME/reports/NAME/...

``sha256sum -c SHA256SUMS`` checks the same by hand.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ltvm.errors import InputError
from ltvm.runs.files.index import NAME
from ltvm.runtime.files import sha256_of, write_text, writing

SUFFIXES = (".tar.gz", ".tgz")
SUMS = "SHA256SUMS"
LEVEL = 1  # of compression: weights hardly get smaller, and take their time
GROWTH = 200  # at most so many times its size is what honest records unpack to
PLAIN = 2**28  # bytes that any archive may unpack to
MEMBERS = 1_000_000
NAMED = 3  # files that an error names


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files below ``folder``, as ``sha256sum`` would."""
    lines = [f"{sha256_of(p)}  {p.relative_to(folder).as_posix()}\n" for p in files_of(folder)]
    write_text(folder / SUMS, "".join(lines))


def verify(folder: Path, named: Path) -> None:
    """Raise :class:`InputError` unless the files are those of ``SHA256SUMS``, no more, no less.

    But for an index, which whoever looked at the records may have left.
    """
    listed = {}
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    files = [p for p in files_of(folder) if p not in (folder / SUMS, folder / NAME)]
    found = {p.relative_to(folder).as_posix(): p for p in files}
    wrong = {
        "absent": [name for name in listed if name not in found],
        "not listed": [name for name in found if name not in listed],
        "changed": [n for n, p in found.items() if n in listed and sha256_of(p) != listed[n]],
    }
    said = [
        f"{', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''} ({what})"
        for what, names in wrong.items()
        if names
    ]
    if said:
        raise InputError(f"{named}: not what its {SUMS} lists: {'; '.join(said)}")


def pack(folder: Path, file: Path) -> None:
    """Write ``folder`` as a ``.tar.gz``; names, order and times depend on its content alone."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o644
        return member

    with (
        writing(file) as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in files_of(folder):
            archive.add(path, f"{folder.name}/{path.relative_to(folder)}", filter=plain)


@contextmanager
def unpacked(file: Path, beside: Path) -> Iterator[Path]:
    """The verified content of an archive, in a temporary folder below ``beside``.

    Raises :class:`InputError` for what is no archive of ours: links, names that lead elsewhere, or
    files that are not those of its checksums.
    """
    with tempfile.TemporaryDirectory(prefix=".import-", dir=beside) as temporary:
        try:
            with tarfile.open(file, "r:gz") as archive:
                members = list(safe_members(file, archive, shutil.disk_usage(beside).free))
                archive.extractall(temporary, members, filter="data")
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            what = " ".join(str(error).split())[:120]
            raise InputError(f"{file}: cannot be unpacked ({what})") from error
        yield verified(Path(temporary), file)


def safe_members(file: Path, archive: tarfile.TarFile, free: int) -> Iterator[tarfile.TarInfo]:
    """The members of an archive, each looked at before what follows it is decompressed.

    Raises :class:`InputError` for one that is no file or folder below the archive's own, or there
    twice, and for more than records and weights could be, or than is ``free`` on the disk.
    """
    names: set[PurePosixPath] = set()
    most, total = min(free, max(PLAIN, GROWTH * file.stat().st_size)), 0
    for member in archive:
        name = PurePosixPath(member.name)
        plain = (member.isreg() and not member.issparse()) or member.isdir()
        if not plain or name.is_absolute() or ".." in name.parts or name in names:
            raise InputError(
                f"{file}: member {member.name}: allowed: files and folders within it, each once"
            )
        names.add(name)
        total += member.size
        if total > most or len(names) > MEMBERS:
            raise InputError(f"{file}: unpacks to more than {most:,} bytes or {MEMBERS:,} files")
        yield member


def verified(folder: Path, named: Path) -> Path:
    """The folder that has the checksums, ``folder`` or the only one in it, when they hold."""
    inside = [path for path in folder.iterdir() if path.is_dir()]
    for root in (folder, *(inside if len(inside) == 1 else ())):
        if (root / SUMS).is_file():
            verify(root, named)
            return root
    raise InputError(f"{named}: no {SUMS} in it; allowed: what `ltvm export` has made")
