"""A picture that is not whole is none, whatever Pillow was told to make of it."""

import numpy as np
import pytest
from PIL import Image, ImageFile

from ltvm.errors import InputError
from ltvm.runtime.images import read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


@pytest.fixture(params=[False, True], ids=["", "filled by another library"])
def picture(request, tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
    file = tmp_path / "samples.png"
    Image.fromarray(PIXELS).save(file)
    return file


def test_a_whole_one_is_read(picture):
    told = ImageFile.LOAD_TRUNCATED_IMAGES
    assert (np.asarray(read_picture(picture)) == PIXELS).all()
    assert told == ImageFile.LOAD_TRUNCATED_IMAGES


def test_one_that_is_cut_short_is_none(picture):
    """Also after its last pixel: what follows says that they are the right ones."""
    content = picture.read_bytes()
    end = len(content) - len("IEND") - 4  # and a checksum of nothing
    for left in (len(content) // 2, *range(end - 20, end + 1, 4)):
        picture.write_bytes(content[:left])
        with pytest.raises(InputError, match=r"samples\.png: no image that can be read"):
            read_picture(picture)


def test_one_with_a_flipped_bit_is_none(picture):
    content = picture.read_bytes()
    for place in (100, len(content) // 2, len(content) - 14):
        picture.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(InputError, match="no image that can be read"):
            read_picture(picture)
