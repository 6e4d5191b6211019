"""Banners, patches and text at the edges of drawn pictures; the lesion is never cut."""

import cv2
import numpy as np
import pytest

from dermoscope.data.preprocess_logos import crop_logos
from dermoscope.data.synthetic import draw

DRAWN = draw(11, "NV", (400, 300))
LESION, MASK = DRAWN.pixels, DRAWN.mask


def test_a_picture_without_marks_is_handed_on() -> None:
    assert crop_logos(LESION) is LESION


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_banner_is_cut_off_with_its_text(grey: int) -> None:
    banner = np.full((30, 400, 3), grey, np.uint8)
    cv2.putText(banner, "CLINIC 20x 01.02.03", (5, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255 - grey,) * 3, 2)
    out = crop_logos(np.concatenate([banner, LESION]))
    assert 298 <= len(out) <= 300
    np.testing.assert_array_equal(out, LESION[-len(out) :])
    beside = crop_logos(np.concatenate([LESION, np.full((300, 40, 3), grey, np.uint8)], axis=1))
    assert 396 <= beside.shape[1] <= 400


@pytest.mark.parametrize("colour", [(30, 160, 60), (30, 80, 200), (120, 40, 180), (220, 220, 20)])
def test_a_vivid_patch_at_the_edge_is_cut_off(colour: tuple[int, int, int]) -> None:
    picture = LESION.copy()
    cv2.circle(picture, (6, 150), 28, colour, -1)
    out = crop_logos(picture)
    assert 355 <= out.shape[1] <= 370
    assert len(out) == 300
    assert np.abs(out.astype(int) - colour).max(axis=2).min() > 10


@pytest.mark.parametrize("ink", [(255, 255, 255), (0, 0, 0)])
def test_a_line_of_text_is_cut_off(ink: tuple[int, int, int]) -> None:
    picture = np.full((300, 400, 3), (205, 160, 150), np.uint8)
    cv2.ellipse(picture, (200, 150), (80, 60), 0, 0, 360, (110, 70, 60), -1)
    cv2.putText(picture, "SCOPE 20x", (12, 290), cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1)
    out = crop_logos(picture)
    assert 270 <= len(out) <= 282
    assert out.shape[1] == 400


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("code", ["MEL", "VASC"])
def test_no_lesion_is_cut(seed: int, code: str) -> None:
    drawn = draw(seed, code, (300, 225))
    # a lesion that reaches into the edge: the picture is cut through it
    rows = np.flatnonzero(drawn.mask.any(axis=1))
    middle = int(rows.mean())
    for picture in (drawn.pixels, drawn.pixels[: max(100, middle + 40)]):
        marked = picture.copy()
        marked[-14:, 20:60] = (30, 80, 200)
        out = crop_logos(marked)
        held = drawn.mask[: len(picture)]
        if len(out) < len(marked):
            assert held[len(out) :].sum() <= 0.05 * held.sum()


def test_a_mark_that_reaches_far_in_stays() -> None:
    picture = LESION.copy()
    picture[:130, :25] = (30, 160, 60)
    assert len(crop_logos(picture)) == 300
    assert crop_logos(LESION[:60, :60]).shape == (60, 60, 3)
