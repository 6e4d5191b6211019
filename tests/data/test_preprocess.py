"""Steps before framing: their text, their values, and what every one of them promises."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermoscope.core.errors import RecipeError
from dermoscope.data.preprocess import (
    STEPS,
    Step,
    decode_at,
    parse_steps,
    prepare,
    steps_as_json,
    steps_from_json,
)
from dermoscope.data.synthetic import draw

LESION = draw(3, "NV", (225, 168)).pixels
ALL = (*STEPS, "trim_border=0.05/inside", "pad=mirror", "pad=mean")


def run(pixels: np.ndarray, text: str) -> np.ndarray:
    return prepare(pixels, parse_steps(text))


def test_text_becomes_steps_with_all_parameters() -> None:
    steps = parse_steps("trim_border, shave=9,pad=mirror,trim_border=0.1/inside")
    assert [s.name for s in steps] == ["trim_border", "shave", "pad", "trim_border"]
    assert dict(steps[0].parameters) == {"fuzz": 0.05, "field": "around"}
    assert dict(steps[1].parameters) == {"px": 9.0}
    assert [s.text for s in steps] == ["trim_border", "shave=9", "pad=mirror", "trim_border=0.1/inside"]
    assert parse_steps("") == parse_steps(()) == ()
    assert parse_steps(["shave", "pad"]) == parse_steps("shave,pad")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sharpen", "no preprocessing step 'sharpen'; there are trim_border, shave, crop_logos, pad, shades_of_grey"),
        ("shave=-1", r"step shave: px='-1'; it must be 0 to 100"),
        ("shave=much", r"step shave: px='much'; it must be 0 to 100"),
        ("shave=nan", r"step shave: px='nan'; it must be 0 to 100"),
        ("pad=red", r"step pad: fill='red'; it must be one of black, mirror, mean"),
        ("shave=7/8", r"step 'shave=7/8': 2 values, and shave has the parameters px"),
        ("shave=", r"step shave: px=''; it must be 0 to 100"),
    ],
)
def test_what_is_not_allowed_is_named(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_steps(text)


def test_steps_travel_as_json() -> None:
    steps = parse_steps(",".join(ALL))
    assert steps_from_json(json.loads(json.dumps(steps_as_json(steps)))) == steps
    assert steps_as_json(parse_steps("shave")) == [{"name": "shave", "parameters": {"px": 7.0}}]
    with pytest.raises(RecipeError, match="step pad has no parameter colour; it has fill"):
        Step("pad", {"colour": "red"})
    for broken in ("shave", ["shave"], [{"name": "shave"}], [{"name": "shave", "parameters": 7}], None):
        with pytest.raises(RecipeError, match="a list of objects with `name` and `parameters` is needed"):
            steps_from_json(broken)


def test_no_step_no_change() -> None:
    assert prepare(LESION, ()) is LESION
    assert decode_at(224, ()) == 224
    assert decode_at(224, parse_steps("shave")) == 448


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (16, 16), (17, 300), (70, 70)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_of_one_grey_is_handed_on(text: str, shape: tuple[int, int], value: int) -> None:
    pixels = np.full((*shape, 3), value, np.uint8)
    out = run(pixels, text)
    assert out.dtype == np.uint8
    if text == "shave":
        assert (out == value).all()
    elif text.startswith("pad") and shape[0] != shape[1]:
        assert out.shape == (max(shape), max(shape), 3)
    else:
        np.testing.assert_array_equal(out, pixels)


def test_a_picture_of_one_colour_keeps_it() -> None:
    pixels = np.full((80, 80, 3), (200, 140, 120), np.uint8)
    for text in ALL:
        assert (run(pixels, text) == (200, 140, 120)).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 140), st.integers(1, 140), st.integers(0, 2**32 - 1), st.sampled_from(ALL), st.sampled_from([1, 8])
)
def test_any_picture_gives_a_picture(height: int, width: int, seed: int, text: str, grain: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // grain), -(-width // grain), 3)) * (rng.random() < 0.8)
    pixels = np.repeat(np.repeat(coarse, grain, 0), grain, 1)[:height, :width].astype(np.uint8)
    before = pixels.copy()
    out = run(pixels, text)
    assert out.dtype == np.uint8
    assert out.ndim == 3
    assert out.shape[2] == 3
    assert min(out.shape[:2]) >= min(16, height, width)
    np.testing.assert_array_equal(pixels, before)  # the picture that was given stays as it was
    np.testing.assert_array_equal(run(pixels, text), out)
    if text == "trim_border" or text.startswith("pad"):
        np.testing.assert_array_equal(run(out, text), out)


def framed(pixels: np.ndarray, top: int, bottom: int, left: int, right: int, level: int = 0) -> np.ndarray:
    frame = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(level,) * 3)
    noise = np.random.default_rng(0).integers(0, 4, frame.shape)
    noise[top : top + len(pixels), left : left + pixels.shape[1]] = 0
    return (frame + noise).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 9, 25])
def test_a_black_frame_is_cut_off(level: int) -> None:
    np.testing.assert_array_equal(run(framed(LESION, 12, 30, 21, 8, level), "trim_border"), LESION)


def test_what_has_no_frame_is_not_trimmed() -> None:
    assert run(LESION, "trim_border") is LESION
    assert run(LESION, "trim_border=0.05/inside") is LESION


def round_field(width: int, height: int, radius: float, squeeze: float = 1.0) -> np.ndarray:
    y, x = np.indices((height, width))
    inside = np.hypot((x - width / 2) / squeeze, y - height / 2) <= radius
    return (cv2.resize(LESION, (width, height)) * inside[..., None]).astype(np.uint8)


def test_a_round_field_is_cut_around_or_inside() -> None:
    picture = round_field(300, 200, 80)
    around, inside = run(picture, "trim_border"), run(picture, "trim_border=0.05/inside")
    assert around.shape[0] == pytest.approx(161, abs=4)
    assert around.shape[1] == pytest.approx(161, abs=4)
    assert inside.shape[0] == pytest.approx(161 * np.sqrt(0.5), abs=3)
    assert inside.shape[1] == pytest.approx(161 * np.sqrt(0.5), abs=3)
    assert inside.max(axis=2).min() > 12  # no black corner is left
    assert (around.max(axis=2) <= 12).mean() == pytest.approx(1 - np.pi / 4, abs=0.02)


def test_a_field_that_the_picture_cuts_keeps_its_width() -> None:
    # radius 120 in a height of 200: above and below the circle is cut off
    inside = run(round_field(300, 200, 120), "trim_border=0.05/inside")
    assert inside.max(axis=2).min() > 12
    assert inside.shape[0] == pytest.approx(2 * 120 * np.sqrt(0.5), abs=4)


def test_a_squeezed_field_is_an_ellipse() -> None:
    inside = run(round_field(256, 256, 120, squeeze=0.75), "trim_border=0.05/inside")
    assert inside.max(axis=2).min() > 12
    assert inside.shape[0] == pytest.approx(240 * np.sqrt(0.5), abs=4)
    assert inside.shape[1] == pytest.approx(180 * np.sqrt(0.5), abs=4)


def test_shaving_is_in_proportion() -> None:
    pixels = np.arange(450 * 600 * 3, dtype=np.uint32).astype(np.uint8).reshape(450, 600, 3)
    np.testing.assert_array_equal(run(pixels, "shave"), pixels[7:-7, 7:-7])
    half = pixels[:225, :300].copy()
    np.testing.assert_array_equal(run(half, "shave"), half[4:-4, 4:-4])  # 3.5 px
    assert run(half, "shave=0") is half
    assert run(pixels[:17, :17], "shave=100").shape == (17, 17, 3)  # too little would be left


def test_padding_keeps_the_picture_in_the_middle() -> None:
    out = run(LESION, "pad")
    assert out.shape == (225, 225, 3)
    np.testing.assert_array_equal(out[28:196], LESION)
    assert out[:28].max() == out[196:].max() == 0
    np.testing.assert_array_equal(run(LESION, "pad=mirror")[27], LESION[1])
    assert (run(LESION, "pad=mean")[0] == LESION.reshape(-1, 3).mean(axis=0).round()).all()
    assert run(LESION[:168, :168], "pad").shape == (168, 168, 3)


def test_a_strip_is_reduced_before_it_is_padded() -> None:
    assert run(np.full((20, 9000, 3), 90, np.uint8), "pad").shape == (4096, 4096, 3)
