"""What the detector of ink and rulers learns from: real pictures on which such marks were drawn, and confounders.

Nobody drew masks on real pictures. So ink and rulers are drawn (`data/artefacts.py`) on pictures of HAM10000's role
training, among hair, patches, bubbles and dark corners that are drawn too and are neither.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dermoscope.data.artefacts import apply
from dermoscope.data.images import read_image
from dermoscope.data.properties import COMMON_SIDE
from dermoscope.predict.marks import KINDS

DRAWN_AT = 192
"""Shorter side in px of the pictures that artefacts are drawn on, before they are brought to `COMMON_SIDE`."""

CELL = 2
"""Px of the common size in one cell of the map."""

SEEN = 10
"""Levels by which a drawn mark must change a pixel to be asked for; what is fainter is not judged."""

UNJUDGED = 255
"""Value of a cell of the truth that is neither a mark nor none."""

_CONFOUNDERS = {"hair": 0.3, "bubbles": 0.15, "patch": 0.12, "dark_corners": 0.35}
"""Share of the pictures that each is drawn on."""

_MARKED = 0.45
"""Share of the pictures that ink is drawn on, and the same of rulers."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Pictures of `COMMON_SIDE` squared, and the truth of each kind in cells: 0 none, 1 a mark, `UNJUDGED`."""

    pictures: UInt8[np.ndarray, "n side side 3"]
    truth: UInt8[np.ndarray, "n kinds cells cells"]


def draw_lesson(paths: Sequence[Path], count: int, seed: int, workers: int = 2) -> Lesson:
    """`count` pictures, made of those at `paths` in turn; the same arguments give the same lesson."""
    tasks = [paths[k % len(paths)] for k in range(count)]
    with ProcessPoolExecutor(workers) as pool:
        drawn = list(pool.map(_one, tasks, range(count), repeat(seed), chunksize=32))
    return Lesson(np.stack([p for p, _ in drawn]), np.stack([t for _, t in drawn]))


def _one(path: Path, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, number])
    return marked(read_image(path).pixels, rng)


def marked(pixels: UInt8[np.ndarray, "height width 3"], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One picture of the lesson and its truth: framed, drawn on, and photographed in another light."""
    picture = _framed(pixels, rng)
    chances = dict.fromkeys(KINDS, _MARKED) | _CONFOUNDERS
    truth = np.zeros((len(KINDS), *picture.shape[:2]), np.uint8)
    for name in ("ink", "hair", "ruler", "bubbles", "patch", "dark_corners"):
        if rng.random() >= chances[name]:
            continue
        intensity, seed = float(rng.uniform(0.15, 1.0)), int(rng.integers(2**31))
        before = picture
        done = apply(name, before, intensity=intensity, seed=seed)
        picture = done.pixels
        changed = np.abs(picture.astype(np.int16) - before).max(axis=2)
        truth[:, changed > 6 * SEEN] = 0  # what now hides it
        if name in KINDS:
            truth[KINDS.index(name)][done.mask] = np.where(changed[done.mask] >= SEEN, 1, UNJUDGED)
    side = (COMMON_SIDE, COMMON_SIDE)
    small = cv2.resize(picture, side, interpolation=cv2.INTER_AREA)
    return _in_light(small, rng), np.stack([_in_cells(t) for t in truth])


def _framed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square of the picture, most of it or all, squeezed a little, turned and mirrored."""
    height, width = pixels.shape[:2]
    part = rng.uniform(0.65, 1.0)
    tall = round(height * part)
    wide = min(width, round(tall * rng.uniform(0.9, 1.34)))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    cut = np.rot90(pixels[top : top + tall, left : left + wide], int(rng.integers(4)))
    cut = cut[:, ::-1] if rng.random() < 0.5 else cut
    return cv2.resize(np.ascontiguousarray(cut), (DRAWN_AT, DRAWN_AT), interpolation=cv2.INTER_LINEAR)


def _in_light(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same under light of another colour and strength, with another saturation, sometimes a little soft."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.88, 1.12, 3)
    level = picture.astype(np.float32) / 255.0
    grey = level.mean(axis=2, keepdims=True)
    level = grey + rng.uniform(0.55, 1.3) * (level - grey)
    level = np.clip(level, 0, 1) ** rng.uniform(0.8, 1.25) * gain
    if rng.random() < 0.25:
        level = cv2.GaussianBlur(level, (0, 0), rng.uniform(0.3, 0.7))
    level += rng.normal(0, rng.uniform(0, 0.02), level.shape)
    return np.rint(255 * np.clip(level, 0, 1)).astype(np.uint8)


def _in_cells(truth: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "cells cells"]:
    """A cell is a mark where a fifth of it is; where less is, or only what is too faint, it is not judged."""
    size = (COMMON_SIDE // CELL, COMMON_SIDE // CELL)
    share = cv2.resize((truth == 1).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    faint = cv2.resize((truth > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.where(share >= 0.2, 1, np.where(faint > 0.02, UNJUDGED, 0)).astype(np.uint8)


def batches(lesson: Lesson, size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pictures and truths once, in a random order, `size` at a time (what is left over is dropped)."""
    order = rng.permutation(len(lesson.pictures))
    for start in range(0, len(order) - size + 1, size):
        rows = np.sort(order[start : start + size])
        yield lesson.pictures[rows], lesson.truth[rows]
