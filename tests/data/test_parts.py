"""Files of many small parts: refused before anything is made of each of them."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import ImageError
from dermoscope.data.images import image_size, read_image
from dermoscope.data.parts import MOST_NUMBERS, MOST_PARTS, webp_size
from dermoscope.data.synthetic import draw

PIXELS = draw(3, "MEL", size=(97, 71)).pixels


def saved(kind: str, **said: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, kind, **said)
    return out.getvalue()


def tiff(*tags: tuple[int, int, int, int], data: bytes = b"", order: str = "<") -> bytes:
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags))
    return head + b"".join(struct.pack(order + "HHII", *tag) for tag in tags) + bytes(4) + data


def after(data: bytes, place: int, added: bytes) -> bytes:
    return data[:place] + added + data[place:]


CHUNK = struct.pack(">I4sI", 0, b"abCd", zlib.crc32(b"abCd"))
MADE = {
    "PNG": (lambda: after(saved("PNG"), 33, CHUNK * MOST_PARTS), "over 200,000 chunks"),
    "GIF": (lambda: after(saved("GIF"), 13 + 768, b"\x21\xfe\1a\0" * MOST_PARTS), "over 200,000 blocks"),
    "TIFF of numbers": (
        lambda: tiff((40000, 3, MOST_NUMBERS + 1, 26), data=bytes(2 * MOST_NUMBERS + 2)),
        "over 1,000,000 numbers in its tags",
    ),
    "TIFF with a huge tile": (
        lambda: tiff((256, 4, 1, 99), (257, 4, 1, 99), (322, 4, 1, 40_000), (323, 4, 1, 40_000), order=">"),
        "99 x 99 pixels in tiles of 40000 x 40000",
    ),
    "JPEG of segments": (lambda: after(saved("JPEG"), 2, b"\xff\xfe\0\2" * 20_001), "over 20,000 segments"),
    "JPEG of profiles": (
        lambda: after(saved("JPEG"), 2, b"\xff\xe2\0\x0fICC_PROFILE\0\1\1" * 50_000),
        "over 20,000 segments",
    ),
    "JPEG of fill bytes": (lambda: after(saved("JPEG"), 2, b"\xff" * 1_000_000), "over 20,000 segments"),
    "JPEG of EXIF": (
        lambda: after(saved("JPEG"), 2, (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 51),
        "51 pieces of EXIF",
    ),
    "JPEG of scans": (lambda: scans(101), "over 100 scans"),
}


def scans(many: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = saved("JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (many - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("kind", MADE)
def test_too_many_parts_are_refused_at_once(kind: str) -> None:
    make, why = MADE[kind]
    data = make()
    before = time.process_time()
    with pytest.raises(ImageError, match=rf"^a\.img: .*{why}.*; export the image again"):
        read_image(data, name="a.img")
    assert time.process_time() - before < 1


def test_some_parts_cost_no_pixel() -> None:
    some = {
        "PNG": after(saved("PNG"), 33, CHUNK * 1000),
        "GIF": after(saved("GIF"), 13 + 768, b"\x21\xfe\1a\0" * 1000),
        "JPEG": after(saved("JPEG", progressive=True), 2, b"\xff\xfe\0\2" * 1000),
        "TIFF": saved("TIFF", compression="tiff_adobe_deflate"),
    }
    for kind, data in some.items():
        plain = saved(kind, progressive=True) if kind == "JPEG" else saved(kind)
        assert np.array_equal(read_image(data).pixels, read_image(plain).pixels), kind


@pytest.mark.parametrize("order", "<>")
def test_numbers_of_exif_count_too(order: str) -> None:
    inner = struct.pack(order + "H", 1) + struct.pack(order + "HHII", 40000, 5, MOST_NUMBERS + 1, 40)
    data = tiff((34665, 4, 1, 26), data=inner + bytes(8 * MOST_NUMBERS + 60), order=order)
    with pytest.raises(ImageError, match="numbers in its tags"):
        read_image(data)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "I;16", "CMYK"])
def test_bands_do_not_show(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.fromarray(PIXELS)
    if mode == "I;16":
        picture = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
    elif mode == "RGBA":
        picture.putalpha(Image.fromarray(PIXELS[..., 1].copy()))
    else:
        picture = picture.convert(mode)
    out = io.BytesIO()
    picture.save(out, "TIFF" if mode == "CMYK" else "PNG", **({"transparency": 0} if mode == "P" else {}))
    whole = read_image(out.getvalue()).pixels
    monkeypatch.setattr("dermoscope.data.images._BAND", 97 * 10)
    assert np.array_equal(read_image(out.getvalue()).pixels, whole)


def test_a_png_is_measured_without_decoding_it(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 12_000, 11_000, 8, 2, 0, 0, 0)
    ihdr = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + ihdr + saved("PNG")[33:])
    with pytest.raises(ImageError, match="12000 x 11000 pixels, over the limit"):
        image_size(path)
    with pytest.raises(ImageError, match="12000 x 11000 pixels, over the limit"):
        read_image(path)
    path.write_bytes(saved("PNG")[:-500])
    assert image_size(path) == (97, 71)


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, 3, 1, 6, 0)
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    plain = saved("PNG")
    assert np.array_equal(read_image(after(plain, len(plain) - 12, chunk)).pixels, np.rot90(PIXELS, -1))


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_webp_is_measured_without_opening_it(lossless: bool, alpha: bool) -> None:
    out = io.BytesIO()
    Image.new("RGBA" if alpha else "RGB", (97, 71), (9, 9, 9, 9)[: 3 + alpha]).save(out, "WEBP", lossless=lossless)
    assert webp_size(out.getvalue()) == (97, 71)
    assert webp_size(out.getvalue()[:29]) is None
    assert webp_size(b"RIFF" + bytes(40)) is None
