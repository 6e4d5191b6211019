"""Contact sheets: every tile where it belongs, as it was."""

import time

import cv2
import numpy as np
import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.report.contact import contact_sheet


def _read(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]


def _plain(colour: tuple[int, int, int], height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def test_tiles_stand_in_rows_and_keep_colour_and_aspect() -> None:
    red, green, blue = _plain((200, 30, 30), 100, 200), _plain((30, 200, 30), 50, 50), _plain((30, 30, 200), 400, 200)
    sheet = _read(contact_sheet([("first", [("a", red), ("b", green)]), ("second", [("c", blue)])], side=100))
    shown = sheet.astype(int)
    masks = [(np.abs(shown - colour).sum(axis=2) < 40) for colour in ((200, 30, 30), (30, 200, 30), (30, 30, 200))]
    boxes = [(np.ptp(np.nonzero(m)[0]) + 1, np.ptp(np.nonzero(m)[1]) + 1) for m in masks]
    assert [tuple(np.round(box, -1)) for box in boxes] == [(50, 100), (100, 100), (100, 50)]
    tops, lefts = zip(*[(np.nonzero(m)[0].min(), np.nonzero(m)[1].min()) for m in masks], strict=True)
    assert abs(tops[0] - tops[1]) <= 1 < tops[2] - tops[0]
    assert lefts[1] > lefts[0] + 100
    assert abs(lefts[2] - lefts[0]) <= 1


def test_words_are_written_and_cut_to_their_place() -> None:
    tile = _plain((255, 255, 255), 60, 60)
    empty, written = (_read(contact_sheet([(word, [(word, tile)])], side=60)) for word in ("", "näevus – " * 40))
    assert empty.shape == written.shape
    assert empty.min() > 240
    assert written.min() < 120
    assert written[:, -4:].min() > 240


def test_no_picture_is_no_sheet() -> None:
    with pytest.raises(ValueRuleError, match="0 pictures"):
        contact_sheet([("none", [])])


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((20, 20, 3), 0.5),
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((0, 20, 3), np.uint8),
        np.ones((20, 20, 3), bool),
    ],
)
def test_a_tile_that_is_no_picture_is_named(pixels: np.ndarray) -> None:
    with pytest.raises(ValueRuleError, match=r"tile 'odd' is .*; give uint8 \[height, width, 3\]"):
        contact_sheet([("row", [("odd", pixels)])])


def test_a_sheet_that_no_jpeg_can_hold() -> None:
    tile = ("", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueRuleError, match=r"a contact sheet of 100808 x 212 px; a JPEG has at most 65500"):
        contact_sheet([("", [tile] * 600)])
    with pytest.raises(ValueRuleError, match=r"a contact sheet of 176 x 122408 px"):
        contact_sheet([("", [tile])] * 600)
    with pytest.raises(ValueRuleError, match="tiles of 0 px"):
        contact_sheet([("", [tile])], side=0)


def test_a_caption_without_end_is_cut_at_once() -> None:
    begun = time.thread_time()
    contact_sheet([("x" * 20_000, [("y" * 20_000, _plain((9, 9, 9), 60, 60))])], side=60)
    assert time.thread_time() - begun < 2
