"""Measure how much of a picture, and of its lesion, drawn artefacts cover: `python tools/artefact_limits.py`.

Needs DERMOSCOPE_DATA with ham10000 and its lesion masks (Tschandl 2020). Reads the role validation, never a test role,
and prints the table of docs/concepts/artefacts.md and how well the place of the lesion is guessed.
"""

import time
from pathlib import Path

import cv2
import numpy as np

from dermoscope.cli.progress import phases
from dermoscope.core.cases import Case
from dermoscope.data.artefacts import ARTEFACTS, apply
from dermoscope.data.artefacts_paint import find_lesion
from dermoscope.data.catalog import load
from dermoscope.data.images import read_image
from dermoscope.data.splits import with_role
from dermoscope.data.synthetic import draw

INTENSITIES = (0.3, 0.6, 1.0)
DRAWN = ("ink", "ruler", "hair", "bubbles", "dark_corners", "patch")


def outlined(case: Case) -> tuple[np.ndarray, np.ndarray] | None:
    """The whole field of an image and where its lesion is; None without a mask of the same size."""
    path = case.copies[-1] if case.copies else case.path
    assert path
    pixels = read_image(path).pixels
    found = cv2.imread(str(Path(path).parents[1] / "masks" / f"{case.image_id}_segmentation.png"), 0)
    return (pixels, found > 127) if found is not None and found.shape == pixels.shape[:2] and found.any() else None


def guess(pixels: np.ndarray, lesion: np.ndarray) -> tuple[float, float]:
    """How far the guessed middle lies off (shares of the shorter side), and the guessed radius over the true one."""
    place = find_lesion(pixels)
    rows, columns = np.nonzero(lesion)
    off = np.hypot(place.x - columns.mean() - 0.5, place.y - rows.mean() - 0.5) / place.unit
    return float(off), float(place.radius / np.sqrt(len(rows) / np.pi))


def milliseconds(name: str) -> float:
    """Time of this thread for a 224 px picture, mean of 60 at an intensity of .8, best of three rounds."""
    pixels = draw(12, "NV", (224, 224)).pixels
    rounds = []
    for _ in range(3):
        begun = time.thread_time()
        for seed in range(60):
            apply(name, pixels, intensity=0.8, seed=seed)
        rounds.append((time.thread_time() - begun) / 60 * 1000)
    return min(rounds)


def main() -> None:
    """Print the guess and the table."""
    cv2.setNumThreads(1)
    cases = list(with_role(load("ham10000"), "validation"))
    with phases() as told:
        guesses: list[tuple[float, float]] = []
        covered: dict[tuple[str, float], list[tuple[float, float]]] = {(n, i): [] for n in DRAWN for i in INTENSITIES}
        for k, case in enumerate(cases):
            found = outlined(case)
            told("pictures", k + 1, len(cases))
            if found is None:
                continue
            pixels, lesion = found
            guesses.append(guess(pixels, lesion))
            for (name, intensity), shares in covered.items():
                mask = apply(name, pixels, intensity=intensity, seed=k).mask
                shares.append((float(mask.mean()), float(mask[lesion].mean())))
    off, ratio = np.array(guesses).T
    print(f"n = {len(off)}; off by {np.quantile(off, 0.5):.3f}, ninth decile {np.quantile(off, 0.9):.3f};", end=" ")
    print("radius over true one, quartiles", np.quantile(ratio, [0.25, 0.5, 0.75]).round(2))
    for name in ARTEFACTS:
        shares = [np.mean(covered[name, i], axis=0) * 100 for i in INTENSITIES] if name in DRAWN else []
        cells = [f"{share[0]:.1f}" for share in shares] + [f"{share[1]:.1f}" for share in shares[-1:]]
        print("|", " | ".join([f"`{name}`", *(cells or ["-"] * 4), f"{milliseconds(name):.1f}"]), "|")


if __name__ == "__main__":
    main()
