"""Files that nobody sends by accident, and odd ones that somebody does: made here, none of them is kept.

`KINDS` names each with what makes it and what may come of it: `no` (an error that names it), `yes` (its picture, which
is `PIXELS`), `any` (either).
"""

import io
import itertools
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from dermoscope.data.synthetic import draw

PIXELS = draw(3, "MEL", size=(97, 71)).pixels
FORMATS = ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP")


@dataclass(frozen=True)
class Kind:
    """How a file is made, and what may come of it."""

    make: Callable[[], bytes]
    told: str


KINDS: dict[str, Kind] = {}


def add(name: str, make: Callable[[], bytes], told: str = "no") -> None:
    assert name not in KINDS
    KINDS[name] = Kind(make, told)


def saved(kind: str = "JPEG", pixels: np.ndarray = PIXELS, mode: str = "RGB", **said: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind, **({"lossless": True} if kind == "WEBP" else {}), **said)
    return out.getvalue()


def after(data: bytes, place: int, added: bytes) -> bytes:
    return data[:place] + added + data[place:]


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(*added: bytes) -> bytes:
    return after(saved(), 2, b"".join(added))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunks(*added: bytes) -> bytes:
    return after(saved("PNG"), 33, b"".join(added))


def png(width: int, height: int, bits: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tiff(tags: Iterable[tuple[int, int, int, int]], data: bytes = b"", following: int = 0) -> bytes:
    listed = sorted(tags)
    body = b"".join(struct.pack("<HHII", *tag) for tag in listed)
    return b"II" + struct.pack("<HIH", 42, 8, len(listed)) + body + struct.pack("<I", following) + data


def grey_tiff(width: int, height: int, *more: tuple[int, int, int, int], following: int = 0) -> bytes:
    """A TIFF whose pixels are the bytes at 1000."""
    plain = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 1000, 277: 1, 278: height, 279: width * height}
    tags = {tag: (tag, 4, 1, value) for tag, value in plain.items()} | {one[0]: one for one in more}
    grey = Image.fromarray(PIXELS).convert("L").tobytes()
    return tiff(tags.values(), following=following).ljust(1000, b"\0") + grey


def riff(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for name, b in parts)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_canvas(side: int, flags: int = 2) -> bytes:
    three = (side - 1).to_bytes(3, "little")
    frame = bytes(6) + (96).to_bytes(3, "little") + (70).to_bytes(3, "little") + bytes(4) + saved("WEBP")[12:]
    return riff((b"VP8X", bytes((flags, 0, 0, 0)) + three * 2), (b"ANIM", bytes(6)), (b"ANMF", frame))


def jpeg_sides(width: int, height: int) -> bytes:
    data = saved()
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def scans(many: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = saved(progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (many - data.count(b"\xff\xda")) + data[-2:]


def frame_of(marker: int, bits: int = 8) -> bytes:
    """A JPEG whose frame says that it is of another process."""
    data = bytearray(saved())
    place = data.index(b"\xff\xc0")
    data[place + 1], data[place + 4] = marker, bits
    return bytes(data)


def restarts() -> bytes:
    return saved(restart_marker_blocks=2).replace(b"\xff\xd1", b"\xff\xd5")


def zipped(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files:
            made.writestr(name, data)
    return out.getvalue()


def exif(*tags: tuple[int, int, int, int], data: bytes = b"", following: int = 0) -> bytes:
    return b"Exif\0\0" + tiff(tags, data, following)


def taken(day: bytes) -> bytes:
    inner = struct.pack("<HHHIII", 1, 0x9003, 2, 20, 44, 0) + day[:19].ljust(20, b"\0")
    return with_segments(segment(0xE1, exif((0x8769, 4, 1, 26), data=inner)))


def profile(body: bytes) -> bytes:
    return with_segments(segment(0xE2, b"ICC_PROFILE\0\1\1" + body))


def animated(kind: str) -> bytes:
    out = io.BytesIO()
    others = [Image.fromarray(PIXELS[::-1].copy())] * 3
    more = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(PIXELS).save(out, kind, save_all=True, append_images=others, **more)
    return out.getvalue()


def mode_of(kind: str, mode: str) -> bytes:
    """PNG and TIFF of other depths, that show the grey of `PIXELS`."""
    grey = PIXELS[..., 0].astype(np.uint16)
    values = grey * 257 if mode == "I;16" else grey.astype({"F": np.float32, "I": np.int32}[mode])
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind)
    return out.getvalue()


def noise(many: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(many)


def flipped(kind: str, seed: int) -> bytes:
    data, chance = bytearray(saved(kind)), random.Random(seed)
    for _ in range(6):
        data[chance.randrange(8, len(data))] = chance.randrange(256)
    return bytes(data)


def _cut() -> None:
    for kind, part in itertools.product(FORMATS, (0.01, 0.2, 0.5, 0.95)):
        told = "any" if (kind, part) == ("GIF", 0.95) else "no"
        add(f"{kind} cut at {part}", lambda k=kind, p=part: saved(k)[: max(int(len(saved(k)) * p), 4)], told)
    for kind, seed in itertools.product(FORMATS, range(3)):
        add(f"{kind} with wrong bytes {seed}", lambda k=kind, s=seed: flipped(k, s), "any")


def _bombs() -> None:
    side = 50_000
    add("PNG bomb", lambda: png(side, side, data=bytes(1_000_000)))
    add("PNG bomb of one bit", lambda: png(side, side, 1, 0, bytes(1_000_000)))
    add("PNG of 2^31 sides", lambda: png(2**31 - 1, 2**31 - 1))
    add("PNG under the limit, without its data", lambda: png(9_990, 9_990))
    add("TIFF bomb", lambda: grey_tiff(side, side))
    add("TIFF of 2^32 sides", lambda: grey_tiff(2**32 - 1, 2**32 - 1, (278, 4, 1, 1), (279, 4, 1, 1)))
    add("TIFF of a huge tile", lambda: grey_tiff(97, 71, *((t, 4, 1, side) for t in (322, 323)), (324, 4, 1, 1000)))
    add("TIFF under the limit, without its data", lambda: grey_tiff(9_990, 9_990))
    add("GIF bomb", lambda: saved("GIF")[:6] + struct.pack("<HH", side, side) + saved("GIF")[10:])
    add("WebP bomb", lambda: webp_canvas(side))
    add("WebP of the largest sides", lambda: webp_canvas(16_383))
    add("BMP bomb", lambda: saved("BMP")[:18] + struct.pack("<ii", side, side) + saved("BMP")[26:])
    add("BMP upside down", lambda: saved("BMP")[:18] + struct.pack("<ii", 97, -(2**31)) + saved("BMP")[26:])
    add("JPEG of 65,535 sides", lambda: jpeg_sides(65_535, 65_535))
    add("JPEG of no height", lambda: jpeg_sides(97, 0))
    add("zip bomb", lambda: zipped(("a.jpg", bytes(10_000_000))))
    add("gzip bomb", lambda: b"\x1f\x8b\x08" + bytes(7) + zlib.compress(bytes(10_000_000))[2:])
    add("PNG with a huge zTXt", lambda: with_chunks(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000)))), "any")
    add(
        "PNG with a huge iTXt",
        lambda: with_chunks(chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(50_000_000)))),
        "any",
    )
    texts = [chunk(b"zTXt", b"k%d\0\0" % k + zlib.compress(b"non " * 250_000)) for k in range(80)]
    add("PNG with eighty zTXt", lambda: with_chunks(*texts), "any")
    add(
        "PNG with a huge profile",
        lambda: with_chunks(chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(50_000_000)))),
        "any",
    )
    add("PNG of empty chunks", lambda: with_chunks(chunk(b"abCd", b"") * 300_000))
    add("GIF of comments", lambda: after(saved("GIF"), 781, b"\x21\xfe\1a\0" * 300_000))
    add("JPEG of scans", lambda: scans(3_000))
    add("JPEG of segments", lambda: with_segments(b"\xff\xfe\0\2" * 100_000))
    add("JPEG of fill bytes", lambda: with_segments(b"\xff" * 1_000_000))
    add("JPEG with fill bytes in its samples", lambda: saved()[:-2] + b"\xff" * 1_000_000 + b"\0\xff\xd9", "any")
    add("JPEG of EXIF", lambda: with_segments(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 300))


def _loops() -> None:
    add("TIFF whose next image is itself", lambda: grey_tiff(97, 71, following=8), "any")
    add("TIFF whose SubIFD is itself", lambda: grey_tiff(97, 71, (330, 4, 1, 8)), "any")
    add("TIFF whose EXIF is itself", lambda: grey_tiff(97, 71, (0x8769, 4, 1, 8)), "any")
    add("TIFF of thousands of images", lambda: many_images(20_000), "any")
    add(
        "TIFF of tags that share bytes",
        lambda: grey_tiff(97, 71, *((40_000 + k, 7, 6000, 1000) for k in range(60))),
        "any",
    )
    add("TIFF of numbers", lambda: grey_tiff(97, 71, (40_000, 3, 3_000_000, 1000)) + bytes(6_000_000))
    add("TIFF that starts past its end", lambda: b"II*\0" + struct.pack("<I", 2**32 - 1) + bytes(100))
    add("BigTIFF of 2^63 tags", lambda: b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + bytes(1000))
    add("EXIF whose EXIF is itself", lambda: with_segments(segment(0xE1, exif((0x8769, 4, 1, 8), following=8))), "yes")
    add("EXIF past its end", lambda: with_segments(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")), "yes")
    add("EXIF of rubbish", lambda: with_segments(segment(0xE1, b"Exif\0\0" + noise(60_000, 1))), "yes")
    numbers = tiff([(40_000, 5, 2_000_000, 26)], bytes(16_000_000))
    add("PNG with huge EXIF", lambda: with_chunks(chunk(b"eXIf", numbers)), "yes")


def many_images(many: int) -> bytes:
    first = grey_tiff(97, 71, following=10_000).ljust(10_000, b"\0")
    places = range(10_006, 10_000 + 6 * many + 1, 6)
    return first + b"".join(struct.pack("<HI", 0, place) for place in places) + bytes(6)


def _mixtures() -> None:
    script = b"<html><script>alert(1)</script></html>"
    add("JPEG and zip", lambda: saved() + zipped(("a.txt", b"x")), "yes")
    add("JPEG and HTML", lambda: with_segments(segment(0xFE, script)) + script, "yes")
    add("GIF and JavaScript", lambda: b"GIF89a/*" + saved("GIF")[8:] + b"*/=1;alert(1)", "any")
    add("PNG and HTML", lambda: with_chunks(chunk(b"tEXt", b"k\0" + script)) + script, "yes")
    add("PDF and JPEG", lambda: b"%PDF-1.4\n1 0 obj<</Length 9>>stream\n" + saved() + b"\nendstream")
    add("JPEG and PDF", lambda: saved() + b"%PDF-1.4\n%%EOF", "yes")
    add("two JPEGs", lambda: saved() + saved(pixels=PIXELS[::-1].copy()), "yes")
    add("JPEG in a PNG's chunk", lambda: with_chunks(chunk(b"abCd", saved())), "yes")


def _wrong_types() -> None:
    mp4 = b"\0\0\0\x18ftyp%s\0\0\0\0mif1%s" + bytes(200)
    texts = {
        "PDF": b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n<< /Type /Catalog >>\n%%EOF",
        "docx": zipped(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w/>")),
        "program": b"MZ\x90\0" + bytes(200) + b"PE\0\0",
        "ELF": b"\x7fELF\2\1\1" + bytes(100),
        "HTML": b"<!doctype html><script>alert(1)</script>",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "SVG with entities": b"<!DOCTYPE s [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>",
        "JSON": json.dumps({"a": [1] * 100}).encode(),
        "text": "Grüße \u202e\0".encode(),
        "DICOM": bytes(128) + b"DICM" + noise(200, 2),
        "MP4": mp4 % (b"isom", b"avc1"),
        "HEIC": mp4 % (b"heic", b"heic"),
        "AVIF claim": mp4 % (b"avif", b"avif"),
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(%pipe%id) (r) file\n",
        "PPM": b"P6 97 71 255\n" + bytes(97 * 71 * 3),
        "ImageMagick's own": b"push graphic-context\nfill 'url(https://x|id)'\npop graphic-context",
        "spaces": b" " * 1000,
        "nothing": b"",
        "one byte": b"\xff",
        "start of a JPEG": b"\xff\xd8\xff",
        "zeros": bytes(100_000),
        "noise": noise(100_000, 3),
    }
    for name, data in texts.items():
        add(name, lambda d=data: d)
    for kind in ("AVIF", "JPEG2000", "ICO", "TGA", "PCX", "PPM"):
        add(f"a real {kind}", lambda k=kind: saved(k, quality=90) if k == "AVIF" else saved(k))


def _sizes() -> None:
    def blank(width: int, height: int, kind: str) -> bytes:
        return saved(kind, np.full((height, width, 3), 200, np.uint8))

    for kind in FORMATS:
        add(f"{kind} of 1 x 1", lambda k=kind: blank(1, 1, k))
    add("PNG of 0 x 0", lambda: png(0, 0))
    add("20,000 wide and 16 high", lambda: blank(20_000, 16, "PNG"), "any")
    add("16 wide and 60,000 high", lambda: blank(16, 60_000, "JPEG"), "any")
    add("15 high", lambda: blank(97, 15, "JPEG"))


def _odd() -> None:
    add("CMYK JPEG", lambda: saved(mode="CMYK"), "yes")
    add("YCCK JPEG", ycck, "any")
    add("progressive JPEG", lambda: saved(progressive=True), "yes")
    add("JPEG with arithmetic coding", lambda: frame_of(0xC9), "any")
    add("JPEG of 12 bits", lambda: frame_of(0xC1, 12), "any")
    add("lossless JPEG", lambda: frame_of(0xC3), "any")
    add("JPEG with wrong restarts", restarts, "any")
    add("JPEG with rubbish between segments", lambda: with_segments(segment(0xFE, b"x"), b"rubbish\xff\xff"), "yes")
    add("JPEG with a segment of no length", lambda: with_segments(b"\xff\xfe\0\0"), "any")
    add("JPEG with a segment past its end", lambda: with_segments(b"\xff\xe1\xff\xff"), "any")
    add("JPEG of two frames", lambda: with_segments(saved()[saved().index(b"\xff\xc0") :][:19]), "any")
    add("JPEG without tables", lambda: saved().replace(b"\xff\xc4", b"\xff\xe9"), "any")
    add("JPEG of seven components", lambda: with_components(7), "no")
    add("PNG of 16 bits", lambda: mode_of("PNG", "I;16"), "any")
    add("TIFF of 16 bits", lambda: mode_of("TIFF", "I;16"), "any")
    add("TIFF of numbers with a point", lambda: mode_of("TIFF", "F"))
    add("TIFF of 32 bits", lambda: mode_of("TIFF", "I"))
    add("TIFF in Lab", lambda: saved("TIFF", mode="LAB"))
    add("PNG of a palette, transparent", lambda: saved("PNG", mode="P", transparency=3), "any")
    add("PNG without its palette", lambda: saved("PNG", mode="P").replace(b"PLTE", b"pLTE"), "any")
    add("PNG with a wrong checksum", lambda: saved("PNG")[:29] + bytes(4) + saved("PNG")[33:])
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        add(f"moving {kind}", lambda k=kind: animated(k), "yes")
    for compression in ("jpeg", "tiff_lzw", "packbits", "tiff_adobe_deflate"):
        add(f"TIFF in {compression}", lambda c=compression: saved("TIFF", compression=c), "yes")


def with_components(many: int) -> bytes:
    data = bytearray(saved())
    data[data.index(b"\xff\xc0") + 9] = many
    return bytes(data)


def ycck() -> bytes:
    data = saved(mode="CMYK")
    place = data.index(b"Adobe")
    return data[: place + 11] + b"\2" + data[place + 12 :]


def _metadata() -> None:
    for turn in range(10):
        told = "yes" if turn in (0, 1, 9) else "any"
        add(f"orientation {turn}", lambda t=turn: with_segments(segment(0xE1, exif((0x0112, 3, 1, t)))), told)
    add("orientation as a text", lambda: with_segments(segment(0xE1, exif((0x0112, 2, 4, 0x41414141)))), "yes")
    for day in (b"0000:00:00 00:00:00", b"9999:12:31 23:59:59", b"2999:01:01", b"2024:02:31", b"\xff\xfe\0\1"):
        add(f"taken on {day!r}", lambda d=day: taken(d), "yes")
    script = b"<script>alert(1)</script>\0"
    add(
        "EXIF with a script",
        lambda: with_segments(segment(0xE1, exif((0x0110, 2, len(script), 26), data=script))),
        "yes",
    )
    add("XMP with entities", lambda: with_segments(segment(0xE1, XMP)), "yes")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    add("profile of rubbish", lambda: profile(noise(500, 4)), "yes")
    add("profile of 2^32 tags", lambda: profile(srgb[:128] + b"\xff" * 100), "yes")
    add("profile cut off", lambda: profile(srgb[:200].replace(b"sRGB", b"none")), "yes")
    add("huge profile", lambda: with_segments(segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000)) * 100), "any")
    add("profile of grey", lambda: profile(srgb.replace(b"RGB ", b"GRAY").replace(b"sRGB", b"none")), "any")


XMP = (
    b"http://ns.adobe.com/xap/1.0/\0<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>"
    b"<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c SYSTEM 'file:///etc/passwd'>]><x:xmpmeta>&b;&c;</x:xmpmeta>"
)

for _fill in (_cut, _bombs, _loops, _mixtures, _wrong_types, _sizes, _odd, _metadata):
    _fill()
