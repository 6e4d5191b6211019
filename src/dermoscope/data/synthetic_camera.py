"""How a drawn lesion is photographed: hairs over it, glare, gel, uneven light, dark corners, a ruler, focus, grain."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from dermoscope.data.synthetic_skin import Map, Scene, curve, noise, spots, step, strokes

Picture = Float[np.ndarray, "height width 3"]


def grow_hairs(scene: Scene) -> None:
    """Sometimes hairs: a few long dark ones, or many short stubs, all leaning the same way."""
    rng, unit = scene.rng, scene.unit
    if rng.uniform() > 0.4:
        return
    short = rng.uniform() < 0.3
    lean = rng.uniform(0, 2 * np.pi)
    lines = []
    for _ in range(rng.integers(20, 70) if short else rng.integers(2, 16)):
        start = (rng.uniform(-0.1, 1.1) * scene.shape[1], rng.uniform(-0.1, 1.1) * unit)
        length = (rng.uniform(0.03, 0.09) if short else rng.uniform(0.3, 1.1)) * unit
        width = rng.uniform(0.0016, 0.0036) * unit
        lines.append((curve(rng, start, lean + rng.normal(0, 0.35), length, 0.03), width))
    shaft = strokes(scene.shape, lines, 0.0012 * unit)
    hue = [(0.16, 0.11, 0.10), (0.30, 0.20, 0.15), (0.52, 0.40, 0.30)][int(rng.integers(3))]
    scene.cover(hue, rng.uniform(0.55, 0.9) * shaft)


def photograph(scene: Scene, picture: Picture) -> UInt8[np.ndarray, "height width 3"]:
    """A picture in [0, 1] as a dermatoscope would hand it over: glare, gel, uneven light, ruler, focus, grain."""
    rng, shape, unit = scene.rng, scene.shape, scene.unit
    if rng.uniform() < 0.3:
        picture = _add(picture, rng.uniform(0.2, 0.55) * _glare(scene))
    if rng.uniform() < 0.2:
        picture = _add(picture, _bubbles(scene))
    y, x = np.indices(shape, dtype=np.float32)
    distance = np.hypot(x - shape[1] / 2, y - unit / 2) / unit
    light = 1.0 - rng.uniform(0.0, 0.22) * distance**2 + rng.normal(0, 0.04) * (x / shape[1] - 0.5)
    picture = picture * light[..., None]
    if rng.uniform() < 0.12:
        edge = rng.uniform(0.56, 0.72)
        picture = picture * step(edge + 0.04, edge - 0.04, distance)[..., None]
    if rng.uniform() < 0.12:
        picture = picture * (1.0 - 0.85 * _ruler(scene))[..., None]
    picture = cv2.GaussianBlur(picture, (0, 0), max(0.3, rng.uniform(0.0012, 0.0024) * unit))
    picture += (rng.uniform(0.004, 0.012) * rng.standard_normal(shape, np.float32))[..., None]
    return np.clip(picture * 255.0 + 0.5, 0, 255).astype(np.uint8)


def _add(picture: Picture, light: Map) -> Picture:
    return picture + light[..., None] * (1.0 - picture)


def _glare(scene: Scene) -> Map:
    """Bright flecks along the furrows, in a few patches."""
    rng, unit = scene.rng, scene.unit
    flecks = step(2.3, 3.6, noise(rng, scene.shape, 0.008 * unit, 2) + 0.8 * noise(rng, scene.shape, 0.2 * unit, 2))
    shine = spots(
        rng, np.ones(scene.shape, np.float32), int(rng.integers(0, 14)), (0.002 * unit, 0.006 * unit), 0.8, 0.3
    )
    return np.maximum(flecks, shine)


def _bubbles(scene: Scene) -> Map:
    """Rings of light around bubbles in the gel."""
    rng, unit = scene.rng, scene.unit
    rings = np.zeros(scene.shape, np.uint8)
    for _ in range(rng.integers(1, 12)):
        center = (int(rng.uniform(0, scene.shape[1])), int(rng.uniform(0, unit)))
        radius = int(rng.gamma(2.0, 0.009) * unit) + 2
        start = rng.uniform(0, 360)
        cv2.ellipse(rings, center, (radius, int(radius * rng.uniform(0.8, 1))), start, 0, 300, 210, 1, cv2.LINE_AA)
        cv2.circle(rings, (center[0] - radius // 3, center[1] - radius // 3), max(1, radius // 6), 255, -1, cv2.LINE_AA)
    return 0.7 * cv2.GaussianBlur(rings, (0, 0), 0.8).astype(np.float32) / 255.0


def _ruler(scene: Scene) -> Map:
    """Millimetre marks along the lower or the left edge, every fifth one longer."""
    rng, unit = scene.rng, scene.unit
    marks = np.zeros(scene.shape, np.uint8)
    gap, base = rng.uniform(0.035, 0.06) * unit, round(rng.uniform(0.01, 0.05) * unit)
    upright = rng.uniform() < 0.5
    for index in range(int((unit if upright else scene.shape[1]) / gap) + 1):
        at, length = round(index * gap), round((0.045 if index % 5 == 0 else 0.025) * unit)
        ends = (
            ((base, at), (base + length, at)) if upright else ((at, int(unit) - base), (at, int(unit) - base - length))
        )
        cv2.line(marks, *ends, 255, max(1, round(0.003 * unit)), cv2.LINE_AA)
    return cv2.GaussianBlur(marks, (0, 0), 0.7).astype(np.float32) / 255.0
