"""What lies on the skin or stands before it: bubbles in the gel, the edge of the field, colour patches."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float

from dermoscope.data.artefacts_paint import Drawn, Pixels, Place, cover, find_lesion, mottle
from dermoscope.data.synthetic_skin import Color, Map, step

PATCHES: tuple[tuple[Color, Color | None], ...] = (
    ((0.02, 0.57, 0.84), None),
    ((0.13, 0.45, 0.85), None),
    ((0.36, 0.78, 0.74), None),
    ((0.42, 0.60, 0.96), None),
    ((0.86, 0.85, 0.10), None),
    ((0.84, 0.84, 0.90), None),
    ((0.17, 0.64, 0.12), (0.68, 0.76, 0.14)),
    ((0.66, 0.68, 0.95), (0.14, 0.62, 0.32)),
    ((0.78, 0.76, 0.95), (0.93, 0.22, 0.33)),
    ((0.95, 0.50, 0.08), (0.30, 0.66, 0.42)),
    ((0.98, 0.55, 0.14), (0.93, 0.78, 0.25)),
)
"""Colours of the adhesive patches of ISIC 2017, and of the smaller one stuck on top of some."""


def blow_bubbles(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """Bubbles in the gel under the plate: a dark outline, a bright rim within, a point of light."""
    shape = pixels.shape[:2]
    unit = min(shape)
    most = int(rng.integers(6, 26))
    light, dark, inside = (np.zeros(shape, np.uint8) for _ in range(3))
    width = max(1, round(0.006 * unit))
    heart = rng.uniform(0, 1, 2)
    near = float(rng.choice([0.12, 0.3, 3.0]))
    for index in range(most):
        at = np.clip(heart + rng.normal(0, near, 2), -0.02, 1.02) if near < 1 else rng.uniform(0, 1, 2)
        radius = float(np.clip(rng.lognormal(-3.8, 0.55), 0.008, 0.085)) * unit * (0.6 + 0.4 * intensity)
        turn, squash = rng.uniform(0, 360), rng.uniform(0.82, 1.0)
        if index >= max(1, round(most * intensity)):
            continue
        x, y = (round(16 * float(part)) for part in at * (shape[1], shape[0]))
        for drawn, grown, sweep, wide in ((dark, 1.0, 360, width), (light, 0.86, 230, width), (inside, 0.9, 360, -1)):
            axes = max(16, round(16 * radius * grown)), max(16, round(16 * radius * grown * squash))
            cv2.ellipse(drawn, (x, y), axes, turn, 0, sweep, 255, wide, cv2.LINE_AA, 4)
        spot = (round(x - 5 * radius), round(y - 6 * radius))
        cv2.circle(light, spot, max(8, round(16 * radius * 0.13)), 255, -1, cv2.LINE_AA, 4)
    soft = max(0.4, 0.003 * unit)
    rims, outlines = (cv2.GaussianBlur(part, (0, 0), soft).astype(np.float32) / 255.0 for part in (light, dark))
    shown = rng.uniform(0.6, 0.95) * (0.35 + 0.65 * intensity)
    skin = np.median(pixels[::4, ::4].reshape(-1, 3), axis=0) / 255.0
    out, seen = cover(pixels, _colour(skin + 0.12), 0.16 * shown * (inside / np.float32(255)))
    out, ringed = cover(out, _colour(0.55 * skin), 0.65 * shown * outlines)
    out, lit = cover(out, (1.0, 0.99, 0.97), 0.85 * shown * rims)
    return out, seen | ringed | lit


def _colour(channels: np.ndarray) -> Color:
    red, green, blue = (float(part) for part in np.clip(channels, 0, 1))
    return red, green, blue


def darken_corners(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """The round edge of the field of view: from the outermost corners (a hint) to a disc within the shorter side."""
    height, width = pixels.shape[:2]
    unit = min(height, width)
    middle = np.array([width / 2, height / 2]) + rng.normal(0, 0.025, 2) * unit
    corner = max(float(np.hypot(*(middle - at))) for at in ((0, 0), (width, 0), (0, height), (width, height)))
    soft = float(rng.choice([0.012, 0.03, 0.08])) * unit
    radius = corner + (0.47 * unit - corner) * intensity
    x = (np.arange(width, dtype=np.float32) + 0.5 - middle[0]) ** 2
    y = (np.arange(height, dtype=np.float32) + 0.5 - middle[1]) ** 2
    distance = cv2.sqrt(y[:, None] + x[None])
    tone = float(rng.uniform(0.0, 0.05))
    return cover(pixels, (tone, 0.8 * tone, 0.8 * tone), step(radius - soft, radius + soft, distance))


@dataclass(frozen=True)
class _Disc:
    """A round patch in a picture of a shape: its middle and radius in px, and the direction into the picture."""

    shape: tuple[int, int]
    middle: tuple[float, float]
    radius: float
    inwards: tuple[float, float]

    def box(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The rectangle of the picture that it and its shadow lie in: (top, left), (bottom, right)."""
        reach = 1.06 * self.radius + 4
        (x, y), (height, width) = self.middle, self.shape
        top, left = min(max(int(y - reach), 0), height - 1), min(max(int(x - reach), 0), width - 1)
        bottom, right = min(int(y + reach) + 2, height), min(int(x + reach) + 2, width)
        return (top, left), (max(bottom, top + 1), max(right, left + 1))

    def opacity(self, part: float = 1.0, off: tuple[float, float] = (0.0, 0.0)) -> Map:
        """1 inside, 0 outside, its edge a pixel wide; `part` of the radius, moved by shares of it."""
        drawn = np.zeros(self.shape, np.uint8)
        x, y = (round(16 * (at + far * self.radius)) for at, far in zip(self.middle, off, strict=True))
        cv2.circle(drawn, (x, y), max(1, round(16 * part * self.radius)), 255, -1, cv2.LINE_AA, 4)
        return cv2.GaussianBlur(drawn, (0, 0), max(0.5, 0.008 * self.radius)).astype(np.float32) / 255.0


def stick_patch(rng: np.random.Generator, pixels: Pixels, intensity: float) -> Drawn:
    """A round adhesive patch of a plain colour that comes in from the edge; with `intensity` larger and further in.

    It stays beside the lesion, as one that somebody stuck there does.
    """
    disc = _place_patch(rng, find_lesion(pixels), intensity)
    (top, left), (bottom, right) = disc.box()
    part = pixels[top:bottom, left:right]
    near = replace(disc, shape=part.shape[:2], middle=(disc.middle[0] - left, disc.middle[1] - top))
    light = float(np.clip(np.quantile(pixels[::4, ::4].max(axis=2), 0.8) / 225.0, 0.45, 1.12)) * rng.uniform(0.92, 1.05)
    whole = near.opacity()
    shadow = np.clip(near.opacity(1.03) - whole, 0, 1) * 0.3
    stuck, below = cover(part, (0.25, 0.17, 0.15), shadow)
    stuck, seen = cover(stuck, light * _patch_colour(rng, near, min(pixels.shape[:2])), whole)
    out, mask = pixels.copy(), np.zeros(pixels.shape[:2], bool)
    out[top:bottom, left:right], mask[top:bottom, left:right] = stuck, seen | below
    return out, mask


def _patch_colour(rng: np.random.Generator, disc: _Disc, unit: int) -> Float[np.ndarray, "height width 3"]:
    """Paper with a grain, a rim where its thickness shows, a film of gel, sometimes a smaller patch on top."""
    ground, upper = PATCHES[int(rng.integers(len(PATCHES)))]
    shape = disc.shape
    shade = np.zeros((*shape, 3), np.float32) + np.array(ground, np.float32)
    turn, deep = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.1)
    slope = disc.opacity() - disc.opacity(0.985, (deep * np.cos(turn), deep * np.sin(turn)))
    rim = np.clip(slope, 0, 1) * float(rng.choice([-0.16, -0.16, 0.14]))
    if upper is not None:
        way = np.array(disc.inwards) * rng.uniform(-0.1, 0.35)
        small = disc.opacity(rng.uniform(0.42, 0.55), (float(way[0]), float(way[1])))
        shade += small[..., None] * (np.array(upper, np.float32) - shade)
    grain = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), max(0.35, 0.002 * unit))
    uneven = 1.0 + rim + rng.uniform(0.02, 0.06) * grain + 0.02 * mottle(rng, shape, disc.radius)
    film = step(0.6, 2.2, mottle(rng, shape, 0.45 * disc.radius)) * rng.uniform(0.0, 0.14)
    return np.asarray(shade * uneven[..., None] + film[..., None])


def _place_patch(rng: np.random.Generator, lesion: Place, intensity: float) -> _Disc:
    """Where it lies: beyond the edge, most often at the left or right, reaching in by a share but not to the lesion."""
    width, height, unit = lesion.width, lesion.height, lesion.unit
    turn = rng.normal(0, 0.6) + np.pi * float(rng.random() < 0.5)
    if np.cos(turn) * (lesion.x - width / 2) + np.sin(turn) * (lesion.y - height / 2) > 0.05 * unit:
        turn += np.pi
    way = np.array([np.cos(turn), np.sin(turn)])
    edge = min(width / 2 / max(abs(way[0]), 1e-6), height / 2 / max(abs(way[1]), 1e-6))
    radius = rng.uniform(0.3, 0.46) * unit * (0.7 + 0.3 * intensity)
    depth = (0.06 + 0.26 * intensity) * unit * rng.uniform(0.85, 1.15)
    centre, here = np.array([width / 2, height / 2]), np.array([lesion.x, lesion.y])
    free = float((centre + way * edge - here) @ way) - 0.9 * lesion.radius
    depth = min(depth, max(free, (0.04 + 0.06 * intensity) * unit))
    x, y = centre + way * (edge + radius - depth)
    return _Disc((height, width), (float(x), float(y)), float(radius), (float(-way[0]), float(-way[1])))
