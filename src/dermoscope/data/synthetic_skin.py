"""What drawn dermoscopy is made of: noise, cells, spots, vessels, and the light that passes through skin.

Maps are float32 arrays of shape [height, width]. A picture is skin that absorbs light: every chromophore is a
concentration map, and the colour follows from the Beer-Lambert law, `rgb = skin * exp(-sum(amount * absorbance))`.
The absorbances are chosen by eye against real images, so that one unit of melanin is mid-brown and two units of blood
are crimson; they keep the order of Anderson and Parrish 1981, "The optics of human skin" (melanin absorbs blue most,
blood green most). Depth of melanin shows as a blue veil, keratin and fibrosis as pale layers on top.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float

Map = Float[np.ndarray, "height width"]
Color = tuple[float, float, float]

MELANIN: Color = (0.45, 0.90, 1.25)
BLOOD: Color = (0.16, 1.00, 0.58)

SKINS: tuple[Color, ...] = (
    (0.78, 0.67, 0.69),
    (0.87, 0.77, 0.80),
    (0.95, 0.87, 0.88),
    (0.96, 0.86, 0.80),
    (0.93, 0.70, 0.70),
    (0.97, 0.66, 0.69),
    (0.94, 0.62, 0.58),
    (0.93, 0.57, 0.53),
    (0.90, 0.74, 0.66),
    (0.86, 0.77, 0.86),
    (0.75, 0.62, 0.62),
    (0.93, 0.76, 0.72),
)
"""Colours of lit skin under a dermatoscope, around the cluster centres of real ones; darker skin comes from melanin."""


@dataclass
class Scene:
    """What is being drawn: chromophores as maps, and pale, crusted or veiled layers as (colour, opacity) on top."""

    rng: np.random.Generator
    shape: tuple[int, int]
    skin: Color
    melanin: Map
    blood: Map
    layers: list[tuple[Color, Map]] = field(default_factory=list)

    @property
    def unit(self) -> float:
        """Height of the picture in pixels: what all sizes are given in."""
        return float(self.shape[0])

    def cover(self, color: Color, opacity: Map) -> None:
        """Lay a layer over everything below it; `opacity` is clipped to [0, 1]."""
        self.layers.append((color, np.clip(opacity, 0.0, 1.0)))

    def color(self) -> Float[np.ndarray, "height width 3"]:
        """The picture in [0, 1]."""
        absorbed = self.melanin[..., None] * np.array(MELANIN, np.float32) + self.blood[..., None] * np.array(
            BLOOD, np.float32
        )
        picture = np.array(self.skin, np.float32) * np.exp(-absorbed)
        for color, opacity in self.layers:
            picture += opacity[..., None] * (np.array(color, np.float32) - picture)
        return picture


@dataclass(frozen=True)
class Lesion:
    """Where the lesion lies: `depth` is 1 in its centre, 0 on its border, negative outside; `angle` in radians."""

    depth: Map
    angle: Map

    def inside(self, softness: float) -> Map:
        """Opacity from 0 outside to 1 inside; `softness` is the width of the border as a share of the radius."""
        return step(-softness, softness, self.depth)

    def ring(self, at: float, width: float) -> Map:
        """A soft ring at the depth `at`, with the given half width."""
        return np.exp(-(((self.depth - at) / width) ** 2))


def step(low: float, high: float, value: Map) -> Map:
    """Smooth step from 0 below `low` to 1 above `high`."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def noise(rng: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int = 3) -> Map:
    """Fractal value noise of mean 0 and standard deviation 1; `scale`: size in pixels of its largest features."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = max(scale / 2**octave, 1.0)
        rows, columns = int(height / cell) + 4, int(width / cell) + 4
        knots = rng.standard_normal((rows, columns)).astype(np.float32)
        size = (int(columns * cell) + 1, int(rows * cell) + 1)
        fine = cv2.resize(knots, size, interpolation=cv2.INTER_CUBIC if cell > 1.5 else cv2.INTER_LINEAR)
        top, left = (int(v) for v in rng.uniform(0, 2 * cell, 2))
        total += 0.55**octave * fine[top : top + height, left : left + width]
    total -= total.mean()
    return total / (total.std() + 1e-6)


def warp(rng: np.random.Generator, image: Map, scale: float, amount: float) -> Map:
    """`image` with its pixels displaced by smooth noise; `scale` and `amount` in pixels."""
    height, width = image.shape
    y, x = np.indices(image.shape, dtype=np.float32)
    dx, dy = (amount * noise(rng, (height, width), scale, 2) for _ in range(2))
    return cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def cells(rng: np.random.Generator, shape: tuple[int, int], size: float, jitter: float = 0.3) -> Map:
    """A honeycomb: 0 in the middle of each cell, about 1 on the lines between cells; `size` in pixels across a cell."""
    height, width = shape
    rows, columns = int(height / (0.866 * size)) + 3, int(width / size) + 3
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x = (x - 1 + 0.5 * (y % 2) + jitter * rng.uniform(-1, 1, x.shape)) * size
    y = (y - 1 + jitter * rng.uniform(-1, 1, x.shape)) * 0.866 * size
    seeds = np.ones(shape, np.uint8)
    keep = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    seeds[y[keep].astype(int), x[keep].astype(int)] = 0
    distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 5)
    return warp(rng, distance / (0.56 * size), 2.5 * size, 0.22 * size)


def spots(
    rng: np.random.Generator,
    where: Map,
    count: int,
    radius: tuple[float, float],
    soft: float = 0.8,
    squash: float = 0.8,
) -> Map:
    """`count` soft ellipses at places drawn with the weight `where`, as opacity; `radius` range and `soft` in pixels.

    The shorter axis is at least `squash` of the longer one. Nothing is drawn where `where` is 0 everywhere.
    """
    drawn = np.zeros(where.shape, np.uint8)
    weight = np.cumsum(where.ravel(), dtype=np.float64)
    if weight[-1] <= 0:
        return drawn.astype(np.float32)
    places = np.searchsorted(weight, rng.uniform(0, weight[-1], count))
    for place in places:
        row, column = divmod(int(place), where.shape[1])
        long = rng.uniform(*radius)
        axes = (round(long * 16), round(long * rng.uniform(squash, 1.0) * 16))
        angle = rng.uniform(0, 180)
        cv2.ellipse(drawn, (column * 16, row * 16), axes, angle, 0, 360, 255, -1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(drawn, (0, 0), max(soft, 0.3)).astype(np.float32) / 255.0


def curve(rng: np.random.Generator, start: tuple[float, float], angle: float, length: float, bend: float) -> np.ndarray:
    """Points [n, 2] (x, y) of a wandering line; `bend` is how far its direction wanders, in radians per step."""
    steps = max(int(length / 5.0), 3)
    turns = angle + np.cumsum(rng.normal(0.0, bend, steps))
    moves = np.stack([np.cos(turns), np.sin(turns)], 1) * (length / steps)
    return np.concatenate([[start], start + np.cumsum(moves, 0)])


def strokes(shape: tuple[int, int], lines: list[tuple[np.ndarray, float]], soft: float = 0.6) -> Map:
    """Lines (points, width in pixels) as opacity; a line narrower than a pixel is drawn fainter."""
    drawn = np.zeros(shape, np.uint8)
    for points, width in lines:
        at = [np.round(points * 16).astype(np.int32)]
        value = int(255 * min(1.0, width))
        cv2.polylines(drawn, at, False, value, max(1, round(width)), cv2.LINE_AA, 4)
    return cv2.GaussianBlur(drawn, (0, 0), soft).astype(np.float32) / 255.0


def tree(
    rng: np.random.Generator, start: tuple[float, float], angle: float, length: float, width: float
) -> list[tuple[np.ndarray, float]]:
    """An arborising vessel: a stem and its finer and finer branches, as lines for `strokes`."""
    stem = curve(rng, start, angle, length, 0.16)
    lines = [(stem, width)]
    if width < 0.7 or length < 12:
        return lines
    for _ in range(rng.integers(2, 4)):
        at = rng.integers(len(stem) // 3, len(stem))
        side = angle + rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.1)
        lines += tree(rng, tuple(stem[at]), side, length * rng.uniform(0.45, 0.75), width * rng.uniform(0.5, 0.72))
    return lines


def outline(scene: Scene, radius: float, irregular: float, roughness: float) -> Lesion:
    """A lesion near the centre: an ellipse, its radius swinging by `irregular`, its border frayed by `roughness`.

    `radius` in picture heights; `irregular` about 0.05 for a round nevus, 0.25 for a melanoma; `roughness` likewise.
    """
    rng, (height, width) = scene.rng, scene.shape
    rows, columns = np.indices(scene.shape, dtype=np.float32)
    x = columns / height - rng.normal(0.5, 0.03) * width / height
    y = rows / height - rng.normal(0.5, 0.03)
    x += 0.12 * irregular * noise(rng, scene.shape, 0.35 * height, 2)
    y += 0.12 * irregular * noise(rng, scene.shape, 0.35 * height, 2)
    tilt, stretch = rng.uniform(0, np.pi), np.sqrt(rng.uniform(1.0, 1.25 + irregular))
    along = (x * np.cos(tilt) + y * np.sin(tilt)) / stretch
    across = (y * np.cos(tilt) - x * np.sin(tilt)) * stretch
    angle = np.arctan2(across, along)
    swing = np.ones_like(angle)
    for lobe in range(2, 8):
        swing += irregular * rng.normal(0, 0.9) / lobe * np.cos(lobe * angle + rng.uniform(0, 2 * np.pi))
    depth = 1.0 - np.hypot(along, across) / (radius * np.maximum(swing, 0.4))
    depth += roughness * 0.25 * noise(rng, scene.shape, 0.08 * height, 4)
    return Lesion(depth.astype(np.float32), angle.astype(np.float32))


def bare_skin(rng: np.random.Generator, shape: tuple[int, int], sun: float) -> Scene:
    """Skin without a lesion: mottled, furrowed, with pores and fine vessels; `sun` in [0, 1] adds freckled damage."""
    unit = shape[0]
    skin = np.array(SKINS[rng.integers(len(SKINS))]) * rng.uniform(0.94, 1.05) + rng.normal(0, 0.012, 3)
    red, green, blue = (float(v) for v in np.minimum(skin, (0.99, 0.94, 0.95)))
    mottle = noise(rng, shape, 0.22 * unit, 5)
    grain = noise(rng, shape, 0.022 * unit, 4)
    melanin = 0.04 + (0.02 + 0.03 * sun) * mottle + rng.uniform(0.01, 0.03) * grain
    blood = (
        0.04 + 0.035 * noise(rng, shape, 0.25 * unit, 5) + rng.uniform(0.004, 0.02) * noise(rng, shape, 0.02 * unit, 3)
    )
    scene = Scene(rng, shape, (red, green, blue), melanin, blood)
    freckles = step(0.3, 2.4, noise(rng, shape, 0.1 * unit, 4) + 0.5 * noise(rng, shape, 0.35 * unit, 2))
    scene.melanin += (rng.uniform(0.05, 0.4) * sun + 0.04) * freckles * (1 + 0.3 * grain)
    web = np.exp(-((noise(rng, shape, 0.09 * unit, 3) / 0.12) ** 2)) * step(-0.2, 1.8, noise(rng, shape, 0.3 * unit, 2))
    scene.blood += rng.uniform(0.0, 0.06 + 0.28 * sun) * web
    furrows = np.exp(-((noise(rng, shape, 0.035 * unit, 2) / 0.2) ** 2))
    scene.melanin += rng.uniform(0.0, 0.03) * furrows
    pores = spots(
        rng, np.ones(shape, np.float32), int(rng.integers(10, 120)), (0.003 * unit, 0.006 * unit), 0.004 * unit
    )
    scene.melanin += rng.uniform(0.02, 0.12) * pores
    return scene


Painter = Callable[[Scene], Lesion]
"""Draws one lesion into a scene of bare skin and says where it lies."""
