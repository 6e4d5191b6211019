"""Views: the framings of one picture whose predictions are averaged."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import InputError, ValueRuleError, some
from dermoscope.data.crop import Frame, frame_matrix, warp

View = dict[str, float]

VIEWS: tuple[View, ...] = tuple(
    {"zoom": zoom, "angle": float(angle), "flip": float(flip)}
    for zoom in (1.0, 1.2)
    for angle, flip in ((0, 0), (180, 1), (90, 0), (270, 1), (180, 0), (0, 1), (270, 0), (90, 1))
)
"""All views in the order in which `--views N` takes them: turns and flips of the centre square, then closer ones."""


def first_views(count: int) -> tuple[View, ...]:
    """The first `count` views. Raises InputError outside 1 to 16."""
    if not 1 <= count <= len(VIEWS):
        raise InputError(f"{count} views per image: give 1 to {len(VIEWS)}")
    return VIEWS[:count]


def check_view(view: View) -> None:
    """Raise ValueRuleError for a view of other names than `zoom`, `angle` and `flip`, or numbers that frame nothing."""
    strange = set(view) - {"zoom", "angle", "flip"}
    if strange:
        raise ValueRuleError(f"views: there is no {some(sorted(strange))}, only zoom, angle and flip")
    if not (np.isfinite(list(view.values())).all() and view.get("zoom", 1.0) > 0):
        raise ValueRuleError(f"views: {view} frames nothing; the zoom must be above 0 and every number finite")


def frame_of(view: View) -> Frame:
    """A view as `data/crop.py` frames it."""
    return Frame(view.get("zoom", 1.0), view.get("angle", 0.0), bool(view.get("flip", 0)))


def cut(
    pixels: UInt8[np.ndarray, "height width 3"], size: int, views: Sequence[View]
) -> UInt8[np.ndarray, "views size size 3"]:
    """Each view of a picture as a square of `size` px."""
    shape = pixels.shape[:2]
    frames = [frame_matrix(shape, size, frame_of(v)) for v in views]
    return np.stack([warp(pixels, frame, size) for frame in frames])
