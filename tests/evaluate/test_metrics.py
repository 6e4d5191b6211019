"""The ISIC metrics by hand, against scikit-learn, and by their properties."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.evaluate import metrics as m

# By hand: six cases, two classes. Class 0 is positive in rows 0-2.
LABELS = np.array([0, 0, 0, 1, 1, 1])
SCORES = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])
ONES = np.ones(6)


def counts(weights: np.ndarray = ONES) -> m.Confusion:
    return m.confusion(m.one_hot(LABELS, 2), SCORES > 0.5, weights)


def test_confusion_and_rates_by_hand() -> None:
    # Class 0: predicted rows 0, 1, 3. Class 1: predicted rows 2, 4; row 5 has 0.5, which is not above 0.5.
    found = counts()
    assert [found.tp.tolist(), found.fp.tolist()] == [[2, 1], [1, 1]]
    assert [found.fn.tolist(), found.tn.tolist()] == [[1, 2], [2, 2]]
    assert m.sensitivity(found).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert m.specificity(found).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert m.accuracy(found).tolist() == pytest.approx([4 / 6, 3 / 6])
    assert m.ppv(found).tolist() == pytest.approx([2 / 3, 1 / 2])
    assert m.npv(found).tolist() == pytest.approx([2 / 3, 1 / 2])
    assert m.dice(found).tolist() == pytest.approx([4 / 6, 2 / 5])


def test_weights_by_hand() -> None:
    assert m.sensitivity(counts(np.array([1.0, 0, 1, 1, 1, 1]))).tolist() == pytest.approx([1 / 2, 1 / 3])


def test_a_tied_maximum_is_wrong() -> None:
    assert m.decisions(SCORES).tolist() == [0, 0, 1, 0, 1, -1]
    assert m.recalls(LABELS, SCORES, ONES).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert m.balanced_accuracy(LABELS, SCORES, ONES) == pytest.approx(1 / 2)
    assert m.top_accuracy(LABELS, SCORES, ONES) == pytest.approx(3 / 6)


def test_an_undecided_case_of_no_class_is_not_right() -> None:
    assert m.top_accuracy(np.array([-1]), np.array([[0.5, 0.5]]), np.ones(1)) == 0


def test_empty_rates_are_one() -> None:
    none = m.confusion(np.zeros((2, 1), bool), np.zeros((2, 1), bool), np.ones(2))
    assert m.sensitivity(none) == m.ppv(none) == m.dice(none) == 1
    every = m.confusion(np.ones((2, 1), bool), np.ones((2, 1), bool), np.ones(2))
    assert m.specificity(every) == m.npv(every) == 1


def curve(positive: list[int], scores: list[float], weights: np.ndarray | None = None) -> m.Curve:
    given_weights = np.ones(len(scores)) if weights is None else weights
    return m.Ranking.of(np.array(positive, bool), np.array(scores)).curve(given_weights)


def test_auc_and_average_precision_by_hand() -> None:
    # Pairs: .9 beats .8 .4 .3; .5 beats .4 .3, loses to .8; .4 ties .4, beats .3, loses to .8: 3 + 2 + 1.5 of 9.
    found = curve([1, 0, 1, 1, 0, 0], [0.9, 0.8, 0.5, 0.4, 0.4, 0.3])
    assert m.auc(found) == pytest.approx(6.5 / 9)
    assert m.average_precision(found) == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)


def test_auc_above_sensitivity_by_hand() -> None:
    # Five positives, two negatives; 80 % are found before the second negative, all after it.
    found = curve([1, 1, 0, 1, 1, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
    assert m.auc_above_sensitivity(found) == pytest.approx(0.5 * 0.8)
    # All tied: the curve is the diagonal, and above .8 lies a trapezoid of width .2 and mean height .9.
    assert m.auc_above_sensitivity(curve([1, 0], [0.5, 0.5])) == pytest.approx(0.2 * 0.9)
    assert m.auc_above_sensitivity(curve([1, 0], [0.9, 0.1])) == 1
    assert m.auc_above_sensitivity(curve([1, 0], [0.1, 0.9])) == 0


@pytest.mark.parametrize("positive", [[0, 0], [1, 1]])
def test_without_positives_or_negatives_nothing_can_be_ranked(positive: list[int]) -> None:
    found = curve(positive, [0.2, 0.7])
    assert all(np.isnan(f(found)) for f in (m.auc, m.auc_above_sensitivity, m.average_precision))


@st.composite
def ranked(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels with both kinds, scores with ties, weights of which some may be 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 60))
    positive = rng.random(n) < draw(st.sampled_from([0.05, 0.5, 0.95]))
    positive[:2] = True, False
    scores = np.round(rng.random(n), draw(st.sampled_from([0, 1, 2, 16])))
    weights = rng.choice([0.0, 0.1, 0.5, 1.0, 3.0], n) if draw(st.booleans()) else np.ones(n)
    weights[:2] = 1.0, 0.7
    return positive, scores, weights


@given(ranked())
def test_ranking_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    positive, scores, weights = case
    found = m.Ranking.of(positive, scores).curve(weights)
    assert m.auc(found) == pytest.approx(sk.roc_auc_score(positive, scores, sample_weight=weights), abs=1e-12)
    expected = sk.average_precision_score(positive, scores, sample_weight=weights)
    assert m.average_precision(found) == pytest.approx(expected, abs=1e-12)


@given(ranked(), st.integers(0, 1000))
def test_the_order_of_cases_does_not_matter(case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    positive, scores, _ = case
    weights = np.random.default_rng(seed).integers(0, 4, len(scores)).astype(float) + 1
    order = np.random.default_rng(seed).permutation(len(scores))
    for metric in (m.auc, m.auc_above_sensitivity, m.average_precision):
        first = metric(m.Ranking.of(positive, scores).curve(weights))
        second = metric(m.Ranking.of(positive[order], scores[order]).curve(weights[order]))
        assert first == pytest.approx(second, abs=1e-12)


@given(ranked())
def test_a_whole_number_weight_is_a_repeated_case(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    positive, scores, _ = case
    times = np.random.default_rng(0).integers(0, 4, len(scores))
    times[:2] = 1, 2
    rows = np.repeat(np.arange(len(scores)), times)
    for metric in (m.auc, m.auc_above_sensitivity, m.average_precision):
        weighted = metric(m.Ranking.of(positive, scores).curve(times.astype(float)))
        repeated = metric(m.Ranking.of(positive[rows], scores[rows]).curve(np.ones(len(rows))))
        assert weighted == pytest.approx(repeated, abs=1e-12)


@given(ranked())
def test_auc_is_turned_by_turning_the_scores_and_kept_by_any_rising_function(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    positive, scores, weights = case
    value = m.auc(m.Ranking.of(positive, scores).curve(weights))
    assert m.auc(m.Ranking.of(positive, 1 - scores).curve(weights)) == pytest.approx(1 - value, abs=1e-12)
    assert m.auc(m.Ranking.of(positive, scores * 8).curve(weights)) == pytest.approx(value, abs=1e-12)


@given(ranked(), st.integers(1, 5))
def test_every_column_of_weights_is_scored_by_itself(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], columns: int
) -> None:
    positive, scores, weights = case
    many = np.random.default_rng(columns).integers(0, 3, (len(scores), columns)) * weights[:, None]
    ranking = m.Ranking.of(positive, scores)
    for metric in (m.auc, m.auc_above_sensitivity, m.average_precision):
        together = metric(ranking.curve(many))
        alone = [metric(ranking.curve(many[:, c])) for c in range(columns)]
        np.testing.assert_allclose(together, alone, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_rates_equal_scikit_learn(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 3, n), [0, 1, 2])
    scores = rng.random((n + 3, 3))
    weights = rng.random(n + 3) + 0.1
    found = m.confusion(m.one_hot(labels, 3), scores > 0.5, weights)
    truth, predicted = m.one_hot(labels, 3), scores > 0.5
    for c in range(3):
        pair = {"y_true": truth[:, c], "y_pred": predicted[:, c], "sample_weight": weights, "zero_division": 1.0}
        assert m.sensitivity(found)[c] == pytest.approx(sk.recall_score(**pair))
        assert m.ppv(found)[c] == pytest.approx(sk.precision_score(**pair))
        assert m.dice(found)[c] == pytest.approx(sk.f1_score(**pair))
    decided = scores.argmax(axis=1)
    expected = sk.balanced_accuracy_score(labels, decided, sample_weight=weights)
    assert m.balanced_accuracy(labels, scores, weights) == pytest.approx(expected)
    assert m.top_accuracy(labels, scores, weights) == pytest.approx(
        sk.accuracy_score(labels, decided, sample_weight=weights)
    )
