"""Geometry: which pixels of a picture become the network's input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.data import crop
from dermoscope.data.crop import Frame, frame_matrix, warp

RNG = np.random.default_rng(2)
SQUARE = RNG.integers(0, 256, (48, 48, 3), dtype=np.uint8)


def framed(pixels: np.ndarray, size: int, **frame: Any) -> np.ndarray:
    return warp(pixels, frame_matrix(pixels.shape[:2], size, Frame(**frame)), size)


def test_the_identity_changes_nothing() -> None:
    np.testing.assert_allclose(frame_matrix((48, 48), 48), [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    np.testing.assert_array_equal(framed(SQUARE, 48), SQUARE)


def test_the_square_is_the_centre_of_the_picture() -> None:
    wide = RNG.integers(0, 256, (48, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(framed(wide, 48), wide[:, 16:64])
    tall = RNG.integers(0, 256, (80, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(framed(tall, 48), tall[16:64])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("flip", [False, True])
def test_right_angles_and_flips_are_those_of_numpy(turns: int, flip: bool) -> None:
    found = framed(SQUARE, 48, angle=90.0 * turns, flip=flip)
    # the output reads the picture turned by +angle (y downwards), so the picture turns the other way
    expected = np.rot90(SQUARE, turns)
    np.testing.assert_array_equal(found, expected[:, ::-1] if flip else expected)


def test_shrinking_is_anti_aliased() -> None:
    board = np.indices((512, 512)).sum(axis=0) % 2 * 255
    fine = np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8)
    for frame in ({}, {"angle": 30.0}, {"zoom": 0.9, "shift": (0.013, 0.007)}):
        small = framed(fine, 128, **frame)
        inner = small[24:104, 24:104]
        assert abs(float(inner.mean()) - 127.5) < 3
        assert inner.std() < 6  # plain sampling would leave black and white: 127


def test_zoom_halves_what_is_seen() -> None:
    blocks = np.repeat(np.repeat(SQUARE[:16, :16], 8, axis=0), 8, axis=1)  # 128 px of 8 x 8 blocks
    near = framed(blocks, 128, zoom=2.0)
    assert near[66, 66].tolist() == framed(blocks, 128)[66, 66].tolist()
    # the corner of the closer view is a quarter of the way into the picture
    np.testing.assert_array_equal(near[2, 2], blocks[33, 33])
    matrix = frame_matrix((128, 128), 128, Frame(zoom=2.0))
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) / 2)


def test_showing_more_than_there_is_mirrors_the_border() -> None:
    far = framed(SQUARE, 48, zoom=0.5, angle=0.0)
    assert far.shape == (48, 48, 3)
    flat = np.full((40, 40, 3), (10, 200, 90), np.uint8)
    assert (framed(flat, 32, zoom=0.4, angle=20.0) == flat[0, 0]).all()


def test_the_matrix_goes_from_output_to_picture() -> None:
    matrix = frame_matrix((100, 200), 50, Frame(shift=(0.1, -0.2)))
    centre = matrix @ [24.5, 24.5, 1]
    np.testing.assert_allclose(centre, [99.5 + 10, 49.5 - 20])
    # one output pixel to the right is two picture pixels to the right
    np.testing.assert_allclose(matrix @ [25.5, 24.5, 1] - centre, [2, 0])


def test_shift_moves_the_view_to_where_it_points() -> None:
    marked = np.zeros((64, 64, 3), np.uint8)
    marked[32, 40] = 255  # right of the centre
    seen = framed(marked, 64, shift=(0.125, 0.0))
    assert np.argwhere(seen[:, :, 0] == 255).tolist() == [[32, 32]]


def test_aspect_widens_and_keeps_the_area() -> None:
    matrix = frame_matrix((64, 64), 64, Frame(aspect=1.44))
    np.testing.assert_allclose(matrix[:, :2], np.diag([1.2, 1 / 1.2]))


def test_shear_slants_what_is_upright() -> None:
    matrix = frame_matrix((64, 64), 64, Frame(shear=45.0))
    np.testing.assert_allclose(matrix[:, :2], [[1, 1], [0, 1]], atol=1e-12)


@given(
    st.integers(16, 90),
    st.integers(16, 90),
    st.integers(16, 64),
    st.floats(0.5, 2.0),
    st.floats(-180, 180),
    st.booleans(),
)
def test_every_framing_gives_the_asked_square(
    height: int, width: int, size: int, zoom: float, angle: float, flip: bool
) -> None:
    pixels = np.full((height, width, 3), 77, np.uint8)
    found = framed(pixels, size, zoom=zoom, angle=angle, flip=flip)
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    assert (found == 77).all()


@given(st.floats(0.3, 3), st.floats(-180, 180), st.floats(0.7, 1.4), st.floats(-20, 20))
def test_the_determinant_is_the_scale(zoom: float, angle: float, aspect: float, shear: float) -> None:
    matrix = frame_matrix((90, 120), 45, Frame(zoom=zoom, angle=angle, aspect=aspect, shear=shear))
    assert np.linalg.det(matrix[:, :2]) == pytest.approx((2 / zoom) ** 2)


@pytest.mark.parametrize("shape", [(40_000, 300), (16, 70_000)])
def test_pictures_longer_than_opencv_reads(shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    middle = tuple(side // 2 for side in shape)
    pixels[middle[0] - 20 : middle[0] + 20, middle[1] - 20 : middle[1] + 20] = 200
    found = framed(pixels, 64)
    assert found[32, 32].tolist() == [200, 200, 200]


@pytest.mark.parametrize("frame", [{}, {"zoom": 0.8, "angle": 33.0, "shift": (0.1, 0.05)}, {"zoom": 1.3, "flip": True}])
def test_a_window_of_a_long_picture_shows_the_same(frame: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    strip = np.cumsum(RNG.integers(0, 3, (600, 200, 3)), axis=0).astype(np.uint8)
    whole = framed(strip, 160, **frame)
    monkeypatch.setattr(crop, "LONGEST_SIDE", 300)
    # interpolation weights are fractions of 1/32 px, which an offset may round otherwise
    difference = np.abs(framed(strip, 160, **frame).astype(int) - whole)
    assert np.minimum(difference, 256 - difference).max() <= 2
