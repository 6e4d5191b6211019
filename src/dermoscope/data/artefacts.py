"""Artefacts of dermoscopy, drawn onto a picture: what a classifier must not take for the lesion.

Each was drawn to look like the real ones in ISIC 2017 and HAM10000 (`docs/concepts/artefacts.md` shows them). They are
for measuring what a model makes of them (Winkler et al. 2019 did so with ink that was real) and for training against
it; they are no photographs, and a model that is not moved by these may still be moved by others.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.data.artefacts_hair import grow_hair
from dermoscope.data.artefacts_ink import draw_ink
from dermoscope.data.artefacts_paint import Drawn, Mask, Pixels
from dermoscope.data.artefacts_ruler import draw_ruler
from dermoscope.data.artefacts_things import blow_bubbles, darken_corners, stick_patch
from dermoscope.data.artefacts_whole import cast_colour, code_coarsely, crop_closely, lose_focus, misexpose

Draw = Callable[[np.random.Generator, Pixels, float], Drawn]

LEAST_SIDE = 8
"""Shorter side in px of the smallest picture that anything is drawn on."""

_KINDS: Mapping[str, tuple[str, Draw]] = {
    "ink": ("violet marks of a surgical pen on the skin around the lesion", draw_ink),
    "ruler": ("a scale of millimetres on the plate, or a strip of paper or plastic with one", draw_ruler),
    "hair": ("hairs over skin and lesion, long or shaved to stubs", grow_hair),
    "bubbles": ("bubbles in the gel between plate and skin", blow_bubbles),
    "dark_corners": ("the round edge of the field of view, black outside", darken_corners),
    "patch": ("a round colour patch stuck on the skin, cut by the edge of the picture", stick_patch),
    "blur": ("out of focus, or moved", lose_focus),
    "exposure": ("too dark or too bright", misexpose),
    "colour_cast": ("light of another colour", cast_colour),
    "jpeg": ("coarse JPEG compression", code_coarsely),
    "crop": ("only a part of the picture; nothing is drawn", crop_closely),
}

ARTEFACTS: Mapping[str, str] = {name: says for name, (says, _) in _KINDS.items()}
"""Every artefact and what it is, in one line."""


@dataclass(frozen=True, eq=False)
class Marked:
    """A picture with an artefact: `pixels` sRGB, `mask` true where something was drawn (of the result's size)."""

    pixels: Pixels
    mask: Mask


def apply(name: str, pixels: Pixels, *, intensity: float, seed: int) -> Marked:
    """Draw one artefact of `ARTEFACTS`; the same arguments give the same picture, the one given stays as it is.

    The same to the bit with the same OpenCV and kind of machine; another OpenCV draws fine lines a little differently.

    `intensity` from 0 (the same picture, an empty mask) over faint and small to 1, as strong as real ones are; with the
    same seed it is the same artefact that grows; at the least it is already seen. All sizes follow the shorter side.
    Outside the mask no pixel changes; it is all of the picture for `blur`, `exposure`, `colour_cast` and `jpeg`, and
    empty for `crop`, whose result is smaller. Ink and patch lie beside what is darkest near the middle, as nobody marks
    the lesion itself.
    Raises ValueRuleError for an unknown name, an intensity outside [0, 1], a negative seed, or what is no RGB picture
    of uint8 with sides of 8 px or more.
    """
    if name not in _KINDS:
        raise ValueRuleError(f"no artefact {name!r}; there are {some(ARTEFACTS, 20)}")
    if not 0 <= intensity <= 1:
        raise ValueRuleError(f"intensity {intensity} of artefact {name!r}: give 0 to 1")
    if seed < 0:
        raise ValueRuleError(f"seed {seed} is negative: give 0 or more")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or min(pixels.shape[:2]) < LEAST_SIDE:
        raise ValueRuleError(
            f"artefact {name!r}: a picture of {pixels.dtype} {pixels.shape}; give uint8 [height, width, 3] with sides "
            f"of {LEAST_SIDE} px or more"
        )
    if intensity == 0:
        return Marked(pixels.copy(), np.zeros(pixels.shape[:2], bool))
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return Marked(*_KINDS[name][1](rng, np.ascontiguousarray(pixels), intensity))
