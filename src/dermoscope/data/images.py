"""The one place where image files become pixels: any of them -> sRGB, uint8, upright.

JPEG goes through a scaled DCT (`jpeg.py`); what is not a plain JPEG (CMYK, ICC profiles, PNG, TIFF, BMP, GIF, WebP)
goes through Pillow. A file is judged by its content, never by its name.
"""

import io
import os
import stat
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import ImageError, InputError
from dermoscope.data import jpeg
from dermoscope.data.parts import check_parts, late_exif, webp_size
from dermoscope.data.room import Room

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded: 300 MB of pixels from a few kB are an attack or a mistake."""
MAX_BYTES = 1_000_000_000
"""Larger files are refused before they are read."""
MIN_SIDE = 16
"""A shorter side below this many pixels shows no lesion."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"})
"""Extensions by which `list_images` knows an image in a folder."""

Source = Path | str | bytes | np.ndarray

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP")
_ORIENTATION_TAG = 0x0112
_BAND = 8_000_000
"""Pixels that are turned into sRGB at once."""
DECODING = Room(1_200_000_000)
"""Bytes for everything that this process decodes at one time: two images of fifty million pixels, or one WebP."""
_PLAIN, _WEBP = 10, 20
"""Bytes that decoding takes for a pixel: Pillow's four, the array's three, a decoder's own; libwebp keeps canvases."""
AHEAD = 100_000_000
"""Pixels of images in memory that are decoded ahead of whoever asks for them."""
# Filters of `warnings` belong to the whole process: two threads that set and restore them would leave them changed.
_quiet = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image: sRGB pixels, upright, perhaps smaller than the original.

    `width` and `height` are the size of the original in px after its EXIF orientation; `format` is `JPEG`, `PNG`,
    `TIFF`, `BMP`, `GIF`, `WEBP` or `array`. The pixels may be written to: they belong to whoever asked for them.
    """

    pixels: UInt8[np.ndarray, "rows columns 3"]
    width: int
    height: int
    format: str


def read_image(source: Source, *, at_least: int = 0, name: str | None = None) -> Picture:
    """Decode a file, the bytes of one, or an array to upright sRGB.

    `at_least` (px) allows a smaller picture whose shorter side is still that long; only JPEG makes use of it, and 0
    asks for full size. `name` is what errors call the image; a path is called by itself. An array is RGB uint8
    [height, width, 3] and is handed on without a copy where it is contiguous. Transparency is laid on white, 16 bits
    are scaled to 8, the first frame of an animation counts, and an unreadable ICC profile is taken for sRGB.

    Raises ImageError, beginning with the name, for a file that is missing, empty, cut off, damaged, no image, over
    `MAX_PIXELS` or `MAX_BYTES`, or under `MIN_SIDE`; and for an array of another shape or dtype.
    """
    called = name or (str(source) if isinstance(source, str | Path) else "the image")
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source)
        return _decode(source if isinstance(source, bytes) else _read_bytes(Path(source)), at_least)
    except ImageError as error:
        raise ImageError(f"{called}: {error}") from None
    except Exception as error:  # decoders meet hostile bytes with exceptions of every kind
        why = str(error) or type(error).__name__
        raise ImageError(f"{called}: the image is damaged ({why}); copy or download it again") from None


def image_size(path: Path | str) -> tuple[int, int]:
    """Width and height in px as stored (before EXIF orientation), from the header alone. Raises ImageError."""
    try:
        return size_of(_read_bytes(Path(path)))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def size_of(data: bytes) -> tuple[int, int]:
    """The same of the bytes of a file. Raises ImageError, or whatever a decoder raises of hostile ones."""
    if jpeg.is_jpeg(data):
        header = jpeg.read_header(data)
        return header.width, header.height
    canvas = webp_size(data)
    if canvas is not None:
        return canvas
    with open_header(data) as image:
        return image.width, image.height


def file_bytes(path: Path) -> bytes:
    """The content of an image file. Raises ImageError for what is missing, no ordinary file, or over `MAX_BYTES`."""
    try:
        return _read_bytes(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def list_images(path: Path | str) -> list[Path]:
    """All files with an image extension in a folder and below it, sorted; hidden files and folders are left out.

    Raises InputError when `path` is not a folder.
    """
    root = Path(path)
    if not root.is_dir():
        raise InputError(f"{root}: not a folder; give the folder that holds the images")
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [Path(folder, f) for f in files if Path(f).suffix.lower() in SUFFIXES and not f.startswith(".")]
    return sorted(found)


def read_images(
    sources: Iterable[Source], *, at_least: int = 0, threads: int = 2
) -> Iterator[tuple[int, Picture | ImageError]]:
    """Decode many images in their order: (position, picture), or (position, error) for one that cannot be read.

    `threads` decode ahead of the caller, at most four images each and no more than `AHEAD` pixels of those that are
    given as bytes, so that memory stays bounded for any number of images. Abandoning the iterator stops them.
    """
    waiting: deque[tuple[int, int, Future[Picture | ImageError]]] = deque()
    pool = ThreadPoolExecutor(max(threads, 1), thread_name_prefix="decode")
    try:
        for position, source in enumerate(sources):
            pixels = _announced(source)
            while waiting and (len(waiting) >= 4 * max(threads, 1) or sum(w[1] for w in waiting) + pixels > AHEAD):
                first, _, done = waiting.popleft()
                yield first, done.result()
            waiting.append((position, pixels, pool.submit(_read_or_error, source, at_least)))
        while waiting:
            first, _, done = waiting.popleft()
            yield first, done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _announced(source: Source) -> int:
    """Pixels that the header of a PNG in memory speaks of; JPEG is decoded small, and files come one by one."""
    if isinstance(source, bytes) and source[:8] == b"\x89PNG\r\n\x1a\n":
        return int.from_bytes(source[16:20], "big") * int.from_bytes(source[20:24], "big")
    return 0


def _read_or_error(source: Source, at_least: int) -> Picture | ImageError:
    try:
        return read_image(source, at_least=at_least)
    except ImageError as error:
        return error


def _read_bytes(path: Path) -> bytes:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ImageError("a folder, not an image; give the files in it")
        if not stat.S_ISREG(found.st_mode):
            raise ImageError("not an ordinary file; give an image file")
        if found.st_size > MAX_BYTES:
            raise ImageError(f"a file of {found.st_size} bytes, over the limit of {MAX_BYTES}; make it smaller")
        return path.read_bytes()
    except FileNotFoundError:
        raise ImageError("no such file; check the path") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"cannot be opened ({why}); check the path and its permissions") from None


def _from_array(pixels: np.ndarray) -> Picture:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(f"an array {pixels.shape} of {pixels.dtype}; give RGB uint8 of shape [height, width, 3]")
    height, width = pixels.shape[:2]
    _check_size(width, height)
    return Picture(np.ascontiguousarray(pixels), width, height, "array")


def _decode(data: bytes, at_least: int) -> Picture:
    if not data:
        raise ImageError("the file is empty; copy or download it again")
    if not jpeg.is_jpeg(data):
        return _decode_with_pillow(data, at_least)
    header = jpeg.read_header(data)
    _check_size(header.width, header.height)
    factor = jpeg.factor_for(header.width, header.height, at_least)
    if not header.plain:
        jpeg.check(data, header)
    if header.plain:
        with DECODING.hold(_PLAIN * header.width * header.height // factor**2):
            pixels = jpeg.decode(data, header, factor)
            if pixels is not None:
                return _upright(pixels, (header.width, header.height), _orientation(header.exif), "JPEG")
    return _decode_with_pillow(data, at_least)


def _check_area(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width} x {height} pixels, over the limit of {MAX_PIXELS // 1_000_000} million; scale the image down"
        )


def _check_size(width: int, height: int) -> None:
    _check_area(width, height)
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{width} x {height} pixels; both sides must have at least {MIN_SIDE}: give a larger image")


def _orientation(exif: bytes) -> int:
    """EXIF orientation, 1 to 8 (CIPA DC-008, tag 0x0112); 1 where there is none or EXIF is broken."""
    if not exif:
        return 1
    from PIL import Image

    found = Image.Exif()
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found.load(exif)
            value = found.get(_ORIENTATION_TAG, 1)
        except Exception:  # broken EXIF says nothing about the pixels
            return 1
    return value if isinstance(value, int) else 1


def _upright(pixels: np.ndarray, stored: tuple[int, int], orientation: int, kind: str) -> Picture:
    """Undo the EXIF orientation of pixels that were stored as `stored` (width, height)."""
    width, height = stored
    turned = orientation in (5, 6, 7, 8)
    if turned:
        pixels, width, height = pixels.transpose(1, 0, 2), height, width
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return Picture(np.ascontiguousarray(pixels), width, height, kind)


def open_header(data: bytes) -> "Image.Image":
    """Header only; formats that Pillow hands to other programs are not among the allowed ones."""
    check_parts(data)
    # Pillow knows a format by name once its plugin is imported; these two are not imported by themselves.
    from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

    # Pillow fills what is cut off with grey once any library of the process asked for that (WeasyPrint does).
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            _check_area(*image.size)
            if image.format == "PNG" and "exif" not in image.info:
                image.info.update(late_exif(data))
            # Parsed here, where its warnings are silenced, and cached; PNG's own `getexif` decodes the pixels first.
            Image.Image.getexif(image)
            return image
        except UnidentifiedImageError:
            known = "JPEG, PNG, TIFF, BMP, GIF, WebP"
            raise ImageError(f"not an image of a known format ({known}), or cut off; export it again") from None
        except Image.DecompressionBombError:
            raise ImageError(f"over {MAX_PIXELS // 1_000_000} million pixels; scale the image down") from None


def _decode_with_pillow(data: bytes, at_least: int) -> Picture:
    canvas = webp_size(data)
    if canvas is not None:  # a WebP is given its canvases when it is opened
        _check_area(*canvas)
        with DECODING.hold(_WEBP * canvas[0] * canvas[1]), open_header(data) as image:
            return _opened(image, at_least)
    with open_header(data) as image, DECODING.hold(_PLAIN * image.width * image.height):
        return _opened(image, at_least)


def _opened(image: "Image.Image", at_least: int) -> Picture:
    stored = image.size
    _check_size(*stored)
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    factor = jpeg.factor_for(*stored, at_least)
    if factor > 1:
        image.draft(None, (stored[0] // factor, stored[1] // factor))
    image.load()
    pixels = _in_bands(image)
    # TIFF is turned by Pillow while loading, so its tag is gone by now.
    return _upright(pixels, stored, image.getexif().get(_ORIENTATION_TAG, 1), kind)


def _in_bands(image: "Image.Image") -> np.ndarray:
    """The pixels in sRGB, turned band by band: copies of a whole large picture would take a gigabyte more."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows, bits, icc = max(_BAND // image.width, 1), _depth(image), image.info.get("icc_profile")
    for top in range(0, image.height, rows):
        whole = rows >= image.height
        band = image if whole else image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(_to_srgb(_flat(band, bits), icc))
    return pixels


def _depth(image: "Image.Image") -> int:
    """Bits of a grey image that is deeper than 8, otherwise 8."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return 16 if image.format != "TIFF" else int(image.tag_v2.get(258, (16,))[0])  # type: ignore[attr-defined]
    return 8


def _flat(image: "Image.Image", bits: int) -> "Image.Image":
    """The picture as 8-bit L, RGB or CMYK, with transparency laid on white; `bits` as `_depth` says."""
    from PIL import Image

    if bits > 8:
        deep = np.asarray(image).astype(np.float32)
        return Image.fromarray(np.clip(np.rint(deep * (255 / (2**bits - 1))), 0, 255).astype(np.uint8))
    if image.mode in ("I", "F", "LAB", "HSV"):
        raise ImageError(f"pixels of mode {image.mode} cannot be read; export the image as 8-bit RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_srgb(image: "Image.Image", icc: bytes | None) -> "Image.Image":
    if not icc or jpeg.is_srgb(icc):
        return image.convert("RGB")
    from PIL import ImageCms

    space = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}.get(icc[16:20])
    if space == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if image.mode != space:
        return image.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        turned = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    return image.convert("RGB") if turned is None else turned
