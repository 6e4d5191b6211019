"""Colour constancy and hair, on drawn pictures where the truth is known."""

import cv2
import numpy as np
import pytest

from dermoscope.data.preprocess_surface import hair_mask, remove_hair, shades_of_grey
from dermoscope.data.synthetic import draw
from dermoscope.data.synthetic_skin import curve, strokes


def light(pixels: np.ndarray, p: float) -> np.ndarray:
    e = ((pixels / 255.0) ** p).mean(axis=(0, 1)) ** (1 / p)
    return e / np.linalg.norm(e)


@pytest.mark.parametrize("p", [1.0, 6.0])
def test_the_light_is_grey_afterwards(p: float) -> None:
    dim = (draw(4, "MEL", (150, 120)).pixels * 0.6).astype(np.uint8)  # nothing runs into white
    assert np.abs(light(dim, p) - np.sqrt(1 / 3)).max() > 0.03
    np.testing.assert_allclose(light(shades_of_grey(dim, p), p), np.sqrt(1 / 3), atol=0.005)


def test_a_tint_is_taken_out() -> None:
    plain = (draw(4, "NV", (150, 120)).pixels * 0.6).astype(np.uint8)
    tinted = np.rint(plain * np.array([1.0, 0.8, 0.9])).astype(np.uint8)
    apart = np.abs(shades_of_grey(plain).astype(float) - shades_of_grey(tinted))
    # the same but for brightness, which the scaling of the light to unit length leaves
    ratio = shades_of_grey(plain).astype(float).mean() / shades_of_grey(tinted).mean()
    assert np.abs(shades_of_grey(plain) - ratio * shades_of_grey(tinted)).max() < 4
    assert apart.max() < 40


def test_by_hand() -> None:
    pixels = np.array([[[200, 100, 100], [0, 0, 0]]], np.uint8)
    # light (2, 1, 1) / sqrt 6 for p = 1: gains sqrt(2) * (1/2, 1, 1)
    np.testing.assert_array_equal(shades_of_grey(pixels, 1.0)[0, 0], [141, 141, 141])
    np.testing.assert_array_equal(shades_of_grey(pixels, 1.0)[0, 1], [0, 0, 0])


def test_a_channel_without_light_is_left() -> None:
    pixels = np.array([[[200, 100, 0], [10, 20, 0]]], np.uint8)
    assert shades_of_grey(pixels) is pixels


def skin_with_hairs(size: int, count: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Skin with a soft lesion, the same with hairs, and where they lie."""
    rng = np.random.default_rng(1)
    y, x = np.indices((size, size)) / size - 0.5
    lesion = np.exp(-((np.hypot(x, y) / 0.2) ** 4))[..., None]
    skin = np.array([215, 165, 150]) - lesion * np.array([90, 95, 90]) + rng.normal(0, 2, (size, size, 1))
    lines = [
        (curve(rng, tuple(rng.uniform(0.1, 0.9, 2) * size), rng.uniform(0, 6), 0.7 * size, 0.05), 0.008 * size)
        for _ in range(count)
    ]
    hair = strokes((size, size), lines)[..., None]
    return skin.astype(np.uint8), (skin * (1 - hair) + 40 * hair).astype(np.uint8), hair[..., 0] > 0.5


@pytest.mark.parametrize("size", [224, 450, 1400])
def test_hairs_are_painted_over(size: int) -> None:
    clean, hairy, where = skin_with_hairs(size)
    out = remove_hair(hairy)
    before = np.abs(hairy.astype(float) - clean)[where].mean()
    after = np.abs(out.astype(float) - clean)[where].mean()
    assert before > 40
    assert after < 0.25 * before
    unchanged = (out == hairy).all(axis=2)
    assert unchanged[~cv2.dilate(where.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool)].mean() > 0.97


def test_without_hairs_nothing_is_painted() -> None:
    clean, _, _ = skin_with_hairs(300)
    assert remove_hair(clean) is clean


def test_a_pigment_network_is_no_hair() -> None:
    # dark meshes of a twentieth of the picture: every run is shorter than a hair
    y, x = np.indices((300, 300))
    dots = (np.hypot((x % 15) - 7, (y % 15) - 7) < 3.2).astype(np.float32)
    pixels = (200 - 90 * cv2.GaussianBlur(dots, (0, 0), 0.8)[..., None] * np.ones(3)).astype(np.uint8)
    assert hair_mask(pixels).mean() < 0.01
