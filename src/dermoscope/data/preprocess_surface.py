"""Steps over the whole picture: the colour of the light, and hairs."""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

Pixels = UInt8[np.ndarray, "height width 3"]

_WORKING = 512
"""Shorter side in px at which hairs are looked for and painted over: enough for a hair, and bounded in time."""

_LEAST = 64
"""Pictures with a shorter side below this show no hair that could be told from noise."""

_ANGLES = 12
"""Directions in which a hair is looked for."""

_LENGTH, _WIDTH = 0.1, 0.04
"""Shares of the shorter side: the straight run that a hair must have, and what is wider than a hair (DullRazor asks
for 50 and 10 px of 512)."""

_MOST = 0.4
"""Where more of a picture than this seems to be hair, it is something else, and nothing is painted."""


def shades_of_grey(pixels: Pixels, p: float = 6.0) -> Pixels:
    """Divide by the colour of the light, the Minkowski `p`-norm mean of each channel (Finlayson & Trezzi 2004).

    `p` = 1 is grey world, large `p` comes near white patch. Applied to sRGB values as they are, as Barata et al. 2015
    do on dermoscopy; the light is scaled to unit length, so a grey picture stays as it is. A picture of one colour, or
    with a channel that is black everywhere, is handed on as it is.
    """
    counts = np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)])
    if (counts > 0).sum(axis=1).max() < 2 or counts[:, 0].max() == counts[0].sum():
        return pixels
    levels = np.arange(256) / 255.0
    light = (counts @ levels**p / counts.sum(axis=1)) ** (1 / p)
    gain = np.linalg.norm(light) / (np.sqrt(3) * light)
    table = np.clip(np.rint(levels[:, None] * 255.0 * gain), 0, 255).astype(np.uint8)
    return cv2.LUT(pixels, table[:, None, :])


def remove_hair(pixels: Pixels, contrast: float = 0.06) -> Pixels:
    """Paint dark hairs over from their sides (after Lee et al. 1997, DullRazor; painting: Telea 2004).

    A hair is thin and darker than both sides by `contrast` of the full range (black-hat: closing less picture), and
    straight over a tenth of the shorter side in some direction, which the meshes of a pigment network are not. Light
    hairs stay. Pixels that are no hair keep their value.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < _LEAST:
        return pixels
    scale = min(1.0, _WORKING / min(height, width))
    size = (round(width * scale), round(height * scale))
    small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    mask = hair_mask(small, contrast)
    if not mask.any() or mask.mean() > _MOST:
        return pixels
    painted = cv2.inpaint(np.ascontiguousarray(small), mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    if scale < 1:
        painted = cv2.resize(painted, (width, height), interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR) > 0
    return np.where(mask[..., None], painted, pixels)


def hair_mask(pixels: Pixels, contrast: float = 0.06) -> Bool[np.ndarray, "height width"]:
    """Where dark hairs are, a little wider than they are."""
    shorter = min(pixels.shape[:2])
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    across = _line(max(5, round(_WIDTH * shorter)), 0.0), _line(max(5, round(_WIDTH * shorter)), 90.0)
    hollow = np.max([cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, line) for line in across], axis=0)
    thin = (hollow > contrast * 255).astype(np.uint8)
    # a hair bends a little over the run that it must have
    thin = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    length = max(9, round(_LENGTH * shorter))
    runs = [
        cv2.morphologyEx(thin, cv2.MORPH_OPEN, _line(length, 180.0 * k / _ANGLES), borderValue=0)
        for k in range(_ANGLES)
    ]
    found = cv2.dilate(np.max(runs, axis=0), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    return found.astype(bool)


def _line(length: int, angle: float) -> UInt8[np.ndarray, "rows columns"]:
    """A structuring element: a line of `length` px through the middle, `angle` in degrees."""
    half = length // 2
    out = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    dx, dy = np.cos(np.deg2rad(angle)) * half, np.sin(np.deg2rad(angle)) * half
    ends = [(round(half - sign * dx), round(half - sign * dy)) for sign in (1, -1)]
    cv2.line(out, ends[0], ends[1], 1, 1)
    return out[out.any(axis=1)][:, out.any(axis=0)]
