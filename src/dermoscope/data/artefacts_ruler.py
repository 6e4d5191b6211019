"""Rulers and scales in the picture, as ISIC 2017 shows them.

Nearly all are the scale bar that a camera's plate carries: a centimetre, its marks towards the lesion and "MM" on the
other side. The rest are marks without a line, in rows at the edge of the field, and rulers laid on the skin. Sizes and
places were measured on the pictures of ISIC 2017 that have a ruler (`docs/concepts/artefacts.md`).
"""

from collections.abc import Callable, Mapping

import numpy as np

from dermoscope.data.artefacts_paint import Drawn, Pixels
from dermoscope.data.artefacts_scales import Frame, Pen, Printed, Wear, frame_at, paint, ticks, written

Kind = Callable[[np.random.Generator, tuple[int, int]], Printed]

_ASPECT = 4 / 3
"""Width to height of a photograph; a picture between square and this was squeezed or cut to it."""


def draw_ruler(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """A scale or a ruler; with `intensity` it is blacker, sharper and more even, and a strip reaches further in."""
    names = tuple(SHARES)
    kind = KINDS[names[int(rng.choice(len(names), p=tuple(SHARES.values())))]]
    return paint(kind(rng, pixels.shape[:2]), pixels, intensity)


def scale_bar(rng: np.random.Generator, shape: tuple[int, int]) -> Printed:
    """The dark scale bar: a base line of 10 mm, long marks at every mm, short ones between, "MM" on the other side."""
    gap, tick = _millimetre(rng), rng.normal(0.0275, 0.0015)
    middle = np.arange(11) - 5.0
    across, thin = rng.uniform(0.0042, 0.0056), rng.uniform(0.002, 0.003)
    end = _end(rng, gap, 0.045)
    pens = (
        Pen(ticks((middle[:-1] + 0.5) * gap, 0.0, rng.uniform(0.34, 0.46) * tick), 0.0024, 0.8),
        Pen(ticks(middle * gap, 0.0, tick), thin, 0.6),
        Pen(ticks(middle * gap, 0.0, 0.6 * tick), thin, 0.9),
        Pen(written("MM", (end, -rng.uniform(0.045, 0.05)), 0.032, 0.0235), 0.0024, 0.95),
        Pen((np.array([[-5 * gap, 0.0], [5 * gap, 0.0]]),), across, 1.0),
    )
    dark = rng.uniform(0.75, 1.2)
    return Printed(
        pens,
        _low_frame(rng, shape),
        min(shape),
        (0.34 * dark, 0.27 * dark, 0.22 * dark),
        strength=rng.uniform(0.85, 1.0),
        wear=_wear(rng),
    )


def pale_bar(rng: np.random.Generator, shape: tuple[int, int]) -> Printed:
    """The etched scale bar: a soft grey band, a thin line, "mm"; darker than skin, lighter than a dark lesion."""
    gap, tick = _millimetre(rng), rng.normal(0.028, 0.0015)
    middle = np.arange(11) - 5.0
    band = rng.uniform(0.008, 0.013)
    ends = np.array([[-5 * gap, 0.0], [5 * gap, 0.0]])
    end = _end(rng, gap, 0.048)
    pens = (
        Pen((ends + np.array([0, band / 2]),), band, 0.35),
        Pen(ticks((middle[:-1] + 0.5) * gap, 0.0, rng.uniform(0.55, 0.7) * tick), 0.0022, 0.5),
        Pen(ticks(middle * gap, 0.0, tick), 0.0024, 0.6),
        Pen((ends,), 0.0036, 0.8),
        Pen(written("mm", (end, -rng.uniform(0.03, 0.038)), 0.019, 0.025), 0.0026, 1.0),
    )
    grey = rng.uniform(0.36, 0.56)
    return Printed(
        pens,
        _low_frame(rng, shape),
        min(shape),
        (1.06 * grey, grey, 0.97 * grey),
        strength=rng.uniform(0.7, 0.95),
        wear=_wear(rng),
    )


def tick_row(rng: np.random.Generator, shape: tuple[int, int]) -> Printed:
    """Marks in a row at the edge of the field, without a line, every fifth reaching further in; cut by the picture."""
    unit, squeeze = min(shape), _squeeze(rng, shape)
    gap, count, first = rng.uniform(0.066, 0.095), int(rng.integers(6, 15)), int(rng.integers(5))
    tick, bend = rng.uniform(0.026, 0.038), rng.normal(0, 0.06)
    side = int(rng.choice(4, p=(0.35, 0.4, 0.08, 0.17)))  # bottom, left, top, right
    along, inset = rng.uniform(0.05, 0.6), rng.uniform(-0.005, 0.05)
    turn = 90.0 * side + rng.normal(0, 10)
    places = (np.arange(count) - (count - 1) / 2) * gap
    fifth = (np.arange(count) + first) % 5 == 0
    ends = np.where(fifth, rng.uniform(1.8, 2.3), 1.0) * tick
    marks = tuple(ticks(places[k : k + 1], 0.0, float(ends[k]), bend)[0] for k in range(count))
    letters = written("mm", (float(places[-1]) + 0.4 * gap, 0.0), 1.1 * tick, 1.3 * tick)
    lettered = rng.random() < 0.3
    dark = rng.uniform(0.5, 1.1)
    return Printed(
        (Pen(letters if lettered else marks[:1], 0.0034), Pen(marks, rng.uniform(0.0036, 0.0054))),
        frame_at(_at_side(shape, side, along, inset * unit), turn, unit, squeeze),
        unit,
        (0.24 * dark, 0.19 * dark, 0.17 * dark),
        strength=rng.uniform(0.9, 1.0),
        wear=_wear(rng),
        reach=0.01,
    )


def strip(rng: np.random.Generator, shape: tuple[int, int]) -> Printed:
    """A white ruler at a side, cut by the edge of the picture: thick black bars, or finer marks with numbers."""
    unit, squeeze, thick = min(shape), _squeeze(rng, shape), bool(rng.random() < 0.6)
    side = int(rng.choice(4, p=(0.65, 0.17, 0.06, 0.12)))
    deep, turn, half = rng.uniform(0.06, 0.2), rng.normal(0, 7), 1.2 * max(shape) / unit
    pens = _bars(rng, half) if thick else _numbered(rng, half)
    black = rng.uniform(0.06, 0.2)
    return Printed(
        pens,
        frame_at(_at_side(shape, side, 0.5, deep * unit), 90.0 * side + turn, unit, squeeze),
        unit,
        (black, black, 1.1 * black),
        strength=rng.uniform(0.94, 1.0),
        wear=_wear(rng),
        reach=0.6 * deep,
        paper=np.array([[-half, 0.0], [half, 0.0], [half, -1.2], [-half, -1.2]]),
        white=(1.0, rng.uniform(0.97, 1.0), rng.uniform(0.93, 1.0)),
    )


def _bars(rng: np.random.Generator, half: float) -> tuple[Pen, ...]:
    """Thick bars of one length, from the edge of the paper."""
    gap = rng.uniform(0.055, 0.1)
    thick, start = rng.uniform(0.22, 0.42) * gap, rng.uniform(0.0, 0.25) * gap
    places = np.arange(-half, half, gap) + rng.uniform(0, gap)
    return (Pen(ticks(places, -start - 0.5 * thick, -start - rng.uniform(1.4, 2.6) * gap), thick),)


def _numbered(rng: np.random.Generator, half: float) -> tuple[Pen, ...]:
    """Marks of a millimetre, longer at every fifth and tenth, and a number of centimetres at the tenth."""
    gap = rng.uniform(0.04, 0.065)
    thick, start, tick = rng.uniform(0.1, 0.17) * gap, rng.uniform(0.0, 0.25) * gap, rng.uniform(0.9, 1.3) * gap
    places, first = np.arange(-half, half, gap) + rng.uniform(0, gap), int(rng.integers(10))
    size = rng.uniform(0.9, 1.3) * gap
    order = np.arange(len(places)) + first
    tens, fives = order % 10 == 0, order % 10 == 5
    marks = [
        line
        for which, longer in ((tens, 1.6), (fives, 1.3), (~tens & ~fives, 1.0))
        for line in ticks(places[which], -start - 0.5 * thick, -start - longer * tick)
    ]
    numbers = [
        line
        for place, at in zip(places[tens], order[tens], strict=True)
        for line in written("123456"[at // 10 % 6], (place - 0.35 * size, -1.9 * tick - size), size, 0.75 * size)
    ]
    return Pen(tuple(marks), thick), Pen(tuple(numbers), 0.1 * size)


def _millimetre(rng: np.random.Generator) -> float:
    """A millimetre of a scale bar: 0.057 of the shorter side with most, more various with a tenth of them."""
    spread = 0.025 if rng.random() < 0.9 else 0.1
    return float(0.057 * np.exp(rng.normal(0, spread)))


def _end(rng: np.random.Generator, gap: float, width: float) -> float:
    """Where the letters begin: at the left end of the line, seldom at the right."""
    return -5 * gap if rng.random() < 0.94 else 5 * gap - width


def _squeeze(rng: np.random.Generator, shape: tuple[int, int]) -> float:
    """How much narrower it must be: a square picture was most often squeezed to that, seldom cut."""
    aspect = shape[1] / shape[0]
    squeezed = bool(rng.random() < 0.9)
    return aspect / _ASPECT if squeezed and 0.9 < aspect < _ASPECT else 1.0


def _low_frame(rng: np.random.Generator, shape: tuple[int, int]) -> Frame:
    """Below the lesion with nearly all, the marks towards it; more turned it lies further to the right and up."""
    unit, squeeze = min(shape), _squeeze(rng, shape)
    side = int(rng.choice(4, p=(0.94, 0.02, 0.02, 0.02)))
    turn = float(np.clip(5.5 * rng.standard_t(2.5), -45, 45))
    along = rng.normal(0.5, 0.03) + 0.0025 * abs(turn)
    off = np.clip(rng.normal(0.118, 0.03), 0.05, 0.25) + 0.0012 * max(0.0, abs(turn) - 8)
    return frame_at(_at_side(shape, side, along, off * unit), turn + 90.0 * side, unit, squeeze)


def _at_side(shape: tuple[int, int], side: int, along: float, off: float) -> tuple[float, float]:
    """A place in px at the lower, left, upper or right side: a part of the way along it, and px off it."""
    height, width = shape
    sides = (
        (along * width, height - off),
        (off, (1 - along) * height),
        (along * width, off),
        (width - off, along * height),
    )
    return sides[side]


def _wear(rng: np.random.Generator) -> Wear:
    soft, (right, down) = rng.uniform(0.001, 0.0022), 0.0009 * rng.standard_normal(2)
    uneven = np.clip(0.4 + 0.4 * rng.standard_normal((5, 6)), 0, 1).astype(np.float32)
    return Wear(float(soft), (float(right), float(down)), uneven, float(rng.uniform(0.0, 0.4)))


KINDS: Mapping[str, Kind] = {"scale_bar": scale_bar, "pale_bar": pale_bar, "tick_row": tick_row, "strip": strip}
"""Every kind of ruler by name; all that is random of one is drawn here, before its intensity counts."""

SHARES: Mapping[str, float] = {"scale_bar": 0.63, "pale_bar": 0.22, "tick_row": 0.1, "strip": 0.05}
"""How often each kind occurs among the rulers of ISIC 2017, about."""
