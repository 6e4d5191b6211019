"""How good a picture is, in named figures: focus, exposure, dark corners, hair, ink, rulers, coloured things.

They are measured on a copy whose shorter side has 128 px, so that they compare pictures and not their sizes, and a
picture that was decoded small gives what the whole one gives. What is too much of a figure `refine/quality.py` decides;
what the figures see and what they miss was measured: `docs/concepts/quality.md`.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from dermoscope.data.preprocess_edges import NEARLY_BLACK
from dermoscope.data.preprocess_surface import hair_mask
from dermoscope.data.properties import COMMON_SIDE, at_common_size
from dermoscope.predict.marks import installed, marks_at_common_size

Pixels = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]

FIGURES = ("width", "height", "blur", "luminance", "bright", "dark_corners", "hair", "ink", "ruler", "coloured")
"""The names of all figures, in the order of `quality_of`."""

DECODE_AT = COMMON_SIDE
"""The shorter side (px) that a picture must at least be decoded at for its figures to be those of the whole."""

HALF_BLURRED = 25.0
"""Variance of the Laplacian (grey levels squared) at which `blur` is 0.5."""

BURNT = 250
"""Level from which a channel has lost what was bright."""

_UNLIKE_SKIN, _COLOURED = 18, 50
"""How far beyond the skin in CIELAB a pixel is blue or green to be coloured, and how light (of 255)."""

_EDGE = 9
"""Width in px of the surroundings of ink that are its edge, and nothing else that is blue."""

_RIM = 5
"""Width in px of the surroundings of dark corners whose edge is no detail of the lesion."""


def quality_of(pixels: Pixels, width: int, height: int) -> dict[str, float]:
    """Quality figures of a decoded picture of an original of `width` x `height` px, by the names of `FIGURES`.

    `width`, `height`: px of the original. All others are in [0, 1]:
    `blur`: 0 for a picture full of detail to 1 for one without any, 25 / (25 + v), v the variance of the Laplacian of
    the grey picture (Pech-Pacheco et al. 2000) outside dark corners.
    `luminance`: grey level that nine tenths of the picture do not exceed; skin, and no lesion, corner or fleck.
    `bright`: share of the picture that is burnt out, at least two channels at 250 of 255 or more.
    `dark_corners`: share of the picture that is black and joined to a corner.
    `hair`: share under dark hairs, and a little around them, as `remove_hair` finds them (after Lee et al. 1997).
    `ink`, `ruler`: share under the violet marks of a pen, and under a scale or ruler, as `predict/marks.py` finds them.
    `coloured`: share bluer or greener than the skin of the picture by 18 in CIELAB and no ink: patches, gloves, cloth.
    `ink` and `ruler` are left out where the bundled weights, which hold the network, are not installed. Raises
    BundleError where it is damaged.
    """
    small = at_common_size(pixels)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    corners = _dark_corners(small)
    field = ~cv2.dilate(corners.astype(np.uint8), np.ones((_RIM, _RIM), np.uint8)).astype(bool)
    marks = marks_at_common_size(small) if installed() else {}
    coloured = _coloured(small, grey) & field
    return {
        "width": float(width),
        "height": float(height),
        "blur": _blur(grey, field),
        "luminance": float(np.quantile(grey, 0.9)) / 255,
        "bright": float(_burnt(small).mean()),
        "dark_corners": float(corners.mean()),
        "hair": float((hair_mask(small) & field).mean()),
        **{kind: float((mask & field).mean()) for kind, mask in marks.items()},
        "coloured": float((coloured & ~_around(marks["ink"]) if marks else coloured).mean()),
    }


def _blur(grey: UInt8[np.ndarray, "height width"], field: Mask) -> float:
    detail = cv2.Laplacian(grey, cv2.CV_32F)[field]
    variance = float(detail.var()) if detail.size else 0.0
    return HALF_BLURRED / (HALF_BLURRED + variance)


def _burnt(small: Pixels) -> Mask:
    red, green, blue = (channel >= BURNT for channel in cv2.split(small))
    return np.asarray((red & green) | (red & blue) | (green & blue))


def _dark_corners(small: Pixels) -> Mask:
    """Nearly black pixels from which nearly black ones lead to a corner: a black lesion elsewhere is none."""
    red, green, blue = cv2.split(small)
    dark = (cv2.max(cv2.max(red, green), blue) <= NEARLY_BLACK).astype(np.uint8)
    _, labels = cv2.connectedComponents(dark, connectivity=4)
    joined = np.zeros(labels.max() + 1, bool)
    joined[labels[[0, 0, -1, -1], [0, -1, 0, -1]]] = True
    joined[0] = False  # what is not dark
    return np.asarray(joined[labels])


def _coloured(small: Pixels, grey: UInt8[np.ndarray, "height width"]) -> Mask:
    """Bluer or greener than the lighter half of the picture, where that is the skin.

    The colour of the light is allowed for where it makes the skin itself blue or green, and only there.
    """
    lightness, *colours = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2LAB))
    lighter = cv2.compare(grey, float(np.median(grey)), cv2.CMP_GE)
    unlike = np.zeros(grey.shape, bool)
    for channel in colours:  # 128 is neutral, less is green or blue
        skin = min(128.0, _median(channel, lighter))
        unlike |= channel < skin - _UNLIKE_SKIN
    return np.asarray(unlike & (lightness >= _COLOURED))


def _around(mask: Mask) -> Mask:
    """A mask and what is next to it: the network sees ink in cells of 2 px, and not its faint edge."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((_EDGE, _EDGE), np.uint8)).astype(bool)


def _median(levels: UInt8[np.ndarray, "height width"], mask: UInt8[np.ndarray, "height width"]) -> int:
    counts = cv2.calcHist([levels], [0], mask, [256], [0, 256]).ravel().cumsum()
    return int(np.searchsorted(counts, counts[-1] / 2))
