"""Small copies for pages."""

import io

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import ImageError
from dermoscope.data.synthetic import NOTICE, draw
from dermoscope.data.thumbnails import thumbnail


@pytest.mark.parametrize(
    ("size", "shown"), [((600, 450), (200, 150)), ((450, 600), (150, 200)), ((120, 90), (120, 90)), ((2000, 10), None)]
)
def test_the_longer_side_fits_and_nothing_is_enlarged_or_cropped(
    size: tuple[int, int], shown: tuple[int, int] | None
) -> None:
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    if shown is None:
        with pytest.raises(ImageError):
            thumbnail(pixels, 200)
    else:
        assert Image.open(io.BytesIO(thumbnail(pixels, 200))).size == shown


def test_the_note_stays_and_everything_else_of_the_file_goes() -> None:
    exif = Image.Exif()
    exif[0x010E] = "name of a patient"
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.fromarray(draw(1, "NV", (160, 120)).pixels).save(out, "JPEG", exif=exif, comment=b"name of a patient")
    small = thumbnail(out.getvalue(), 80, note=NOTICE)
    picture = Image.open(io.BytesIO(small))
    assert picture.size == (60, 80)
    assert picture.info["comment"] == NOTICE.encode()
    assert b"patient, " not in small.replace(NOTICE.encode(), b"")
    assert b"name of" not in small


def test_what_is_no_image_is_an_image_error() -> None:
    with pytest.raises(ImageError):
        thumbnail(b"not an image")
