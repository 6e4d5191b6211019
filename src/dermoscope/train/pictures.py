"""Decoded pictures in one uint8 memory map on disk, so that an epoch reads no JPEG.

The file is keyed by the content of the images and by how they were decoded; it is written under a temporary name and
renamed when whole, so that a killed run leaves nothing half-written to be believed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from dermoscope.core.errors import ImageError
from dermoscope.data.images import read_image
from dermoscope.data.preprocess import Step, decode_at, prepare, steps_as_json

ROOM = 1.3
"""Pictures are kept at up to this many times the input size, so that zooming in finds detail."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of different sizes in one flat map: `shapes[k]` is (height, width), `starts[k]` the first byte.

    `key` stands for the content of the files and how they were decoded.
    """

    pixels: UInt8[np.ndarray, " bytes"]
    starts: Int[np.ndarray, " pictures"]
    shapes: Int[np.ndarray, "pictures 2"]
    key: str

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        height, width = self.shapes[index]
        start = self.starts[index]
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)


def _kept(path: Path, size: int, steps: Sequence[Step]) -> np.ndarray:
    most = round(size * ROOM)
    pixels = prepare(read_image(path, at_least=decode_at(most, steps)).pixels, steps)
    height, width = pixels.shape[:2]
    shorter = min(height, width)
    if shorter <= most:
        return np.ascontiguousarray(pixels)
    shape = (round(width * most / shorter), round(height * most / shorter))
    return cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA)


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error}); check the path") from None


def digests(paths: Sequence[Path]) -> list[bytes]:
    """SHA-256 of the content of each file. Raises ImageError for one that cannot be read."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(_digest, paths))


def _key(paths: Sequence[Path], size: int, steps: Sequence[Step]) -> str:
    how = f"{size}x{ROOM} v1" + (json.dumps(steps_as_json(steps), sort_keys=True) if steps else "")
    return hashlib.sha256(b"".join(digests(paths)) + how.encode()).hexdigest()[:24]


def cached(
    paths: Sequence[Path], size: int, folder: Path, progress: Progress | None = None, steps: Sequence[Step] = ()
) -> Pictures:
    """Decode each file once and prepare it, in the order of `paths`, or find what an earlier run left in `folder`.

    Raises ImageError for a file that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = _key(paths, size, steps)
    stem = folder / f"pictures-{key}"
    index, data = stem.with_suffix(".json"), stem.with_suffix(".bin")
    if not (index.exists() and data.exists()):
        _decode(paths, lambda path: _kept(path, size, steps), index, data, progress)
    shapes = np.array(json.loads(index.read_text())["shapes"], dtype=np.int64).reshape(-1, 2)
    ends = np.cumsum(shapes.prod(axis=1) * 3)
    return Pictures(np.memmap(data, np.uint8, "r"), np.concatenate([[0], ends[:-1]]), shapes, key)


def _decode(
    paths: Sequence[Path], kept: Callable[[Path], np.ndarray], index: Path, data: Path, progress: Progress | None
) -> None:
    temporary = data.with_suffix(f".{os.getpid()}.part")
    shapes = []
    try:
        with temporary.open("wb") as out, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for done, pixels in enumerate(pool.map(kept, paths), start=1):
                shapes.append(pixels.shape[:2])
                out.write(pixels.tobytes())
                if progress is not None:
                    progress(done, len(paths))
        temporary.replace(data)
        part = index.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({"shapes": shapes}))
        part.replace(index)
    finally:
        temporary.unlink(missing_ok=True)
