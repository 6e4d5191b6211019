"""Copies of one picture that show the same lesion and are no longer the same pixels."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from jaxtyping import UInt8

from dermoscope.data.crop import Frame, frame_matrix, warp

Pixels = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Copy:
    """One way to change a picture: its kind, what was done in words, and the doing."""

    kind: str
    words: str
    make: Callable[[Pixels], Pixels]


def turned(pixels: Pixels, quarters: int) -> Pixels:
    """Turned by quarters, anticlockwise; no pixel is computed anew."""
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def framed(pixels: Pixels, frame: Frame) -> Pixels:
    """The centre square framed anew at the same number of pixels; mirrored beyond the border."""
    side = min(pixels.shape[:2])
    return warp(pixels, frame_matrix(pixels.shape[:2], side, frame), side)


def cropped(pixels: Pixels, share: float) -> Pixels:
    """The middle `share` of height and width, in (0, 1]; pixels are cut off and none is computed anew."""
    height, width = pixels.shape[:2]
    tall, wide = (max(1, round(side * share)) for side in (height, width))
    top, left = (height - tall) // 2, (width - wide) // 2
    return np.ascontiguousarray(pixels[top : top + tall, left : left + wide])


def compressed(pixels: Pixels, quality: int) -> Pixels:
    """Stored as JPEG of a quality of 1 to 100 and read again."""
    done, coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    read = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert read is not None
    return np.ascontiguousarray(read[..., ::-1], np.uint8)


def shifted(pixels: Pixels, by: float) -> Pixels:
    """The centre square moved by so many pixels along both axes: what resampling alone does, for half a pixel."""
    share = by / min(pixels.shape[:2])
    return framed(pixels, Frame(shift=(share, share)))


def _copies() -> Iterator[tuple[str, Copy]]:
    for quarters in (1, 2, 3):
        angle = 90 * quarters
        yield f"turn {angle}", Copy("rotation", f"turned by {angle} degrees", partial(turned, quarters=quarters))
    for angle in (5, 15, 45):
        yield f"angle {angle}", _framed("rotation", f"turned by {angle} degrees", Frame(angle=angle))
    for zoom in (0.9, 1.1):
        yield f"zoom {zoom}", _framed("zoom", f"zoom {zoom}", Frame(zoom=zoom))
    for percent in (90, 80):
        yield f"crop {percent}", Copy("crop", f"the middle {percent} %", partial(cropped, share=percent / 100))
    for quality in (90, 70, 50):
        yield f"jpeg {quality}", Copy("JPEG", f"JPEG quality {quality}", partial(compressed, quality=quality))
    yield "half a pixel", Copy("resampling", "moved by half a pixel", partial(shifted, by=0.5))


def _framed(kind: str, words: str, frame: Frame) -> Copy:
    return Copy(kind, words, partial(framed, frame=frame))


COPIES: Mapping[str, Copy] = dict(_copies())
"""Every copy that is asked about, by name. The last is a yardstick for those that compute pixels anew."""
