"""Temperature and bias, fitted and applied."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import Prediction
from dermoscope.core.taxonomy import Diagnosis, Taxonomy
from dermoscope.refine.calibrate import Calibration, fit_calibration

THREE = Taxonomy(
    "three",
    (Diagnosis("A", "first", "malignant"), Diagnosis("B", "second", "benign"), Diagnosis("C", "third", "benign")),
)


def prediction(logits: np.ndarray) -> Prediction:
    """One view per case unless three dimensions are given."""
    z = logits[:, None, :] if logits.ndim == 2 else logits
    return Prediction(tuple(f"c{k}" for k in range(len(z))), THREE, z)


def simulated(n: int, temperature: float, bias: np.ndarray) -> tuple[Prediction, np.ndarray]:
    """Logits and labels that are drawn from softmax(logits / temperature + bias)."""
    rng = np.random.default_rng(1)
    z = rng.normal(0, 3, (n, 3))
    true = z / temperature + bias
    p = np.exp(true - true.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return prediction(z), (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)


def log_loss(made: Prediction, labels: np.ndarray) -> float:
    return float(-np.log(made.probabilities().values[np.arange(len(labels)), labels]).mean())


def test_by_hand() -> None:
    found = Calibration(2.0, np.array([1.0, 0.0, -1.0])).apply(prediction(np.array([[4.0, 2.0, 0.0]])))
    np.testing.assert_array_equal(found.logits, [[[3.0, 1.0, -1.0]]])
    assert found.ids == ("c0",)


@given(
    arrays(np.float64, (3, 2, 3), elements=st.floats(-30, 30)),
    st.floats(0.1, 10),
)
def test_temperature_keeps_the_argmax_of_a_view(logits: np.ndarray, temperature: float) -> None:
    cold = prediction(logits)
    warm = Calibration(temperature, np.zeros(3)).apply(cold)
    for case in range(3):
        for view in range(2):
            best = cold.logits[case, view].argmax()
            assert warm.logits[case, view, best] == warm.logits[case, view].max()


def test_a_known_temperature_and_bias_are_recovered() -> None:
    bias = np.array([0.8, -0.3, -0.5])
    made, labels = simulated(20_000, 2.5, bias)
    found = fit_calibration(made, labels, spread=5.0)
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    np.testing.assert_allclose(found.bias, bias - bias.mean(), atol=0.06)
    assert found.bias.sum() == pytest.approx(0, abs=1e-9)
    assert log_loss(found.apply(made), labels) < log_loss(made, labels) - 0.3


def test_logits_that_are_calibrated_stay_as_they_are() -> None:
    made, labels = simulated(20_000, 1.0, np.zeros(3))
    found = fit_calibration(made, labels)
    assert found.temperature == pytest.approx(1, rel=0.04)
    np.testing.assert_allclose(found.bias, 0, atol=0.05)


def test_the_mean_over_views_is_what_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    made, labels = simulated(4000, 2.0, np.zeros(3))
    shaken = prediction(made.logits + rng.normal(0, 2, (4000, 5, 3)))
    found = fit_calibration(shaken, labels)
    at_fit = log_loss(found.apply(shaken), labels)
    for factor in (0.8, 1.25):  # no other temperature does better on the mean
        other = Calibration(found.temperature * factor, found.bias)
        assert log_loss(other.apply(shaken), labels) > at_fit


def test_the_spread_keeps_a_rare_diagnosis_near_what_is_expected() -> None:
    made, labels = simulated(60, 1.0, np.zeros(3))
    keep = np.ones(60, bool)
    keep[np.flatnonzero(labels == 2)[2:]] = False  # two cases of C are left
    few, told = prediction(made.logits[keep]), labels[keep]
    expected = np.array([0.0, 0.0, 1.0])
    centre = expected - expected.mean()
    tight = fit_calibration(few, told, expected, spread=0.05).bias
    loose = fit_calibration(few, told, expected, spread=50.0).bias
    assert abs(tight[2] - centre[2]) < 0.1
    assert loose[2] < centre[2] - 1  # two cases would say something else altogether


def test_without_expectation_the_centre_is_zero() -> None:
    made, labels = simulated(30, 1.0, np.array([2.0, -1.0, -1.0]))
    assert np.abs(fit_calibration(made, labels, spread=0.01).bias).max() < 0.02


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "2 labels for 3 cases; calibration needs one label per case"),
        ([0, 1, -1], "cases without a diagnosis of three: c2; leave them out"),
        ([0, 1, 3], "cases without a diagnosis of three: c2; leave them out"),
    ],
)
def test_labels_that_do_not_fit(labels: list[int], message: str) -> None:
    with pytest.raises(ValueRuleError, match=message):
        fit_calibration(prediction(np.zeros((3, 3))), np.array(labels))


def test_nothing_to_fit_on() -> None:
    with pytest.raises(ValueRuleError, match="0 labels for 0 cases"):
        fit_calibration(prediction(np.zeros((0, 1, 3))), np.zeros(0, int))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_temperatures(temperature: float) -> None:
    with pytest.raises(ValueRuleError, match=f"temperature {temperature} is not above 0"):
        Calibration(temperature, np.zeros(3))


def test_impossible_biases() -> None:
    with pytest.raises(ValueRuleError, match="a calibration bias is not finite"):
        Calibration(1.0, np.array([0.0, np.nan, 0.0]))
    with pytest.raises(ValueRuleError, match="the calibration has 1 biases for the 3 diagnoses of three"):
        Calibration(1.0, np.zeros(1)).apply(prediction(np.zeros((2, 3))))


def test_the_bias_is_a_copy() -> None:
    given_bias = np.zeros(3)
    made = Calibration(1.0, given_bias)
    given_bias[0] = 7.0
    assert made.bias[0] == 0
    assert not made.bias.flags.writeable
