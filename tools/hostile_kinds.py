"""Files that are cut off, damaged, bombs, two things at once, or no picture: most of them are to be refused."""

import gzip
import json
import struct
import zlib

import numpy as np
from hostile_parts import (
    FORMATS,
    SCRIPT,
    SECRET,
    Sample,
    add,
    after,
    changed,
    chunk,
    grey_tiff,
    noise,
    png,
    saved,
    segment,
    shows_grey,
    webp_canvas,
    with_chunks,
    with_segments,
    zeros,
    zipped,
)

SIDE = 50_000

# Cut off and damaged ---------------------------------------------------------------------------------------------


def cut(s: Sample, kind: str, first: float, last: float) -> bytes:
    """The first part of a file, of a length by chance between two shares of it."""
    data = saved(s, kind)
    return data[: max(int(len(data) * s.chance.uniform(first, last)), 4)]


def flipped(s: Sample, kind: str) -> bytes:
    """Six bytes of a file are others."""
    data = bytearray(saved(s, kind))
    for _ in range(6):
        data[s.chance.randrange(8, len(data))] = s.chance.randrange(256)
    return bytes(data)


def swapped(s: Sample, kind: str) -> bytes:
    """A part of a file stands at the place of another."""
    data = saved(s, kind)
    at = s.chance.randrange(40, len(data) // 2)
    return data[:at] + data[-at:] + data[at:-at]


for _kind in FORMATS:
    _places = {"in its header": (0.0, 0.03), "in its first half": (0.05, 0.5), "near its end": (0.7, 0.97)}
    for _where, (_a, _b) in _places.items():
        told = "either" if (_kind, _where) == ("GIF", "near its end") else "refused"
        add("cut off", told, {f"{_kind} cut {_where}": lambda s, k=_kind, a=_a, b=_b: cut(s, k, a, b)})
    told = "refused" if _kind == "PNG" else "either"  # every chunk of a PNG has its checksum
    add("damaged", told, {f"{_kind} with wrong bytes": lambda s, k=_kind: flipped(s, k)})
    add("damaged", told, {f"{_kind} with parts swapped": lambda s, k=_kind: swapped(s, k)})
add(
    "damaged",
    "refused",
    {
        "PNG with a wrong checksum": lambda s: changed(s, 29, bytes(4), "PNG"),
        "PNG without its palette": lambda s: saved(s, "PNG", "P").replace(b"PLTE", b"pLTE"),
        "PNG whose pixels are no deflate": lambda _: png(97, 71).replace(zlib.compress(b""), b"none" * 2),
        "JPEG of no height": lambda s: changed(s, 5, bytes(2)),
        "JPEG of seven components": lambda s: changed(s, 9, b"\7"),
        "start of a JPEG": lambda _: b"\xff\xd8\xff",
        "TIFF that starts past its end": lambda s: b"II*\0" + struct.pack("<I", 2**32 - 1 - s.variant) + bytes(100),
        "TIFF whose strip is past its end": lambda s: grey_tiff(s, (273, 4, 1, 2**31)),
    },
)
add(
    "damaged",
    "either",
    {
        "JPEG with arithmetic coding": lambda s: changed(s, 1, b"\xc9"),
    },
)

add(
    "damaged",
    "read",
    {
        "JPEG without tables": lambda s: saved(s).replace(b"\xff\xc4", b"\xff\xe9"),
        "JPEG with a segment of no length": lambda s: with_segments(s, b"\xff\xfe\0\0"),
    },
)
add(
    "damaged",
    "read",
    {
        "TIFF of strips without length": lambda s: grey_tiff(s, (279, 4, 1, 0)),
    },
    shows_grey,
)
add(
    "damaged",
    "refused",
    {
        "JPEG with wrong restarts": lambda s: saved(s, restart_marker_blocks=2).replace(b"\xff\xd1", b"\xff\xd5"),
        "JPEG with a segment past its end": lambda s: with_segments(s, b"\xff\xe1\xff\xff"),
        "JPEG of two frames": lambda s: with_segments(s, saved(s)[saved(s).index(b"\xff\xc0") :][:19]),
        "JPEG of 12 bits": lambda s: changed(s, 1, b"\xc1\0\x11\x0c"),
        "lossless JPEG": lambda s: changed(s, 1, b"\xc3"),
        "TIFF of rows without number": lambda s: grey_tiff(s, (278, 4, 1, 0)),
    },
)

# Bombs -----------------------------------------------------------------------------------------------------------


def scans(s: Sample, many: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = saved(s, progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (many - data.count(b"\xff\xda")) + data[-2:]


def many_images(s: Sample, many: int) -> bytes:
    """A TIFF of thousands of directories."""
    first = grey_tiff(s, nxt=20_000).ljust(20_000, b"\0")
    places = range(20_006, 20_000 + 6 * many + 1, 6)
    return first + b"".join(struct.pack("<HI", 0, place) for place in places) + bytes(6)


def nested(depth: int) -> bytes:
    """Archives in archives."""
    data = bytes(5_000_000)
    for level in range(depth):
        data = zipped((f"{level}.zip", data))
    return data


add(
    "bomb of pixels",
    "refused",
    {
        "PNG bomb": lambda s: png(SIDE + s.variant, SIDE, data=bytes(1_000_000)),
        "PNG bomb of one bit": lambda s: png(SIDE, SIDE + s.variant, 1, 0, bytes(1_000_000)),
        "PNG of 2^31 sides": lambda s: png(2**31 - 1, 2**31 - 1 - s.variant),
        "PNG under the limit, without its data": lambda s: png(9_990 - s.variant, 9_990),
        "TIFF bomb": lambda s: grey_tiff(s, size=(SIDE, SIDE)),
        "TIFF of 2^32 sides": lambda s: grey_tiff(s, (278, 4, 1, 1), size=(2**32 - 1, 2**32 - 1)),
        "TIFF of a huge tile": lambda s: grey_tiff(s, *((t, 4, 1, SIDE) for t in (322, 323)), (324, 4, 1, 1000)),
        "TIFF under the limit, without its data": lambda s: grey_tiff(s, size=(9_990, 9_990 - s.variant)),
        "GIF bomb": lambda s: changed(s, 6, struct.pack("<HH", SIDE, SIDE - s.variant), "GIF"),
        "WebP bomb": lambda s: webp_canvas(s, SIDE),
        "WebP of the largest sides": lambda s: webp_canvas(s, 16_383),
        "BMP bomb": lambda s: changed(s, 18, struct.pack("<ii", SIDE, SIDE), "BMP"),
        "BMP upside down": lambda s: changed(s, 18, struct.pack("<ii", 97, -(2**31)), "BMP"),
        "JPEG of 65,535 sides": lambda s: changed(s, 5, struct.pack(">HH", 65_535, 65_535 - s.variant)),
        "JPEG under the limit, without its data": lambda s: changed(s, 5, struct.pack(">HH", 9_990, 9_990)),
    },
)
add(
    "bomb of layers",
    "refused",
    {
        "zip bomb": lambda _: zipped(("a.jpg", bytes(10_000_000))),
        "zip in zip in zip": lambda s: nested(4 + s.variant),
        "gzip bomb": lambda _: b"\x1f\x8b\x08" + bytes(7) + zeros(10_000_000)[2:],
        "PNG of empty chunks": lambda s: with_chunks(s, chunk(b"abCd", b"") * 300_000),
        "GIF of comments": lambda s: after(saved(s, "GIF"), 781, b"\x21\xfe\1a\0" * 300_000),
        "JPEG of scans": lambda s: scans(s, 3_000),
        "JPEG of segments": lambda s: with_segments(s, b"\xff\xfe\0\2" * 100_000),
        "JPEG of fill bytes": lambda s: with_segments(s, b"\xff" * 1_000_000),
        "JPEG of EXIF": lambda s: with_segments(s, segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 300),
        "TIFF of numbers": lambda s: grey_tiff(s, (40_000, 3, 3_000_000, 1000)) + bytes(6_000_000),
        "BigTIFF of 2^63 tags": lambda _: b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + bytes(1000),
    },
)


def black(s: Sample) -> np.ndarray:
    """What zeros show."""
    return np.zeros_like(s.pixels)


add(
    "bomb of layers",
    "read",
    {
        "TIFF whose next image is itself": lambda s: grey_tiff(s, nxt=8),
        "TIFF whose SubIFD is itself": lambda s: grey_tiff(s, (330, 4, 1, 8)),
        "TIFF whose EXIF is itself": lambda s: grey_tiff(s, (0x8769, 4, 1, 8)),
        "TIFF of thousands of images": lambda s: many_images(s, 20_000),
        "TIFF of tags that share bytes": lambda s: grey_tiff(s, *((40_000 + k, 7, 6000, 1000) for k in range(60))),
    },
    shows_grey,
)
add(
    "bomb of layers",
    "read",
    {
        "PNG whose pixels go on": lambda s: png(*s.pixels.shape[1::-1], data=bytes(50_000_000)),
        "TIFF whose deflate goes on": lambda s: grey_tiff(s, (259, 4, 1, 8), data=zeros(50_000_000)),
    },
    black,
)
add(
    "bomb of layers",
    "read",
    {
        "JPEG with fill bytes in its samples": lambda s: saved(s)[:-2] + b"\xff" * 1_000_000 + b"\0\xff\xd9",
    },
)
add(
    "bomb of layers",
    "refused",
    {
        "PNG with a huge zTXt": lambda s: with_chunks(s, chunk(b"zTXt", b"k\0\0" + zeros(50_000_000))),
        "PNG with a huge iTXt": lambda s: with_chunks(s, chunk(b"iTXt", b"k\0\1\0\0\0" + zeros(50_000_000))),
        "PNG with eighty zTXt": lambda s: with_chunks(
            s, *(chunk(b"zTXt", b"k%d\0\0" % k + zeros(1_000_000)) for k in range(80))
        ),
        "PNG with a huge profile": lambda s: with_chunks(s, chunk(b"iCCP", b"k\0\0" + zeros(50_000_000))),
        "TIFF of LZW without end": lambda s: grey_tiff(s, (259, 4, 1, 5), data=b"\x80\x0b\x60" + b"\xff" * 1_000_000),
        "TIFF of a hundred thousand strips": lambda s: (
            grey_tiff(s, (273, 4, 100_000, 1000), (279, 4, 100_000, 1000), (278, 4, 1, 1)) + bytes(400_000)
        ),
    },
)

# Two things at once, and other things ----------------------------------------------------------------------------

HTML = b"<html>" + SCRIPT + b"</html>"
MP4 = b"\0\0\0\x18ftyp%s\0\0\0\0mif1%s" + bytes(200)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://www.w3.org/1999/xlink'>%s</svg>"
add(
    "polyglot",
    "read",
    {
        "JPEG and zip": lambda s: saved(s) + zipped(("../a.txt", SECRET)),
        "JPEG and HTML": lambda s: with_segments(s, segment(0xFE, HTML)) + HTML,
        "JPEG and PDF": lambda s: saved(s) + b"%PDF-1.4\n%%EOF" + SECRET,
        "two JPEGs": lambda s: saved(s) + saved(s, pixels=s.pixels[::-1].copy()),
        "PNG and HTML": lambda s: with_chunks(s, chunk(b"tEXt", b"k\0" + HTML)) + HTML,
        "PNG and zip": lambda s: saved(s, "PNG") + zipped(("a.txt", SECRET)),
        "JPEG in a PNG's chunk": lambda s: with_chunks(s, chunk(b"abCd", saved(s))),
        "BMP and a program": lambda s: saved(s, "BMP") + b"MZ\x90\0" + SECRET,
    },
)
add(
    "polyglot",
    "either",
    {"GIF and JavaScript": lambda s: b"GIF89a/*" + saved(s, "GIF")[8:] + b"*/=1;alert(1)"},
)
add(
    "polyglot",
    "refused",
    {
        "PDF and JPEG": lambda s: b"%PDF-1.4\n1 0 obj<</Length 9>>stream\n" + saved(s) + b"\nendstream",
        "HTML and JPEG": lambda s: HTML + saved(s),
        "text and PNG": lambda s: b"\n" + saved(s, "PNG"),
    },
)
add(
    "no picture",
    "refused",
    {
        "PDF": lambda _: b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n<< /Type /Catalog >>\n%%EOF",
        "docx": lambda _: zipped(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>")),
        "archive with ../ in it": lambda _: zipped(("../../../../tmp/a", b"a"), ("/etc/a", b"a")),
        "program": lambda _: b"MZ\x90\0" + bytes(200) + b"PE\0\0",
        "ELF": lambda _: b"\x7fELF\2\1\1" + bytes(100),
        "shell script": lambda _: b"#!/bin/sh\ntouch /tmp/a\n",
        "PHP": lambda _: b"<?php system($_GET['a']); ?>",
        "HTML": lambda _: b"<!doctype html>" + SCRIPT,
        "SVG": lambda _: SVG % b"<rect width='9' height='9'/>",
        "SVG with a script": lambda _: SVG % SCRIPT,
        "SVG with entities": lambda _: b"<!DOCTYPE s [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + SVG % b"&a;",
        "SVG that fetches": lambda _: SVG % b"<image x:href='http://169.254.169.254/latest/meta-data/'/>",
        "SVG, packed": lambda _: gzip.compress(SVG % SCRIPT, mtime=0),
        "JSON": lambda _: json.dumps({"a": [1] * 100}).encode(),
        "text": lambda _: "Grüße \u202e\0".encode(),
        "DICOM": lambda s: bytes(128) + b"DICM" + noise(s, 200),
        "MP4": lambda _: MP4 % (b"isom", b"avc1"),
        "HEIC": lambda _: MP4 % (b"heic", b"heic"),
        "AVIF claim": lambda _: MP4 % (b"avif", b"avif"),
        "EPS": lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(%pipe%id) (r) file\n",
        "ImageMagick's own": lambda _: b"push graphic-context\nfill 'url(https://x|id)'\npop graphic-context",
        "Python's pickle": lambda _: b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\2os\x8c\6system\x93\x8c\7touch a\x85R.",
        "numpy's array": lambda _: b"\x93NUMPY\1\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (9,), }",
        "SQLite": lambda _: b"SQLite format 3\0" + bytes(4080),
        "spaces": lambda _: b" " * 1000,
        "nothing": lambda _: b"",
        "one byte": lambda s: noise(s, 1),
        "zeros": lambda _: bytes(100_000),
        "noise": lambda s: noise(s, 100_000),
        "over the limit of bytes": lambda s: b"\xff\xd8\xff" + bytes(50_000_001 + s.variant),
        "a real AVIF": lambda s: saved(s, "AVIF", quality=90),
        **{f"a real {k}": lambda s, k=k: saved(s, k) for k in ("JPEG2000", "ICO", "TGA", "PCX", "PPM")},
    },
)
