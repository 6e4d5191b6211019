"""Rulers and scales in the picture, as ISIC 2017 and HAM10000 show them.

A scale bar of about a centimetre that the camera's plate carries (with or without a base line, straight or round the
edge of the field), or a strip of paper or of clear plastic with marks and numbers along one side of the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dermoscope.data.artefacts_paint import Drawn, Pixels, cover, mottle
from dermoscope.data.synthetic_skin import Color, Map

_FINER = 2
"""A ruler is drawn this many times finer than the picture before it is turned into its place."""


@dataclass(frozen=True)
class Print:
    """What is printed: `marks` and the `paper` below them, as opacity, and the colours of both."""

    marks: Map
    paper: Map
    black: Color
    white: Color


@dataclass(frozen=True)
class Scale:
    """A scale to draw: px of a millimetre, number of them, length of its shortest marks and width of a line, in px."""

    gap: float
    count: int
    tick: float
    line: float
    base: bool
    halves: bool
    label: str
    numbers: bool = False


Kind = Callable[[np.random.Generator, tuple[int, int], float], Print]


def draw_ruler(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """A scale or a ruler; with `intensity` it becomes longer and blacker, and a strip reaches further in."""
    kind = KINDS[int(rng.choice(len(KINDS), p=_SHARES))]
    printed = kind(rng, pixels.shape[:2], intensity)
    light = float(np.quantile(pixels[::4, ::4].max(axis=2), 0.8)) / 255.0
    out, mask = pixels, np.zeros(pixels.shape[:2], bool)
    if printed.paper.any():
        out, mask = cover(pixels, _scaled(printed.white, 0.3 + 0.7 * light), printed.paper)
    soft = cv2.GaussianBlur(printed.marks, (0, 0), max(0.35, rng.uniform(0.0012, 0.0032) * min(mask.shape)))
    out, marked = cover(out, _scaled(printed.black, 0.3 + 0.7 * light), soft)
    return out, mask | marked


def _scaled(colour: Color, light: float) -> Color:
    red, green, blue = (min(1.0, part * light) for part in colour)
    return red, green, blue


def scale_bar(rng: np.random.Generator, shape: tuple[int, int], intensity: float) -> Print:
    """A thin bar with marks of a millimetre and "MM" at one end, near one side, a little turned."""
    height, width = shape
    unit, side = min(shape), int(rng.choice(4, p=[0.55, 0.15, 0.15, 0.15]))
    base, halves = bool(rng.random() < 0.8), bool(rng.random() < 0.5)
    count, label = int(rng.integers(9, 15)), ("MM", "mm", "")[int(rng.integers(3))]
    gap, turn = rng.uniform(0.034, 0.055) * unit, rng.normal(0, 9)
    long, tick = 0.5 + 0.5 * intensity, rng.uniform(0.018, 0.032) * unit
    line = rng.uniform(0.0032, 0.006) * unit
    scale = Scale(gap * long, count, tick * long, line * long, base, halves, label)
    flat = _scale(scale)
    along, off = rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.16) * unit
    middle = ((along * width, height - off), (off, along * height), (along * width, off), (width - off, along * height))
    marks = _placed(flat, shape, middle[side], turn - 90 * side + 180 * float(rng.random() < 0.3))
    grey = rng.uniform(0.08, 0.35)
    blackness = (0.3 + 0.7 * intensity) * rng.uniform(0.75, 1.0)
    return Print(blackness * marks, np.zeros(shape, np.float32), (grey, grey, grey), (1, 1, 1))


def field_marks(rng: np.random.Generator, shape: tuple[int, int], intensity: float) -> Print:
    """Marks of a millimetre round the edge of the field of view, without a base line."""
    height, width = shape
    unit = min(shape)
    radius, gap = rng.uniform(0.42, 0.6) * unit, rng.uniform(0.035, 0.06) * unit
    first, tick, line = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.035) * unit, rng.uniform(0.004, 0.008) * unit
    jitter = rng.normal(0, 0.02, 2) * unit
    count = round(rng.uniform(8, 16) * (0.4 + 0.6 * intensity))
    drawn = np.zeros((shape[0] * _FINER, shape[1] * _FINER), np.uint8)
    for index in range(count):
        turn = first + index * gap / radius
        length = tick * (1.7 if index % 5 == 0 else 1.0) * (0.5 + 0.5 * intensity)
        reach = min(radius, 0.5 * unit / max(abs(np.cos(turn)), abs(np.sin(turn))) - 0.03 * unit)
        way = np.array([np.cos(turn), np.sin(turn)])
        ends = [np.array([width / 2, height / 2]) + jitter + way * far for far in (reach, reach - length)]
        _line(drawn, ends[0] * _FINER, ends[1] * _FINER, line * _FINER)
    small = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    grey = rng.uniform(0.05, 0.25)
    return Print((0.35 + 0.65 * intensity) * small, np.zeros(shape, np.float32), (grey, grey, grey), (1, 1, 1))


def strip(rng: np.random.Generator, shape: tuple[int, int], intensity: float) -> Print:
    """A ruler of paper or clear plastic along one side, cut by the edge of the picture, with marks and numbers."""
    height, width = shape
    unit, side, clear = min(shape), int(rng.integers(4)), bool(rng.random() < 0.4)
    gap, line = rng.uniform(0.04, 0.07) * unit, rng.uniform(0.006, 0.011) * unit
    tick, turn = rng.uniform(0.03, 0.05) * unit, rng.normal(0, 3)
    deep = (0.35 + 0.65 * intensity) * rng.uniform(0.1, 0.2) * unit
    count = int(1.5 * max(shape) / gap) + 1
    scale = Scale(gap, count, min(tick, 0.45 * deep), line, False, True, "", numbers=True)
    flat = _scale(scale)
    long = count * gap * _FINER
    sheet = np.zeros((max(2, round(2 * 0.6 * unit * _FINER)), flat.shape[1]), np.uint8)
    sheet[len(sheet) // 2 :] = 255
    # the marks begin at the edge of the strip and point away from the lesion
    rows = min(len(flat), len(sheet) - len(sheet) // 2)
    print_ = np.zeros_like(sheet)
    print_[len(sheet) // 2 : len(sheet) // 2 + rows] = flat[:rows]
    shift = rng.uniform(-0.2, 0.2) * min(long / _FINER / 4, unit)
    middle = (
        (width / 2 + shift, height - deep),
        (deep, height / 2 + shift),
        (width / 2 + shift, deep),
        (width - deep, height / 2 + shift),
    )[side]
    angle = turn - 90.0 * side
    paper, marks = (_placed(part, shape, middle, angle) for part in (sheet, print_))
    opacity = (rng.uniform(0.05, 0.2) if clear else rng.uniform(0.9, 1.0)) * (0.4 + 0.6 * intensity)
    paper = paper * np.clip(opacity * (1 + 0.04 * mottle(rng, shape, 0.2 * unit)), 0.03, 1)
    white = (0.93, 0.93, 0.92) if clear else (0.97, 0.96, 0.93)
    return Print((0.5 + 0.5 * intensity) * marks, paper, (0.1, 0.1, 0.12), white)


def _scale(scale: Scale) -> np.ndarray:
    """Marks along the upper edge of a sheet, pointing down from their base line; longer at 5 and 10 mm."""
    fine = _FINER
    text = 1.1 * scale.tick if scale.label else 0.0
    height = round((3.6 * scale.tick + 4) * fine)
    width = round((scale.gap * scale.count + 4 + 2 * text) * fine)
    drawn = np.zeros((max(4, height), max(8, width)), np.uint8)
    top = scale.line * fine
    for index in range(scale.count + 1):
        at = (2 + index * scale.gap) * fine
        longer = 2.0 if index % 10 == 0 else 1.5 if index % 5 == 0 else 1.0
        length = scale.tick * (longer if scale.halves else 1.6 if index in (0, scale.count) else 1.0) * fine
        _line(drawn, np.array([at, top]), np.array([at, top + length]), scale.line * fine)
        if scale.numbers and index % 10 == 0:
            _write(drawn, str(index // 10), (at, top + length + 0.3 * scale.tick * fine), 1.1 * scale.tick * fine)
    if scale.base:
        ends = np.array([2 * fine, top]), np.array([(2 + scale.count * scale.gap) * fine, top])
        _line(drawn, *ends, scale.line * fine)
    if scale.label:
        below = (2 + 1.3 * scale.tick) * fine, top + 1.8 * scale.tick * fine
        _write(drawn, scale.label, below, 1.15 * scale.tick * fine)
    return drawn


def _line(drawn: np.ndarray, start: np.ndarray, end: np.ndarray, width: float) -> None:
    ends = [np.round(16 * point).astype(int).tolist() for point in (start, end)]
    cv2.line(drawn, ends[0], ends[1], int(255 * min(1.0, width)), max(1, round(width)), cv2.LINE_AA, 4)


def _write(drawn: np.ndarray, text: str, top: tuple[float, float], height: float) -> None:
    """Text of a height in px below a point, its middle at that point."""
    size = max(height, 2.0) / 21.0  # a letter of this font has 21 px
    (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    at = round(top[0] - wide / 2), round(top[1] + tall)
    cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 230, max(1, round(0.1 * height)), cv2.LINE_AA)


def _placed(flat: np.ndarray, shape: tuple[int, int], middle: tuple[float, float], angle: float) -> Map:
    """A finer sheet set into a picture: its middle at a place, turned by an angle in degrees."""
    matrix = cv2.getRotationMatrix2D((flat.shape[1] / 2, flat.shape[0] / 2), angle, 1 / _FINER)
    matrix[:, 2] += np.array(middle) - (flat.shape[1] / 2, flat.shape[0] / 2)
    found = cv2.warpAffine(flat, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR)
    return found.astype(np.float32) / 255.0


KINDS: tuple[Kind, ...] = (scale_bar, field_marks, strip)
_SHARES = (0.6, 0.2, 0.2)
"""About how often each kind occurs among the rulers of ISIC 2017 and HAM10000."""
