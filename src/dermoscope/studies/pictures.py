"""Pictures of other kinds than dermoscopy, drawn: for asking whether a model notices that it knows none of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import InputError
from dermoscope.data.store import write_file
from dermoscope.data.synthetic import draw
from dermoscope.data.synthetic_skin import bare_skin, noise

WIDTH, HEIGHT = 200, 150

Pixels = UInt8[np.ndarray, "height width 3"]


def _noise(rng: np.random.Generator, _: int) -> Pixels:
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def _things(rng: np.random.Generator, _: int) -> Pixels:
    """Flat shapes of any colour on a flat ground."""
    out = np.full((HEIGHT, WIDTH, 3), rng.integers(0, 256, 3), np.uint8)
    for _shape in range(rng.integers(3, 12)):
        colour = rng.integers(0, 256, 3).tolist()
        a, b = (tuple(int(v) for v in rng.uniform(0, 1, 2) * (WIDTH, HEIGHT)) for _end in range(2))
        if rng.uniform() < 0.5:
            cv2.rectangle(out, a, b, colour, -1)
        else:
            cv2.circle(out, a, int(rng.uniform(5, 50)), colour, -1, cv2.LINE_AA)
    return out


def _page(rng: np.random.Generator, _: int) -> Pixels:
    """Lines of letters on paper."""
    out = np.full((HEIGHT, WIDTH, 3), rng.integers(225, 256), np.uint8)
    for y in range(14, HEIGHT, 12):
        text = "".join(chr(c) for c in rng.integers(65, 123, rng.integers(8, 26)))
        cv2.putText(out, text, (6, y), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (20, 20, 30), 1, cv2.LINE_AA)
    return out


def _skin(rng: np.random.Generator, _: int) -> Pixels:
    """Skin under a dermatoscope with no lesion on it."""
    return np.clip(bare_skin(rng, (HEIGHT, WIDTH), rng.uniform()).color() * 255, 0, 255).astype(np.uint8)


def _clinical(rng: np.random.Generator, seed: int) -> Pixels:
    """A lesion a sixth as large, as a camera at arm's length sees it: light from one side, a background, soft focus."""
    picture = _skin(rng, seed).astype(np.float32)
    small = cv2.resize(draw(seed, size=(256, 192)).pixels, (44, 33), interpolation=cv2.INTER_AREA).astype(np.float32)
    y, x = int(rng.uniform(40, 80)), int(rng.uniform(50, 110))
    window = np.outer(np.hanning(33), np.hanning(44))[..., None] ** 0.5
    part = picture[y : y + 33, x : x + 44]
    # only how much the lesion darkens its skin is taken over
    picture[y : y + 33, x : x + 44] = part * (1 + window * (small / small[:3].mean(axis=(0, 1)) - 1))
    rows, columns = np.indices((HEIGHT, WIDTH)) / HEIGHT
    angle = rng.uniform(0, 2 * np.pi)
    picture *= (1.0 + 0.35 * (np.cos(angle) * (rows - 0.5) + np.sin(angle) * (columns - 0.6)))[..., None]
    edge = columns + 0.2 * np.sin(3 * rows + angle) + 0.03 * noise(rng, (HEIGHT, WIDTH), 60) > rng.uniform(1.0, 1.25)
    picture[edge] = rng.uniform(30, 220, 3)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.8), 0, 255).astype(np.uint8)


def _dermoscopy(_: np.random.Generator, seed: int) -> Pixels:
    return draw(seed, size=(WIDTH, HEIGHT)).pixels


_PAINTERS: Mapping[str, Callable[[np.random.Generator, int], Pixels]] = MappingProxyType(
    {
        "noise": _noise,
        "things": _things,
        "page": _page,
        "bare skin": _skin,
        "clinical": _clinical,
        "dermoscopy": _dermoscopy,
    }
)

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "noise": "noise, every pixel by itself",
        "things": "flat coloured shapes",
        "page": "letters on paper",
        "bare skin": "drawn skin without a lesion",
        "clinical": "drawn skin with a small lesion, as a camera at arm's length sees it",
        "dermoscopy": "drawn dermoscopy of the eight diagnoses",
    }
)
"""What is drawn, by name."""


def drawn(kind: str, count: int, folder: Path) -> list[Path]:
    """Files of `count` pictures of a kind, written as PNG where they are not there; the same every time.

    Raises InputError for a kind that there is not.
    """
    if kind not in _PAINTERS:
        raise InputError(f"no pictures of the kind {kind!r}; there are {', '.join(KINDS)}")
    out = []
    for number in range(count):
        path = folder / f"{kind.replace(' ', '-')}-{number:03d}.png"
        if not path.exists():
            pixels = _PAINTERS[kind](np.random.default_rng([number, *kind.encode()]), number)
            write_file(path, cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
        out.append(path)
    return out
