"""Draw docs/assets/quality.jpg: every quality figure on synthetic lesions, as they are and degraded, with its value.

python tools/quality_examples.py
"""

from pathlib import Path

import cv2
import numpy as np
from quality_limits import blurred, exposed

from dermoscope.data.artefacts import apply
from dermoscope.data.synthetic import draw, encode
from dermoscope.data.synthetic_skin import curve, strokes
from dermoscope.predict.quality import quality_of
from dermoscope.refine.quality import CODES, QualityLimits, problems

OUT = Path(__file__).parents[1] / "docs" / "assets" / "quality.jpg"
WIDTH, HEIGHT, TEXT = 176, 132, 40
INK = (88, 52, 150)
"""Gentian violet as it dries on skin, sRGB."""


def lesion() -> np.ndarray:
    """A drawn nevus without hairs, 400 x 300 px, that every degraded picture is made of."""
    return draw(12, "NV", (400, 300)).pixels


def hairy(pixels: np.ndarray, hairs: int) -> np.ndarray:
    """A picture under so many long dark hairs."""
    return _stroked(pixels, hairs, (45, 32, 28), (0.85, 0.005), 5)


def inked(pixels: np.ndarray, lines: int) -> np.ndarray:
    """A picture with so many strokes of a violet pen."""
    return _stroked(pixels, lines, INK, (0.25, 0.03), 8)


def drawn(name: str, pixels: np.ndarray, seed: int, intensity: float) -> np.ndarray:
    """A picture with an artefact of `data/artefacts.py`."""
    return apply(name, pixels, intensity=intensity, seed=seed).pixels


def _stroked(
    pixels: np.ndarray, count: int, colour: tuple[int, int, int], size: tuple[float, float], seed: int
) -> np.ndarray:
    """Curved strokes of a length and a width (shares of the shorter side) at places drawn from a seed."""
    rng = np.random.default_rng(seed)
    height, width = pixels.shape[:2]
    unit = min(height, width)
    lines = []
    for _ in range(count):
        start = (rng.uniform(0, width), rng.uniform(0, height))
        lines.append((curve(rng, start, rng.uniform(-0.8, 0.8), size[0] * unit, 0.05), size[1] * unit))
    if not lines:
        return pixels
    opacity = strokes((height, width), lines)[..., None]
    return (pixels * (1 - opacity) + np.array(colour) * opacity).astype(np.uint8)


def cornered(pixels: np.ndarray, radius: float) -> np.ndarray:
    """A picture seen through a round opening of a radius given as a share of the shorter side; black around it."""
    height, width = pixels.shape[:2]
    y, x = np.indices((height, width))
    outside = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) > radius * min(height, width)
    return np.where(outside[..., None], 0, pixels).astype(np.uint8)


def examples() -> list[tuple[str, list[np.ndarray]]]:
    """Figure and three pictures: as drawn, a little and a lot."""
    own = lesion()
    return [
        ("blur", [own, blurred(own, 0.005), blurred(own, 0.015)]),
        ("luminance", [own, exposed(own, -1.5), exposed(own, -3.5)]),
        ("bright", [own, exposed(own, 1), exposed(own, 2)]),
        ("dark_corners", [own, cornered(own, 0.75), cornered(own, 0.6)]),
        ("hair", [own, hairy(own, 6), hairy(own, 45)]),
        ("ink", [own, inked(own, 1), inked(own, 6)]),
        ("ruler", [own, drawn("ruler", own, 2, 0.4), drawn("ruler", own, 2, 1.0)]),
        ("coloured", [own, drawn("patch", own, 1, 0.3), drawn("patch", own, 1, 1.0)]),
    ]


def cell(figure: str, pixels: np.ndarray) -> np.ndarray:
    """A picture with the value of a figure below it, and what is said of it where that is beyond the limit."""
    quality = quality_of(pixels, pixels.shape[1], pixels.shape[0])
    said = problems(quality, QualityLimits())
    out = np.full((HEIGHT + TEXT, WIDTH + 8, 3), 255, np.uint8)
    out[4 : 4 + HEIGHT, 4 : 4 + WIDTH] = cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    _write(out, f"{figure} {quality[figure]:.3f}", 17, (30, 30, 30))
    if said:
        words = ", ".join(p.code + ("!" if p.blocks else "") for p in said)
        _write(out, words, 32, (170, 40, 20))
    return out


def _write(picture: np.ndarray, text: str, below: int, colour: tuple[int, int, int]) -> None:
    place = (6, HEIGHT + below)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


def main() -> None:
    """Write the picture."""
    assert len(examples()) == len(CODES) - 1  # all but the size
    columns = [np.vstack([cell(figure, p) for p in pictures]) for figure, pictures in examples()]
    OUT.write_bytes(encode(np.hstack(columns), 85))


if __name__ == "__main__":
    main()
