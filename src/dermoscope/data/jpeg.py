"""JPEG bytes -> RGB, decoded small where small is enough: the inner half of `images.py`, which is the one to call.

A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size for a fraction of the work (scaled DCT). simplejpeg does it where
it is installed, OpenCV where it is not; both rest on libjpeg-turbo, and the same three factors keep their pixels alike.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import ImageError

FACTORS = (8, 4, 2)
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SCAN, SAMPLES = 0xDA, 0x00
"""A scan's header, and what `segments` calls the coded samples that follow it."""
MOST_SEGMENTS = 20_000
"""A file of fifty million bytes may have twelve million of them, each a turn of several loops; cameras write a few."""
MOST_SCANS = 100
"""A scan of two hundred bytes takes a decoder through every block of the picture; encoders write a dozen."""
_MOST_EXIF = 50
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_END = 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""The end of entropy-coded data: a marker that is neither a stuffed byte nor a restart (ITU T.81, B.1.1.5)."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What stands before the first scan: size in px as stored, colour components, bits, EXIF and ICC bytes."""

    width: int
    height: int
    components: int
    bits: int
    frame: int
    exif: bytes
    icc: bytes

    @property
    def plain(self) -> bool:
        """8-bit grey or YCbCr/RGB in sRGB, which the fast decoders read correctly."""
        return self.ordinary and self.components != 4 and (not self.icc or is_srgb(self.icc))

    @property
    def ordinary(self) -> bool:
        """8 bits of grey, colour or CMYK, which the fast decoders go through and tell of damage."""
        return self.frame in _HUFFMAN_FRAMES and self.bits == 8 and self.components in (1, 3, 4)


def is_jpeg(data: bytes) -> bool:
    """Whether bytes begin as a JPEG does."""
    return data[:3] == b"\xff\xd8\xff"


def segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, place and content of every segment up to the end of the image; after a scan's header its `SAMPLES`.

    Stray bytes between segments are passed over. Raises ImageError for more of them than any camera writes.
    """
    place, steps, scans = 2, 0, 0
    while place >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        steps, scans = steps + 1, scans + (marker == SCAN)
        if steps > MOST_SEGMENTS or scans > MOST_SCANS:
            over = f"{MOST_SCANS} scans" if scans > MOST_SCANS else f"{MOST_SEGMENTS:,} segments"
            raise ImageError(f"the JPEG has over {over}; export the image again")
        if data[place] != 0xFF or marker in (0x00, 0xFF):
            place = data.find(b"\xff", place + 1)
        elif marker in _STANDALONE:
            place += 2
        elif marker == _END:
            return
        else:
            start, place = place + 4, place + 2 + max(int.from_bytes(data[place + 2 : place + 4], "big"), 2)
            yield marker, start, data[start:place]
            if marker == SCAN:
                ends, start = _MARKER.search(data, place), place
                place = len(data) if ends is None else ends.start()
                yield SAMPLES, start, data[start:place].rstrip(b"\xff")  # without fill bytes


def read_header(data: bytes) -> JpegHeader:
    """Size, components, EXIF and ICC of a JPEG (ITU T.81, annex B).

    Raises ImageError when it is cut off, or made of more scans or segments than any camera writes.
    """
    exif: list[bytes] = []
    icc: list[bytes] = []
    frame, scan = None, 0
    for marker, start, body in segments(data):
        if marker in FRAMES and len(body) >= 6 and not scan:
            frame = (marker, body[0], int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"), body[5])
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif.append(body)
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            icc.append(body[14:])
        elif marker == SCAN:
            scan = scan or start
            if frame is not None and frame[0] in (0xC0, 0xC1) and body[:1] == bytes((frame[4],)):
                break  # all components at once: there is no other scan
    # Decoders fill what is missing with grey and say nothing, so the end-of-image marker is looked for here. A
    # thumbnail inside EXIF has one too: only what follows the first scan counts.
    if frame is None or not scan or data.find(b"\xff\xd9", scan) < 0:
        raise ImageError("the JPEG is cut off; copy or download it again")
    if len(exif) > _MOST_EXIF:  # which Pillow puts together one by one
        raise ImageError(f"the JPEG has {len(exif)} pieces of EXIF; export the image again")
    marker, bits, height, width, components = frame
    return JpegHeader(width, height, components, bits, marker, exif[0] if exif else b"", b"".join(icc))


def is_srgb(icc: bytes) -> bool:
    """Whether an ICC profile describes itself as sRGB (ICC.1:2022, 7.3 and 9.2.41)."""
    for entry in range(min(int.from_bytes(icc[128:132], "big"), 100)):
        tag = icc[132 + 12 * entry : 144 + 12 * entry]
        if tag[:4] == b"desc":
            start, size = int.from_bytes(tag[4:8], "big"), int.from_bytes(tag[8:12], "big")
            return b"sRGB" in icc[start : start + size].replace(b"\0", b"")
    return False


def factor_for(width: int, height: int, at_least: int) -> int:
    """The strongest of 8, 4, 2, 1 that leaves a shorter side of at least `at_least` px; 1 where `at_least` is 0."""
    shorter = min(width, height)
    return next((f for f in FACTORS if at_least > 0 and -(-shorter // f) >= at_least), 1)


def check(data: bytes, header: JpegHeader) -> None:
    """Raise ValueError for damage inside a scan, which Pillow fills with grey and says nothing.

    Only simplejpeg tells of it, and only of an `ordinary` JPEG.
    """
    if header.ordinary:
        with contextlib.suppress(ImportError):
            _with_simplejpeg(data, header, FACTORS[0])


def decode(data: bytes, header: JpegHeader, factor: int) -> UInt8[np.ndarray, "rows columns 3"] | None:
    """A plain JPEG as RGB, 1/factor of its size; None where only a more forgiving decoder can read it.

    Raises ImageError (OpenCV) or ValueError (simplejpeg) when it is damaged.
    """
    try:
        return _with_simplejpeg(data, header, factor)
    except ImportError:
        return decode_with_opencv(data, factor)


def _with_simplejpeg(data: bytes, header: JpegHeader, factor: int) -> UInt8[np.ndarray, "rows columns c"] | None:
    import simplejpeg

    smallest = {"min_height": -(-header.height // factor), "min_width": -(-header.width // factor)}
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "CMYK" if header.components == 4 else "RGB", **smallest))
    except ValueError as error:
        said = str(error).lower()
        if ("corrupt" in said or "premature" in said) and "extraneous" not in said:
            raise
        # Stray bytes between segments and odd parameters cost no pixel: cameras write such files.
        return None


def decode_with_opencv(data: bytes, factor: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """The same where simplejpeg is not installed. Damage inside a scan goes unnoticed: libjpeg only remarks on it."""
    import cv2

    flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    flag = flags.get(factor, cv2.IMREAD_REDUCED_COLOR_8) | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if pixels is None:
        raise ImageError("the JPEG is damaged; copy or download it again")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
