"""ROC, precision-recall and reliability curves: against scikit-learn, against `metrics`, and by hand."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.evaluate import metrics
from dermoscope.evaluate.calibration import MALIGNANT, ece
from dermoscope.evaluate.curves import (
    FEWEST,
    GRID,
    TOP,
    curves,
    precision_recall_points,
    reliability,
    reliability_curves,
    roc_points,
)
from dermoscope.evaluate.resampling import cluster
from dermoscope.evaluate.score import evaluate

CODES = ISIC2018.codes


def sample(n: int = 300, seed: int = 0, per_lesion: int = 1) -> tuple[Probabilities, Truth]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, -(-n // per_lesion), p=[0.2, 0.4, 0.1, 0.1, 0.1, 0.05, 0.05]).repeat(per_lesion)[:n]
    p = np.exp(rng.normal(size=(n, 7)) + 1.5 * np.eye(7)[labels])
    ids = tuple(f"i{k:05d}" for k in range(n))
    groups = tuple(f"L{k // per_lesion}" for k in range(n))
    return Probabilities(ids, ISIC2018, p / p.sum(axis=1, keepdims=True)), Truth(ids, ISIC2018, labels, groups=groups)


cases = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda y: 0 < sum(y) < len(y)),
        st.lists(st.integers(0, 6), min_size=n, max_size=n),
    )
)


def on_a_piece(x: np.ndarray, y: np.ndarray, a: float, b: float) -> bool:
    """Whether (a, b) lies on a straight piece of the curve."""
    across = np.diff(x) * (b - y[:-1]) - np.diff(y) * (a - x[:-1])
    inside = (x[:-1] - 1e-9 <= a) & (a <= x[1:] + 1e-9) & (y[:-1] - 1e-9 <= b) & (b <= y[1:] + 1e-9)
    return bool((inside & (np.abs(across) < 1e-9)).any())


@given(cases)
@settings(deadline=None)
def test_corners_are_those_of_scikit_learn(drawn: tuple[list[bool], list[int]]) -> None:
    positive, scores = np.array(drawn[0]), np.array(drawn[1]) / 6
    curve = metrics.Ranking.of(positive, scores).curve(np.ones(len(positive)))
    x, y = roc_points(curve)
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(metrics.auc(curve))
    fpr, tpr, _ = sk.roc_curve(positive, scores)
    assert all(on_a_piece(x, y, *point) for point in zip(fpr, tpr, strict=True))

    recall, precision = precision_recall_points(curve)
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(metrics.average_precision(curve))
    theirs_precision, theirs_recall, thresholds = sk.precision_recall_curve(positive, scores)
    used = np.isin(thresholds, scores[positive])
    theirs = set(zip(theirs_recall[:-1][used].round(9), theirs_precision[:-1][used].round(9), strict=True))
    assert theirs == set(zip(recall[1::2].round(9), precision[1::2].round(9), strict=True))


def test_areas_are_the_figures_of_evaluate() -> None:
    scores, truth = sample()
    found, figures = curves(scores, truth, resamples=20), evaluate(scores, truth, resamples=20)
    for code in CODES:
        one = found[code]
        assert np.trapezoid(one.roc.y, one.roc.x) == pytest.approx(figures[f"{code}.auc"].value)
        area = np.sum(np.diff(one.precision_recall.x) * one.precision_recall.y[1:])
        assert area == pytest.approx(figures[f"{code}.ap"].value)
        assert one.positives == figures[f"{code}.recall"].n
        assert one.prevalence == pytest.approx((truth.labels == CODES.index(code)).mean())


def test_a_band_is_what_resampled_curves_do() -> None:
    scores, truth = sample(120)
    found = curves(scores, truth, resamples=400, seed=5)["NV"]
    positive, values = truth.labels == 1, scores.column("NV")
    from dermoscope.evaluate.resampling import clusters_of, weights_of

    at = 20
    heights, precisions = [], []
    for block in weights_of(clusters_of(truth), 400, 5):
        for drawn in block.T:
            fpr, tpr, _ = sk.roc_curve(positive, values, sample_weight=drawn, drop_intermediate=False)
            heights.append(tpr[fpr <= GRID[at] + 1e-12].max())
            precision, recall, _ = sk.precision_recall_curve(positive, values, sample_weight=drawn)
            reached = np.flatnonzero(recall[:-1] >= GRID[80] - 1e-12)
            precisions.append(precision[:-1][reached[-1]])
    assert (found.roc.low[at], found.roc.high[at]) == pytest.approx(tuple(np.quantile(heights, [0.025, 0.975])))
    expected = tuple(np.quantile(precisions, [0.025, 0.975]))
    assert (found.precision_recall.low[80], found.precision_recall.high[80]) == pytest.approx(expected)


def test_the_band_holds_the_curve() -> None:
    for one in curves(*sample(300), resamples=200).values():
        drawn = np.interp(one.roc.at, one.roc.x, one.roc.y)
        if one.roc.banded:
            assert (one.roc.low <= drawn + 1e-9).mean() > 0.95
            assert (drawn <= one.roc.high + 1e-9).mean() > 0.95


def test_five_pictures_of_each_lesion_make_no_band_narrower() -> None:
    scores, truth = sample(80)
    ids = tuple(f"{i}-{k}" for i in truth.ids for k in range(5))
    groups = tuple(i for i in truth.ids for _ in range(5))
    many = Truth(ids, ISIC2018, truth.labels.repeat(5), groups=groups)
    five = curves(Probabilities(ids, ISIC2018, scores.values.repeat(5, axis=0)), many, resamples=400)["NV"]
    one = curves(scores, truth, resamples=400)["NV"]
    assert five.n == one.n == 80
    assert np.mean(five.roc.high - five.roc.low) == pytest.approx(np.mean(one.roc.high - one.roc.low), rel=0.1)


def test_the_same_seed_gives_the_same_band_in_any_order() -> None:
    scores, truth = sample(150)
    order = np.random.default_rng(1).permutation(150)
    ids = [scores.ids[k] for k in order]
    one, again = curves(scores, truth, resamples=50), curves(scores.aligned_to(ids), truth.take(ids), resamples=50)
    for code, curve in one.items():
        np.testing.assert_array_equal(curve.roc.low, again[code].roc.low)
        np.testing.assert_array_equal(curve.precision_recall.high, again[code].precision_recall.high)


def test_few_cases_have_a_curve_and_no_band() -> None:
    labels = np.array([0] * 3 + [1] * 40)
    ids = tuple(f"i{k:02d}" for k in range(43))
    values = np.random.default_rng(0).random((43, 7))
    found = curves(Scores(ids, ISIC2018, values), Truth(ids, ISIC2018, labels), resamples=10)
    assert set(found) == {"MEL", "NV"}
    assert found["MEL"].positives == 3 < FEWEST
    assert not found["MEL"].roc.banded
    assert not found["NV"].roc.banded, "three others are as few"
    assert found["MEL"].roc.x[-1] == 1.0


def test_one_class_only_and_no_weight() -> None:
    ids = ("a", "b")
    scores = Scores(ids, ISIC2018, np.random.default_rng(0).random((2, 7)))
    assert curves(scores, Truth(ids, ISIC2018, np.array([1, 1])), resamples=5) == {}
    weightless = Truth(ids, ISIC2018, np.array([0, 1]), np.zeros(2))
    with pytest.raises(ValueRuleError, match="no case has a weight above 0; there is no curve to draw"):
        curves(scores, weightless)


def test_reliability_by_hand() -> None:
    probability = np.array([0.05, 0.1, 0.15, 0.55, 0.9, 1.0])
    true = np.array([0, 0, 1, 1, 1, 0], bool)
    weights = np.array([1.0, 1, 1, 1, 1, 0])
    clusters = cluster(list("abcdef"), true.astype(np.int64), "image")
    bins = reliability(probability, true, weights, clusters, 10)
    assert [(b.low, b.high, b.cases) for b in bins] == [(0.0, 0.1, 2), (0.1, 0.2, 1), (0.5, 0.6, 1), (0.8, 0.9, 1)]
    assert [b.expected for b in bins] == pytest.approx([0.075, 0.15, 0.55, 0.9])
    assert [b.observed.value for b in bins] == [0.0, 1.0, 1.0, 1.0]
    # Wilson of 0 in 2: z^2 / (2 + z^2)
    assert bins[0].observed.high == pytest.approx(1.959964**2 / (2 + 1.959964**2), abs=1e-6)
    assert bins[0].observed.method == "wilson"


def test_the_gaps_of_the_highest_probability_make_the_ece() -> None:
    scores, truth = sample(400)
    bins = reliability_curves(scores, truth)[TOP]
    gap = sum(b.cases * abs(b.expected - (b.observed.value or 0.0)) for b in bins) / 400
    assert gap == pytest.approx(float(ece(truth.labels, scores.values, np.ones(400))))
    assert sum(b.cases for b in bins) == 400


def test_reliability_knows_what_it_cannot_measure() -> None:
    scores, truth = sample(50)
    assert reliability_curves(Scores(scores.ids, ISIC2018, scores.values / 2), truth) == {}
    nothing = Truth(truth.ids, ISIC2018, np.full(50, -1))
    assert reliability_curves(scores, nothing) == {}
    no_melanoma = Truth(truth.ids, ISIC2018, np.maximum(truth.labels, 1))
    assert "MEL" not in reliability_curves(scores, no_melanoma)


def test_reliability_of_any_malignant_is_that_of_the_sum() -> None:
    scores, truth = sample(300)
    bins = reliability_curves(scores, truth)[MALIGNANT]
    columns = [ISIC2018.index(code) for code in ("MEL", "BCC")]
    summed, true = scores.values[:, columns].sum(axis=1), np.isin(truth.labels, columns)
    assert sum(b.cases for b in bins) == 300
    for b in bins:
        inside = (summed > b.low) & (summed <= b.high)
        assert (b.cases, b.expected) == (inside.sum(), pytest.approx(summed[inside].mean()))
        assert b.observed.value == pytest.approx(true[inside].mean())
        assert b.as_dict()["observed"] == b.observed.as_dict()
    benign = Truth(truth.ids, ISIC2018, np.full(300, ISIC2018.index("NV")))
    assert MALIGNANT not in reliability_curves(scores, benign)
