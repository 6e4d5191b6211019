"""Log-loss, Brier, calibration error, slope and intercept: by hand, against scikit-learn, where the truth is known."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from dermoscope.evaluate import calibration as c
from dermoscope.evaluate.metrics import one_hot


def softmax(logits: np.ndarray) -> np.ndarray:
    z = np.exp(logits - logits.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def drawn(n: int, seed: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from true probabilities, and these probabilities at another temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 4)) + np.array([0, 1, -1, -1])
    true = softmax(logits)
    labels = (rng.random((n, 1)) > np.cumsum(true, axis=1)).sum(axis=1)
    return np.minimum(labels, 3).astype(np.int64), softmax(logits / temperature)


def test_by_hand() -> None:
    labels, p, ones = np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]]), np.ones(2)
    assert c.log_loss(labels, p, ones) == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)
    assert c.brier(labels, p, ones) == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    # Two bins of one case each: one is right at .8, the other wrong at .6.
    assert c.ece(labels, p, ones) == pytest.approx((0.2 + 0.6) / 2)
    # In one bin the two errors cancel in part: one right of two, mean confidence .7.
    assert c.ece(labels, p, ones, bins=1) == pytest.approx(0.2)


def test_bins_are_closed_above_as_in_guo_2017() -> None:
    assert c.bin_of(np.array([0.0, 0.2, 0.2000001, 1.0]), 5).tolist() == [0, 0, 1, 4]


def test_a_certain_miss_is_clipped_and_cases_of_no_class_are_left_out() -> None:
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert c.log_loss(np.array([1, -1]), p, np.ones(2)) == pytest.approx(-np.log(np.finfo(float).eps))
    assert c.brier(np.array([1, -1]), p, np.ones(2)) == pytest.approx(2.0)
    assert np.isnan(c.ece(np.array([-1, -1]), p, np.ones(2)))


@given(st.integers(0, 2**32 - 1), st.integers(4, 60))
def test_log_loss_and_brier_equal_scikit_learn(seed: int, n: int) -> None:
    labels, p = drawn(n, seed)
    weights = np.random.default_rng(seed).random(n) + 0.01
    expected = sk.log_loss(labels, p, labels=range(4), sample_weight=weights)
    assert c.log_loss(labels, p, weights) == pytest.approx(expected)
    expected = np.average(((p - one_hot(labels, 4)) ** 2).sum(axis=1), weights=weights)
    assert c.brier(labels, p, weights) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_calibration_error_equals_a_loop_over_bins_and_ignores_the_order(seed: int, n: int) -> None:
    labels, p = drawn(n, seed)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    expected = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert c.ece(labels, p, np.ones(n)) == pytest.approx(expected)
    order = np.random.default_rng(seed).permutation(n)
    assert c.ece(labels[order], p[order], np.ones(n)) == pytest.approx(expected)


def test_a_perfect_model_of_1500_lesions_shows_a_calibration_error_of_two_per_cent() -> None:
    labels, p = drawn(1500, 3)
    simulated = c.ece_if_perfect(p, np.ones(1500), np.arange(1500), simulations=500)
    # The design puts it at .022 for a model that is often sure; these probabilities are less so.
    assert 0.015 < simulated.mean() < 0.04
    low, high = np.quantile(simulated, [0.005, 0.995])
    assert low < c.ece(labels, p, np.ones(1500)) < high
    over = softmax(3 * np.log(p))
    assert c.ece(labels, over, np.ones(1500)) > np.quantile(
        c.ece_if_perfect(over, np.ones(1500), np.arange(1500)), 0.99
    )


def test_images_of_one_lesion_are_right_together() -> None:
    _, p = drawn(300, 0)
    thrice = np.repeat(p, 3, axis=0)
    apart = c.ece_if_perfect(thrice, np.ones(900), np.arange(900), simulations=200).mean()
    together = c.ece_if_perfect(thrice, np.ones(900), np.repeat(np.arange(300), 3), simulations=200).mean()
    once = c.ece_if_perfect(p, np.ones(300), np.arange(300), simulations=200).mean()
    assert together == pytest.approx(once, rel=0.1)
    assert apart < 0.8 * together


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_slope_recovers_a_known_temperature(temperature: float) -> None:
    # With two classes the logit of the probability is the difference of the logits: the slope is the temperature.
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 20_000)
    positive = rng.random(20_000) < 1 / (1 + np.exp(-z))
    p = 1 / (1 + np.exp(-z / temperature))
    fit = c.Recalibration.of(positive[:, None], p[:, None], np.ones(20_000))
    assert fit.slope[0] == pytest.approx(temperature, rel=0.05)


def test_intercept_recovers_a_known_shift() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(-1, 2, 20_000)
    positive = rng.random(20_000) < 1 / (1 + np.exp(-z))
    p = 1 / (1 + np.exp(-(z + 0.7)))
    fit = c.Recalibration.of(positive[:, None], p[:, None], np.ones(20_000))
    assert fit.intercept[0] == pytest.approx(-0.7, abs=0.06)
    assert fit.slope[0] == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_slope_equals_scikit_learn(seed: int) -> None:
    labels, p = drawn(300, seed, temperature=1.7)
    weights = np.random.default_rng(seed).integers(0, 3, 300).astype(float)
    positive = one_hot(labels, 4)
    fit = c.Recalibration.of(positive, p, weights)
    logits = np.log(p / (1 - p))
    for k in range(4):
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(logits[:, [k]], positive[:, k], sample_weight=weights)
        assert fit.slope[k] == pytest.approx(model.coef_[0, 0], rel=1e-4)


def test_the_fitted_weights_give_the_fit_itself() -> None:
    labels, p = drawn(400, 5)
    weights = np.random.default_rng(5).random(400)
    fit = c.Recalibration.of(one_hot(labels, 4), p, weights)
    slopes, intercepts = fit.figures(weights)
    np.testing.assert_allclose(slopes, fit.slope, rtol=1e-7)
    np.testing.assert_allclose(intercepts, fit.intercept, atol=1e-7)


def test_one_newton_step_follows_a_full_fit() -> None:
    labels, p = drawn(2000, 6, temperature=1.5)
    positive = one_hot(labels, 4)
    fit = c.Recalibration.of(positive, p, np.ones(2000))
    counts = np.random.default_rng(0).poisson(1, (2000, 100)).astype(float)
    slopes, intercepts = fit.figures(counts)
    full = [c.Recalibration.of(positive, p, counts[:, k]) for k in range(100)]
    exact = np.array([f.slope for f in full]).T
    assert np.abs(slopes - exact).max() < 0.15 * exact.std(axis=1).max() + 0.02
    np.testing.assert_allclose(slopes.std(axis=1), exact.std(axis=1), rtol=0.1)
    np.testing.assert_allclose(intercepts, np.array([f.intercept for f in full]).T, atol=0.02)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_where_scores_separate_a_class_there_is_no_slope(labels: list[int]) -> None:
    p = np.array([[0.1], [0.2], [0.8], [0.9]])
    fit = c.Recalibration.of(np.array(labels, bool)[:, None], p, np.ones(4))
    assert np.isnan(fit.slope[0])
    assert np.isnan(fit.intercept[0]) == (len(set(labels)) == 1)


def test_certain_probabilities_have_a_finite_slope() -> None:
    labels, p = drawn(500, 8)
    hard = np.eye(4)[p.argmax(axis=1)]
    fit = c.Recalibration.of(one_hot(labels, 4), hard, np.ones(500))
    assert np.isfinite(fit.slope).all()
    assert (fit.slope < 0.5).all()
