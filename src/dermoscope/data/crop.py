"""Geometry in one affine matrix: which square of a picture becomes the network's input.

Training (random) and prediction (fixed views) share these two functions, so that what a model sees while it learns and
while it serves is cut in the same way.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

SHRINK_LIMIT = 1.5
LONGEST_SIDE = 32_000
"""`cv2.warpAffine` refuses sources of 32,767 px and more (OpenCV 4), which a scan of a strip may have."""


@dataclass(frozen=True)
class Frame:
    """Which square of a picture is seen, and how; with all defaults the largest one in its centre.

    `zoom` above 1 comes closer, below 1 shows more than that square; `angle` and `shear` are in degrees; `aspect`
    stretches width against height; `shift` moves the centre, as a share of the square's side.
    """

    zoom: float = 1.0
    angle: float = 0.0
    flip: bool = False
    aspect: float = 1.0
    shear: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)


CENTRED = Frame()


def frame_matrix(shape: tuple[int, int], size: int, frame: Frame = CENTRED) -> Float[np.ndarray, "2 3"]:
    """Affine matrix from pixels of a `size` x `size` square to pixels of a picture of `shape` (height, width)."""
    height, width = shape
    side = min(height, width) / frame.zoom
    scale = side / size
    turn, slant = math.radians(frame.angle), math.tan(math.radians(frame.shear))
    stretch = math.sqrt(frame.aspect)
    linear = (
        scale
        * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        @ np.array([[1.0, slant], [0.0, 1.0]])
        @ np.diag([stretch * (-1.0 if frame.flip else 1.0), 1.0 / stretch])
    )
    centre_out = (size - 1) / 2
    centre_in = np.array([(width - 1) / 2 + frame.shift[0] * side, (height - 1) / 2 + frame.shift[1] * side])
    offset = centre_in - linear @ np.array([centre_out, centre_out])
    return np.column_stack([linear, offset])


def warp(
    pixels: UInt8[np.ndarray, "height width 3"], matrix: Float[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """The square that `matrix` cuts out of a picture; anti-aliased where it shrinks, mirrored beyond the border.

    `cv2.warpAffine` samples without a filter, so a picture that shrinks by more than 1.5 is area-averaged first.
    """
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale > SHRINK_LIMIT:
        height, width = pixels.shape[:2]
        small = (max(1, round(width / scale)), max(1, round(height / scale)))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
        ratio = np.array([small[0] / width, small[1] / height])
        # pixel centres: x' + 0.5 = (x + 0.5) * ratio
        matrix = matrix * ratio[:, None]
        matrix[:, 2] += 0.5 * ratio - 0.5
    if max(pixels.shape[:2]) > LONGEST_SIDE:
        pixels, matrix = _window(pixels, matrix, size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(pixels, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _window(
    pixels: UInt8[np.ndarray, "height width 3"], matrix: Float[np.ndarray, "2 3"], size: int
) -> tuple[UInt8[np.ndarray, "rows columns 3"], Float[np.ndarray, "2 3"]]:
    """The part of a picture that `matrix` reads, and the matrix that reads the same from it."""
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ matrix.T
    limits = np.array([pixels.shape[1], pixels.shape[0]])
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, limits - 1).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 3, low + 1, limits).astype(int)
    moved = matrix.copy()
    moved[:, 2] -= low
    return pixels[low[1] : high[1], low[0] : high[0]], moved
