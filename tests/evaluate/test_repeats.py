"""Means over repeats: equal to `evaluate` for one, paired on the same resamples, restricted to some diagnoses."""

import numpy as np
import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.evaluate.intervals import paired_difference
from dermoscope.evaluate.repeats import resampled
from dermoscope.evaluate.score import evaluate

IDS = tuple(f"i{k}" for k in range(70))
LABELS = np.arange(70) % 7
TRUTH = Truth(IDS, ISIC2018, LABELS, groups=tuple(f"l{k // 2}" for k in range(70)))


def made(seed: int, skill: float = 1.0) -> Probabilities:
    """Probabilities that know something of the labels."""
    z = np.random.default_rng(seed).normal(size=(70, 7)) + skill * np.eye(7)[LABELS]
    values = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return Probabilities(IDS, ISIC2018, values)


def test_one_repeat_is_what_evaluate_says() -> None:
    found = resampled([made(0)], TRUTH, resamples=300)
    whole = evaluate(made(0), TRUTH, resamples=300)
    for name in ("balanced_accuracy", "macro_average.auc", "MEL.auc"):
        ours, theirs = found.estimate(name), whole[name]
        assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high), abs=1e-12)
        assert (ours.unit, ours.n) == (theirs.unit, theirs.n)


def test_several_are_their_mean() -> None:
    found = resampled([made(0), made(1)], TRUTH, resamples=50)
    each = [resampled([made(k)], TRUTH, resamples=50) for k in (0, 1)]
    expected = np.mean([one.figures["MEL.auc"] for one in each], axis=0)
    np.testing.assert_allclose(found.figures["MEL.auc"], expected, atol=1e-12)


def test_differences_are_those_of_the_paired_bootstrap() -> None:
    a, b = made(0, 2.0), made(1, 1.0)
    theirs = paired_difference(a, b, TRUTH, resamples=300)
    ours = resampled([a], TRUTH, resamples=300).minus(resampled([b], TRUTH, resamples=300), "balanced_accuracy")
    assert ours.estimate.value == pytest.approx(theirs.estimate.value, abs=1e-12)
    assert (ours.estimate.low, ours.estimate.high) == pytest.approx((theirs.estimate.low, theirs.estimate.high))
    assert ours.p_value == pytest.approx(theirs.p_value)


def test_among_some_diagnoses_only_their_cases_and_scores_count() -> None:
    few = resampled([made(0)], TRUTH, resamples=20, among=("NV", "MEL"))
    rows = np.flatnonzero(LABELS < 2)
    scores = made(0).values[rows][:, :2]
    hit = scores.argmax(axis=1) == LABELS[rows]
    expected = np.mean([hit[LABELS[rows] == c].mean() for c in (0, 1)])
    assert few.estimate("balanced_accuracy").value == pytest.approx(expected)
    assert few.n == len({TRUTH.groups[r] for r in rows})  # type: ignore[index]
    assert set(few.figures) == {"balanced_accuracy", "macro_average.auc", "MEL.auc", "NV.auc"}


def test_what_cannot_be_measured_or_compared_says_so() -> None:
    some = TRUTH.take([i for i, label in zip(IDS, LABELS, strict=True) if label])
    kept = Probabilities(some.ids, ISIC2018, made(0).values[LABELS > 0])
    found = resampled([kept], some, resamples=20)
    assert not found.has("MEL.auc")
    assert found.estimate("MEL.auc").text() == "not measurable"
    with pytest.raises(ValueRuleError, match="were not resampled alike"):
        found.minus(resampled([made(0)], TRUTH, resamples=20), "balanced_accuracy")
    with pytest.raises(ValueRuleError, match="no repeat to take the mean of"):
        resampled([], TRUTH)
