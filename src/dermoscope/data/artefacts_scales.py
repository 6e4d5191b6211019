"""What is printed on a ruler, as strokes, and how print is set into a picture.

Strokes lie in a frame of their own: `u` along the scale and `v` towards the middle of the picture, in shorter sides of
the picture. Everything random is drawn before; here it is only painted, so that intensity changes nothing but how much
of the same print is seen.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from dermoscope.data.artefacts_paint import LEAST, Drawn, Pixels
from dermoscope.data.synthetic_skin import Color, Map

Line = Float[np.ndarray, "points 2"]
Frame = Float[np.ndarray, "2 3"]

_LARGE = 400_000
"""Pixels that the finer copy of what is printed may have; it is two to six times finer."""
_FAINT = 0.06
"""Part of the full strength that is left at the least intensity."""

_GLYPHS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "M": (((0, 0), (0, 1), (0.5, 0.6), (1, 1), (1, 0)),),
    "m": (((0, 0), (0, 1), (1, 1), (1, 0)), ((0.5, 1), (0.5, 0))),
    "1": (((0.2, 0.8), (0.6, 1), (0.6, 0)),),
    "2": (((0, 0.8), (0.25, 1), (0.75, 1), (1, 0.75), (0, 0), (1, 0)),),
    "3": (((0, 1), (1, 1), (0.45, 0.6), (0.9, 0.45), (0.9, 0.15), (0.6, 0), (0, 0.05)),),
    "4": (((0.75, 0), (0.75, 1), (0, 0.3), (1, 0.3)),),
    "5": (((1, 1), (0.1, 1), (0.05, 0.55), (0.7, 0.6), (1, 0.35), (0.8, 0.05), (0, 0.05)),),
    "6": (((0.8, 1), (0.15, 0.6), (0, 0.3), (0.3, 0), (0.8, 0.05), (1, 0.3), (0.7, 0.55), (0.1, 0.45)),),
}


@dataclass(frozen=True)
class Pen:
    """Lines of one width (shorter sides) and one opacity."""

    lines: tuple[Line, ...]
    width: float
    shade: float = 1.0


@dataclass(frozen=True)
class Wear:
    """How print looks through the camera, lengths in shorter sides.

    `soft` is the blur and `fringe` the way between red and blue; `uneven` is a coarse map of where print is weak (0 to
    1), and `fade` how much of it is not seen there at the least intensity.
    """

    soft: float
    fringe: tuple[float, float]
    uneven: Map
    fade: float


@dataclass(frozen=True)
class Printed:
    """A ruler before it is painted: all that is random of it, and nothing that depends on the intensity.

    `frame` takes (u, v, 1) to (x, y) in px. `paper` is an outline of 4 corners in (u, v) or None. `black` is the colour
    of the print as parts of the skin's, `strength` its opacity at intensity 1. `reach` is how far further out it lies
    at intensity 0, in shorter sides, and `white` the colour of the paper.
    """

    pens: tuple[Pen, ...]
    frame: Frame
    unit: float
    black: Color
    strength: float
    wear: Wear
    reach: float = 0.0
    paper: Line | None = None
    white: Color = (1.0, 1.0, 1.0)


def frame_at(middle: tuple[float, float], turn: float, unit: float, squeeze: float) -> Frame:
    """The frame around a place in px, turned by an angle (degrees, clockwise), its x squeezed as the picture is."""
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    turned = unit * np.array([[squeeze * cos, squeeze * sin], [sin, -cos]])
    return np.column_stack([turned, middle])


def ticks(places: Float[np.ndarray, " n"], start: float, end: float, bend: float = 0.0) -> tuple[Line, ...]:
    """Marks across the scale at places along it, from one height to another; on a bow where `bend` is not 0."""
    rises = bend * places**2
    return tuple(np.array([[u, start + rise], [u, end + rise]]) for u, rise in zip(places, rises, strict=True))


def written(text: str, corner: tuple[float, float], height: float, width: float) -> tuple[Line, ...]:
    """The strokes of a text whose lower left corner is given; `width` is that of a letter with the space after it."""
    return tuple(
        np.array(stroke) * (0.74 * width, height) + (corner[0] + at * width, corner[1])
        for at, letter in enumerate(text)
        for stroke in _GLYPHS[letter]
    )


def paint(printed: Printed, pixels: Pixels, intensity: float) -> Drawn:
    """The picture with the print on it, and where; with `intensity` it is blacker, sharper and reaches further in."""
    frame = printed.frame.copy()
    frame[:, 2] -= (1 - intensity) * printed.reach * frame[:, 1]
    shape = pixels.shape[0], pixels.shape[1]
    out, mask = pixels.copy(), np.zeros(shape, bool)
    window = _window(printed, frame, shape)
    top, bottom, left, right = window
    if top >= bottom or left >= right:
        return out, mask
    part = pixels[top:bottom, left:right].astype(np.float32)
    near = np.quantile(pixels[::8, ::8].reshape(-1, 3), 0.65, axis=0).astype(np.float32)
    strength = (_FAINT + (1 - _FAINT) * (1 - (1 - intensity) ** 1.7)) * _evenness(printed, shape, window, intensity)
    paper, marks = _drawn(printed, frame, window)
    seen = np.zeros(part.shape[:2], np.float32)
    soft = printed.unit * printed.wear.soft * (1.25 - 0.25 * intensity)
    if printed.paper is not None:
        seen = np.minimum(1.0, 1.8 * strength) * cv2.GaussianBlur(paper, (0, 0), max(0.35, soft))
        part += seen[..., None] * (np.array(printed.white, np.float32) * (80 + 0.45 * near + 0.25 * near.mean()) - part)
        near = np.full(3, 210, np.float32)
    marks = printed.strength * strength * cv2.GaussianBlur(marks, (0, 0), max(0.3, soft))
    each = _fringed(marks, np.array(printed.wear.fringe) * printed.unit)
    part += each * (near * np.array(printed.black, np.float32) - part)
    found = np.maximum(seen, each.max(axis=2)) > LEAST
    mask[top:bottom, left:right] = found
    out[mask] = np.clip(np.rint(part[found]), 0, 255).astype(np.uint8)
    return out, mask


def _to_pixels(lines: Float[np.ndarray, "n 2"], frame: Frame) -> Float[np.ndarray, "n 2"]:
    return np.asarray(lines @ frame[:, :2].T + frame[:, 2])


def _window(printed: Printed, frame: Frame, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the picture that the print can touch: rows from and to, columns from and to."""
    lines = [line for pen in printed.pens for line in pen.lines]
    points = _to_pixels(np.concatenate([*lines, *([] if printed.paper is None else [printed.paper])]), frame)
    around = 2 + printed.unit * (4 * printed.wear.soft + max(pen.width for pen in printed.pens))
    low, high = np.floor(points.min(axis=0) - around).astype(int), np.ceil(points.max(axis=0) + around).astype(int)
    return max(0, int(low[1])), min(shape[0], int(high[1])), max(0, int(low[0])), min(shape[1], int(high[0]))


def _drawn(printed: Printed, frame: Frame, window: tuple[int, int, int, int]) -> tuple[Map, Map]:
    """Paper and marks as opacity in a window, drawn finer than it and brought down."""
    top, bottom, left, right = window
    size = right - left, bottom - top
    finer = int(np.clip(np.sqrt(_LARGE / (size[0] * size[1])), 2, 6))
    canvas = np.zeros((size[1] * finer, size[0] * finer), np.uint8)
    paper = np.zeros_like(canvas)

    def at(points: Line) -> np.ndarray:
        placed = (_to_pixels(points, frame) - (left, top)) * finer - 0.5
        return np.asarray(np.round(16 * np.clip(placed, -30_000, 30_000)).astype(np.int32))

    if printed.paper is not None:
        cv2.fillConvexPoly(paper, at(printed.paper), 255, cv2.LINE_8, 4)
    for pen in printed.pens:
        wide = pen.width * printed.unit * finer
        shade = int(255 * pen.shade * min(1.0, wide / max(1, round(wide))))
        cv2.polylines(canvas, [at(line) for line in pen.lines], False, shade, max(1, round(wide)), cv2.LINE_AA, 4)
    found = [
        cv2.resize(drawn, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for drawn in (paper, canvas)
    ]
    return found[0], found[1]


def _evenness(printed: Printed, shape: tuple[int, int], window: tuple[int, int, int, int], intensity: float) -> Map:
    """How much of its strength the print has where: weak parts fade first."""
    top, bottom, left, right = window
    weak = cv2.resize(printed.wear.uneven, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)[top:bottom, left:right]
    return np.asarray(1 - np.clip(weak, 0, 1) * (0.12 + 0.88 * printed.wear.fade * (1 - intensity)), np.float32)


def _fringed(marks: Map, way: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "height width 3"]:
    """The marks for red, green and blue, red and blue a little moved apart as a lens does."""
    size = marks.shape[1], marks.shape[0]
    moved = [
        cv2.warpAffine(marks, np.array([[1, 0, sign * way[0]], [0, 1, sign * way[1]]]), size, flags=cv2.INTER_LINEAR)
        for sign in (0.5, -0.5)
    ]
    return np.stack([moved[0], marks, moved[1]], axis=2)
