"""Scalings and isotonic curves, fitted and applied: by hand, against scikit-learn, where the truth is known."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import Diagnosis, Taxonomy
from dermoscope.refine.calibrate import (
    SMALLEST,
    Calibrator,
    Isotonic,
    Scaling,
    calibration_as_dict,
    calibration_from_dict,
    fit_bias_corrected,
    fit_isotonic,
    fit_temperature,
    fit_vector,
)

THREE = Taxonomy(
    "three",
    (Diagnosis("A", "first", "malignant"), Diagnosis("B", "second", "benign"), Diagnosis("C", "third", "benign")),
)


def mean_of(values: np.ndarray) -> Probabilities:
    return Probabilities(tuple(f"c{k}" for k in range(len(values))), THREE, values)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def drawn(n: int, scale: np.ndarray, bias: np.ndarray, seed: int = 2) -> tuple[Probabilities, np.ndarray]:
    """Probabilities p, and labels drawn from softmax(scale * log p + bias)."""
    rng = np.random.default_rng(seed)
    p = softmax(rng.normal(0, 2, (n, 3)))
    true = softmax(scale * np.log(p) + bias)
    return mean_of(p), (rng.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1).clip(0, 2)


class Logits(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose decision function is its input."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> "Logits":
        self.classes_ = np.unique(y)
        self.n_features_in_ = x.shape[1]
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[x.argmax(axis=1)]


def loss_of(p: Probabilities, labels: np.ndarray) -> float:
    return float(-np.log(p.values[np.arange(len(labels)), labels]).mean())


simplex = arrays(np.float64, 3, elements=st.floats(1e-6, 1)).map(lambda v: v / v.sum())
FITTERS: dict[str, Callable[[Probabilities, np.ndarray], Calibrator]] = {
    "temperature": fit_temperature,
    "bias corrected": fit_bias_corrected,
    "vector": fit_vector,
    "isotonic": fit_isotonic,
}


def test_scaling_by_hand() -> None:
    # squares of .2, .3, .5 are .04, .09, .25; doubled, kept and halved: .08, .09, .125
    made = Scaling(np.full(3, 2.0), np.log([2.0, 1.0, 0.5]))
    found = made.apply(mean_of(np.array([[0.2, 0.3, 0.5]])))
    np.testing.assert_allclose(found.values, [np.array([0.08, 0.09, 0.125]) / 0.295])
    free = Scaling(np.array([1.0, 2.0, 0.5]), np.zeros(3)).apply(mean_of(np.array([[0.39, 0.36, 0.25]])))
    np.testing.assert_allclose(free.values, [np.array([0.39, 0.1296, 0.5]) / 1.0196])


def test_isotonic_by_hand() -> None:
    curve = (np.array([0.2, 0.6]), np.array([0.1, 0.5]))
    level = (np.array([0.5]), np.array([0.3]))
    made = Isotonic((curve[0], level[0], level[0]), (curve[1], level[1], level[1]))
    # halfway between the knots .3, below and above them the nearest
    found = made.apply(mean_of(np.array([[0.4, 0.3, 0.3], [0.1, 0.4, 0.5], [0.9, 0.05, 0.05]])))
    np.testing.assert_allclose(found.values[:, 0], [0.3 / 0.9, 0.1 / 0.7, 0.5 / 1.1])
    np.testing.assert_allclose(found.values[0], 1 / 3)


@given(st.lists(simplex, min_size=1, max_size=5))
def test_the_identity(rows: list[np.ndarray]) -> None:
    p = mean_of(np.array(rows))
    np.testing.assert_allclose(Scaling.identity(3).apply(p).values, p.values, rtol=1e-9)


@given(simplex, st.floats(0.05, 20))
def test_a_temperature_keeps_the_most_probable_diagnosis(row: np.ndarray, scale: float) -> None:
    found = Scaling(np.full(3, scale), np.zeros(3)).apply(mean_of(row[None])).values[0]
    assert found[row.argmax()] == found.max()


@given(simplex, simplex, arrays(np.float64, 3, elements=st.floats(-5, 5)), st.floats(0.05, 20))
def test_rows_sum_to_one_and_one_case_does_not_change_another(
    one: np.ndarray, other: np.ndarray, bias: np.ndarray, scale: float
) -> None:
    made = Scaling(np.full(3, scale), bias)
    both = made.apply(mean_of(np.stack([one, other]))).values
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_array_equal(both[:1], made.apply(mean_of(one[None])).values)


@pytest.mark.parametrize("name", FITTERS)
def test_no_probability_is_zero(name: str) -> None:
    p, labels = drawn(1500, np.full(3, 3.0), np.zeros(3))
    calibration = FITTERS[name](p, labels)
    certain = calibration.apply(mean_of(np.eye(3)))
    assert certain.values.min() >= SMALLEST / 2
    assert loss_of(certain, np.array([1, 2, 0])) < 150
    if name == "isotonic":
        assert certain.values.min() > 1 / 1502 / 3


@pytest.mark.parametrize(
    ("fit", "scale", "bias"),
    [
        (fit_temperature, [0.4, 0.4, 0.4], [0, 0, 0]),
        (fit_bias_corrected, [0.4, 0.4, 0.4], [0.8, -0.3, -0.5]),
        (fit_vector, [0.4, 0.6, 0.8], [0.8, -0.3, -0.5]),
    ],
)
def test_a_known_scaling_is_recovered(fit: Any, scale: list[float], bias: list[float]) -> None:
    p, labels = drawn(20_000, np.array(scale), np.array(bias))
    found = fit(p, labels) if fit is fit_temperature else fit(p, labels, spread=5.0)
    np.testing.assert_allclose(found.scale, scale, rtol=0.08)
    np.testing.assert_allclose(found.bias, bias, atol=0.07)
    assert found.bias.sum() == pytest.approx(0, abs=1e-9)
    assert loss_of(found.apply(p), labels) < loss_of(p, labels) - 0.1


def test_isotonic_finds_a_distortion_that_is_no_scaling() -> None:
    rng = np.random.default_rng(3)
    p, labels = drawn(20_000, np.ones(3), np.zeros(3))
    bent = mean_of(p.values**3 / (p.values**3).sum(axis=1, keepdims=True) * 0.9 + 0.1 / 3)
    isotonic, temperature = fit_isotonic(bent, labels), fit_temperature(bent, labels)
    fresh, truth = drawn(20_000, np.ones(3), np.zeros(3), seed=int(rng.integers(99)))
    seen = mean_of(fresh.values**3 / (fresh.values**3).sum(axis=1, keepdims=True) * 0.9 + 0.1 / 3)
    assert loss_of(isotonic.apply(seen), truth) < loss_of(temperature.apply(seen), truth) - 0.001


def test_temperature_equals_scikit_learn() -> None:
    p, labels = drawn(3000, np.full(3, 0.5), np.zeros(3))
    x = np.log(p.values)
    oracle = CalibratedClassifierCV(FrozenEstimator(Logits().fit(x, labels)), method="temperature").fit(x, labels)
    expected = oracle.predict_proba(x)
    # the prior on the scale weighs as much as a case or two
    np.testing.assert_allclose(fit_temperature(p, labels).apply(p).values, expected, atol=1e-3)


@pytest.mark.parametrize("name", ["bias corrected", "vector"])
def test_two_diagnoses_equal_a_logistic_regression_of_scikit_learn(name: str) -> None:
    two = Taxonomy("two", THREE.diagnoses[:2])
    rng = np.random.default_rng(4)
    p = softmax(rng.normal(0, 2, (4000, 2)))
    labels = (rng.random(4000) < softmax(np.log(p) * [0.5, 0.8] + [0.4, -0.4])[:, 1]).astype(int)
    mean = Probabilities(tuple(f"c{k}" for k in range(4000)), two, p)
    fit = fit_bias_corrected if name == "bias corrected" else fit_vector
    found = fit(mean, labels, spread=50.0).apply(mean).values[:, 1]
    logs = np.log(p)
    x = (logs[:, 1] - logs[:, 0])[:, None] if name == "bias corrected" else logs
    expected = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, labels).predict_proba(x)[:, 1]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_isotonic_equals_scikit_learn_before_rows_are_scaled() -> None:
    p, labels = drawn(1200, np.full(3, 0.5), np.zeros(3))
    p = mean_of(np.random.default_rng(0).multinomial(64, p.values) / 64)  # many ties
    made = fit_isotonic(p, labels)
    grid = np.linspace(0, 1, 501)
    for k in range(3):
        oracle = IsotonicRegression(y_min=1 / 1202, y_max=1 - 1 / 1202, out_of_bounds="clip")
        oracle.fit(p.values[:, k], labels == k)
        np.testing.assert_allclose(np.interp(grid, made.at[k], made.share[k]), oracle.predict(grid), atol=1e-9)
        assert len(made.at[k]) < len(np.unique(p.values[:, k]))


def test_the_spread_keeps_a_rare_diagnosis_near_what_is_expected_of_the_mean() -> None:
    p, labels = drawn(60, np.ones(3), np.zeros(3))
    kept = np.ones(60, bool)
    kept[np.flatnonzero(labels == 2)[2:]] = False
    few, told = mean_of(p.values[kept]), labels[kept]
    expected = np.array([0.0, 0.0, 1.0])
    for fit in (fit_bias_corrected, fit_vector):
        assert fit(few, told, expected, spread=0.02).bias[2] == pytest.approx(2 / 3, abs=0.1)
        assert fit(few, told, expected, spread=50.0).bias[2] < -0.3


def test_calibrated_members_do_not_make_a_calibrated_mean() -> None:
    """Rahaman & Thiery 2020: members that err apart, each calibrated, have a mean that is too timid."""
    rng = np.random.default_rng(6)

    def cases(n: int) -> tuple[list[Probabilities], np.ndarray]:
        signal = rng.normal(0, 2, (n, 3))
        labels = (rng.random(n)[:, None] > softmax(signal).cumsum(axis=1)).sum(axis=1).clip(0, 2)
        return [mean_of(softmax(signal + rng.normal(0, 2, (n, 3)))) for _ in range(5)], labels

    def average(members: list[Probabilities]) -> Probabilities:
        return mean_of(np.mean([m.values for m in members], axis=0))

    (fitted, labels), (fresh, truth) = cases(6000), cases(6000)
    each = [fit_bias_corrected(m, labels) for m in fitted]
    members = [c.apply(m) for c, m in zip(each, fresh, strict=True)]
    for member in members:
        assert fit_temperature(member, truth).scale[0] == pytest.approx(1, abs=0.06)
    timid = average(members)
    assert fit_temperature(timid, truth).scale[0] > 1.15
    mended = fit_temperature(average([c.apply(m) for c, m in zip(each, fitted, strict=True)]), labels).apply(timid)
    assert fit_temperature(mended, truth).scale[0] == pytest.approx(1, abs=0.06)
    assert loss_of(mended, truth) < loss_of(timid, truth) - 0.002
    of_the_raw_mean = fit_temperature(average(fitted), labels).apply(average(fresh))
    assert fit_temperature(of_the_raw_mean, truth).scale[0] == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("name", FITTERS)
def test_there_and_back_through_a_dict(name: str) -> None:
    p, labels = drawn(1500, np.full(3, 0.5), np.zeros(3))
    made = FITTERS[name](p, labels)
    again = calibration_from_dict(json.loads(json.dumps(calibration_as_dict(made))))
    assert type(again) is type(made)
    np.testing.assert_array_equal(again.apply(p).values, made.apply(p).values)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "a calibration of kind None; there are scaling, isotonic"),
        ({"kind": "beta"}, "a calibration of kind 'beta'; there are scaling, isotonic"),
        ({"kind": "scaling", "scale": [1]}, "the scaling calibration needs the fields scale, bias and has scale"),
        ({"kind": "scaling"}, "the scaling calibration needs the fields scale, bias and has none"),
        ({"kind": "scaling", "scale": ["a"], "bias": [0]}, "the scaling calibration does not hold lists of numbers"),
        ({"kind": "isotonic", "at": 3, "share": [[0]]}, "the isotonic calibration does not hold lists of numbers"),
    ],
)
def test_dicts_of_no_calibration(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        calibration_from_dict(fields)
    assert str(caught.value).startswith(message)


def test_isotonic_refuses_few_cases_and_absent_diagnoses() -> None:
    p, labels = drawn(999, np.ones(3), np.zeros(3))
    with pytest.raises(ValueRuleError) as caught:
        fit_isotonic(p, labels)
    assert str(caught.value) == (
        "isotonic calibration needs 1000 cases and there are 999; fit a temperature, biases or a vector"
    )
    with pytest.raises(ValueRuleError, match="needs a case of every diagnosis; there is none of C"):
        fit_isotonic(p, np.minimum(labels, 1), at_least=900)


@pytest.mark.parametrize("fit", [fit_temperature, fit_bias_corrected, fit_vector])
def test_what_is_calibrated_stays_as_it_is(fit: Any) -> None:
    p, labels = drawn(20_000, np.ones(3), np.zeros(3))
    found = fit(p, labels)
    np.testing.assert_allclose(found.scale, 1, rtol=0.05)
    np.testing.assert_allclose(found.bias, 0, atol=0.05)


def test_without_expectation_the_centre_is_zero() -> None:
    p, labels = drawn(30, np.ones(3), np.array([2.0, -1.0, -1.0]))
    assert np.abs(fit_bias_corrected(p, labels, spread=0.01).bias).max() < 0.02


@pytest.mark.parametrize("name", FITTERS)
def test_labels_must_fit_the_mean(name: str) -> None:
    with pytest.raises(ValueRuleError, match="0 labels for 0 cases"):
        FITTERS[name](mean_of(np.zeros((0, 3))), np.zeros(0, int))
    p = mean_of(np.full((3, 3), 1 / 3))
    with pytest.raises(ValueRuleError, match="2 labels for 3 cases; give one label per case"):
        FITTERS[name](p, np.array([0, 1]))
    with pytest.raises(ValueRuleError, match="cases without a diagnosis of three: c2; leave them out"):
        FITTERS[name](p, np.array([0, 1, -1]))


def test_impossible_scalings() -> None:
    with pytest.raises(ValueRuleError, match="a calibration scale is not above 0"):
        Scaling(np.array([1.0, 0.0]), np.zeros(2))
    with pytest.raises(ValueRuleError, match="a calibration bias is not finite"):
        Scaling(np.ones(2), np.array([0.0, np.inf]))
    with pytest.raises(ValueRuleError, match=r"scales of shape \(3,\) and biases of shape \(2,\)"):
        Scaling(np.ones(3), np.zeros(2))
    with pytest.raises(ValueRuleError, match="the calibration is of 2 diagnoses, three has 3"):
        Scaling.identity(2).apply(mean_of(np.full((1, 3), 1 / 3)))


def test_impossible_curves() -> None:
    rising = np.array([0.1, 0.5])
    for at, share, message in (
        (rising[::-1], rising, "knots of a calibration curve must ascend and its shares must not fall"),
        (rising, rising[::-1], "knots of a calibration curve must ascend and its shares must not fall"),
        (rising, np.array([0.0, 0.5]), "shares of a calibration curve must be above 0 and below 1"),
        (rising, np.array([0.5]), "2 knots and 1 shares of one diagnosis"),
    ):
        with pytest.raises(ValueRuleError, match=message):
            Isotonic((at,), (share,))
    with pytest.raises(ValueRuleError, match="knots for 1 diagnoses and shares for 2"):
        Isotonic((rising,), (rising, rising))
    with pytest.raises(ValueRuleError, match="the calibration is of 1 diagnoses, three has 3"):
        Isotonic((rising,), (rising,)).apply(mean_of(np.full((1, 3), 1 / 3)))


def test_what_calibrates_is_a_read_only_copy() -> None:
    scale = np.ones(3)
    made = Scaling(scale, np.zeros(3))
    scale[0] = 7.0
    assert made.scale[0] == 1
    assert not made.scale.flags.writeable
    assert not Isotonic((np.array([0.5]),), (np.array([0.5]),)).at[0].flags.writeable
