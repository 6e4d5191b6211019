"""Limits of image quality: which figure is a problem, and which problem blocks an answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.errors import ValueRuleError
from dermoscope.refine.quality import CODES, Problem, QualityLimits, problems

GOOD = {
    "width": 600.0,
    "height": 450.0,
    "blur": 0.2,
    "luminance": 0.6,
    "bright": 0.0,
    "dark_corners": 0.0,
    "hair": 0.0,
    "ink": 0.0,
    "ruler": 0.0,
    "coloured": 0.0,
}
LIMITS = QualityLimits(100.0, 0.5, 0.2, 0.1, 0.2, 0.1, 0.02, 0.03, 0.04)
BAD = {
    "too_small": ({"height": 99.0}, 99.0, 100.0),
    "blurred": ({"blur": 0.51}, 0.51, 0.5),
    "too_dark": ({"luminance": 0.19}, 0.19, 0.2),
    "too_bright": ({"bright": 0.11}, 0.11, 0.1),
    "dark_corners": ({"dark_corners": 0.21}, 0.21, 0.2),
    "hair": ({"hair": 0.11}, 0.11, 0.1),
    "ink": ({"ink": 0.021}, 0.021, 0.02),
    "ruler": ({"ruler": 0.031}, 0.031, 0.03),
    "coloured": ({"coloured": 0.041}, 0.041, 0.04),
}


def test_a_good_image_has_no_problem() -> None:
    assert problems(GOOD) == problems(GOOD, LIMITS) == ()


@pytest.mark.parametrize("code", CODES)
def test_each_figure_beyond_its_limit_is_one_problem(code: str) -> None:
    changed, value, limit = BAD[code]
    blocks = code in ("too_small", "blurred", "too_dark", "too_bright")
    assert problems(GOOD | changed, LIMITS) == (Problem(code, value, limit, blocks),)


def test_a_figure_at_its_limit_is_allowed() -> None:
    at = {"width": 100.0, "height": 100.0, "blur": 0.5, "luminance": 0.2, "bright": 0.1}
    at |= {"dark_corners": 0.2, "hair": 0.1, "ink": 0.02, "ruler": 0.03, "coloured": 0.04}
    assert problems(at, LIMITS) == ()


def test_problems_come_in_the_order_of_the_codes() -> None:
    everything = GOOD | {name: value for changed, _, _ in BAD.values() for name, value in changed.items()}
    assert [p.code for p in problems(everything, LIMITS)] == list(CODES)


def test_limits_of_an_older_bundle_judge_the_newer_figures_too() -> None:
    said = {"smallest_side": 100.0, "blur": 0.73, "darkest": 0.3, "bright": 0.25, "dark_corners": 0.1, "hair": 0.25}
    limits = QualityLimits(**said, ink=0.005, blocking=("too_small",))
    assert [p.code for p in problems(GOOD | {"ruler": 0.5, "coloured": 0.5}, limits)] == ["ruler", "coloured"]
    assert not any(p.blocks for p in problems(GOOD | {"ruler": 0.5, "coloured": 0.5}))


def test_what_was_not_measured_is_not_judged() -> None:
    assert problems({}) == ()
    assert problems({"width": 600.0, "height": 450.0}) == ()
    assert [p.code for p in problems({"width": 99.0}, LIMITS)] == ["too_small"]


@pytest.mark.parametrize("figure", sorted(set(GOOD) - {"width", "height"}))
def test_a_figure_that_is_no_number_is_a_problem(figure: str) -> None:
    (found,) = problems(GOOD | {figure: math.nan}, LIMITS)
    assert math.isnan(found.value)


def test_the_blocking_codes_can_be_chosen() -> None:
    limits = QualityLimits(hair=0.1, blocking=("hair",))
    assert limits.blocking == ("hair",)
    assert [p.blocks for p in problems(GOOD | {"hair": 0.5, "height": 3.0}, limits)] == [False, True]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blur": -0.1}, "quality limit blur: -0.1; it must be a number of 0 or more"),
        ({"hair": math.nan}, "quality limit hair: nan; it must be a number of 0 or more"),
        ({"blocking": ("blury",)}, "no quality problem blury; there are too_small, too_dark, too_bright, blurred"),
    ],
)
def test_impossible_limits_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueRuleError) as error:
        QualityLimits(**wrong)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.floats(0, 1)), st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_limit_finds_no_less(quality: dict[str, float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    loose = QualityLimits(low, high, low, high, high, high, high)
    strict = QualityLimits(high, low, high, low, low, low, low)
    assert {p.code for p in problems(quality, loose)} <= {p.code for p in problems(quality, strict)}
