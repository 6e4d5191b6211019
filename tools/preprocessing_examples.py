"""Draw docs/assets/preprocessing.png: every preprocessing step before and after, on synthetic lesions.

python tools/preprocessing_examples.py
"""

from pathlib import Path

import cv2
import numpy as np

from dermoscope.data.preprocess import parse_steps, prepare
from dermoscope.data.synthetic import draw
from dermoscope.data.synthetic_skin import curve, strokes

CELL = 170
OUT = Path(__file__).parents[1] / "docs" / "assets" / "preprocessing.png"


def framed() -> np.ndarray:
    """A lesion in a black frame."""
    return cv2.copyMakeBorder(draw(3, "NV", (300, 225)).pixels, 30, 30, 70, 40, cv2.BORDER_CONSTANT)


def round_field() -> np.ndarray:
    """A lesion in a round field of view."""
    pixels = draw(8, "MEL", (400, 300)).pixels.copy()
    y, x = np.indices(pixels.shape[:2])
    pixels[np.hypot(x - 200, y - 150) > 140] = 0
    return pixels


def marked() -> np.ndarray:
    """A lesion with a banner, a line of text and a colour patch."""
    pixels = draw(11, "NV", (400, 300)).pixels.copy()
    cv2.circle(pixels, (4, 120), 36, (40, 110, 200), -1, cv2.LINE_AA)
    pixels[-34:] = 235
    cv2.putText(pixels, "CLINIC 20x", (12, 291), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (20, 20, 20), 2, cv2.LINE_AA)
    return pixels


def hairy() -> np.ndarray:
    """A lesion under hairs."""
    rng = np.random.default_rng(5)
    pixels = draw(20, "NV", (400, 300)).pixels
    lines = [
        (curve(rng, (rng.uniform(0, 300), rng.uniform(0, 300)), rng.uniform(-0.8, 0.8), 260, 0.05), 2.2)
        for _ in range(14)
    ]
    opacity = strokes((300, 400), lines)[..., None]
    return (pixels * (1 - opacity) + 30 * opacity).astype(np.uint8)


def tinted() -> np.ndarray:
    """A lesion in yellow light."""
    return (draw(25, "MEL", (400, 300)).pixels * np.array([0.95, 0.8, 0.55])).astype(np.uint8)


def cell(pixels: np.ndarray) -> np.ndarray:
    """A picture in the middle of a white square, all of it."""
    scale = (CELL - 10) / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    out = np.full((CELL, CELL, 3), 255, np.uint8)
    top, left = (CELL - small.shape[0]) // 2, (CELL - small.shape[1]) // 2
    out[top : top + small.shape[0], left : left + small.shape[1]] = small
    return out


def labelled(text: str) -> np.ndarray:
    """A strip with the name of a step."""
    out = np.full((26, CELL, 3), 255, np.uint8)
    size = 0.38 if len(text) > 16 else 0.45
    cv2.putText(out, text, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, size, (30, 30, 30), 1, cv2.LINE_AA)
    return out


def main() -> None:
    """Write the picture."""
    examples = (
        ("trim_border", framed()),
        ("trim_border=0.05/inside", round_field()),
        ("shave=20", draw(14, "BKL", (400, 300)).pixels),
        ("crop_logos", marked()),
        ("pad", draw(16, "BCC", (400, 300)).pixels),
        ("shades_of_grey", tinted()),
        ("remove_hair", hairy()),
    )
    columns = [
        np.vstack([labelled(text), cell(pixels), cell(prepare(pixels, parse_steps(text)))]) for text, pixels in examples
    ]
    cv2.imwrite(str(OUT), np.hstack(columns)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
