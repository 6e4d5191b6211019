"""What a file says before anybody looks at the lesion: size, format, JPEG tables, sharpness, border, a small picture.

A file is read and decoded once, by threads that stay a few files ahead, so that memory stays bounded.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import ImageError
from dermoscope.data.images import file_bytes, read_image

SMALL = 48
"""Side in px of the small picture by which files are compared; width and height are squeezed to it."""
COMMON_SIDE = 128
"""Shorter side in px at which sharpness is measured, so that it compares pictures and not their sizes."""
BORDER = 0.05
"""Share of the shorter side that counts as border."""


@dataclass(frozen=True, slots=True, eq=False)
class FileFacts:
    """One file. `problem` says why it cannot be read; then only `size` and `sha256` may be known.

    `size` is in bytes, `width` and `height` in px (upright), `format` as in `Picture`, `tables` a short name of the
    JPEG quantisation tables (empty for other formats), `sharpness` the variance of the Laplacian of the grey picture
    at a shorter side of 128 px (Pech-Pacheco et al. 2000), `border` the mean RGB of the outer 5 %, `contrast` the
    standard deviation of the small picture's grey levels, `small` the picture squeezed to 48 x 48 px.
    """

    path: Path
    problem: str = ""
    size: int = 0
    sha256: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    tables: str = ""
    sharpness: float = 0.0
    border: tuple[float, float, float] = (0.0, 0.0, 0.0)
    contrast: float = 0.0
    small: UInt8[np.ndarray, "rows columns 3"] | None = None


def facts_of(path: Path) -> FileFacts:
    """Read one file; what is wrong with it stands in `problem` and nothing is raised."""
    data = b""
    try:
        data = file_bytes(path)
        picture = read_image(data, at_least=COMMON_SIDE, name=str(path))
    except ImageError as error:
        why = str(error).removeprefix(f"{path}: ")
        return FileFacts(path, why, len(data), sha256(data).hexdigest() if data else "")
    pixels = at_common_size(picture.pixels)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(pixels, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    return FileFacts(
        path=path,
        size=len(data),
        sha256=sha256(data).hexdigest(),
        format=picture.format,
        width=picture.width,
        height=picture.height,
        tables=_tables_name(data) if picture.format == "JPEG" else "",
        sharpness=float(cv2.Laplacian(grey, cv2.CV_32F).var()),
        border=_border(pixels),
        contrast=float(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).std()),
        small=small,
    )


def read_facts(
    paths: Sequence[Path], *, threads: int = 2, progress: Callable[[int, int], None] | None = None
) -> list[FileFacts]:
    """Facts of files in their order. `progress` is called with (done, total)."""
    found = []
    for facts in _ahead(paths, threads):
        found.append(facts)
        if progress is not None:
            progress(len(found), len(paths))
    return found


def quantisation_tables(data: bytes) -> bytes:
    """The bodies of all DQT segments of a JPEG before its first scan (ITU T.81, B.2.4.1), joined; else empty."""
    tables, position = b"", 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xDB:
            tables += data[position + 4 : position + 2 + length]
        position += 2 + length
    return tables


def _tables_name(data: bytes) -> str:
    tables = quantisation_tables(data)
    return sha256(tables).hexdigest()[:6] if tables else ""


def at_common_size(pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "rows columns 3"]:
    """A picture reduced (or enlarged) to a shorter side of `COMMON_SIDE`; a strip is squeezed to eight times that."""
    height, width = pixels.shape[:2]
    scale = COMMON_SIDE / min(height, width)
    longest = 8 * COMMON_SIDE  # of a strip, whose longer side would else grow without limit
    size = (min(longest, round(width * scale)), min(longest, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _border(pixels: np.ndarray) -> tuple[float, float, float]:
    wide = max(1, round(BORDER * min(pixels.shape[:2])))
    edge = np.ones(pixels.shape[:2], bool)
    edge[wide:-wide, wide:-wide] = False
    red, green, blue = pixels[edge].mean(axis=0)
    return float(red), float(green), float(blue)


def _ahead(paths: Sequence[Path], threads: int) -> Iterator[FileFacts]:
    waiting: deque[Future[FileFacts]] = deque()
    pool = ThreadPoolExecutor(max(threads, 1), thread_name_prefix="facts")
    try:
        for path in paths:
            waiting.append(pool.submit(facts_of, path))
            if len(waiting) > 4 * max(threads, 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
