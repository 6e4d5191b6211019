"""Measure what the default quality limits flag, and which degraded copies they catch: `python tools/quality_limits.py`.

Needs DERMOSCOPE_DATA with ham10000 and isic2017. Reads the role validation of HAM10000 (both copies of an image) and
the roles training and validation of ISIC 2017, never a test role, and prints the tables of docs/concepts/quality.md.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from dermoscope.cli.progress import phases
from dermoscope.core.cases import Case
from dermoscope.data.catalog import load
from dermoscope.data.images import read_image
from dermoscope.data.splits import with_role
from dermoscope.evaluate.intervals import wilson
from dermoscope.predict.quality import quality_of
from dermoscope.refine.quality import CODES, problems

Degrade = Callable[[np.ndarray], np.ndarray]

BLURS = (0.005, 0.01, 0.015, 0.02, 0.03)
"""Standard deviation of a Gaussian blur, as a share of the shorter side."""
STOPS = (-1, -2, -3, -4, 1, 2, 3)
"""Exposure in stops: powers of two of the light."""


def blurred(pixels: np.ndarray, share: float) -> np.ndarray:
    """A picture out of focus: a Gaussian blur of `share` of the shorter side."""
    return cv2.GaussianBlur(pixels, (0, 0), share * min(pixels.shape[:2]))


def exposed(pixels: np.ndarray, stops: float) -> np.ndarray:
    """A picture taken with 2 to the power of `stops` times the light (sRGB, IEC 61966-2-1), clipped at white."""
    level = np.arange(256) / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    light = np.clip(light * 2.0**stops, 0, 1)
    level = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return cv2.LUT(pixels, np.rint(level * 255).astype(np.uint8))


def pictures() -> dict[str, list[Path]]:
    """The files that are measured, by what they are called in the tables."""
    validation = with_role(load("ham10000"), "validation")
    other = with_role(load("isic2017"), "training", "validation")
    return {
        "HAM10000, whole field": [_files(c)[-1] for c in validation],
        "HAM10000, 224 px": [_files(c)[0] for c in validation if len(_files(c)) > 1],
        "ISIC 2017": [_files(c)[0] for c in other],
    }


def _files(case: Case) -> tuple[Path, ...]:
    """All copies of an image, the sharpest first."""
    return tuple(dict.fromkeys((*([case.path] if case.path else []), *case.copies)))


def flagged(files: Sequence[Path], change: Degrade, told: Callable[[int, int], None]) -> list[set[str]]:
    """The codes of the problems of each picture after `change`; `*` stands for any that blocks."""

    def one(path: Path) -> set[str]:
        found = read_image(path)
        pixels = change(found.pixels)
        said = problems(quality_of(pixels, found.width, found.height))
        return {p.code for p in said} | {"*" for p in said if p.blocks}

    out = []
    with ThreadPoolExecutor(2) as pool:
        for codes in pool.map(one, files):
            out.append(codes)
            told(len(out), len(files))
    return out


def share(said: Sequence[set[str]], code: str) -> str:
    """Per cent of the pictures that have a code, with Wilson's 95 % interval."""
    hits = sum(code in codes for codes in said)
    low, high = wilson(hits, len(said))
    return f"{100 * hits / len(said):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def row(*cells: str) -> None:
    """One line of a table."""
    print("|", " | ".join(cells), "|")


def main() -> None:
    """Print both tables."""
    cv2.setNumThreads(1)
    sets = pictures()
    header = [f"{name} (n = {len(files):,})" for name, files in sets.items()]
    changes = [(f"blur of {100 * s:g} %", "blurred", lambda p, s=s: blurred(p, s)) for s in BLURS]
    changes += [(f"{s:+d} stops", "too_dark" if s < 0 else "too_bright", lambda p, s=s: exposed(p, s)) for s in STOPS]
    with phases() as told:
        plain = [flagged(f, lambda p: p, lambda k, n: told("as they are", k, n)) for f in sets.values()]
        row("problem", *header)
        for code in (*CODES, "*"):
            row(code, *(share(said, code) for said in plain))
        print()
        row("copy", "problem", *header)
        for name, code, change in changes:
            said = [flagged(f, change, lambda k, n, name=name: told(name, k, n)) for f in sets.values()]
            row(name, code, *(share(s, code) for s in said))


if __name__ == "__main__":
    main()
