"""What is left of an uploaded file: the same pixels, three facts, and nothing that names anybody."""

import datetime
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from dermoscope.core.errors import ImageError
from dermoscope.data.images import read_image
from dermoscope.data.synthetic import draw
from dermoscope.serve.uploads import Upload, clean, shown_name

SECRET = b"Erika Mustermann"
PIXELS = draw(3, "MEL", size=(97, 71)).pixels


def exif(orientation: int = 1, **more: object) -> Image.Exif:
    """EXIF as a camera writes it, with a name wherever a name fits."""
    made = Image.Exif()
    made[0x0112] = orientation
    made[0x010F], made[0x0110] = "Canon", "Canon PowerShot G16"
    made[0x013B] = made[0x8298] = made[0x010E] = SECRET.decode()
    made[0x0132] = "2026:01:02 03:04:05"
    made[0x9C9D] = SECRET.decode().encode("utf-16-le")
    taken = made.get_ifd(0x8769)
    taken[0x9003], taken[0xA431], taken[0x9286] = "2025:03:14 09:26:53", "SN-" + SECRET.decode(), SECRET
    taken[0x927C] = SECRET * 3
    place = made.get_ifd(0x8825)
    place[1], place[2] = "N", (TiffImagePlugin.IFDRational(47), TiffImagePlugin.IFDRational(4), 2)
    for name, value in more.items():
        taken[int(name[1:], 16)] = value
    return made


def saved(kind: str = "JPEG", pixels: np.ndarray = PIXELS, mode: str = "RGB", **said: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind, **said)
    return out.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(data: bytes, *added: bytes) -> bytes:
    """A JPEG with segments after its start."""
    return data[:2] + b"".join(added) + data[2:]


def same_pixels(before: bytes, after: Upload) -> bool:
    picture = read_image(before)
    return (after.width, after.height) == (picture.width, picture.height) and np.array_equal(
        picture.pixels, read_image(after.data).pixels
    )


def test_a_jpeg_keeps_its_samples_and_loses_every_name() -> None:
    full = with_segments(
        saved(exif=exif(6), quality=90, comment=SECRET, dpi=(300, 300)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>" + SECRET + b"</x>"),
        segment(0xED, b"Photoshop 3.0\0" + SECRET),
        segment(0xE5, SECRET),
        segment(0xFE, SECRET),
    )
    upload = clean(full + b"PK\x03\x04" + SECRET, "IMG_1.JPG")
    assert SECRET not in upload.data
    assert SECRET.decode().encode("utf-16-le") not in upload.data
    assert b"Canon" not in upload.data
    assert upload.media == "image/jpeg"
    assert upload.format == "JPEG"
    assert (upload.width, upload.height) == (71, 97)
    assert same_pixels(full, upload)
    assert upload.captured_on == datetime.date(2025, 3, 14)
    assert upload.device == "Canon PowerShot G16"
    assert upload.polarisation is None
    left = Image.open(io.BytesIO(upload.data))
    assert dict(left.getexif()) == {0x0112: 6}
    assert not left.getexif().get_ifd(0x8769)
    assert set(left.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif"}
    assert upload.data.endswith(b"\xff\xd9")
    plain = saved(quality=90, dpi=(300, 300))
    assert abs(len(upload.data) - len(plain)) < 60  # the samples themselves, not coded again


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_stays_what_it_is(kind: str, orientation: int) -> None:
    before = saved(kind, exif=exif(orientation).tobytes())  # as bytes: Pillow loses half of it in a TIFF else
    after = clean(before, "x")
    assert same_pixels(before, after)
    assert SECRET not in after.data
    assert after.captured_on == datetime.date(2025, 3, 14)
    assert after.device == "Canon PowerShot G16"


JPEGS: dict[str, Callable[[], bytes]] = {
    "progressive": lambda: saved(progressive=True),
    "4:4:4": lambda: saved(subsampling=0),
    "grey": lambda: saved(mode="L"),
    "restart markers": lambda: saved(restart_marker_blocks=2),
    "RGB of Adobe": lambda: saved(keep_rgb=True),
    "profile": lambda: saved(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    "no JFIF": lambda: saved()[:2] + saved()[20:],
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpegs_of_every_kind_keep_their_samples(kind: str) -> None:
    before = JPEGS[kind]()
    after = clean(with_segments(before, segment(0xFE, SECRET)), kind)
    assert after.media == "image/jpeg"
    assert same_pixels(before, after)
    assert SECRET not in after.data
    assert Image.open(io.BytesIO(after.data)).info.get("icc_profile") == Image.open(io.BytesIO(before)).info.get(
        "icc_profile"
    )


def test_another_profile_than_srgb_stays_with_the_samples() -> None:
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc = icc.replace(b"s\0R\0G\0B", b"w\0i\0d\0e").replace(b"sRGB", b"wide")
    before = saved(icc_profile=bytes(icc))
    after = clean(before, "x")
    assert after.media == "image/jpeg"
    assert Image.open(io.BytesIO(after.data)).info["icc_profile"] == bytes(icc)
    assert same_pixels(before, after)


OTHERS: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: saved("PNG"),
    "grey PNG": lambda: saved("PNG", mode="L"),
    "palette": lambda: saved("PNG", mode="P"),
    "TIFF": lambda: saved("TIFF", compression="tiff_lzw"),
    "BMP": lambda: saved("BMP"),
    "GIF": lambda: saved("GIF", mode="P"),
    "WEBP": lambda: saved("WEBP", lossless=True),
    "CMYK": lambda: saved("JPEG", mode="CMYK"),
    "16 bits": lambda: saved("PNG", (PIXELS[..., 0].astype(np.uint16) * 257), mode="I;16"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_everything_else_becomes_a_png_of_what_the_model_sees(kind: str) -> None:
    before = OTHERS[kind]()
    after = clean(before + SECRET, kind)
    assert after.media == "image/png"
    assert after.format == ("JPEG" if kind == "CMYK" else kind if kind in ("TIFF", "BMP", "GIF", "WEBP") else "PNG")
    assert same_pixels(before, after)
    assert SECRET not in after.data
    assert not Image.open(io.BytesIO(after.data)).info


def test_texts_times_and_hidden_chunks_of_a_png_are_gone() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", SECRET.decode())
    text.add_itxt("Comment", SECRET.decode(), zip=True)
    before = saved("PNG", pnginfo=text)
    hidden = b"prVt" + SECRET
    chunk = struct.pack(">I", len(SECRET)) + hidden + struct.pack(">I", zlib.crc32(hidden))
    before = before[:33] + chunk + before[33:]
    upload = clean(before, "x.png")
    assert same_pixels(before, upload)
    found, place = [], 8
    while place < len(upload.data):
        length, name = struct.unpack(">I4s", upload.data[place : place + 8])
        found.append(name)
        place += 12 + length
    assert set(found) == {b"IHDR", b"IDAT", b"IEND"}


def test_a_pair_of_pictures_keeps_the_first_alone() -> None:
    out = io.BytesIO()
    other = Image.fromarray(PIXELS[::-1].copy())
    Image.fromarray(PIXELS).save(out, "MPO", save_all=True, append_images=[other])
    upload = clean(out.getvalue(), "x.jpg")
    assert upload.data.count(b"\xff\xd8\xff") == 1
    assert same_pixels(out.getvalue(), upload)


def test_a_small_copy_inside_jfif_is_gone() -> None:
    plain = saved()
    body = b"JFIF\0\1\1\0\0\1\0\1" + bytes((4, 4)) + (SECRET * 3)[:48]
    before = plain[:2] + segment(0xE0, body) + plain[20:]
    upload = clean(before, "x")
    assert SECRET not in upload.data
    assert same_pixels(before, upload)


def test_stray_bytes_between_segments_cost_no_pixel() -> None:
    before = with_segments(saved(), b"\xff\xff", segment(0xFE, b"x"), SECRET)
    upload = clean(before, "x")
    assert same_pixels(before, upload)
    assert SECRET not in upload.data


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Polarized", "polarised"),
        ("cross-polarised contact", "polarised"),
        ("Kreuzpolarisiert", "polarised"),
        ("Non-Polarized", "unpolarised"),
        ("not polarised", "unpolarised"),
        ("unpolarisiert", "unpolarised"),
        ("Polarization: off", "unpolarised"),
        ("polarised and non-polarised", None),
        ("depolarisation of the heart", None),
        ("", None),
    ],
)
def test_polarisation_is_what_a_text_says(said: str, kept: str | None) -> None:
    assert clean(saved(exif=exif(x9286=b"ASCII\0\0\0" + said.encode())), "x").polarisation == kept
    if said:
        assert clean(saved(comment=said.encode()), "x").polarisation == kept


@pytest.mark.parametrize(
    "taken", ["0000:00:00 00:00:00", "1970:01:01 00:00:00", "2999:01:01 00:00:00", "soon", b"\xff\xfe\0"]
)
def test_a_clock_that_was_never_set_gives_no_day(taken: object) -> None:
    assert clean(saved(exif=exif(x9003=taken)), "x").captured_on is None


def test_what_is_no_image_is_named() -> None:
    with pytest.raises(ImageError, match=r"^notes\.txt: not an image of a known format"):
        clean(b"some notes", "C:\\Users\\erika\\notes.txt")
    with pytest.raises(ImageError, match=r"^a\.jpg: the JPEG is cut off"):
        clean(saved()[:-200], "../../a.jpg")
    with pytest.raises(ImageError, match=r"^x: a file of 50 MB, over the limit of 50 MB; make it smaller"):
        clean(bytes(50_000_001), "x")
    with pytest.raises(ImageError, match=r"^the image: the file is empty"):
        clean(b"", "")


def test_a_name_is_shown_short_and_printable() -> None:
    assert shown_name("folder/pic\n\x1b[31m.jpg") == "pic??[31m.jpg"
    assert shown_name("\0") == "the image"
    assert len(shown_name("n" * 5000 + ".jpg")) == 80


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_damage_is_an_image_error_or_the_same_pixels(data: st.DataObject) -> None:
    full = bytearray(saved(exif=exif(3), restart_marker_blocks=3, comment=SECRET))
    for _ in range(data.draw(st.integers(1, 4))):
        full[data.draw(st.integers(2, len(full) - 1))] = data.draw(st.integers(0, 255))
    try:
        upload = clean(bytes(full), "x")
    except ImageError:
        return
    assert same_pixels(bytes(full), upload)
