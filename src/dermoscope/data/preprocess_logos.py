"""A step at the edges that asks what stands there: banners, colour patches, text; the lesion is never cut.

How the paper cropped logos is not published; these rules are ours, and experimental.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Int, UInt8

Pixels = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]

_WORKING = 384
"""Shorter side in px of the copy in which edges are judged, as far as the picture has it."""

_LEAST = 64
"""Pictures with a shorter side below this are left alone: letters cannot be told from noise there."""

_VIVID, _LIT = 115, 60
"""Saturation and value (of 255) from which a green, blue or violet pixel is no skin, vessel or blue veil."""

_FLAT = 0.9
"""Share of a row or column that must be of one grey for it to be part of a banner."""

_STEP = 30
"""Levels of 255 by which the picture behind a banner differs from it: grey skin fades, a banner ends."""

_LETTERS = 5
"""So many marks of one size beside each other make a line of text."""

_HIT = 0.01
"""Share of the lesion that an edge may hold and still be cut."""


class _Mark(NamedTuple):
    x: int
    y: int
    width: int
    height: int


def crop_logos(pixels: Pixels, most: float = 0.2) -> Pixels:
    """Cut off edges that hold a banner of one grey, a vivid patch or a line of text, at most `most` of a side each.

    An edge that would take more than 1 % of the lesion with it stays, as does one with a mark that reaches further in.
    The lesion is what is darkest in the middle (Otsu 1979), without what was taken for a mark.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < _LEAST:
        return pixels
    scale = min(1.0, _WORKING / min(height, width))
    size = (round(width * scale), round(height * scale))
    small = np.ascontiguousarray(pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    patches = _patches(small)
    text = _text(small)
    lesion = _lesion(small, patches | text)
    limits = round(most * small.shape[0]), round(most * small.shape[1])
    top, bottom = _edges(small, patches | text, lesion, limits[0])
    turned = [np.swapaxes(a, 0, 1) for a in (small, patches | text, lesion)]
    left, right = _edges(turned[0], turned[1], turned[2], limits[1])
    up = [round(v / scale) for v in (top, bottom, left, right)]
    return pixels[up[0] : height - up[1], up[2] : width - up[3]] if any(up) else pixels


def _edges(small: Pixels, marks: Mask, lesion: Mask, limit: int) -> tuple[int, int]:
    """Rows to cut at the top and at the bottom."""
    found = []
    for flip in (1, -1):
        picture, marked, held = small[::flip], marks[::flip], lesion[::flip]
        depth = max(_banner(picture, limit), _reach(marked, limit))
        found.append(depth if held[:depth].sum() <= _HIT * max(1, held.sum()) else 0)
    return found[0], found[1]


def _banner(picture: Pixels, limit: int) -> int:
    """Rows from the top that are of one grey, where they end within `limit` and something else follows; else 0."""
    rows = picture[: limit + 1].astype(np.int16)
    if limit < 2:
        return 0
    base = np.median(rows[0], axis=0)
    near = (np.abs(rows - base).max(axis=2) <= 8).mean(axis=1)
    # letters interrupt the grey of a banner: what counts is its colour, from edge to edge of the run
    other = np.flatnonzero(near < _FLAT / 2)
    depth = int(other[0]) if other.size else 0
    if depth < 3 or near[0] < _FLAT or near[:depth].mean() < 0.8 * _FLAT or np.ptp(base) > 12:
        return 0
    step = np.abs(np.median(rows[min(depth + 1, limit)], axis=0) - base).max()
    return depth if step >= _STEP else 0


def _reach(marks: Mask, limit: int) -> int:
    """How many rows from the top hold the marks that begin in them; 0 where there are none or one reaches further."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(marks).astype(np.uint8))
    ends = stats[1:, cv2.CC_STAT_TOP] + stats[1:, cv2.CC_STAT_HEIGHT]
    mine = ends[ends <= limit] if count > 1 else ends
    return min(limit, int(mine.max()) + 1) if mine.size else 0


def _patches(small: Pixels) -> Mask:
    """Vivid areas of a colour that skin does not have, from 0.1 % of the picture on."""
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    hue = hsv[..., 0].astype(int) * 2
    vivid = (hsv[..., 1] >= _VIVID) & (hsv[..., 2] >= _LIT) & (hue >= 55) & (hue <= 300)
    opened = cv2.morphologyEx(vivid.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    keep = stats[:, cv2.CC_STAT_AREA] >= 0.001 * closed.size
    keep[0] = False
    return keep[labels]


def _text(small: Pixels) -> Mask:
    """Boxes around lines of text: marks of pure black or white, of one height, beside each other."""
    size = max(5, round(0.03 * min(small.shape[:2])) | 1)
    kernel = np.ones((size, size), np.uint8)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    white = (cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, kernel) > 40) & (small.min(axis=2) >= 225)
    black = (cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel) > 60) & (small.max(axis=2) <= 60)
    out = np.zeros(grey.shape, bool)
    for ink in (white, black):
        _, _, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
        for line in _lines(stats[1:], 0.1 * min(grey.shape)):
            top, bottom = min(m.y for m in line), max(m.y + m.height for m in line)
            out[top:bottom, line[0].x : line[-1].x + line[-1].width] = True
    return out


def _lines(stats: Int[np.ndarray, "marks 5"], tallest: float) -> list[list[_Mark]]:
    """Marks that stand in one line: heights within a factor of 2, centres level, gaps below 1.5 heights."""
    marks = sorted(_Mark(*(int(v) for v in row[:4])) for row in stats if 3 <= row[3] <= tallest and row[2] <= tallest)
    lines: list[list[_Mark]] = []
    for mark in marks:
        for line in lines:
            last = line[-1]
            taller, lower = max(last.height, mark.height), min(last.height, mark.height)
            level = abs(last.y + last.height / 2 - mark.y - mark.height / 2) <= 0.5 * taller
            if level and taller <= 2 * lower and 0 <= mark.x - last.x - last.width <= 1.5 * taller:
                line.append(mark)
                break
        else:
            lines.append([mark])
    return [line for line in lines if len(line) >= _LETTERS]


def _lesion(small: Pixels, marks: Mask) -> Mask:
    """The dark area with most pixels near the middle; nothing where the picture has no two tones."""
    grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (0, 0), 0.01 * min(small.shape[:2]))
    skin = grey[~marks & (grey > 25)]
    if skin.size < 16 or np.ptp(skin) < 12:
        return np.zeros(grey.shape, bool)
    at, _ = cv2.threshold(skin.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    dark = (grey <= at) & ~marks
    _, labels, _, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
    rows, columns = np.indices(grey.shape)
    away = np.hypot(rows / grey.shape[0] - 0.5, columns / grey.shape[1] - 0.5)
    weight = np.bincount(labels[dark], np.exp(-((away[dark] / 0.25) ** 2)))
    return labels == int(weight.argmax()) if weight.size else np.zeros(grey.shape, bool)
