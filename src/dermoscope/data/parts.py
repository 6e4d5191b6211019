"""How many parts a file is made of, counted before a decoder goes through them one by one.

A file of fifty million bytes may hold four million empty chunks, or a tag of six million numbers: bytes that are small,
and minutes or gigabytes for whoever makes objects of them.
"""

import struct
from collections.abc import Iterator

from dermoscope.core.errors import ImageError

MOST_PARTS = 200_000
"""Chunks, blocks or strips of one image: 100 million pixels in chunks of 8 kB have half of it."""
MOST_NUMBERS = 1_000_000
"""Numbers in the tags of a TIFF: 100 million pixels in tiles of 16 x 16 have 0.8 million."""
MOST_TAGS = 70_000
"""A plain TIFF has 65,535 of them at most, a BigTIFF as many as it claims."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
"""Bytes of a number of each type (TIFF 6.0, section 2)."""
_TEXTS = (1, 2, 6, 7)
"""Types that stay bytes, or nearly so."""
_EXIF = 34665
_SIDES = (256, 257, 322, 323)
"""Width and length of the image, width and length of its tiles."""


def check_parts(data: bytes) -> None:
    """Raise ImageError for a PNG, GIF or TIFF of more parts than any program writes."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        _check(_png(data), "chunks", MOST_PARTS)
    elif data[:6] in (b"GIF87a", b"GIF89a"):
        _check(_gif(data), "blocks", MOST_PARTS)
    elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _check(_tiff(data), "tags", MOST_TAGS)


def late_exif(data: bytes) -> dict[str, bytes]:
    """EXIF of a PNG wherever it stands in the file, under the name that Pillow has for it, if there is any."""
    for place in _png(data):
        if data[place + 4 : place + 8] == b"eXIf":
            return {"exif": b"Exif\0\0" + data[place + 8 : place + 8 + int.from_bytes(data[place : place + 4], "big")]}
    return {}


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height (px) of a WebP's canvas, from its header alone; None for what is none (RFC 9649)."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def _check(parts: Iterator[object], name: str, most: int) -> None:
    for number, _ in enumerate(parts):
        if number >= most:
            raise ImageError(f"the file has over {most:,} {name}; export the image again")


def _png(data: bytes) -> Iterator[int]:
    """Where each chunk begins (PNG 3, section 5.3)."""
    place = 8
    while place + 12 <= len(data):
        yield place
        place += 12 + int.from_bytes(data[place : place + 4], "big")


def _gif(data: bytes) -> Iterator[None]:
    """Blocks in front of the first frame, which is the one that counts."""
    place = 13 + (3 * (2 << (data[10] & 7)) if len(data) > 10 and data[10] & 0x80 else 0)
    while place + 2 <= len(data) and data[place] != 0x2C:
        yield
        if data[place] != 0x21:
            place += 1
            continue
        place += 2
        while place < len(data) and data[place]:
            yield
            place += 1 + data[place]
        place += 1


def _tiff(data: bytes) -> Iterator[None]:
    """Tags of the first image and of its EXIF, which is all that is looked at. Raises ImageError for their numbers."""
    order, big = "<" if data[:1] == b"I" else ">", 43 in data[2:4]
    count, entry, word = (
        (order + "Q", order + "HHQ8s", order + "Q") if big else (order + "H", order + "HHI4s", order + "I")
    )
    size = struct.calcsize(word)
    places, numbers, sides = [data[8:16] if big else data[4:8]], 0, dict.fromkeys(_SIDES, 0)
    for which in range(2):
        if which == len(places) or len(places[which]) < size:
            return
        (place,) = struct.unpack(word, places[which])
        told = data[place : place + struct.calcsize(count)]
        if len(told) < struct.calcsize(count):
            return
        for tag, kind, many, value in struct.iter_unpack(entry, _whole(data, place + len(told), entry, told, count)):
            yield
            held = many * _SIZES.get(kind, 0)
            numbers += many if size < held <= len(data) and kind not in _TEXTS else 0
            if numbers > MOST_NUMBERS:
                raise ImageError(f"the TIFF has over {MOST_NUMBERS:,} numbers in its tags; export the image again")
            if tag in sides and not which:
                sides[tag] = int.from_bytes(value[: _SIZES.get(kind, 0)], "little" if order == "<" else "big")
            if tag == _EXIF and len(places) == 1:
                places.append(value)
        width, length, across, down = sides.values()
        if across * down > 4 * width * length + MOST_NUMBERS:  # a decoder makes room for a whole tile
            raise ImageError(
                f"a TIFF of {width} x {length} pixels in tiles of {across} x {down}; export the image again"
            )


def _whole(data: bytes, start: int, entry: str, told: bytes, count: str) -> bytes:
    """The bytes of all tags that are there."""
    size = struct.calcsize(entry)
    most = min(struct.unpack(count, told)[0], (len(data) - start) // size, MOST_TAGS + 1)
    return data[start : start + most * size]
