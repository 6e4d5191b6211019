"""Hairs over skin and lesion: fine and translucent, long, combed, in tufts that cross, or shaved to stubs.

A hair is a strip that tapers to its tip. It takes a share of the light of what lies below it, blue most, and often
shines along a part of its middle. All are drawn several times larger than the picture and made smaller by the mean, so
a hair much thinner than a pixel is a faint darkening, as in real pictures (`docs/concepts/artefacts.md`).
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from dermoscope.data.artefacts_paint import LEAST, Drawn, Pixels, mottle

_Each = Float[np.ndarray, " hairs"]
_Paths = Float[np.ndarray, "hairs points 2"]
_Widths = Float[np.ndarray, "hairs points"]
_Layer = UInt8[np.ndarray, "height width 4"]
"""Share of red, green and blue that is taken, and how much it shines; 255 for all."""

_BENDS = 16
"""Points along a hair."""

_SHIFT = 4
"""Bits after the point in the coordinates that OpenCV draws with."""


@dataclass(frozen=True, slots=True)
class _Style:
    """How the hair of one picture grows; ranges are from and to, lengths shares of the shorter side."""

    share: float
    """How often."""
    most: tuple[int, int]
    """Hairs at full intensity."""
    width: tuple[float, float]
    """The usual one in a picture, in px of a shorter side of 256."""
    dark: tuple[float, float]
    """Share of green light that the middle of a hair takes."""
    length: tuple[float, float]
    spread: float
    """Standard deviation of the direction, radians."""
    bend: float
    tuft: tuple[float, float]
    """Hairs that start together, on average."""
    waist: float
    """How closely a tuft comes together somewhere along it, 0 to 1."""
    fine: float
    """Share of finer, paler hairs among them."""
    cut: bool = False
    """Shaved: ends bluntly."""


_STYLES: tuple[_Style, ...] = (
    _Style(0.27, (12, 40), (0.9, 2.2), (0.58, 0.92), (0.4, 1.2), 0.9, 1.1, (1, 2), 0.0, 0.3),
    _Style(0.25, (60, 150), (0.7, 1.6), (0.58, 0.9), (0.3, 1.1), 0.6, 1.0, (1, 3), 0.4, 0.4),
    _Style(0.14, (70, 170), (0.7, 1.8), (0.58, 0.92), (0.4, 1.2), 0.13, 0.4, (1, 6), 0.5, 0.3),
    _Style(0.13, (45, 110), (1.3, 2.8), (0.85, 0.97), (0.35, 1.1), 0.45, 0.65, (2, 8), 0.8, 0.15),
    _Style(0.08, (60, 160), (0.35, 0.75), (0.35, 0.65), (0.08, 0.35), 0.5, 0.9, (1, 2), 0.0, 0.5),
    _Style(0.10, (40, 120), (0.7, 1.6), (0.55, 0.9), (0.015, 0.06), 0.35, 0.4, (1, 1.25), 0.0, 0.4, cut=True),
    _Style(0.03, (170, 240), (0.8, 1.5), (0.6, 0.9), (0.3, 0.9), 0.2, 0.5, (5, 14), 0.8, 0.3),
)
"""Few and long; many that wander; combed; thick tufts; down; stubs; a head of hair. Shares by eye from ISIC 2017."""

_HUES: tuple[tuple[float, float, float], ...] = (
    (0.82, 1.0, 1.06),
    (0.71, 1.0, 1.15),
    (0.6, 1.0, 1.25),
    (1.0, 1.0, 1.0),
)
_HUE_SHARES = (0.27, 0.42, 0.28, 0.03)
"""Optical density of black, dark brown, light brown and white hair in red, green and blue, and how often each."""

_OWN_LIGHT = ((0.06, 0.04, 0.035), (0.08, 0.05, 0.03), (0.14, 0.09, 0.05), (0.92, 0.9, 0.9))
"""What a hair sends back itself, by hue."""


@dataclass(frozen=True, slots=True)
class _Hairs:
    """Hairs of a picture: middle lines (x, y) in px, widths as shares of the shorter side, light taken, shine."""

    paths: _Paths
    widths: _Widths
    takes: Float[np.ndarray, "hairs 3"]
    shine: _Each
    lit: Float[np.ndarray, "hairs 3"]
    """Where along a hair it shines: from, to, and how far off its middle, all as shares."""

    def only(self, kept: Bool[np.ndarray, " hairs"]) -> Self:
        """Some of them, the faintest first, so that the dark ones lie on top."""
        order = np.flatnonzero(kept)
        order = order[np.argsort((self.takes[:, 1] * self.widths.max(axis=1))[order], kind="stable")]
        parts = (self.paths, self.widths, self.takes, self.shine, self.lit)
        return type(self)(*(part[order] for part in parts))


def grow_hair(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """Hairs over everything, in one of the styles of real pictures; with `intensity` more, thicker and darker ones."""
    height, width = pixels.shape[:2]
    unit = min(height, width)
    style = _STYLES[_pick(rng, [style.share for style in _STYLES])]
    hue = _pick(rng, _HUE_SHARES[:-1] if style.cut else _HUE_SHARES)
    most = int(rng.integers(*style.most))
    paths = _paths(rng, style, (height, width), most)
    come = 0.8 * (np.arange(most) / most) ** (1 / 1.7)
    grown = np.where(come < intensity, 0.25 + 0.75 * np.clip((intensity - come) / 0.4, 0, 1), 0.0)
    grown[0] = max(grown[0], 0.5)  # or nothing would be seen at the least intensity
    hairs = _dress(rng, style, hue, paths, grown)
    far = rng.random(most) < rng.choice([0.05, 0.15, 0.4])
    focus = rng.uniform(0.0012, 0.0024) * unit
    near = _layer(hairs.only(~far & (grown > 0)), (height, width), max(0.3, focus), 4)
    if (far & (grown > 0)).any():
        behind = _layer(hairs.only(far & (grown > 0)), (height, width), max(0.5, 1.7 * focus), 2)
        near = cv2.subtract(cv2.add(near, behind), cv2.multiply(near, behind, scale=1 / 255))
    uneven = np.clip(0.92 + 0.13 * mottle(rng, (height, width), 0.1 * unit), 0.5, 1.0) * 255
    near = cv2.multiply(near, cv2.merge([uneven.astype(np.uint8)] * 4), scale=1 / 255)
    return _lay(pixels, near, np.array(_OWN_LIGHT[hue]) * rng.uniform(0.7, 1.2))


def _pick(rng: np.random.Generator, shares: list[float] | tuple[float, ...]) -> int:
    return int(rng.choice(len(shares), p=np.array(shares) / sum(shares)))


def taper(along: Float[np.ndarray, " points"], cut: bool) -> Float[np.ndarray, " points"]:
    """Width of a hair from root (0) to tip (1), as share of its greatest: soft at the root, thinner and thinner.

    A `cut` hair keeps half of its width to the end.
    """
    root = 0.35 + 0.65 * np.sin(np.pi / 2 * np.clip(along / 0.08, 0, 1))
    return np.asarray(root * (1 - 0.5 * along**2 if cut else (1 - along**1.5) ** 0.6))


def _paths(rng: np.random.Generator, style: _Style, shape: tuple[int, int], count: int) -> _Paths:
    """Smoothly bent lines; those of a tuft start near each other, run alike and come closer at its waist."""
    unit, along = min(shape), np.linspace(0, 1, _BENDS)
    tuft = np.cumsum(rng.random(count) < 1 / rng.uniform(*style.tuft))
    size = int(tuft[-1]) + 1
    middle = rng.uniform(-0.05, 1.05, (size, 2))
    middle[tuft[0]] = 0.5 + 0.6 * (middle[tuft[0]] - 0.5)  # the first of all is seen
    lean = rng.uniform(0, 2 * np.pi) + (middle - 0.5) @ rng.normal(0, 1.0, 2) + rng.normal(0, style.spread, size)
    own = rng.normal(0, 0.5 * style.spread if style.tuft[1] > 2 else 0.15, count)
    turn = (lean[tuft] + own)[:, None]
    curl = rng.normal(0, style.bend, size)[tuft] + rng.normal(0, 0.5 * style.bend, count)
    turn = turn + curl[:, None] * (along - 0.5) * rng.uniform(0.5, 1.5, (count, 1))
    wander, phase = rng.normal(0, 0.25 * style.bend, (count, 1)), rng.random((count, 1))
    turn = turn + wander * np.sin(2 * np.pi * (along * rng.uniform(0.5, 1.6, (count, 1)) + phase))
    left = style.cut & (rng.random(count) < 0.05)  # the razor missed some
    length = (style.length[0] + np.ptp(style.length) * rng.beta(1.3, 1.6, count)) * np.where(left, 7, 1)
    moves = np.stack([np.cos(turn), np.sin(turn)], 2) * (length * unit / _BENDS)[:, None, None]
    path = np.cumsum(moves, axis=1)
    path -= path[:, _BENDS // 2, None]
    waist = np.sqrt((along[None] - rng.uniform(0, 1, size)[tuft][:, None]) ** 2 + 0.004)
    narrow = style.waist * rng.uniform(0.4, 1, size)[tuft][:, None]
    apart = rng.normal(0, min(0.08, 0.12 * style.length[1]), (count, 2)) * unit
    path += apart[:, None] * ((1 - narrow) + 1.6 * narrow * waist)[..., None]
    return np.asarray(path + (middle[tuft] * np.array([shape[1], shape[0]]))[:, None])


def _dress(rng: np.random.Generator, style: _Style, hue: int, paths: _Paths, grown: _Each) -> _Hairs:
    """Width, colour and shine of every hair; `grown` from 0, not there, to 1."""
    count, along = len(paths), np.linspace(0, 1, _BENDS)
    white = hue == len(_HUES) - 1  # fine and thin to the eye, or it would be a ribbon
    unit = float(rng.uniform(*style.width)) * (0.7 if white else 1.0) / 256
    fine = rng.random(count) < style.fine * rng.uniform(0.3, 1.7)
    fine[0] = False
    each = np.exp(rng.normal(0, 0.25, count)).clip(0.5, 1.7) * np.where(fine, 0.55, 1.0)
    swell = 1 + 0.12 * np.sin(2 * np.pi * (along * rng.uniform(0.7, 2.5, (count, 1)) + rng.random((count, 1))))
    widths = (unit * each * (0.55 + 0.45 * grown))[:, None] * swell * taper(along, style.cut)
    usual = -np.log(1 - rng.uniform(*style.dark)) * (0.4 if white else 1.0)
    density = usual * np.exp(rng.normal(0, 0.3, count)) * np.where(fine, 0.65, each**0.5)
    colour = np.array(_HUES[hue]) ** rng.uniform(0.5, 1.5, (count, 1))
    takes = (1 - np.exp(-density[:, None] * colour)) * (0.35 + 0.65 * grown)[:, None]
    shine = rng.uniform(0, 1, count) * float(rng.choice([0.25, 0.6, 1.0]))
    start = rng.uniform(0, 0.6, count)
    lit = np.stack([start, start + rng.uniform(0.2, 0.6, count), rng.normal(0, 0.1, count)], 1)
    return _Hairs(paths, widths, takes, shine, lit)


def _layer(hairs: _Hairs, shape: tuple[int, int], soft: float, fineness: int) -> _Layer:
    """Draw hairs, `soft` px out of focus, on `fineness` dots or more to a px of a picture of 256."""
    unit = min(shape)
    times = next((n for n in (1, 2) if n * unit >= 220 * fineness), 4)
    drawn = np.zeros((shape[0] * times, shape[1] * times, 4), np.uint8)
    middle, wide = hairs.paths * times, hairs.widths * (unit * times)
    across = _across(middle)
    most = wide.max(axis=1, initial=0)
    paint = 255 * hairs.takes * np.minimum(most, 1.0)[:, None]
    edges = _strips(middle, np.maximum(wide - 1, 0), across)  # OpenCV fills the border too
    lights, lit = _lights(hairs, middle, wide, across), np.where(most > 3, hairs.shine, 0.0)
    whole = np.pad(paint, ((0, 0), (0, 1))).tolist()
    bright = np.column_stack([paint * (1 - 0.5 * lit)[:, None], 40 * lit]).tolist()
    for index, shines in enumerate((lit > 0.1).tolist()):
        cv2.fillPoly(drawn, [edges[index]], whole[index], cv2.LINE_8, _SHIFT)
        if shines:
            cv2.fillPoly(drawn, [lights[index]], bright[index], cv2.LINE_8, _SHIFT)
    while len(drawn) > shape[0]:  # OpenCV is fast at halves
        drawn = cv2.resize(drawn, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    reach = 2 * int(np.ceil(1.8 * soft)) + 1
    return np.asarray(cv2.GaussianBlur(drawn, (reach, reach), soft))


def _across(middle: _Paths) -> _Paths:
    """Unit vectors at right angles to the hairs."""
    steps = np.diff(middle, axis=1)
    along = np.concatenate([steps[:, :1], steps[:, 1:] + steps[:, :-1], steps[:, -1:]], 1)
    turned = np.stack([-along[..., 1], along[..., 0]], 2)
    return np.asarray(turned / np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)[..., None])


def _strips(middle: _Paths, wide: _Widths, across: _Paths) -> Int32[np.ndarray, "hairs outline 2"]:
    """Outlines of strips, in the fixed point numbers of OpenCV."""
    half = 0.5 * wide[..., None] * across
    points = np.concatenate([middle + half, (middle - half)[:, ::-1]], 1)
    return np.rint(np.clip((points - 0.5) * 2**_SHIFT, -(2**26), 2**26)).astype(np.int32)


def _lights(hairs: _Hairs, middle: _Paths, wide: _Widths, across: _Paths) -> Int32[np.ndarray, "hairs outline 2"]:
    """Outlines of what shines: a part of a hair, beside its middle, thin at both ends."""
    part = np.linspace(0, 1, 8)
    start, end, off = hairs.lit.T[..., None]
    at = np.minimum(start + part * (end - start), 0.98) * (_BENDS - 1)
    low, rows = at.astype(np.intp), np.arange(len(middle))[:, None]
    share = (at - low)[..., None]
    shifted = middle + (off * wide)[..., None] * across
    line = shifted[rows, low] * (1 - share) + shifted[rows, low + 1] * share
    return _strips(line, 0.4 * wide[rows, low] * np.sin(np.pi * part), across[rows, low])


def _lay(pixels: Pixels, layer: _Layer, light: Float[np.ndarray, " 3"]) -> Drawn:
    """Take the layer's share of every colour, and add what the hairs send back themselves."""
    *taken, shine = cv2.split(layer)
    mask = cv2.max(cv2.max(taken[0], taken[2]), shine) > 255 * LEAST
    own = [cv2.addWeighted(part, share, shine, 1, 0) for part, share in zip(taken, light.tolist(), strict=True)]
    lit = cv2.min(cv2.merge(own), cv2.convertScaleAbs(pixels, alpha=3))  # where no light falls, none comes back
    seen = cv2.add(cv2.multiply(pixels, cv2.bitwise_not(cv2.merge(taken)), scale=1 / 255), lit)
    return np.asarray(cv2.copyTo(seen, mask.view(np.uint8), pixels.copy())), mask
