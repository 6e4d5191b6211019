"""Surgical ink: gentian violet on skin, as it stands around lesions in ISIC 2017.

The dye is transparent: texture and hairs show through it. It runs into the furrows of the skin, so that a dot is a
bundle of fine crossing lines and a stroke has feathered edges; a dry pen leaves grains, an old mark has faded.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float

from dermoscope.data.artefacts_paint import Drawn, Pixels, Place, Points, find_lesion, lines, mottle, stain
from dermoscope.data.synthetic_skin import Color, Map, curve, step

VIOLET: Color = (0.76, 1.12, 0.28)
"""Absorbance of a dense mark per channel, from violet marks in ISIC 2017: on white paper it is (119, 83, 193)."""


@dataclass(frozen=True)
class Mark:
    """One line of the pen: its middle (x, y) and its width along it, in px. A dot is a very short one."""

    points: Points
    widths: Float[np.ndarray, " n"]

    @property
    def width(self) -> float:
        """Greatest width in px."""
        return float(self.widths.max())


@dataclass(frozen=True)
class Pen:
    """How the ink lies on this skin: `furrows` the directions it runs (radians), `reach` how far it does.

    `wet`: 0 a bundle of fine lines to 1 an even body; `grain`: 0 none to 1 all grains; `fade`: how much of it is gone.
    """

    furrows: tuple[float, float]
    reach: float
    wet: float
    grain: float
    fade: float


Design = Callable[[np.random.Generator, Place], list[Mark]]


def draw_ink(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """Marks of a violet pen on the skin around the lesion; with `intensity` they grow in number, size and density."""
    place = find_lesion(pixels)
    pen = _pick_pen(rng)
    marks = DESIGNS[int(rng.choice(len(DESIGNS), p=_SHARES))](rng, place)
    strength = (0.28 + 0.88 * intensity) * rng.uniform(0.8, 1.15)
    tint = np.array(VIOLET) + rng.uniform(-0.16, 0.16) * np.array([1.0, 0.3, -0.8])
    kept = marks[: max(1, round(len(marks) * (0.25 + 0.75 * intensity)))]
    grown = [replace(mark, widths=mark.widths * (0.5 + 0.5 * intensity)) for mark in kept]
    amount = strength * spread_ink(rng, pixels.shape[:2], grown, pen)
    return stain(pixels, amount, (float(tint[0]), float(tint[1]), float(tint[2])))


def spread_ink(rng: np.random.Generator, shape: tuple[int, int], marks: list[Mark], pen: Pen) -> Map:
    """How dense the ink of these marks lies: 0 for none, about 1 in the middle of a fresh one."""
    unit = min(shape)
    body = np.zeros(shape, np.float32)
    fine = np.zeros(shape, np.float32)
    for mark in marks:
        np.maximum(body, _body(shape, mark), out=body)
        np.maximum(fine, _hatching(rng, shape, mark, pen), out=fine)
    uneven = mottle(rng, shape, max(0.05 * unit, 2.0))
    wide = max(0.5, 0.13 * marks[0].width)
    body = step(0.2, 0.75, cv2.GaussianBlur(body, (0, 0), wide) + 0.16 * uneven * (body > 0))
    density = pen.wet * body * np.clip(0.62 + 0.28 * uneven, 0.1, 1.1) + (0.85 - 0.3 * pen.wet) * fine
    if pen.grain > 0:
        grains = step(-0.2, 0.5, mottle(rng, shape, max(0.011 * unit, 1.5), 1) + 0.45 * uneven)
        density *= 1.0 - pen.grain * (1.0 - grains)
    density *= 1.0 - pen.fade * step(-0.6, 1.4, mottle(rng, shape, 0.35 * unit))
    return np.asarray(cv2.GaussianBlur(density, (0, 0), max(0.45, 0.0022 * unit)))


def _pick_pen(rng: np.random.Generator) -> Pen:
    first = rng.uniform(0, np.pi)
    return Pen(
        furrows=(first, first + rng.uniform(0.7, 1.6)),
        reach=rng.uniform(0.35, 1.1),
        wet=float(rng.choice([0.1, 0.45, 0.8, 1.0])) * rng.uniform(0.8, 1.0),
        grain=float(rng.choice([0.0, 0.0, 0.25, 0.9])),
        fade=rng.uniform(0.0, 0.65),
    )


def _body(shape: tuple[int, int], mark: Mark) -> Map:
    drawn = np.zeros(shape, np.uint8)
    at = np.round(mark.points * 16).astype(int)
    for start, end, width in zip(at[:-1], at[1:], mark.widths, strict=False):
        cv2.line(drawn, start.tolist(), end.tolist(), 255, max(1, round(0.8 * width)), cv2.LINE_AA, 4)
    return drawn.astype(np.float32) / 255.0


def _hatching(rng: np.random.Generator, shape: tuple[int, int], mark: Mark, pen: Pen) -> Map:
    """Fine lines of ink in the furrows: most along one direction, the others along the second."""
    unit = min(shape)
    length = float(np.hypot(*np.diff(mark.points, axis=0).T).sum())
    count = int(min(600, 36 + 36 * length / max(mark.width, 1.0)))
    along = rng.uniform(0, len(mark.points) - 1.001, count)
    index = along.astype(int)
    part = (along - index)[:, None]
    middle = mark.points[index] * (1 - part) + mark.points[index + 1] * part
    width = mark.widths[index]
    middle = middle + np.clip(rng.normal(0, 0.24, (count, 2)), -0.5, 0.5) * width[:, None]
    turn = np.where(rng.random(count) < 0.65, *pen.furrows) + rng.normal(0, 0.13, count)
    half = 0.5 * width * pen.reach * rng.gamma(4.0, 0.25, count)
    reach = np.stack([np.cos(turn), np.sin(turn)], 1) * half[:, None]
    bow = rng.normal(0, 0.06, (count, 2)) * half[:, None]
    points = np.stack([middle - reach, middle + bow, middle + reach], 1)
    thin = 0.0038 * unit * (0.7 + 0.6 * rng.random())
    split = count // 3
    faint, first, second = (
        lines(shape, part, wide)
        for part, wide in ((points[:split], 1.6 * thin), (points[split : 2 * split], thin), (points[2 * split :], thin))
    )  # where lines cross there is more ink
    return 0.35 * faint + 0.55 * first + 0.55 * second


def _widths(rng: np.random.Generator, count: int, width: float) -> np.ndarray:
    """The width along a stroke: uneven, and more where the pen was set down and taken off."""
    along = np.linspace(-1, 1, count)
    swing = np.interp(along, np.linspace(-1, 1, 5), rng.uniform(0.75, 1.1, 5))
    return np.asarray(width * swing * (1 + 0.25 * np.abs(along) ** 4))


def _stroke(rng: np.random.Generator, points: Points, width: float) -> Mark:
    return Mark(points, _widths(rng, len(points), width))


def _dot(rng: np.random.Generator, at: tuple[float, float], width: float) -> Mark:
    line = curve(rng, at, rng.uniform(0, 2 * np.pi), width * rng.uniform(0.1, 1.1), 0.2)
    return _stroke(rng, line - (line[-1] - line[0]) / 2, width)


def _arc(place: Place, start: float, sweep: float, radii: tuple[float, float], wobble: np.ndarray) -> Points:
    turns = start + np.linspace(0, sweep, 28)
    swing = np.interp(np.linspace(0, 1, 28), np.linspace(0, 1, len(wobble)), wobble)
    x = place.x + radii[0] * swing * np.cos(turns)
    y = place.y + radii[1] * swing * np.sin(turns)
    return np.stack([x, y], 1)


def _radius(rng: np.random.Generator, place: Place) -> float:
    """Where a line around the lesion runs: outside it, and inside the picture."""
    return float(np.clip(place.radius * rng.uniform(1.35, 1.9), 0.2 * place.unit, 0.46 * place.unit))


def _dots_around(rng: np.random.Generator, place: Place) -> list[Mark]:
    count, first = int(rng.integers(3, 7)), rng.uniform(0, 2 * np.pi)
    size = rng.uniform(0.06, 0.11) * place.unit
    out = []
    for k in range(count):
        distance = max(place.radius * 1.25 + size, 0.22 * place.unit) * rng.uniform(1.0, 1.35)
        at = place.around(first + (k + rng.uniform(-0.2, 0.2)) * 2 * np.pi / count, distance)
        out.append(_dot(rng, at, size * rng.uniform(0.75, 1.2)))
    return out


def _blots(rng: np.random.Generator, place: Place) -> list[Mark]:
    """One or two large dots beside the lesion, or cut by the edge of the picture."""
    out = []
    for _ in range(int(rng.integers(1, 3))):
        size = rng.uniform(0.11, 0.2) * place.unit
        distance = place.radius * 1.2 + size * rng.uniform(0.7, 1.8)
        out.append(_dot(rng, place.around(rng.uniform(0, 2 * np.pi), distance), size))
    return out


def _ring(rng: np.random.Generator, place: Place) -> list[Mark]:
    """A circle around the lesion whose ends do not quite meet, or cross."""
    radius = _radius(rng, place)
    radii = (radius, radius * rng.uniform(0.8, 1.25))
    sweep = rng.uniform(1.65, 2.1) * np.pi
    line = _arc(place, rng.uniform(0, 2 * np.pi), sweep, radii, rng.uniform(0.88, 1.12, 7))
    return [_stroke(rng, line, rng.uniform(0.03, 0.13) * place.unit)]


def _arcs(rng: np.random.Generator, place: Place) -> list[Mark]:
    """Brackets: two or three pieces of a circle around the lesion."""
    radius, count, first = _radius(rng, place), int(rng.integers(2, 4)), rng.uniform(0, 2 * np.pi)
    width = rng.uniform(0.03, 0.075) * place.unit
    out = []
    for k in range(count):
        sweep = rng.uniform(0.35, 0.85) * 2 * np.pi / count
        radii = (radius * rng.uniform(0.9, 1.15), radius * rng.uniform(0.9, 1.15))
        line = _arc(place, first + 2 * np.pi * k / count, sweep, radii, rng.uniform(0.92, 1.08, 4))
        out.append(_stroke(rng, line, width))
    return out


def _strokes(rng: np.random.Generator, place: Place) -> list[Mark]:
    """Lines beside the lesion, two of them sometimes crossed."""
    out = []
    for _ in range(int(rng.integers(1, 4))):
        turn = rng.uniform(0, 2 * np.pi)
        at = np.array(place.around(turn, place.radius * rng.uniform(1.3, 1.7) + 0.08 * place.unit))
        length = rng.uniform(0.15, 0.42) * place.unit
        line = curve(rng, (0.0, 0.0), turn + np.pi / 2 + rng.normal(0, 0.4), length, 0.05)
        out.append(_stroke(rng, line - line.mean(axis=0) + at, rng.uniform(0.025, 0.065) * place.unit))
    return out


DESIGNS: tuple[Design, ...] = (_dots_around, _blots, _ring, _arcs, _strokes)
_SHARES = (0.34, 0.2, 0.16, 0.16, 0.14)
"""About how often each kind of marking occurs among the inked pictures of ISIC 2017."""
