"""Draw docs/assets/artefacts.jpg: every artefact on synthetic lesions, at three intensities.

python tools/artefact_examples.py
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from dermoscope.data.artefacts import ARTEFACTS, apply
from dermoscope.data.synthetic import draw, encode
from dermoscope.report.contact import contact_sheet

OUT = Path(__file__).parents[1] / "docs" / "assets" / "artefacts.jpg"
INTENSITIES = (0.3, 0.6, 1.0)
SIDE = 150
LESIONS = ((12, "NV"), (31, "MEL"))
SEEDS = {
    "ink": (10, 15),
    "ruler": (12, 5),
    "hair": (3, 6),
    "patch": (6, 1),
    "exposure": (0, 1),
    "blur": (0, 2),
    "colour_cast": (0, 1),
}
"""Seeds where two kinds of the same artefact show; 0 and 1 elsewhere."""


def lesions() -> list[np.ndarray]:
    """Two drawn lesions of 400 x 300 px that no patient ever had."""
    return [draw(seed, code, (400, 300)).pixels for seed, code in LESIONS]


def rows() -> list[tuple[str, list[tuple[str, np.ndarray]]]]:
    """A row for each artefact: what it is, and both lesions with more and more of it."""
    own = lesions()
    out = []
    for name, says in ARTEFACTS.items():
        seeds = SEEDS.get(name, (0, 1))
        tiles = [
            (f"{value:g}", apply(name, pixels, intensity=value, seed=seed).pixels)
            for pixels, seed in zip(own, seeds, strict=True)
            for value in INTENSITIES
        ]
        out.append((f"{name}: {says}", tiles))
    return out


def main() -> None:
    """Write the picture."""
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(rows(), side=SIDE))).convert("RGB"))
    OUT.write_bytes(encode(sheet, 82))


if __name__ == "__main__":
    main()
