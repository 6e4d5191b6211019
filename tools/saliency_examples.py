"""Draw docs/assets/saliency.jpg: class activation maps of the bundled model on synthetic lesions.

python tools/saliency_examples.py
"""

from pathlib import Path

import cv2
import numpy as np

from dermoscope.data.synthetic import draw, encode
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.saliency import activation_map, overlay

OUT = Path(__file__).parents[1] / "docs" / "assets" / "saliency.jpg"
CELL, TEXT = 200, 26
EXAMPLES = ((2, "MEL"), (12, "NV"), (16, "BCC"), (14, "BKL"))
"""Seed and diagnosis of each drawn lesion."""


def labelled(pixels: np.ndarray, text: str) -> np.ndarray:
    """A square with a line of text below it."""
    out = np.full((CELL + TEXT, CELL + 8, 3), 255, np.uint8)
    out[4 : 4 + CELL, 4 : 4 + CELL] = cv2.resize(pixels, (CELL, CELL), interpolation=cv2.INTER_LINEAR)
    cv2.putText(out, text, (6, CELL + 20), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
    return out


def column(predictor: Predictor, seed: int, diagnosis: str) -> np.ndarray:
    """What the network saw of a drawn lesion, its map for melanoma, and its map for nevus."""
    pixels = draw(seed, diagnosis, (600, 450)).pixels
    maps = [activation_map(predictor, pixels, code) for code in ("MEL", "NV")]
    cells = [labelled(maps[0].square, f"drawn: {diagnosis}")]
    cells += [labelled(overlay(m), f"{m.code}: logit {m.logit:+.1f}") for m in maps]
    return np.vstack(cells)


def main() -> None:
    """Write the picture."""
    predictor = Predictor.load()
    OUT.write_bytes(encode(np.hstack([column(predictor, seed, code) for seed, code in EXAMPLES]), 85))


if __name__ == "__main__":
    main()
