"""Steps at the edges of a picture: the black frame, a margin, padding to a square."""

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

Pixels = UInt8[np.ndarray, "height width 3"]

FIELDS = ("around", "inside")
"""What is kept of a round field of view: the rectangle around it, or the largest one inside it."""

FILLS = ("black", "mirror", "mean")
"""What padding is made of."""

REFERENCE = 450
"""Shorter side in px of the pictures (HAM10000 as published) in whose pixels `shave` is given."""

MIN_SIDE = 16
"""No step cuts a picture below this many px a side."""

LEAST = 0.2
"""Nor below this share of a side: a field that small is no frame, it is a picture that was not understood."""

LARGEST = 4096
"""Pictures with a longer side are reduced to it before they are padded: the square of a strip would fill memory."""

DARK = 0.98
"""Share of a row or column that must be dark for it to be frame: dust and text in a frame are bright."""

NEARLY_BLACK = 40
"""Levels of a corner up to which it counts as frame: frames of compressed pictures are not quite black."""

_WORKING = 256
"""Longer side in px of the copy in which a round field is looked for."""


def trim_border(pixels: Pixels, fuzz: float = 0.05, field: str = "around") -> Pixels:
    """Cut off rows and columns at the edges that are black in 98 % of their pixels.

    Black is what no channel exceeds by `fuzz` of the full range; where a corner is nearly black, its own level counts
    from there, as in `magick -trim -fuzz`. With `field="inside"` a round field of view in a black frame (an ellipse, in
    squeezed copies) is cut to the largest rectangle inside it; where none is found, as with `around`. Cutting once more
    changes nothing with `around`.
    """
    level = pixels.max(axis=2)
    box = _lit(level, fuzz * 255)
    if field == "inside":
        top, bottom, left, right = box
        box = _inside(level <= _black(level[top:bottom, left:right]) + fuzz * 255, box)
    return _cut(pixels, *box)


def _black(level: UInt8[np.ndarray, "height width"]) -> float:
    """The brightest corner that is nearly black, as a level of 0 to 255; 0 where none is."""
    side = max(1, round(0.02 * min(level.shape)))
    corners = [
        np.median(level[rows, columns])
        for rows in (slice(None, side), slice(-side, None))
        for columns in (slice(None, side), slice(-side, None))
    ]
    return max([float(c) for c in corners if c <= NEARLY_BLACK], default=0.0)


def _lit(level: UInt8[np.ndarray, "height width"], fuzz: float) -> tuple[int, int, int, int]:
    """Rows and columns (top, bottom, left, right; ends excluded) between the dark edges; all where all is dark."""
    top, left = 0, 0
    bottom, right = level.shape
    while True:
        part = level[top:bottom, left:right]
        dark = part <= _black(part) + fuzz
        rows, columns = (np.flatnonzero(dark.mean(axis=axis) < DARK) for axis in (1, 0))
        if not rows.size or not columns.size:
            return 0, level.shape[0], 0, level.shape[1]
        found = top + int(rows[0]), top + int(rows[-1]) + 1, left + int(columns[0]), left + int(columns[-1]) + 1
        if found == (top, bottom, left, right):
            return found
        top, bottom, left, right = found


def _inside(dark: Bool[np.ndarray, "height width"], lit: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The largest rectangle inside a round field, within `lit`; `lit` itself where the field is not round."""
    top, bottom, left, right = lit
    part = dark[top:bottom, left:right]
    scale = min(1.0, _WORKING / max(part.shape))
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    bright = 1 - cv2.resize(part.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    ellipse = _round_field(bright > 0.5)
    if ellipse is None:
        return lit
    x, y, a, b = (float(v) for v in ellipse * np.array([part.shape[1] / size[0], part.shape[0] / size[1]] * 2))
    a, b = max(1.0, a - 1), max(1.0, b - 1)  # the rim itself is half black
    # half sides a*s, b*t with s^2 + t^2 = 1: s = t unless the picture is flatter than the field
    reach_x, reach_y = max(x, part.shape[1] - x), max(y, part.shape[0] - y)
    t = min(math.sqrt(0.5), reach_y / b)
    s = math.sqrt(1 - t * t)
    if a * s > reach_x:
        s = reach_x / a
        t = min(math.sqrt(max(0.0, 1 - s * s)), reach_y / b)
    rows = max(0, math.ceil(y - b * t)), min(part.shape[0], math.floor(y + b * t) + 1)
    columns = max(0, math.ceil(x - a * s)), min(part.shape[1], math.floor(x + a * s) + 1)
    return top + rows[0], top + rows[1], left + columns[0], left + columns[1]


def _round_field(bright: Bool[np.ndarray, "height width"]) -> Float[np.ndarray, "4"] | None:
    """Centre and half axes (x, y, a, b) of a bright ellipse in dark corners; None where there is no such thing.

    Least squares on the first and last bright pixel of each row and column, where those are not at the edge of the
    picture (algebraic fit, axes upright: Kåsa 1976), believed where the ellipse explains 95 % of the picture.
    """
    height, width = bright.shape
    if min(height, width) < MIN_SIDE or bright.mean() > 0.98:
        return None
    points = np.array([*_rim(bright), *(p[::-1] for p in _rim(bright.T))], dtype=float).reshape(-1, 2)
    if len(points) < 12:
        return None
    unit = max(height, width) / 2
    x, y = ((points - (width / 2, height / 2)) / unit).T
    (k, p, q, r), *_ = np.linalg.lstsq(np.column_stack([y * y, x, y, np.ones_like(x)]), -x * x, rcond=None)
    if k <= 0.05 or k > 20:
        return None
    cx, cy = -p / 2, -q / (2 * k)
    square = cx * cx + k * cy * cy - r
    if square <= 0:
        return None
    a, b = math.sqrt(square), math.sqrt(square / k)
    found = np.array([cx * unit + width / 2 - 0.5, cy * unit + height / 2 - 0.5, a * unit, b * unit])
    rows, columns = np.indices(bright.shape)
    within = ((columns - found[0]) / found[2]) ** 2 + ((rows - found[1]) / found[3]) ** 2 <= 1
    return found if (within == bright).mean() > 0.95 and (~within).mean() > 0.02 else None


def _rim(bright: Bool[np.ndarray, "height width"]) -> list[tuple[float, float]]:
    """Points (x, y) where rows enter and leave the field, those at the edge of the picture left out."""
    width = bright.shape[1]
    out = []
    for y, row in enumerate(bright):
        at = np.flatnonzero(row)
        if at.size:
            out += [(float(x), float(y)) for x in {int(at[0]), int(at[-1])} if 0 < x < width - 1]
    return out


def _cut(pixels: Pixels, top: int, bottom: int, left: int, right: int) -> Pixels:
    """A part of the picture, or the whole of it where too little would be left."""
    height, width = pixels.shape[:2]
    rows, columns = bottom - top, right - left
    if rows < max(MIN_SIDE, LEAST * height) or columns < max(MIN_SIDE, LEAST * width):
        return pixels
    if (rows, columns) == (height, width):
        return pixels
    return pixels[top:bottom, left:right]


def shave(pixels: Pixels, px: float = 7.0) -> Pixels:
    """Cut a margin off every edge: `px` of a picture whose shorter side has 450 px, in proportion elsewhere."""
    height, width = pixels.shape[:2]
    margin = round(px * min(height, width) / REFERENCE)
    return _cut(pixels, margin, height - margin, margin, width - margin) if margin else pixels


def pad(pixels: Pixels, fill: str = "black") -> Pixels:
    """The picture in the middle of a square: `black`, `mirror` (its own edges) or `mean` (its mean colour) around it.

    A picture with a longer side above 4,096 px is reduced to that first. A square is handed on as it is.
    """
    height, width = pixels.shape[:2]
    if height == width:
        return pixels
    longer = max(height, width)
    if longer > LARGEST:
        size = (max(1, round(width * LARGEST / longer)), max(1, round(height * LARGEST / longer)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        (height, width), longer = pixels.shape[:2], LARGEST
    above, before = (longer - height) // 2, (longer - width) // 2
    edges = (above, longer - height - above, before, longer - width - before)
    if fill == "mirror" and min(height, width) > 1:
        return cv2.copyMakeBorder(pixels, *edges, cv2.BORDER_REFLECT_101)
    colour = pixels.reshape(-1, 3).mean(axis=0).round().tolist() if fill == "mean" else (0, 0, 0)
    return cv2.copyMakeBorder(pixels, *edges, cv2.BORDER_CONSTANT, value=colour)
