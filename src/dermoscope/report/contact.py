"""A contact sheet: pictures in rows, each with a caption, and a heading above each row."""

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from dermoscope.core.errors import ValueRuleError

Pixels = UInt8[np.ndarray, "height width 3"]

MOST_TILES, MOST_SIDE = 2000, 65_500
"""Pictures on a sheet, and the px that a JPEG can have on a side."""
_GAP, _HEADING, _CAPTION = 8, 26, 18
"""Pixels between tiles, above a row for its heading, below a tile for its caption."""
_INK, _SOFT, _PAPER = (40, 35, 30), (107, 99, 91), 255
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def contact_sheet(rows: Sequence[tuple[str, Sequence[tuple[str, Pixels]]]], *, side: int = 160) -> bytes:
    """A JPEG of rows, each a heading and its tiles as (caption, RGB uint8); a tile fits into `side` x `side` px.

    Pictures keep their aspect. Text is cut where it is longer than its place; letters beyond ASCII are written without
    their marks. Raises ValueRuleError where there is no picture, or more than `MOST_TILES`; for a tile that is no RGB
    picture of uint8; for a `side` below 1, or a sheet that is larger than a JPEG can be.
    """
    tiles = sum(len(row) for _, row in rows)
    if not 0 < tiles <= MOST_TILES:
        raise ValueRuleError(f"a contact sheet of {tiles} pictures; it holds 1 to {MOST_TILES}")
    if side < 1:
        raise ValueRuleError(f"a contact sheet with tiles of {side} px; give 1 or more")
    width = _GAP + max(len(row) for _, row in rows) * (side + _GAP)
    heights = [_HEADING + max((_size(tile, side)[1] for tile in row), default=0) + _CAPTION for _, row in rows]
    if max(width, sum(heights) + _GAP) > MOST_SIDE:
        raise ValueRuleError(
            f"a contact sheet of {width} x {sum(heights) + _GAP} px; a JPEG has at most {MOST_SIDE} on a side: give "
            "fewer pictures or smaller tiles"
        )
    parts = [_row(heading, row, side, width) for heading, row in rows]
    sheet = np.concatenate([*parts, np.full((_GAP, width, 3), _PAPER, np.uint8)])
    done, coded = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return bytes(coded.tobytes())


def _row(heading: str, tiles: Sequence[tuple[str, Pixels]], side: int, width: int) -> Pixels:
    pictures = [_fitted(tile, side) for tile in tiles]
    tall = max((len(picture) for picture in pictures), default=0)
    out = np.full((_HEADING + tall + _CAPTION, width, 3), _PAPER, np.uint8)
    _write(out, heading, (_GAP, _HEADING - 8), width - 2 * _GAP, (0.48, _INK))
    for k, (picture, (caption, _)) in enumerate(zip(pictures, tiles, strict=True)):
        left = _GAP + k * (side + _GAP)
        out[_HEADING : _HEADING + len(picture), left : left + picture.shape[1]] = picture
        _write(out, caption, (left, _HEADING + len(picture) + _CAPTION - 5), side, (0.36, _SOFT))
    return out


def _size(tile: tuple[str, Pixels], side: int) -> tuple[int, int]:
    """Width and height of a tile on the sheet."""
    caption, pixels = tile
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueRuleError(f"tile {caption!r} is {pixels.dtype} {pixels.shape}; give uint8 [height, width, 3]")
    scale = side / max(pixels.shape[:2])
    return max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))


def _fitted(tile: tuple[str, Pixels], side: int) -> Pixels:
    smaller = side < max(tile[1].shape[:2])
    return cv2.resize(tile[1], _size(tile, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _write(out: Pixels, text: str, at: tuple[int, int], most: int, look: tuple[float, tuple[int, int, int]]) -> None:
    scale, colour = look
    text = _plain(text)[:most]  # no letter is narrower than a pixel
    while text and cv2.getTextSize(text, _FONT, scale, 1)[0][0] > most:
        text = text[:-1]
    cv2.putText(out, text, at, _FONT, scale, colour, 1, cv2.LINE_AA)


def _plain(text: str) -> str:
    """ASCII: what the letters of OpenCV have."""
    signs = {"−": "-", "–": "-", "×": "x", "→": "->", "…": "..."}
    told = "".join(signs.get(letter, letter) for letter in text)
    return unicodedata.normalize("NFKD", told).encode("ascii", "ignore").decode()
