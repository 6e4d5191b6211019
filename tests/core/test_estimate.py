"""A figure with its interval, its unit and its n."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate


def test_text_and_dictionary() -> None:
    made = Estimate(0.8124, 0.79, 0.8306, "bootstrap", "lesion", 1189)
    assert made.text() == "0.812 [0.790, 0.831]"
    assert made.text(1) == "0.8 [0.8, 0.8]"
    assert made.as_dict() == {
        "value": 0.8124,
        "low": 0.79,
        "high": 0.8306,
        "method": "bootstrap",
        "unit": "lesion",
        "n": 1189,
    }
    assert Estimate.from_dict(made.as_dict()) == made


def test_without_interval_and_not_measurable() -> None:
    assert Estimate(0.5, None, None, "none", "image", 3).text() == "0.500"
    none = Estimate.not_measurable("no case of SCC", "image", 0)
    assert (none.value, none.low, none.high, none.method) == (None, None, None, "not measurable: no case of SCC")
    assert none.text() == "not measurable"


@pytest.mark.parametrize(
    ("value", "low", "high", "n", "message"),
    [
        (None, 0.1, None, 3, "an estimate without a value has no interval"),
        (None, None, 0.1, 3, "an estimate without a value has no interval"),
        (0.5, 0.6, 0.4, 3, "interval [0.6, 0.4] is upside down"),
        (0.5, 0.4, 0.6, -1, "an estimate over -1 cases"),
        (float("nan"), None, None, 3, "an estimate of nan; use not_measurable"),
        (float("inf"), None, None, 3, "an estimate of inf; use not_measurable"),
        (0.5, float("nan"), 0.6, 3, "interval [nan, 0.6] has a bound that is not a number"),
    ],
)
def test_what_an_estimate_refuses(value: float, low: float, high: float, n: int, message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        Estimate(value, low, high, "m", "image", n)
    assert str(caught.value) == message


numbers = st.none() | st.floats(-1e6, 1e6)


@given(st.floats(-10, 10), st.floats(0, 5), st.floats(0, 5), st.sampled_from(["image", "lesion", "patient"]))
def test_there_and_back(value: float, below: float, above: float, unit: str) -> None:
    made = Estimate(value, value - below, value + above, "m", unit, 7)  # type: ignore[arg-type]
    assert Estimate.from_dict(made.as_dict()) == made
