"""What is read of an image's metadata before they are thrown away: day, device, polarisation, orientation.

EXIF is CIPA DC-008 (2019). Serial numbers, owners, places and texts are looked at by nobody else.
"""

import datetime
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dermoscope.data.images import open_header

if TYPE_CHECKING:
    from PIL import Image

_MAKE, _MODEL, _ORIENTATION, _EXIF = 0x010F, 0x0110, 0x0112, 0x8769
_TAKEN = (0x9003, 0x9004)
"""DateTimeOriginal, DateTimeDigitized; the plain DateTime is when a program last wrote the file."""
_FIRST = datetime.date(1990, 1, 1)
_LONGEST = 80
_READ = 100_000
"""Bytes of one text or maker's note that are searched."""
_READ_IN_ALL = 1_000_000
_LARGEST = 1_000_000
"""Bytes of EXIF that are looked at: a JPEG holds 65,533, and a PNG as many as it likes."""

_POLARISER = r"polari[sz](?:ed|ation|er|iert)?"
_WITHOUT = re.compile(
    rf"\b(?:non|un|not|nicht|without|ohne)[\s_-]*(?:cross[\s_-]*)?{_POLARISER}"
    rf"|\b{_POLARISER}[\s\"'_:=-]*(?:off|no|none|false|aus|0)\b",
    re.IGNORECASE,
)
_WITH = re.compile(rf"(?:\b|cross|kreuz){_POLARISER}", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What a file says of how it was taken; None where it says nothing that can be believed."""

    captured_on: datetime.date | None = None
    device: str | None = None
    polarisation: str | None = None
    orientation: int = 1


def facts_of(data: bytes) -> Facts:
    """The facts of an image's metadata; none of broken ones. Never raises: they say nothing about the pixels."""
    from PIL import Image

    try:
        with open_header(data) as image:
            if len(image.info.get("exif", b"")) > _LARGEST:
                return Facts()
            exif = Image.Image.getexif(image)  # without PNG's own, which decodes the pixels
            taken: dict[int, Any] = exif.get_ifd(_EXIF)
            return Facts(
                _day(taken),
                _device(exif.get(_MAKE), exif.get(_MODEL)),
                _polarisation(_texts(image, dict(exif), taken)),
                _orientation(exif.get(_ORIENTATION)),
            )
    except Exception:  # broken metadata, of any kind
        return Facts()


def minimal(orientation: int) -> bytes:
    """An APP1 segment that holds the orientation alone; nothing for the upright one."""
    if orientation == 1:
        return b""
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _orientation(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _day(taken: dict[int, Any]) -> datetime.date | None:
    """The day of capture; none of a clock that was never set."""
    for tag in _TAKEN:
        try:
            day = datetime.datetime.strptime(_text(taken.get(tag, ""))[:10], "%Y:%m:%d").date()
        except ValueError:
            continue
        if _FIRST <= day <= datetime.date.today() + datetime.timedelta(days=1):
            return day
    return None


def _device(make: object, model: object) -> str | None:
    """Maker and model, which many devices put into the model once more."""
    first, second = _text(make), _text(model)
    both = second if second.lower().startswith(first.lower()) else f"{first} {second}"
    return both.strip()[:_LONGEST].strip() or None


def _polarisation(texts: Iterator[str]) -> str | None:
    """What the texts agree upon; none where they say nothing, or both."""
    found = set()
    for text in texts:
        rest, without = _WITHOUT.subn(" ", text)
        found |= {"unpolarised"} if without else set()
        found |= {"polarised"} if _WITH.search(rest) else set()
    return found.pop() if len(found) == 1 else None


def _texts(image: "Image.Image", *tags: dict[int, Any]) -> Iterator[str]:
    """Every text of EXIF, maker's notes, comments, XMP and PNG: only one word of them is looked for."""
    said = (value for name, value in image.info.items() if name not in ("exif", "icc_profile"))
    left = _READ_IN_ALL
    for value in [*(value for found in tags for value in found.values()), *said]:
        if isinstance(value, str | bytes) and left > 0:
            left -= min(len(value), _READ)
            yield _text(value, _READ)


def _text(value: object, most: int = 2 * _LONGEST) -> str:
    """Printable text of a tag: some devices write UTF-16, or fill it up with zeros."""
    if isinstance(value, bytes):
        value = value[:most].replace(b"\0\0\0", b" ").replace(b"\0", b"").decode("latin-1")
    if not isinstance(value, str):
        return ""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in value[:most].replace("\0", "")).split())
