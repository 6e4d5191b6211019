"""Contact sheets: every tile where it belongs, as it was."""

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
