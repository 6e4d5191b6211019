"""Odd files that are right, and what cameras and people put into files besides the picture."""

import io
import struct
from functools import cache

import numpy as np
from hostile_parts import (
    FORMATS,
    SCRIPT,
    SECRET,
    Sample,
    add,
    chunk,
    exif,
    grey_tiff,
    moving,
    noise,
    png,
    sample,
    saved,
    segment,
    shows_grey,
    tiff,
    with_chunks,
    with_segments,
)
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# Odd, and right ----------------------------------------------------------------------------------------------------


def flat(width: int, height: int) -> np.ndarray:
    """A grey picture of any size."""
    return np.full((height, width, 3), 200, np.uint8)


def of_size(kind: str, width: int, height: int) -> tuple:
    """What makes and what shows a grey picture."""
    fast = {"WEBP": {"quality": 0, "method": 0}, "PNG": {"compress_level": 1}}.get(kind, {})
    made = cache(lambda: saved(sample(0), kind, pixels=flat(width, height), **fast))
    return lambda _: made(), lambda _: flat(width, height)


def deep(s: Sample, kind: str, mode: str) -> bytes:
    """A picture of 16 or more bits that shows the red of the picture as grey."""
    values = s.pixels[..., 0].astype(np.uint16)
    values = values * 257 if mode == "I;16" else values.astype({"F": np.float32, "I": np.int32}[mode])
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind)
    return out.getvalue()


for _kind in FORMATS:
    add("sizes", "refused", {f"{_kind} of 1 x 1": of_size(_kind, 1, 1)[0]})
add("sizes", "refused", {"PNG of 0 x 0": lambda _: png(0, 0), "15 high": of_size("JPEG", 97, 15)[0]})
for _name, _size in {
    "20,000 wide and 16 high": ("PNG", 20_000, 16),
    "20,000 wide and 1,000 high": ("JPEG", 20_000, 1_000),
    "16 wide and 60,000 high": ("JPEG", 16, 60_000),
    "16 million pixels": ("PNG", 4_000, 4_000),
}.items():
    _make, _shows = of_size(*_size)
    add("sizes", "read", {_name: _make}, _shows)
for _kind in ("JPEG", "PNG", "WEBP"):
    _make, _shows = of_size(_kind, 9_900, 9_900)
    add("large", "read", {f"{_kind} of 98 million pixels": _make}, _shows)
add(
    "odd and right",
    "read",
    {
        "CMYK JPEG": lambda s: saved(s, mode="CMYK"),
        "progressive JPEG": lambda s: saved(s, progressive=True),
        "JPEG with rubbish between segments": lambda s: with_segments(s, segment(0xFE, b"x"), b"rubbish\xff\xff"),
        **{f"moving {k}": lambda s, k=k: moving(s, k) for k in ("GIF", "PNG", "WEBP", "TIFF")},
        "GIF of many frames": lambda s: moving(s, "GIF", 40 + s.variant),
        "PNG that says 2^31 frames": lambda s: with_chunks(s, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))),
        **{
            f"TIFF in {c}": lambda s, c=c: saved(s, "TIFF", compression=c)
            for c in ("jpeg", "tiff_lzw", "packbits", "tiff_adobe_deflate")
        },
    },
)
add("odd and right", "read", {"grey TIFF by hand": lambda s: grey_tiff(s)}, shows_grey)
add(
    "odd and right",
    "read",
    {"PNG of 16 bits": lambda s: deep(s, "PNG", "I;16"), "TIFF of 16 bits": lambda s: deep(s, "TIFF", "I;16")},
    lambda s: s.pixels[..., :1].repeat(3, 2),
)
add(
    "odd and right",
    "refused",
    {
        "TIFF of numbers with a point": lambda s: deep(s, "TIFF", "F"),
        "TIFF of 32 bits": lambda s: deep(s, "TIFF", "I"),
        "TIFF in Lab": lambda s: saved(s, "TIFF", mode="LAB"),
    },
)


def ycck(s: Sample) -> bytes:
    """A CMYK JPEG that says it is YCCK."""
    data = saved(s, mode="CMYK")
    place = data.index(b"Adobe")
    return data[: place + 11] + b"\2" + data[place + 12 :]


add(
    "odd and right",
    "either",
    {
        "YCCK JPEG": ycck,
        "PNG of a palette, transparent": lambda s: saved(s, "PNG", "P", transparency=3),
    },
)

# Metadata ----------------------------------------------------------------------------------------------------------


def taken(s: Sample, day: bytes) -> bytes:
    """A JPEG that was taken on a day."""
    inner = struct.pack("<HHHIII", 1, 0x9003, 2, 20, 44, 0) + day[:19].ljust(20, b"\0")
    return with_segments(s, exif((0x8769, 4, 1, 26), data=inner))


def profile(s: Sample, body: bytes) -> bytes:
    """A JPEG with a colour profile."""
    return with_segments(s, segment(0xE2, b"ICC_PROFILE\0\1\1" + body))


def texts(s: Sample, tag: int, text: bytes) -> bytes:
    """A JPEG with a text in its EXIF."""
    return with_segments(s, exif((tag, 2, len(text) + 1, 26), data=text + b"\0"))


def located(s: Sample) -> bytes:
    """A JPEG that says where it was taken, and by whom."""
    where = struct.pack("<HHHI4sI", 1, 0x1D, 2, len(SECRET) + 1, struct.pack("<I", 44), 0) + SECRET + b"\0"
    return with_segments(s, exif((0x8825, 4, 1, 26), data=where))


def turned(turn: int) -> dict:
    """A JPEG that is to be turned, and what it then shows."""
    axes = {2: "[:, ::-1]", 3: "[::-1, ::-1]", 4: "[::-1]", 5: "T", 6: "T[:, ::-1]", 7: "T[::-1, ::-1]", 8: "T[::-1]"}

    def shows(s: Sample) -> np.ndarray:
        said = axes.get(turn, "")
        pixels = s.pixels.transpose(1, 0, 2) if said.startswith("T") else s.pixels
        return {"": pixels, "[:, ::-1]": pixels[:, ::-1], "[::-1]": pixels[::-1]}.get(
            said.removeprefix("T"), pixels[::-1, ::-1]
        )

    made = {f"orientation {turn}": lambda s: with_segments(s, exif((0x0112, 3, 1, turn)))}
    return {"makers": made, "shows": shows}


XMP = (
    b"http://ns.adobe.com/xap/1.0/\0<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>"
    b"<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c SYSTEM 'file:///etc/passwd'>]><x:xmpmeta>&b;&c;</x:xmpmeta>"
)
for _turn in range(10):
    add("metadata", "read", **turned(_turn))
for _day in (b"0000:00:00 00:00:00", b"9999:12:31 23:59:59", b"2999:01:01", b"2024:02:31", b"\xff\xfe\0\1"):
    add("metadata", "read", {f"taken on {_day!r}": lambda s, d=_day: taken(s, d)})
add(
    "metadata",
    "read",
    {
        "EXIF with a script": lambda s: texts(s, 0x0110, SCRIPT),
        "EXIF with a name": lambda s: texts(s, 0x013B, SECRET),
        "EXIF with a place": located,
        "EXIF whose EXIF is itself": lambda s: with_segments(s, exif((0x8769, 4, 1, 8), following=8)),
        "EXIF past its end": lambda s: with_segments(s, segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
        "EXIF of rubbish": lambda s: with_segments(s, segment(0xE1, b"Exif\0\0" + noise(s, 60_000))),
        "EXIF of the largest size": lambda s: with_segments(s, segment(0xE1, b"Exif\0\0" + SECRET * 4000)),
        "orientation as a text": lambda s: with_segments(s, exif((0x0112, 2, 4, 0x41414141))),
        "PNG with huge EXIF": lambda s: with_chunks(
            s, chunk(b"eXIf", tiff([(40_000, 5, 2_000_000, 26)], bytes(16_000_000)))
        ),
        "PNG with a name": lambda s: with_chunks(s, chunk(b"tEXt", b"Author\0" + SECRET)),
        "XMP with entities": lambda s: with_segments(s, segment(0xE1, XMP)),
        "IPTC with a name": lambda s: with_segments(s, segment(0xED, b"Photoshop 3.0\0" + SECRET)),
        "comment with a script": lambda s: with_segments(s, segment(0xFE, SCRIPT * 2000)),
        "profile of rubbish": lambda s: profile(s, noise(s, 500)),
        "profile of 2^32 tags": lambda s: profile(s, SRGB[:128] + b"\xff" * 100),
        "profile cut off": lambda s: profile(s, SRGB[:200].replace(b"sRGB", b"none")),
    },
)

add(
    "metadata",
    "refused",
    {
        "huge profile": lambda s: with_segments(s, segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000)) * 100),
    },
)
add(
    "metadata",
    "read",
    {
        "profile of grey": lambda s: profile(s, SRGB.replace(b"RGB ", b"GRAY").replace(b"sRGB", b"none")),
    },
)
