"""Intervals: against published values and scipy, their coverage, and paired differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import wilson
from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.evaluate import metrics
from dermoscope.evaluate.intervals import (
    basic,
    clopper_pearson,
    effective_size,
    holm,
    paired_difference,
    percentile,
    rate,
)
from dermoscope.evaluate.resampling import Clusters, bootstrap, cluster, weights_of


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_exact_and_wilson_intervals_equal_scipy(case: tuple[int, int]) -> None:
    hits, n = case
    test = binomtest(hits, n)
    for own, name in ((wilson, "wilson"), (clopper_pearson, "exact")):
        expected = test.proportion_ci(method=name)
        assert own(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_fifteen_of_fifteen_is_not_certain() -> None:
    assert wilson(15, 15) == pytest.approx((0.796, 1.0), abs=5e-4)
    assert clopper_pearson(15, 15) == pytest.approx((0.782, 1.0), abs=5e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def alone(n: int) -> Clusters:
    return cluster([str(k) for k in range(n)], np.zeros(n, dtype=np.int64), "lesion")


@given(st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_independent_cases_are_worth_their_number(n: int, seed: int) -> None:
    hits = np.random.default_rng(seed).random(n) < 0.7
    assert effective_size(hits, np.ones(n), alone(n)) == n
    estimate = rate(hits, np.ones(n, bool), np.ones(n), alone(n))
    assert estimate.method == "wilson"
    assert (estimate.low, estimate.high) == pytest.approx(wilson(int(hits.sum()), n))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_copies_of_a_lesion_are_worth_one_case(share: float) -> None:
    once = np.random.default_rng(0).random(40) < share
    thrice = np.repeat(once, 3)
    clusters = cluster([str(k // 3) for k in range(120)], np.zeros(120, dtype=np.int64), "lesion")
    assert effective_size(thrice, np.ones(120), clusters) == pytest.approx(40, abs=0.5)
    estimate = rate(thrice, np.ones(120, bool), np.ones(120), clusters)
    assert estimate.method == "wilson, effective n"
    assert estimate.n == 40
    assert estimate.low == pytest.approx(wilson(int(once.sum()), 40)[0], abs=0.005)


def test_a_rate_of_nothing_is_one_by_convention() -> None:
    estimate = rate(np.zeros(3, bool), np.zeros(3, bool), np.ones(3), alone(3))
    assert (estimate.value, estimate.low, estimate.high, estimate.method, estimate.n) == (1, 0, 1, "convention", 0)


@given(st.integers(0, 2**32 - 1))
def test_a_rate_lies_in_its_interval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 30))
    clusters = cluster([str(k) for k in rng.integers(0, n, n)], np.zeros(n, dtype=np.int64), "lesion")
    estimate = rate(rng.random(n) < 0.5, rng.random(n) < 0.8, rng.choice([0.0, 0.1, 1.0, 2.5], n), clusters)
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_percentile_and_basic() -> None:
    draws = np.append(np.arange(101) / 100, np.nan)
    assert percentile(draws) == pytest.approx((0.025, 0.975))
    assert basic(0.5, draws) == pytest.approx((0.025, 0.975))
    # Every resample above the estimate: the interval is stretched down to hold it, and never below 0.
    assert basic(0.1, np.full(10, 0.3)) == (0.0, 0.1)
    assert np.isnan(percentile(np.full(3, np.nan))).all()


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_every_diagnosis_and_every_lesion_keeps_together() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2], dtype=np.int64)
    names = ["a", "a", "b", "c", "d", "e"]
    drawn = np.concatenate(list(weights_of(cluster(names, labels, "lesion"), 500, seed=0)), axis=1)
    assert drawn.shape == (6, 500)
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] + drawn[2] == 2).all()
    assert (drawn[3] + drawn[4] == 2).all()
    assert (drawn[5] == 1).all()
    assert drawn[0].mean() == pytest.approx(1.0, abs=0.1)


def test_a_cluster_of_two_diagnoses_belongs_to_the_rarer() -> None:
    clusters = cluster(["p", "p", "q", "r"], np.array([0, 1, 0, 0], dtype=np.int64), "patient")
    assert clusters.strata.tolist() == [1, 0, 0]


def test_the_same_seed_draws_the_same_weights() -> None:
    clusters = alone(50)
    first, second, other = (next(weights_of(clusters, 20, seed)) for seed in (1, 1, 2))
    assert (first == second).all()
    assert not (first == other).all()


def test_the_bootstrap_of_a_mean_has_the_known_spread() -> None:
    values = np.random.default_rng(0).normal(size=400)

    def mean(weights: np.ndarray) -> np.ndarray:
        return ((values @ weights) / weights.sum(axis=0))[None]

    draws = bootstrap(mean, alone(400), np.ones(400), resamples=4000)[0]
    assert draws.std() == pytest.approx(values.std() / 20, rel=0.05)


@pytest.mark.parametrize("images", [1, 3])
def test_the_interval_of_an_auc_covers_the_truth_as_often_as_it_says(images: int) -> None:
    """Lesions with several images each: two normal distributions 1.5 apart, whose AUC is .856."""
    rng, covered = np.random.default_rng(0), 0
    positive = np.repeat(np.arange(120) < 40, images)
    clusters = cluster([str(k // images) for k in range(120 * images)], positive.astype(np.int64), "lesion")
    ones = np.ones(120 * images)
    for seed in range(200):
        lesion = rng.normal(size=120) + 1.5 * (np.arange(120) < 40)
        ranking = metrics.Ranking.of(positive, np.repeat(lesion, images) + 1e-6 * rng.random(120 * images))
        draws = bootstrap(lambda w, r=ranking: metrics.auc(r.curve(w))[None], clusters, ones, resamples=200, seed=seed)
        low, high = percentile(draws[0])
        covered += low <= 0.8556 <= high
    assert 0.89 <= covered / 200 <= 0.99


def models(n: int = 300) -> tuple[Scores, Scores, Truth]:
    """A good and a worse model of the same lesions."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, n)
    ids = tuple(f"i{k:04d}" for k in range(n))
    hard = rng.normal(size=(n, 7)) + 2.0 * np.eye(7)[labels]
    good, bad = (np.exp(hard + rng.normal(0, s, (n, 7))) for s in (0.3, 1.0))
    made = [Scores(ids, ISIC2018, p / p.sum(axis=1, keepdims=True)) for p in (good, bad)]
    return made[0], made[1], Truth(ids, ISIC2018, labels, groups=tuple(f"L{k}" for k in range(n)))


def test_a_paired_difference_is_seen_and_turns_with_its_sides() -> None:
    good, bad, truth = models()
    found = paired_difference(good, bad, truth, "balanced_accuracy", resamples=500)
    turned = paired_difference(bad, good, truth, "balanced_accuracy", resamples=500)
    estimate = found.estimate
    assert estimate.value is not None
    assert estimate.low is not None
    assert 0 < estimate.low < estimate.value
    assert found.p_value == pytest.approx(2 / 501)
    assert turned.estimate.value == pytest.approx(-estimate.value)
    assert turned.estimate.high == pytest.approx(-estimate.low)
    assert (estimate.unit, estimate.n) == ("lesion", 300)


def test_a_model_does_not_differ_from_itself() -> None:
    good, _, truth = models()
    found = paired_difference(good, good, truth, "MEL.auc", resamples=100)
    assert (found.estimate.value, found.p_value) == (0.0, 1.0)


def test_a_paired_p_value_is_small_five_times_in_a_hundred() -> None:
    rng, small = np.random.default_rng(1), 0
    ids = tuple(f"i{k:03d}" for k in range(120))
    truth = Truth(ids, ISIC2018, np.arange(120) % 2)
    for seed in range(60):
        pair = [Scores(ids, ISIC2018, rng.random((120, 7))) for _ in range(2)]
        small += paired_difference(*pair, truth, "MEL.auc", resamples=200, seed=seed).p_value < 0.05
    assert small <= 9


def test_unknown_and_unmeasurable_metrics_are_refused() -> None:
    good, bad, truth = models()
    with pytest.raises(ValueRuleError, match="no figure is called 'auc'; for example balanced_accuracy"):
        paired_difference(good, bad, truth, "auc")
    nothing = truth.take([i for i, label in zip(truth.ids, truth.labels, strict=True) if label != 0])
    parts = (Scores(nothing.ids, ISIC2018, s.aligned_to(nothing.ids).values) for s in (good, bad))
    with pytest.raises(ValueRuleError, match=r"MEL\.auc cannot be measured"):
        paired_difference(*parts, nothing, "MEL.auc")
