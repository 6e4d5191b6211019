"""Quality figures: each moves with what it is named after, and with nothing that it should not see."""

import io
import os
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from quality_examples import cornered, drawn, hairy, inked, lesion
from quality_limits import blurred, exposed

from dermoscope.data.images import read_image
from dermoscope.data.synthetic import draw
from dermoscope.predict.quality import DECODE_AT, FIGURES, quality_of
from dermoscope.refine.quality import problems


def measured(pixels: np.ndarray) -> dict[str, float]:
    return quality_of(pixels, pixels.shape[1], pixels.shape[0])


def moves(figure: str, pictures: list[np.ndarray], *, up: bool = True) -> list[float]:
    values = [measured(p)[figure] for p in pictures]
    assert all((b > a) is up and a != b for a, b in pairwise(values)), values
    return values


def close(one: dict[str, float], other: dict[str, float], within: dict[str, float]) -> None:
    """Equal but for the size, within so much of each figure."""
    for name in FIGURES[2:]:
        assert one[name] == pytest.approx(other[name], abs=within.get(name, 0.01)), name


def codes(pixels: np.ndarray) -> list[str]:
    return [p.code for p in problems(measured(pixels))]


def test_figures_are_named_and_flat() -> None:
    found = quality_of(lesion(), 4000, 3000)
    assert tuple(found) == FIGURES
    assert (found["width"], found["height"]) == (4000.0, 3000.0)
    assert all(type(value) is float for value in found.values())


def test_a_drawn_lesion_has_no_problem() -> None:
    assert codes(lesion()) == []


@pytest.mark.parametrize("seed", [3, 14, 25])
def test_blur_rises_with_blur(seed: int) -> None:
    own = draw(seed, size=(400, 300)).pixels
    moves("blur", [own, *(blurred(own, share) for share in (0.005, 0.01, 0.02, 0.04))])
    assert codes(blurred(own, 0.04)) == ["blurred"]


def test_luminance_falls_in_the_dark() -> None:
    own = lesion()
    moves("luminance", [own, *(exposed(own, -stops) for stops in (1, 2, 3, 4))], up=False)
    assert "too_dark" in codes(exposed(own, -4))


def test_bright_rises_in_the_light() -> None:
    own = lesion()
    assert measured(own)["bright"] == 0
    moves("bright", [exposed(own, stops) for stops in (1, 1.5, 2)])
    assert "too_bright" in codes(exposed(own, 3))


def test_one_channel_at_its_limit_is_not_burnt_out() -> None:
    pink = np.full((150, 200, 3), (255, 190, 180), np.uint8)
    assert measured(pink)["bright"] == 0


def test_dark_corners_are_the_share_of_the_vignette() -> None:
    own = lesion()
    values = moves("dark_corners", [cornered(own, radius) for radius in (0.8, 0.7, 0.6, 0.5)])
    assert values[-1] == pytest.approx(1 - np.pi * 150**2 / (400 * 300), abs=0.01)
    assert measured(own)["dark_corners"] == 0


def test_a_black_lesion_is_no_dark_corner() -> None:
    own = lesion().copy()
    cv2.circle(own, (200, 150), 60, (10, 10, 12), -1)
    assert measured(own)["dark_corners"] == 0


def test_the_edge_of_a_vignette_is_neither_detail_nor_hair() -> None:
    own = blurred(lesion(), 0.03)
    seen = measured(cornered(own, 0.55))
    assert seen["hair"] == 0
    assert seen["blur"] > 0.9


def test_hair_rises_with_hairs() -> None:
    own = lesion()
    assert measured(own)["hair"] == 0
    moves("hair", [hairy(own, count) for count in (0, 4, 16, 60)])
    assert codes(hairy(own, 60)) == ["hair"]


def test_ink_rises_with_ink() -> None:
    own = lesion()
    assert measured(own)["ink"] == 0
    moves("ink", [inked(own, count) for count in (0, 1, 4, 12)])
    assert codes(inked(own, 8)) == ["ink"]


def test_a_green_patch_is_coloured_and_bluish_light_is_not() -> None:
    own = lesion()
    patched = own.copy()
    cv2.circle(patched, (20, 280), 40, (70, 190, 160), -1)
    assert measured(patched)["coloured"] > 0.02
    assert measured(patched)["ink"] < 0.005
    assert measured(np.clip(own * np.array([0.8, 0.85, 1.15]), 0, 255).astype(np.uint8))["coloured"] == 0


def test_ink_is_not_coloured_besides() -> None:
    for seed in range(6):
        assert "coloured" not in codes(drawn("ink", lesion(), seed, 0.9)), seed


def test_ruler_rises_with_a_ruler() -> None:
    own = lesion()
    assert measured(own)["ruler"] == 0
    assert measured(drawn("ruler", own, 2, 1.0))["ruler"] > 0.005
    assert codes(drawn("ruler", own, 2, 1.0)) == ["ruler"]


def test_only_ink_sees_ink_and_only_hair_sees_hair() -> None:
    own = measured(lesion())
    assert measured(hairy(lesion(), 30))["ink"] == own["ink"]
    assert measured(inked(lesion(), 6))["hair"] < 0.05


def test_figures_do_not_depend_on_the_size() -> None:
    large = draw(12, "NV", (1200, 900)).pixels
    for picture in (large, hairy(large, 20), inked(large, 5), cornered(large, 0.6), blurred(large, 0.01)):
        whole = measured(picture)
        for width in (600, 400, 256):
            small = cv2.resize(picture, (width, width * 3 // 4), interpolation=cv2.INTER_AREA)
            close(measured(small), whole, {"blur": 0.06, "hair": 0.03})


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_figures_do_not_depend_on_the_orientation(turns: int) -> None:
    picture = cornered(inked(hairy(lesion(), 20), 5), 0.7)
    close(measured(np.ascontiguousarray(np.rot90(picture, turns))), measured(picture), {"hair": 0.02, "ink": 0.02})
    close(measured(np.ascontiguousarray(picture[:, ::-1])), measured(picture), {"hair": 0.02, "ink": 0.02})


@pytest.mark.parametrize("seed", [3, 8])
def test_a_jpeg_decoded_small_gives_the_figures_of_the_whole(seed: int) -> None:
    out = io.BytesIO()
    Image.fromarray(hairy(inked(draw(seed, size=(1200, 900)).pixels, 3), 10)).save(out, "JPEG", quality=90)
    whole = read_image(out.getvalue())
    for least in (DECODE_AT, 192):
        small = read_image(out.getvalue(), at_least=least)
        assert min(small.pixels.shape[:2]) < 300
        close(measured(small.pixels), measured(whole.pixels), {"blur": 0.06, "hair": 0.03})


shapes = st.tuples(st.integers(16, 60), st.integers(16, 60), st.just(3))


@settings(deadline=None, max_examples=60)
@given(shapes.flatmap(lambda shape: arrays(np.uint8, shape, fill=st.integers(0, 255))), st.integers(1, 6))
def test_figures_of_any_picture_are_in_range(pixels: np.ndarray, stretch: int) -> None:
    found = measured(np.repeat(pixels, stretch, axis=1))
    assert all(np.isfinite(value) for value in found.values())
    assert all(0 <= found[name] <= 1 for name in FIGURES[2:])


@pytest.mark.parametrize("level", [0, 41, 128, 255])
def test_a_picture_of_one_colour(level: int) -> None:
    found = measured(np.full((150, 200, 3), level, np.uint8))
    assert found["blur"] == 1
    assert found["dark_corners"] == float(level == 0)
    assert found["bright"] == float(level == 255)
    assert found["luminance"] == level / 255


def test_real_images_have_few_problems_and_their_degraded_copies_have_them() -> None:
    folder = os.environ.get("DERMOSCOPE_DATA")
    if not folder:
        pytest.skip("DERMOSCOPE_DATA is not set: it names the folder with the real images")
    files = sorted(Path(folder, "ham10000-224", "images").glob("*7.jpg"))[:40]
    pictures = [read_image(file).pixels for file in files]
    assert len(pictures) == 40
    assert sum(p.blocks for picture in pictures for p in problems(measured(picture))) <= 1
    assert sum("blurred" in codes(blurred(p, 0.02)) for p in pictures) >= 38
    assert sum("too_dark" in codes(exposed(p, -4)) for p in pictures) == 40
    assert sum("too_bright" in codes(exposed(p, 3)) for p in pictures) >= 38
    for picture in pictures:
        large = cv2.resize(picture, (896, 896), interpolation=cv2.INTER_CUBIC)
        out = io.BytesIO()
        Image.fromarray(large).save(out, "JPEG", quality=90)
        small, whole = (read_image(out.getvalue(), at_least=least).pixels for least in (192, 0))
        assert small.shape[:2] == (224, 224)
        close(measured(small), measured(whole), {"blur": 0.1, "hair": 0.12})
