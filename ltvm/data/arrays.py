"""Images of anybody as one array: ``.npy``, ``.npz`` of one array, or a tensor in a ``.pt``.

    header -> shape and dtype, held against what is wanted -> values, some images at a time

Nothing in a file is executed, and nothing is allocated because a file claims to have it.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
import torch
from torch import Tensor

from ltvm.data.image_set import ImageSet, to_uint8
from ltvm.errors import InputError, require
from ltvm.runtime.images import RANGES, refuse, refuse_irregular

AT_ONCE = 1_000  # images
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LONGEST_PICKLE = 100_000  # bytes; a tensor's has some hundred
TENSORS = re.compile(r"torch\._utils _rebuild_tensor_v2|collections OrderedDict|torch \w+Storage")


@dataclass(frozen=True)
class Stored:
    """An array of which the header alone is read; ``read(k)`` gives its next ``k`` images."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[int], Tensor]

    @property
    def is_float(self) -> bool:
        return self.dtype in {str(dtype).removeprefix("torch.") for dtype in FLOATS}


def read_array(
    file: Path, real: ImageSet, n: int, allowed: str, span: tuple[int, int] | None
) -> ImageSet:
    """The ``n`` images of a file, uint8, shaped as the ``real`` ones.

    (n, c, h, w), (n, h, w, c) or, of grey ones, (n, h, w); uint8, or floats in ``span``. Grey
    images may be stored as colour ones, and the other way round. Raises
    :class:`ltvm.errors.InputError`, for a wrong number with ``allowed``.
    """
    refuse_irregular(file, file.parent)
    with opened_array(file) as stored:
        require(len(stored.shape) in (3, 4), f"{file}: shape", stored.shape, shapes(real))
        require(stored.shape[0] == n, f"{file}: images", stored.shape[0], allowed)
        channels_last = is_channels_last(file, stored.shape, real)
        check_values(file, stored, span)
        images = torch.empty(n, *real.shape, dtype=torch.uint8)
        least = torch.inf
        for part in images.split(AT_ONCE):
            values = stored.read(len(part))
            if stored.is_float:
                least = min(least, float(values.min()))
            values = quantised(file, values, span)
            values = values.movedim(-1, 1) if channels_last else values
            part.copy_(fitted(file, values[:, None] if values.ndim == 3 else values, real))
        bright = stored.is_float and span == (-1, 1) and least >= 0
        wrong = bright and bool((real.images < 128).any())
        either = f"some below 0 by range [-1, 1], as in {real.name}; or range: [0, 1], or uint8"
        require(not wrong, f"{file}: least value", f"{least:g}", either)
    return ImageSet(str(file), "external", images)


def shapes(real: ImageSet) -> str:
    """What an array of images like the real ones may be, in words."""
    size = f"{real.size}, {real.size}"
    grey = f"(n, {size}), " if real.channels == 1 else ""
    both = f"(n, {real.channels}, {size}) or (n, {size}, {real.channels})"
    return f"{grey}{both}, as in {real.name}"


def is_channels_last(file: Path, shape: tuple[int, ...], real: ImageSet) -> bool:
    """Whether an array is (n, h, w, c); raises :class:`InputError` for another size or kind."""
    size, kinds = real.size, (1, 3) if real.channels in (1, 3) else (real.channels,)
    if len(shape) == 3:
        grey = shape[1:] == (size, size) and 1 in kinds
        require(grey, f"{file}: shape", shape, shapes(real))
        return False
    first = shape[1:] in [(kind, size, size) for kind in kinds]
    last = shape[1:] in [(size, size, kind) for kind in kinds]
    require(first or last, f"{file}: shape", shape, shapes(real))
    either = f"PNG files in {file.stem}/, since the channels may be the first or the last of these"
    require(not (first and last) or size == 1, f"{file}: shape", shape, either)
    return last and not first


def check_values(file: Path, stored: Stored, span: tuple[int, int] | None) -> None:
    kind = f"{file}: values"
    require(stored.is_float or stored.dtype == "uint8", kind, stored.dtype, "uint8, or floats")
    words = " or ".join(f"range: {list(one)}" for one in RANGES)
    told = not stored.is_float or span is not None
    require(told, kind, stored.dtype, f"uint8, or floats with a line in card.yaml, {words}")


def quantised(file: Path, values: Tensor, span: tuple[int, int] | None) -> Tensor:
    """Floats in ``span`` -> uint8, rounded; raises :class:`InputError` for others, and for NaN."""
    if values.dtype == torch.uint8:
        return values
    assert span is not None  # check_values
    values = values.float()
    least, most = (float(extreme) for extreme in values.aminmax())
    inside = span[0] <= least and most <= span[1]  # false of NaN
    allowed = f"{span[0]} to {span[1]}, the card's range"
    require(inside, f"{file}: values", f"{least:.9g} to {most:.9g}", allowed)
    return to_uint8(values) if span == (-1, 1) else (values * 255).round().to(torch.uint8)


def fitted(file: Path, images: Tensor, real: ImageSet) -> Tensor:
    """[k, c, h, w] with the channels of the real images, as image files are read."""
    if images.shape[1] == real.channels:
        return images
    grey = images[:, :1]
    if real.channels == 1:
        require(bool((images == grey).all()), str(file), "colour", f"grey, as in {real.name}")
        return grey
    return grey.expand(-1, real.channels, -1, -1)


@contextmanager
def opened_array(file: Path) -> Iterator[Stored]:
    """An array by its header; raises :class:`InputError` with the file if it cannot be read."""
    try:
        with ExitStack() as stack:
            if file.suffix == ".pt":
                yield tensor_of(file)
            else:
                stream: IO[bytes] = stack.enter_context(file.open("rb"))
                if file.suffix == ".npz":
                    archive = stack.enter_context(zipfile.ZipFile(stream))
                    names = archive.namelist()
                    refuse(file, len(names) != 1, f"{len(names)} arrays", "one, by np.savez")
                    stream = stack.enter_context(archive.open(names[0]))
                yield array_of(file, stream)
    except InputError:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{file}: no array that can be read ({what})") from error


def array_of(file: Path, stream: IO[bytes]) -> Stored:
    """What numpy's format says in its header; pickled objects are none of its dtypes here."""
    version = np.lib.format.read_magic(stream)
    headers = {(1, 0): np.lib.format.read_array_header_1_0,
               (2, 0): np.lib.format.read_array_header_2_0}  # fmt: skip
    refuse(file, version not in headers, f"an array of fields (format {version})", "plain values")
    shape, by_column, dtype = headers[version](stream)
    refuse(file, by_column, "in Fortran's order", "C order (np.ascontiguousarray)")
    left = shape[0] if shape else 0

    def read(k: int) -> Tensor:
        nonlocal left
        wanted = (min(k, left), *shape[1:])
        n_bytes = int(np.prod(wanted)) * dtype.itemsize
        content = stream.read(n_bytes)
        refuse(file, len(content) < n_bytes, "ends early", "a whole file")
        left -= wanted[0]
        refuse(file, not left and stream.read(1) != b"", "goes on after its array", "one array")
        values = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))
        return torch.from_numpy(values.reshape(wanted))

    return Stored(shape, dtype.name, read)


def tensor_of(file: Path) -> Stored:
    """A tensor that torch.save wrote, mapped and not read."""
    with zipfile.ZipFile(file) as archive:  # torch's format before 1.6 is none
        members = archive.infolist()
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        grown = sum(member.file_size for member in members) > file.stat().st_size
        refuse(file, packed or grown, "a compressed archive", "a tensor by torch.save")
        pickles = [member for member in members if member.filename.endswith("/data.pkl")]
        refuse(file, len(pickles) != 1, "no file of torch.save", "a tensor by torch.save")
        refuse(file, pickles[0].file_size > LONGEST_PICKLE, "no single tensor", "one tensor")
        for opcode, name, _ in pickletools.genops(archive.read(pickles[0])):
            if opcode.name == "GLOBAL" and TENSORS.fullmatch(str(name)) is None:
                refuse_object(file, str(name).replace(" ", "."))
        sizes = [one.file_size for one in members if re.search(r"/data/\d+$", one.filename)]
        broken = archive.testzip()
        refuse(file, broken is not None, f"the checksum of {broken!r} is another", "a whole file")
    tensor = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(tensor, Tensor):
        refuse_object(file, type(tensor).__name__)
    wanted = tensor.untyped_storage().nbytes()  # torch maps what follows, too, if there are fewer
    few = f"{sum(sizes)} bytes for a tensor of {wanted}"
    refuse(file, sizes != [wanted], few, "a whole file")
    parts = tensor.detach()
    first = 0

    def read(k: int) -> Tensor:
        nonlocal first
        first += k
        return parts[first - k : first]

    return Stored(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), read)


def refuse_object(file: Path, found: str) -> NoReturn:
    raise InputError(f"{file}: {found[:80]}; allowed: one tensor, and no other object")
