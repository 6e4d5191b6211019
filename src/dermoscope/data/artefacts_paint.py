"""What drawn artefacts are made with: where the lesion lies, stains that skin shows through, and layers that hide it.

Places and sizes are in pixels, maps float32 in [0, 1], pictures sRGB; nothing here changes a picture it is given.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dermoscope.data.preprocess_edges import NEARLY_BLACK
from dermoscope.data.synthetic_skin import Color, Map, noise

Pixels = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]
Drawn = tuple[Pixels, Mask]
"""A picture with something drawn on it, and where."""
Points = Float[np.ndarray, "n 2"]

LEAST = 0.02
"""Opacity (or optical density) below which nothing counts as drawn, and nothing is."""

_LOOK, _SOFT = 48, 9
"""Shorter side in px of the copy in which the lesion is looked for, and the width of the edge of a corner there."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lesion probably lies: its middle and mean radius, and the shorter side of the picture as `unit`."""

    x: float
    y: float
    radius: float
    unit: float
    width: int
    height: int

    def around(self, angle: float, distance: float) -> tuple[float, float]:
        """The point (x, y) at an angle (radians) and a distance from the middle, brought back into the picture."""
        margin = 0.03 * self.unit
        x = min(max(self.x + distance * np.cos(angle), margin), self.width - margin)
        y = min(max(self.y + distance * np.sin(angle), margin), self.height - margin)
        return float(x), float(y)


def find_lesion(pixels: Pixels) -> Place:
    """A rough guess, good enough to draw beside the lesion: what is darker than the skin, near the middle.

    Black corners do not count. Where nothing stands out: the middle, with a quarter of the shorter side as radius.
    How near it comes on real pictures: `docs/concepts/artefacts.md`.
    """
    height, width = pixels.shape[:2]
    unit = min(height, width)
    scale = min(1.0, _LOOK / unit)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(small[..., 1], (0, 0), 1.5).astype(np.float32)
    y, x = np.indices(grey.shape, dtype=np.float32)
    x, y = (x + 0.5) / scale, (y + 0.5) / scale
    skin = float(np.quantile(grey, 0.7))
    off = np.hypot(x - width / 2, y - height / 2) / unit
    dark = np.clip(0.9 * skin - grey, 0, 0.1 * skin)  # no more than that, or one dark part would stand for the lesion
    weight = dark * np.exp(-((off / 0.4) ** 2)) * ~_corners(small)
    total = float(weight.sum())
    if total < 0.5:
        return Place(width / 2, height / 2, 0.25 * unit, float(unit), width, height)
    at = float((weight * x).sum()) / total, float((weight * y).sum()) / total
    spread = float((weight * ((x - at[0]) ** 2 + (y - at[1]) ** 2)).sum()) / total
    radius = float(np.clip(1.4 * np.sqrt(spread), 0.08 * unit, 0.4 * unit))
    return Place(at[0], at[1], radius, float(unit), width, height)


def _corners(small: Pixels) -> Mask:
    """What is nearly black and joined to a corner, and what lies in its soft edge."""
    black = (small.max(axis=2) <= NEARLY_BLACK).astype(np.uint8)
    _, labels = cv2.connectedComponents(black, connectivity=4)
    at_corners = [label for label in np.unique(labels[[0, 0, -1, -1], [0, -1, 0, -1]]) if label]
    joined = np.isin(labels, at_corners).astype(np.uint8)
    return cv2.dilate(joined, np.ones((_SOFT, _SOFT), np.uint8)).astype(bool)


def stain(pixels: Pixels, amount: Map, absorbance: Color) -> Drawn:
    """A dye in or on the skin: light goes through it twice, and what is below shows through (Beer-Lambert law)."""
    mask = amount > LEAST
    out = pixels.copy()
    left = np.exp(-amount[mask][:, None] * np.array(absorbance, np.float32))
    out[mask] = np.rint(pixels[mask] * left).astype(np.uint8)
    return out, mask


def cover(pixels: Pixels, colour: Color | Float[np.ndarray, "height width 3"], opacity: Map) -> Drawn:
    """Something on the skin that hides it by its opacity; `colour` in [0, 1], one or for every pixel."""
    mask = opacity > LEAST
    out = pixels.copy()
    over = 255.0 * np.asarray(colour, np.float32)
    over = over[mask] if over.ndim == 3 else over
    below = pixels[mask].astype(np.float32)
    below += np.minimum(opacity[mask], 1.0)[:, None] * (over - below)
    out[mask] = np.clip(np.rint(below), 0, 255).astype(np.uint8)
    return out, mask


def mottle(rng: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int = 2) -> Map:
    """`noise`, drawn no finer than its smallest features need and enlarged: several times faster."""
    fine = max(1.0, scale / 2**octaves)
    small = max(2, round(shape[0] / fine)), max(2, round(shape[1] / fine))
    drawn = noise(rng, small, max(scale / fine, 1.0), octaves)
    return np.asarray(cv2.resize(drawn, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def lines(shape: tuple[int, int], points: Float[np.ndarray, "lines points 2"], width: float) -> Map:
    """Many lines of one width (px) at once, as opacity; narrower than a pixel they are drawn fainter."""
    drawn = np.zeros(shape, np.uint8)
    at = np.round(points * 16).astype(np.int32)
    cv2.polylines(drawn, list(at), False, int(255 * min(1.0, width)), max(1, round(width)), cv2.LINE_AA, 4)
    return drawn.astype(np.float32) / 255.0
