"""Repeatability: by hand, against a plain analysis of variance, and what must not change it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.errors import ValueRuleError
from dermoscope.evaluate.repeatability import (
    COEFFICIENT,
    changed,
    gain_of_lesions,
    mean_of_lesions,
    otherwise,
    pairs_apart,
    spread,
)

LESIONS = ["a", "a", "b", "b", "b", "c", "c"]


def test_a_lesion_counts_once_however_many_pictures_it_has() -> None:
    said = ["refer", "low", "refer", "refer", "low", "low", "low"]
    found = changed(said, LESIONS)
    assert (found.value, found.n, found.unit, found.method) == (2 / 3, 3, "lesion", "wilson")
    assert otherwise(said, LESIONS).tolist() == [1, 1, 0.5, 0.5, 1, 0, 0]
    # of b's three pairs two do not agree
    apart = pairs_apart(said, LESIONS, resamples=50)
    assert apart.value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert apart.n == 3


@pytest.mark.parametrize(("said", "share"), [(["x"] * 7, 0.0), (list("xyxyzxy"), 1.0)])
def test_none_and_all_have_an_interval_too(said: list[str], share: float) -> None:
    found = pairs_apart(said, LESIONS)
    assert found.value == share
    assert found.method == "wilson"
    assert found.low != found.high


def test_what_differs_is_asked_of_numbers_too() -> None:
    said = [0.0, 1.0, 0.0, 0.4, 3.0, 5.0, 5.1]
    far = otherwise(said, LESIONS, lambda a, b: abs(a - b) > 0.5)
    assert far.tolist() == [1, 1, 0.5, 0.5, 1, 0, 0]


def test_only_the_pictures_that_are_among_them_count() -> None:
    values = np.array([1.0, 0, 0.5, 0.5, 1, 0, 0])
    among = np.array([True, True, True, False, True, False, False])
    found = mean_of_lesions(values, LESIONS, among=among, resamples=50)
    assert (found.value, found.n) == (pytest.approx((0.5 + 0.75) / 2), 2)
    nothing = mean_of_lesions(values, LESIONS, among=np.zeros(7, bool))
    assert nothing.value is None
    assert nothing.n == 0


def test_the_deviation_within_lesions_by_hand() -> None:
    values = np.array([1.0, 3, 0, 3, 6, 5, 5])
    # within: a 2, b 18, c 0 on 1 + 2 + 1 degrees of freedom
    found = spread(values, LESIONS, resamples=200)
    assert found.sd.value == pytest.approx(np.sqrt(20 / 4))
    assert found.coefficient.value == pytest.approx(1.96 * np.sqrt(2) * np.sqrt(5))
    assert found.coefficient.high == pytest.approx(COEFFICIENT * (found.sd.high or 0))
    # a plain analysis of variance: between 2 (2 - 23/7)^2 + 3 (3 - 23/7)^2 + 2 (5 - 23/7)^2 on 2
    among = (2 * (2 - 23 / 7) ** 2 + 3 * (3 - 23 / 7) ** 2 + 2 * (5 - 23 / 7) ** 2) / 2
    usual = (7 - (4 + 9 + 4) / 7) / 2
    assert found.intraclass.value == pytest.approx((among - 5) / (among + (usual - 1) * 5))


def test_two_pictures_each_are_the_formula_of_bland_and_altman() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 40))
    lesions = [f"{k}" for k in range(40)] * 2
    found = spread(np.concatenate([first, second]), lesions, resamples=20)
    assert found.sd.value == pytest.approx(np.sqrt(((first - second) ** 2).mean() / 2))


def test_the_interval_holds_what_was_drawn() -> None:
    """Of 100 samples whose deviation is known, about 95 intervals hold it, and 95 % of pairs lie in the coefficient."""
    held, beyond = 0, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        lesions = [f"{k}" for k in range(80) for _ in range(2)]
        values = np.repeat(rng.normal(0, 3, 80), 2) + rng.normal(0, 0.5, 160)
        found = spread(values, lesions, resamples=200, seed=seed)
        held += (found.sd.low or 9) <= 0.5 <= (found.sd.high or 0)
        beyond.append((np.abs(values[::2] - values[1::2]) > COEFFICIENT * 0.5).mean())
        assert (found.intraclass.value or 0) == pytest.approx(9 / 9.25, abs=0.03)
    assert 86 <= held <= 99
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.01)


def test_pictures_that_never_differ_have_no_spread() -> None:
    found = spread(np.array([1.0, 1, 4, 4]), ["a", "a", "b", "b"], resamples=20)
    assert found.sd.value == 0
    assert found.intraclass.value == 1
    flat = spread(np.ones(4), ["a", "a", "b", "b"], resamples=20)
    assert flat.intraclass.value is None


@given(st.permutations(range(7)), st.floats(-50, 50))
def test_neither_order_nor_a_constant_matters(order: list[int], constant: float) -> None:
    values = np.array([1.0, 3, 0, 3, 6, 5, 5.5])
    found = spread(values, LESIONS, resamples=2)
    moved = spread(values[order] + constant, [LESIONS[k] for k in order], resamples=2)
    for name in ("sd", "coefficient", "intraclass"):
        assert getattr(moved, name).value == pytest.approx(getattr(found, name).value)


def test_a_difference_is_paired_by_lesion() -> None:
    rng = np.random.default_rng(0)
    lesions = [f"{k // 2}" for k in range(120)]
    hard = np.repeat(rng.normal(0, 5, 60), 2)
    found = gain_of_lesions(hard + 1 + rng.normal(0, 0.1, 120), hard, lesions, resamples=500)
    assert found.estimate.value == pytest.approx(1, abs=0.05)
    assert found.estimate.n == 60
    assert found.p_value == pytest.approx(2 / 501)
    same = gain_of_lesions(hard, hard, lesions, resamples=50)
    assert (same.estimate.value, same.p_value) == (0, 1)


def test_a_lesion_of_one_picture_is_refused() -> None:
    with pytest.raises(ValueRuleError, match="one picture only: b"):
        changed(["x", "x", "y"], ["a", "a", "b"])
    with pytest.raises(ValueRuleError, match="none was given"):
        otherwise([], [])
    with pytest.raises(ValueRuleError, match="not finite"):
        spread(np.array([1.0, np.nan]), ["a", "a"])
