"""Files that nobody sends by accident, and odd ones that somebody does: made here, none of them is kept.

`KINDS` names each with what makes it (of a variant: other pixels, other places) and what is right:

    refused   an error that names it
    read      its picture: the same pixels as a clean copy
    either    damage that a decoder may tell or not: an error that names it, or a picture
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from PIL import Image

from dermoscope.data.synthetic import draw

FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP")
SECRET = b"Erika Mustermann"
"""Stands in metadata; no stored picture has it."""
SCRIPT = b"<script>alert(1)</script>"
Told = Literal["refused", "read", "either"]


@dataclass(frozen=True, eq=False)
class Sample:
    """The picture that a variant shows, and its own chance."""

    variant: int
    pixels: np.ndarray
    chance: random.Random


@cache
def _drawn(variant: int) -> np.ndarray:
    width, height = 97 + 7 * (variant % 5), 71 + 5 * (variant % 3)
    return draw(3 + variant, ("MEL", "NV", "BCC")[variant % 3], size=(width, height)).pixels


def sample(variant: int, name: str = "") -> Sample:
    """The same for the same variant of the same kind, in every process."""
    return Sample(variant, _drawn(variant), random.Random(f"{name} {variant}"))


def plain(s: Sample) -> np.ndarray:
    """What a clean copy shows: the picture as it was drawn."""
    return s.pixels


@dataclass(frozen=True)
class Kind:
    """How a file is made, what is right, and what it then shows."""

    family: str
    told: Told
    make: Callable[[Sample], bytes]
    shows: Callable[[Sample], np.ndarray] = plain

    def file(self, variant: int, name: str) -> tuple[bytes, np.ndarray]:
        """The bytes of a variant, and the pixels that are right where it is read."""
        s = sample(variant, name)
        return self.make(s), self.shows(s)


KINDS: dict[str, Kind] = {}


def add(
    family: str,
    told: Told,
    makers: Mapping[str, Callable[[Sample], bytes]],
    shows: Callable[[Sample], np.ndarray] = plain,
) -> None:
    """Put kinds of one family into `KINDS`."""
    assert not set(makers) & set(KINDS)
    KINDS.update({name: Kind(family, told, make, shows) for name, make in makers.items()})


def saved(s: Sample, kind: str = "JPEG", mode: str = "RGB", pixels: np.ndarray | None = None, **said: Any) -> bytes:
    """The picture in a format; WebP without loss."""
    out = io.BytesIO()
    image = Image.fromarray(s.pixels if pixels is None else pixels).convert(mode)
    image.save(out, kind, **({"lossless": True} if kind == "WEBP" else {}) | said)
    return out.getvalue()


def after(data: bytes, place: int, added: bytes) -> bytes:
    """Bytes with others in between."""
    return data[:place] + added + data[place:]


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(s: Sample, *added: bytes) -> bytes:
    """A JPEG with segments after its start."""
    return after(saved(s), 2, b"".join(added))


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(s: Sample, *added: bytes) -> bytes:
    """A PNG with chunks after its header."""
    return after(saved(s, "PNG"), 33, b"".join(added))


def png(width: int, height: int, bits: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """A PNG that says what it likes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


Tag = tuple[int, int, int, int]


def tiff(tags: Iterable[Tag], data: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF of tags (number, type, count, value)."""
    listed = sorted(tags)
    body = b"".join(struct.pack("<HHII", *tag) for tag in listed)
    return b"II" + struct.pack("<HIH", 42, 8, len(listed)) + body + struct.pack("<I", following) + data


def grey(s: Sample) -> bytes:
    """The picture's bytes in grey."""
    return Image.fromarray(s.pixels).convert("L").tobytes()


def shows_grey(s: Sample) -> np.ndarray:
    """What those show."""
    return np.asarray(Image.fromarray(s.pixels).convert("L").convert("RGB"))


def grey_tiff(s: Sample, *more: Tag, size: tuple[int, int] = (0, 0), data: bytes | None = None, nxt: int = 0) -> bytes:
    """A TIFF whose only strip is the bytes at 1000: the picture in grey, or `data`."""
    strip = grey(s) if data is None else data
    width, height = size if size[0] else s.pixels.shape[1::-1]
    said = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 1000, 277: 1, 278: height, 279: len(strip)}
    tags = {tag: (tag, 4, 1, value) for tag, value in said.items()} | {one[0]: one for one in more}
    return tiff(tags.values(), following=nxt).ljust(1000, b"\0") + strip


def riff(*parts: tuple[bytes, bytes]) -> bytes:
    """A WebP of chunks."""
    body = b"".join(name + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for name, b in parts)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_canvas(s: Sample, side: int, frames: int = 1) -> bytes:
    """A WebP that moves, whose canvas is larger than its frames."""
    three, height, width = (side - 1).to_bytes(3, "little"), *s.pixels.shape[:2]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = bytes(6) + size + bytes(4) + saved(s, "WEBP")[12:]
    return riff((b"VP8X", b"\2\0\0\0" + three * 2), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * frames)


def changed(s: Sample, place: int, put: bytes, kind: str = "JPEG") -> bytes:
    """A file with other bytes at a place; in a JPEG the place counts from its frame."""
    data = saved(s, kind)
    place += data.index(b"\xff\xc0") if kind == "JPEG" else 0
    return data[:place] + put + data[place + len(put) :]


def zipped(*files: tuple[str, bytes]) -> bytes:
    """An archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files:
            made.writestr(name, data)
    return out.getvalue()


def exif(*tags: Tag, data: bytes = b"", following: int = 0) -> bytes:
    """A JPEG's segment of EXIF."""
    return segment(0xE1, b"Exif\0\0" + tiff(tags, data, following))


def moving(s: Sample, kind: str, frames: int = 4, **said: Any) -> bytes:
    """An animation whose first frame is the picture."""
    out = io.BytesIO()
    others = [Image.fromarray(np.ascontiguousarray(s.pixels[::-1] ^ (k & 1))) for k in range(frames - 1)]
    more = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(s.pixels).save(out, kind, save_all=True, append_images=others, **more | said)
    return out.getvalue()


def noise(s: Sample, many: int) -> bytes:
    """Bytes without sense."""
    return s.chance.randbytes(many)


def zeros(many: int) -> bytes:
    """Deflated zeros: a thousandth of what they unpack to."""
    return _zeros(many)


@cache
def _zeros(many: int) -> bytes:
    return zlib.compress(bytes(many), 9)
