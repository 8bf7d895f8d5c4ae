"""Images as one array: all forms of the same images are the same, and nothing else is read."""

import io
import itertools
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from ltvm.data import arrays
from ltvm.data.arrays import read_array
from ltvm.data.image_set import ImageSet, to_float
from ltvm.errors import InputError

GREY = ImageSet("grey", "train", torch.randint(0, 255, (3, 1, 4, 4), dtype=torch.uint8))
COLOUR = ImageSet("colour", "train", torch.randint(0, 255, (3, 3, 4, 4), dtype=torch.uint8))


def read(file, real=GREY, n=2, span=None):
    return read_array(file, real, n, f"{n}, the card's n", span).images


def write(file, values):
    """A tensor, by numpy or by torch; bfloat16 by torch alone."""
    if file.suffix == ".pt":
        torch.save(values, file)
    elif file.suffix == ".npz":
        np.savez_compressed(file, values.numpy())
    else:
        np.save(file, values.numpy())


FORMS = list(itertools.product(
    (".npy", ".npz", ".pt"), (1, 3), ("first", "last", "none"),
    (torch.uint8, torch.float32, torch.float64), ((0, 1), (-1, 1)),
))  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_every_form_of_the_same_images_is_the_same(tmp_path, seed):
    draw = torch.Generator().manual_seed(seed)
    for number, (suffix, channels, order, dtype, span) in enumerate(FORMS):
        n = 2 + number % 4
        images = torch.randint(0, 256, (n, channels, 4, 4), dtype=torch.uint8, generator=draw)
        values = images if dtype == torch.uint8 else images.to(dtype) / 255
        values = values * 2 - 1 if dtype != torch.uint8 and span == (-1, 1) else values
        if order == "last":
            values = values.permute(0, 2, 3, 1).contiguous()
        elif order == "none" and channels == 1:
            values = values[:, 0]
        file = tmp_path / f"{number}{suffix}"
        write(file, values)
        found = read(file, ImageSet("real", "train", images), n, span)
        assert torch.equal(found, images)
        assert found.is_contiguous()


def test_all_values_of_a_byte_by_every_kind_of_float(tmp_path):
    real = ImageSet("real", "train", torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8))
    written = [
        ("a.npy", (real.images.double() / 255).numpy().astype(">f8"), (0, 1)),
        ("b.npy", (real.images.float() / 255).numpy().astype("<f2"), (0, 1)),  # 11 bits suffice
        ("c.npy", to_float(real.images).numpy(), (-1, 1)),  # as the suite's own decoders have them
    ]
    for name, values, span in written:
        np.save(tmp_path / name, values)
        assert torch.equal(read(tmp_path / name, real, 4, span), real.images)
    torch.save((real.images / 255).half().requires_grad_(), tmp_path / "d.pt")
    assert torch.equal(read(tmp_path / "d.pt", real, 4, (0, 1)), real.images)
    coarse = (real.images / 255).bfloat16()
    torch.save(coarse, tmp_path / "e.pt")
    expected = (coarse.double() * 255).round()
    assert torch.equal(read(tmp_path / "e.pt", real, 4, (0, 1)).double(), expected)


def test_grey_stored_as_colour_and_the_other_way_round_as_of_image_files(tmp_path):
    grey = GREY.images[:2]
    torch.save(grey.expand(2, 3, 4, 4), tmp_path / "a.pt")  # a view: no three copies in the file
    assert torch.equal(read(tmp_path / "a.pt"), grey)
    np.save(tmp_path / "b.npy", grey[:, 0].numpy())
    assert torch.equal(read(tmp_path / "b.npy", COLOUR), grey.expand(2, 3, 4, 4))
    np.save(tmp_path / "c.npy", COLOUR.images[:2].numpy())
    with pytest.raises(InputError, match=r"c\.npy=colour: allowed: grey, as in grey"):
        read(tmp_path / "c.npy")


def test_parts_are_put_together_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "AT_ONCE", 2)
    images = torch.randint(0, 255, (5, 3, 4, 4), dtype=torch.uint8)
    for name in ("a.npy", "b.npz", "c.pt"):
        write(tmp_path / name, images)
        assert torch.equal(read(tmp_path / name, COLOUR, 5), images)


class Executed:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def objects(file):
    np.save(file, np.array([Executed()] * 2), allow_pickle=True)


def objects_of_the_shape(file):
    np.save(file, np.full((2, 4, 4), Executed()), allow_pickle=True)


def fields(file):
    np.save(file, np.zeros((2, 4, 4), [("a", "u1"), ("字", "u1")]))


def huge(file):
    """A header of 16 exabytes, and no values."""
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (2, 2**31, 2**31)}
        )


def huge_number(file):
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|u1", "fortran_order": False, "shape": (2**62, 4, 4)}
        )


def truncated(file):
    np.save(file, GREY.images[:2].numpy())
    os.truncate(file, file.stat().st_size - 1)


def longer(file):
    np.save(file, GREY.images[:2].numpy())
    with file.open("ab") as stream:
        stream.write(b"\0")


def by_column(file):
    np.save(file, np.asfortranarray(np.zeros((2, 4, 4), np.uint8)))


def a_pickle(file):
    file.write_bytes(pickle.dumps(Executed()))


def a_pipe(file):
    os.mkfifo(file)


def a_link_out(file):
    other = file.parent.parent / "other.npy"
    np.save(other, GREY.images[:2].numpy())
    file.symlink_to(other)


def a_folder(file):
    file.mkdir()


def several(file):
    np.savez(file, a=GREY.images.numpy(), b=GREY.images.numpy())


def zip_bomb(file):
    """Two images by its header, and megabytes of zeros in kilobytes behind them."""
    content = io.BytesIO()
    np.save(content, np.zeros((2, 4, 4), np.uint8))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content.getvalue() + bytes(2**23))


def damaged_archive(file):
    with zipfile.ZipFile(file, "w") as archive, archive.open("a.npy", "w") as member:
        np.save(member, np.full((2, 4, 4), 77, np.uint8))
    content = file.read_bytes()
    file.write_bytes(content.replace(bytes([77] * 4), bytes([77, 77, 78, 77]), 1))


def tensor(values):
    return lambda file: torch.save(values, file)


def compressed(file):
    torch.save(GREY.images[:2], file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def storage_too_small(file):
    """Two images of which the archive has one: torch alone takes what follows for the rest."""
    torch.save(GREY.images[:2].clone(), file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:16] if name.endswith("/data/0") else content)


def old_format(file):
    torch.save(GREY.images[:2], file, _use_new_zipfile_serialization=False)


def damaged_tensor(file):
    torch.save(torch.full((2, 1, 4, 4), 77, dtype=torch.uint8), file)
    content = file.read_bytes()
    file.write_bytes(content.replace(bytes([77] * 4), bytes([77, 77, 78, 77]), 1))


def array(values):
    return lambda file: np.save(file, values)


HALF = np.full((2, 4, 4), 0.5, np.float32)


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.npy", objects, "shape=(2,): allowed: (n, 4, 4), (n, 1, 4, 4) or (n, 4, 4, 1)"),
        ("a.npy", objects_of_the_shape, "values=object: allowed: uint8, or floats"),
        ("a.npy", fields, "an array of fields"),
        ("a.npy", huge, "shape=(2, 2147483648, 2147483648): allowed"),
        ("a.npy", huge_number, "images=4611686018427387904: allowed: 2, the card's n"),
        ("a.npy", truncated, "ends early"),
        ("a.npy", longer, "goes on after its array"),
        ("a.npy", by_column, "in Fortran's order; allowed: C order"),
        ("a.npy", a_pickle, "no array that can be read"),
        ("a.npy", a_pipe, "no regular file"),
        ("a.npy", a_link_out, "a link that leads out of the folder"),
        ("a.npy", a_folder, "no regular file"),
        ("a.npy", array(np.zeros((3, 4, 4), np.uint8)), "images=3: allowed: 2, the card's n"),
        ("a.npy", array(np.zeros((2, 5, 5), np.uint8)), "shape=(2, 5, 5): allowed: (n, 4, 4)"),
        ("a.npy", array(np.zeros((2, 2, 4, 4), np.uint8)), "shape=(2, 2, 4, 4): allowed"),
        ("a.npy", array(np.zeros((2, 4, 4, 4), np.uint8)), "shape=(2, 4, 4, 4): allowed"),
        ("a.npy", array(np.uint8(3)), "shape=(): allowed"),
        ("a.npy", array(np.zeros((2, 4, 4), np.int64)), "values=int64: allowed: uint8, or floats"),
        ("a.npy", array(np.zeros((2, 4, 4), bool)), "values=bool: allowed"),
        ("a.npy", array(np.zeros((2, 4, 4), np.complex64)), "values=complex64: allowed"),
        ("a.npy", array(np.zeros((2, 4, 4), np.longdouble)), "values=float128: allowed"),
        ("a.npy", array(HALF), "float32: allowed: uint8, or floats with a line in card.yaml, "
                               "range: [0, 1] or range: [-1, 1]"),
        ("a.npz", several, "2 arrays; allowed: one"),
        ("a.npz", zip_bomb, "goes on after its array"),
        ("a.npz", damaged_archive, "no array that can be read (Bad CRC-32"),
        ("a.npz", a_pickle, "no array that can be read"),
        ("a.pt", a_pickle, "no array that can be read"),
        ("a.pt", tensor(Executed()), "mkdir; allowed: one tensor, and no other object"),
        ("a.pt", tensor({"samples": GREY.images}), "dict; allowed: one tensor"),
        ("a.pt", tensor([GREY.images]), "list; allowed: one tensor"),
        ("a.pt", tensor(torch.nn.Linear(4, 4)), "allowed: one tensor, and no other object"),
        ("a.pt", tensor(torch.zeros(2, 4, 4).to_sparse()), "allowed: one tensor"),
        ("a.pt", tensor(torch.zeros(2, 4, 4, dtype=torch.int64)), "values=int64: allowed"),
        ("a.pt", tensor(torch.zeros(2, 4, 4, dtype=torch.cfloat)), "values=complex64: allowed"),
        ("a.pt", tensor(torch.zeros(2, 4, 4)), "values=float32: allowed: uint8, or floats with"),
        ("a.pt", tensor(torch.zeros(2, 32, 32)), "shape=(2, 32, 32): allowed: (n, 4, 4)"),
        ("a.pt", tensor(["a"] * 50_000), "no single tensor"),
        ("a.pt", compressed, "a compressed archive"),
        ("a.pt", storage_too_small, "16 bytes for a tensor of 32; allowed: a whole file"),
        ("a.pt", old_format, "no array that can be read"),
        ("a.pt", damaged_tensor, "the checksum of"),
    ],
)  # fmt: skip
def test_what_is_no_array_of_such_images_is_named(tmp_path, monkeypatch, name, make, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / name
    make(file)
    with pytest.raises(InputError) as error:
        read(file)
    assert words in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("values", "span", "words"),
    [
        (np.nan, (0, 1), "values=nan to nan: allowed: 0 to 1, the card's range"),
        (np.inf, (0, 1), "values=0.5 to inf: allowed"),
        (-0.01, (0, 1), "values=-0.00999999978 to 0.5: allowed: 0 to 1"),
        (1.000001, (-1, 1), "values=0.5 to 1.00000095: allowed: -1 to 1, the card's range"),
        (255.0, (0, 1), "values=0.5 to 255: allowed"),
        (0.0, (-1, 1), "least value=0: allowed: some below 0 by range [-1, 1], as in dark"),
    ],
)
def test_floats_outside_the_range_of_the_card(tmp_path, values, span, words):
    dark = ImageSet("dark", "train", torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
    written = HALF.copy()
    written[1, 2, 3] = values
    for name in ("a.npy", "a.pt"):
        write(tmp_path / name, torch.from_numpy(written))
        with pytest.raises(InputError) as error:
            read(tmp_path / name, dark, 2, span)
        assert words in str(error.value)


def test_channels_that_may_be_first_or_last(tmp_path):
    real = ImageSet("tiny", "train", torch.zeros(2, 3, 3, 3, dtype=torch.uint8))
    np.save(tmp_path / "samples.npy", real.images.numpy())
    with pytest.raises(InputError, match=r"shape=\(2, 3, 3, 3\): allowed: PNG files in samples/"):
        read(tmp_path / "samples.npy", real)
