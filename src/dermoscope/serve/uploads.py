"""Bytes of an uploaded file -> a picture that says nothing of a patient, and the few facts that are kept.

JPEG keeps its very samples: only the segments that decoding needs are copied, and nothing after the end of the image.
Everything else (PNG, TIFF, BMP, GIF, WebP, JPEG in CMYK) becomes a PNG of the upright sRGB pixels that the model would
see. A stripped JPEG is decoded again, and where its pixels are not the very same it becomes a PNG too.
"""

import datetime
import io
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

import cv2
import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import ImageError
from dermoscope.data import jpeg
from dermoscope.data.images import MAX_PIXELS, Picture, read_image, size_of
from dermoscope.data.room import Room
from dermoscope.serve.exif import Facts, facts_of, minimal
from dermoscope.serve.holding import MOST_PICTURE, Held
from dermoscope.serve.options import MOST_UPLOAD

_CLEANING = Room(MAX_PIXELS)
"""Pixels of all images that are cleaned at one time: their pixels are held until the PNG of them is written."""
_FAST = 3
"""PNG compression level: a third of the time of the default, a tenth more bytes."""
_BAND = 256
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
"""DHT, DAC, DQT, DNL, DRI."""
_JFIF, _ICC, _ADOBE = 0xE0, 0xE2, 0xEE


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture that may be stored: `data` is `media` (image/jpeg or image/png) without any metadata.

    `width` and `height` (px) are those of the upright picture, `format` is what was uploaded (`JPEG`, `TIFF`, ...).
    `captured_on`, `device` and `polarisation` (`polarised`, `unpolarised`) are None where the file does not say.
    """

    data: bytes
    media: str
    width: int
    height: int
    format: str
    captured_on: datetime.date | None = None
    device: str | None = None
    polarisation: str | None = None
    held: Held | None = field(default=None, repr=False)


def clean(data: bytes, name: str) -> Upload:
    """Check that bytes are an image, and leave only the image of them.

    `name` is what errors call the file; it is not kept. The cleaned file decodes to the same pixels as the given one.
    Raises ImageError, beginning with the name, for what cannot be read as an image, is over `MOST_UPLOAD` bytes or
    becomes a picture of over `MOST_PICTURE`; BusyError while all requests hold too many pictures.
    """
    called = shown_name(name)
    if len(data) > MOST_UPLOAD:
        most = MOST_UPLOAD // 1_000_000
        raise ImageError(f"{called}: a file of {len(data) / 1e6:.0f} MB, over the limit of {most} MB; make it smaller")
    with _CLEANING.hold(_pixels(data)):
        picture = read_image(data, name=called)
        found = facts_of(data)  # of a file that was found fit to be looked into
        stripped = _stripped(data, found) if jpeg.is_jpeg(data) else None
        if stripped is not None and (stripped == data or _same(stripped, picture)):
            kept, media = stripped, "image/jpeg"
        else:
            kept, media = _png(picture.pixels), "image/png"
    if len(kept) > MOST_PICTURE:
        over = f"over the limit of {MOST_PICTURE // 1_000_000} MB; scale the image down, or send it as JPEG"
        raise ImageError(f"{called}: {len(kept) / 1e6:.0f} MB as a lossless picture, {over}")
    size = (picture.width, picture.height, picture.format)
    return Upload(kept, media, *size, found.captured_on, found.device, found.polarisation, Held(len(kept)))


def _pixels(data: bytes) -> int:
    """Pixels of an image by its header; 0 where it cannot be read, which decoding tells in words."""
    try:
        width, height = size_of(data)
    except Exception:
        return 0
    return width * height


def shown_name(name: str) -> str:
    """The last part of a file's name, printable and short: it comes from outside and is shown in errors."""
    last = PureWindowsPath(PurePosixPath(name.replace("\0", "")).name).name
    text = "".join(sign if sign.isprintable() else "?" for sign in last).strip() or "the image"
    return text if len(text) <= 80 else f"{text[:60]}...{text[-17:]}"


def _same(data: bytes, picture: Picture) -> bool:
    try:
        other = read_image(data).pixels
    except ImageError:
        return False
    bands = range(0, len(other), _BAND)  # a comparison takes as many bytes as what it compares
    return other.shape == picture.pixels.shape and all(
        np.array_equal(other[k : k + _BAND], picture.pixels[k : k + _BAND]) for k in bands
    )


def _png(pixels: UInt8[np.ndarray, "rows columns 3"]) -> bytes:
    cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR, dst=pixels)  # in place: a copy would take as many bytes again
    fine, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, _FAST])
    if not fine:
        raise ImageError("the pixels cannot be written as PNG; export the image again")
    return encoded.tobytes()


def _stripped(data: bytes, found: Facts) -> bytes | None:
    """A JPEG with nothing but what decoding needs, or None for one that not every browser shows.

    Kept: JFIF (14 bytes), the orientation, Adobe's transform (12 bytes), the ICC profile, tables, frame and scans (ITU
    T.81, annex B). Not kept: all other APPn, comments, small copies inside them, fill bytes, what follows the end.
    """
    header = jpeg.read_header(data)
    if header.frame not in (0xC0, 0xC1, 0xC2) or header.bits != 8 or header.components not in (1, 3):
        return None
    out, ahead = io.BytesIO(b"\xff\xd8"), minimal(found.orientation)
    out.seek(2)
    for marker, _, body in jpeg.segments(data):
        if marker == jpeg.SAMPLES:
            out.write(body)
            continue
        kept = _kept(marker, body)
        if kept is None:
            continue
        if marker != _JFIF:  # which stands first, if at all; the orientation next
            out.write(ahead)
            ahead = b""
        out.write(bytes((0xFF, marker)) + (len(kept) + 2).to_bytes(2, "big") + kept)
    out.write(b"\xff\xd9")
    return out.getvalue()


def _kept(marker: int, body: bytes) -> bytes | None:
    """What is kept of a segment, or None for nothing."""
    if marker in _TABLES or marker in jpeg.FRAMES or marker == jpeg.SCAN:
        return body
    if marker == _JFIF and body.startswith(b"JFIF\0") and len(body) >= 14:
        return body[:12] + b"\0\0"  # without its small copy
    if marker == _ICC and body.startswith(b"ICC_PROFILE\0"):
        return body
    if marker == _ADOBE and body.startswith(b"Adobe") and len(body) >= 12:
        return body[:12]
    return None
