"""How unlike the training data an embedding is, against a direct calculation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis

from dermoscope.core.errors import ValueRuleError
from dermoscope.refine.ood import energy, fit_limit, fit_ood

RNG = np.random.default_rng(5)
SHAPE = RNG.normal(size=(6, 6))
CENTRES = RNG.normal(0, 4, (3, 6))
LABELS = RNG.integers(0, 3, 600)
TRAINING = CENTRES[LABELS] + RNG.normal(size=(600, 6)) @ SHAPE
CALIBRATION = CENTRES[RNG.integers(0, 3, 200)] + RNG.normal(size=(200, 6)) @ SHAPE
FITTED = fit_ood(TRAINING, LABELS, CALIBRATION, dimensions=6)


def test_distance_is_mahalanobis_to_the_nearest_class() -> None:
    means = np.stack([TRAINING[kind == LABELS].mean(axis=0) for kind in range(3)])
    within = np.cov((TRAINING - means[LABELS]).T)
    inverse = np.linalg.inv(within + 1e-6 * np.trace(within) / 6 * np.eye(6))
    some = RNG.normal(0, 6, (20, 6))
    expected = [min(mahalanobis(x, mean, inverse) for mean in means) for x in some]
    np.testing.assert_allclose(FITTED.distance(some), expected, rtol=1e-3)


def test_the_scale_of_an_embedding_does_not_matter() -> None:
    small = fit_ood(1e-4 * TRAINING, LABELS, 1e-4 * CALIBRATION, dimensions=6)
    np.testing.assert_allclose(small.distance(1e-4 * CALIBRATION), FITTED.distance(CALIBRATION), rtol=1e-4)


def test_within_a_class_distances_are_those_of_a_chi_distribution() -> None:
    # mean of chi with 6 degrees of freedom is 2.35
    assert FITTED.distance(TRAINING).mean() == pytest.approx(2.35, abs=0.1)


def test_rank_is_the_share_of_calibration_cases_that_are_less_unusual() -> None:
    distances = FITTED.distance(CALIBRATION)
    ranks = FITTED.rank(CALIBRATION)
    expected = (distances[:, None] > distances[None]).mean(axis=1)
    np.testing.assert_allclose(ranks, expected, atol=0.01)


def test_rank_is_monotone_and_within_bounds() -> None:
    away = CENTRES[0] + np.linspace(0, 50, 80)[:, None] * np.array([1.0, 0, 0, 0, 0, 0])
    far = np.concatenate([away, CENTRES[:1] + 1e6])
    order = FITTED.distance(far).argsort()
    ranks = FITTED.rank(far)[order]
    assert (np.diff(ranks) >= 0).all()
    assert ranks.min() >= 0
    assert ranks[-1] == 1


def test_fewer_dimensions_keep_the_leading_ones() -> None:
    flat = np.concatenate([TRAINING, 1e-3 * RNG.normal(size=(600, 4))], axis=1)
    fitted = fit_ood(flat, LABELS, flat[:50], dimensions=6)
    assert fitted.projection.shape == (10, 6)
    # what varies by a thousandth is not among them
    assert np.abs(fitted.projection[6:]).max() < 0.01 * np.abs(fitted.projection[:6]).max()


def test_a_diagnosis_without_cases_has_no_mean() -> None:
    fitted = fit_ood(TRAINING, np.where(LABELS == 1, 7, LABELS), CALIBRATION, dimensions=2)
    assert fitted.means.shape == (3, 2)


def test_one_dimension_is_enough() -> None:
    fitted = fit_ood(TRAINING[:, :1], LABELS, CALIBRATION[:, :1], dimensions=1)
    assert fitted.rank(CALIBRATION[:, :1]).max() == 1


def test_too_little_to_fit_on() -> None:
    with pytest.raises(ValueRuleError, match="11 embeddings are too few for 6 dimensions: give twice as many"):
        fit_ood(TRAINING[:11], LABELS[:11], CALIBRATION, dimensions=6)
    with pytest.raises(ValueRuleError, match="no calibration embeddings to rank distances by; give at least one"):
        fit_ood(TRAINING, LABELS, CALIBRATION[:0], dimensions=6)


def test_energy_by_hand() -> None:
    logits = np.log(np.array([[1.0, 2.0, 5.0], [4.0, 4.0, 8.0]]))
    np.testing.assert_allclose(energy(logits), [-np.log(8), -np.log(16)])
    # at temperature 2: -2 log(sqrt 4 + sqrt 4 + sqrt 8)
    np.testing.assert_allclose(energy(logits, 2.0)[1], -2 * np.log(4 + np.sqrt(8)))
    with pytest.raises(ValueRuleError, match=r"temperature 0.0: it must be a number above 0"):
        energy(logits, 0.0)


@given(st.integers(0, 2**32 - 1), st.floats(-50, 50), st.floats(0.2, 5))
def test_energy_moves_with_all_logits_and_not_with_their_order(seed: int, by: float, temperature: float) -> None:
    logits = np.random.default_rng(seed).normal(0, 300, (7, 5))
    found = energy(logits, temperature)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(energy(logits + by, temperature), found - by, atol=1e-8)
    np.testing.assert_allclose(energy(logits[:, ::-1], temperature), found, atol=1e-8)
    assert (found <= -logits.max(axis=1) + 1e-9).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_at_least_the_share_stays_below_the_limit(known: list[float], share: float) -> None:
    limit = fit_limit(np.array(known), share)
    assert limit in known
    assert (np.array(known) <= limit).mean() >= share - 1e-9


def test_a_limit_needs_cases_and_a_share() -> None:
    with pytest.raises(ValueRuleError, match="no known cases to set a limit by"):
        fit_limit(np.zeros(0))
    with pytest.raises(ValueRuleError, match=r"a share of 2.0 of the known cases; it must be 0 to 1"):
        fit_limit(np.ones(3), 2.0)
