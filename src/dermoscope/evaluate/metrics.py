"""The metrics of the ISIC challenges, each a pure function of labels, scores and weights.

Every function takes `weights` of shape [cases] or [cases, resamples] and returns one figure per resample: the point
estimate and the bootstrap are the same code. Conventions are those of the official scorer (`isic-challenge-scoring`
5.6): a tied maximum is wrong, a threshold is passed only above 0.5, and a rate whose denominator is empty is 1. Where
there is nothing to measure (no case of a class), the result is NaN.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

Labels = Int[np.ndarray, " cases"]
Mask = Bool[np.ndarray, " cases"]
Masks = Bool[np.ndarray, "cases classes"]
Column = Float[np.ndarray, " cases"]
Values = Float[np.ndarray, "cases classes"]
Weights = Float[np.ndarray, "cases *resamples"]
PerClass = Float[np.ndarray, "classes *resamples"]
Figure = Float[np.ndarray, "*resamples"]

_Numbers = np.ndarray | np.float64

THRESHOLD = 0.5
"""A score above it counts as a positive prediction of its class, as in the official scorer."""


class Confusion(NamedTuple):
    """Summed weights of true and false positives and negatives, each [classes, *resamples]."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def one_hot(labels: Labels, classes: int) -> Masks:
    """Which case is of which class; a label of -1 is of none."""
    return labels[:, None] == np.arange(classes)


def decisions(scores: Values) -> Labels:
    """Column of the highest score of each case; -1 where two are equally high: the case stays undecided."""
    highest = scores.max(axis=1, keepdims=True)
    return np.where((scores == highest).sum(axis=1) > 1, -1, scores.argmax(axis=1))


def confusion(positive: Masks, predicted: Masks, weights: Weights) -> Confusion:
    """Confusion counts of each class against all others."""
    cells = (positive & predicted, ~positive & predicted, positive & ~predicted, ~positive & ~predicted)
    return Confusion(*(weighted_sums(cell, weights) for cell in cells))


def sensitivity(counts: Confusion) -> np.ndarray:
    """TP / (TP + FN); 1 where there is no positive case."""
    return _ratio(counts.tp, counts.tp + counts.fn, empty=1.0)


def specificity(counts: Confusion) -> np.ndarray:
    """TN / (TN + FP); 1 where there is no negative case."""
    return _ratio(counts.tn, counts.tn + counts.fp, empty=1.0)


def accuracy(counts: Confusion) -> np.ndarray:
    """(TP + TN) / all, one class against all others: not the multi-class accuracy (`top_accuracy`)."""
    right = counts.tp + counts.tn
    return _ratio(right, right + counts.fp + counts.fn, empty=np.nan)


def ppv(counts: Confusion) -> np.ndarray:
    """Positive predictive value TP / (TP + FP); 1 where nothing was predicted."""
    return _ratio(counts.tp, counts.tp + counts.fp, empty=1.0)


def npv(counts: Confusion) -> np.ndarray:
    """Negative predictive value TN / (TN + FN); 1 where everything was predicted."""
    return _ratio(counts.tn, counts.tn + counts.fn, empty=1.0)


def dice(counts: Confusion) -> np.ndarray:
    """2 TP / (2 TP + FP + FN), which is F1; 1 where nothing is positive and nothing was predicted."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, empty=1.0)


def recalls(labels: Labels, scores: Values, weights: Weights) -> PerClass:
    """Share of each class whose highest score is its own; NaN for a class without cases."""
    positive = one_hot(labels, scores.shape[1])
    hit = positive & (decisions(scores) == labels)[:, None]
    return _ratio(weighted_sums(hit, weights), weighted_sums(positive, weights), empty=np.nan)


def balanced_accuracy(labels: Labels, scores: Values, weights: Weights) -> Figure:
    """Mean of `recalls` over the classes present: the score of ISIC 2018 Task 3 and ISIC 2019."""
    return mean_over_present(recalls(labels, scores, weights))


def top_accuracy(labels: Labels, scores: Values, weights: Weights) -> Figure:
    """Share of all cases whose highest score is that of their class."""
    right = (decisions(scores) == labels) & (labels >= 0)
    return _ratio(weighted_sums(right[:, None], weights)[0], weights.sum(axis=0), empty=np.nan)


def mean_over_present(values: PerClass) -> Figure:
    """Mean over classes, those that are NaN left out; NaN where all are."""
    measured = ~np.isnan(values)
    return _ratio(np.where(measured, values, 0.0).sum(axis=0), measured.sum(axis=0, dtype=np.float64), empty=np.nan)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The cases of one class against all others, ranked once, so that any number of weightings is cheap.

    `rows` are the positives in descending order of score and `ends` the last of each of their distinct scores
    ("steps"). `negatives` [2 steps + 1, cases] adds up the negatives: row 2j those between step j-1 and step j, row
    2j + 1 those tied with step j, the last row those below all steps.
    """

    rows: Int[np.ndarray, " positives"]
    ends: Int[np.ndarray, " steps"]
    negatives: sparse.csr_array

    @classmethod
    def of(cls, positive: Mask, scores: Column) -> "Ranking":
        """Rank the cases. Ties keep the reversed order of the rows, as in scikit-learn."""
        order = np.argsort(scores, kind="stable")[::-1]
        rows = order[positive[order]]
        own = scores[rows]
        ends = np.append(np.flatnonzero(np.diff(own)), own.size - 1) if own.size else np.empty(0, np.int64)
        steps = own[ends][::-1]
        others = np.flatnonzero(~positive)
        above = steps.size - np.searchsorted(steps, scores[others], side="right")
        where = 2 * above + np.isin(scores[others], steps)
        table = sparse.coo_array(
            (np.ones(others.size), (where, others)), shape=(2 * int(steps.size) + 1, int(positive.size))
        )
        return cls(rows, ends.astype(np.int64), sparse.csr_array(table))

    def curve(self, weights: Weights) -> "Curve":
        """Summed weights along the ROC curve, one column per resample."""
        hits = np.cumsum(weights[self.rows], axis=0)[self.ends]
        passed = np.cumsum(self.negatives @ weights, axis=0)
        return Curve(hits, passed[:-1:2], passed[1::2], passed[-1, ...])


class Curve(NamedTuple):
    """A ROC curve at each distinct score of the positives, from the highest down.

    `hits` [steps, *resamples]: positives at or above the step; `before`: negatives above it; `upto`: negatives at or
    above it; `negatives` [*resamples]: all of them. All are summed weights.
    """

    hits: np.ndarray
    before: np.ndarray
    upto: np.ndarray
    negatives: np.ndarray


def auc(curve: Curve) -> np.ndarray:
    """Area under the ROC curve, ties counting half (Hanley & McNeil 1982); NaN without positives or negatives."""
    positives = _last(curve)
    won = (_steps(curve.hits) * (curve.negatives - (curve.before + curve.upto) / 2)).sum(axis=0)
    return _ratio(won, positives * curve.negatives, empty=np.nan)


def auc_above_sensitivity(curve: Curve, least: float = 0.8) -> np.ndarray:
    """Area under that part of the ROC curve whose sensitivity is at least `least`; at most 1, reached when perfect.

    The raw partial area as in the official scorer, without McClish's correction; NaN as for `auc`.
    """
    tpr = _ratio(curve.hits, np.broadcast_to(_last(curve), curve.hits.shape), empty=np.nan)
    rise = _steps(tpr)
    start = np.maximum(tpr - rise, least)
    # A step through tied cases is a slope: only its part above `least` counts.
    share = np.where(rise > 0, np.clip(_ratio(tpr - start, rise, empty=1.0), 0.0, 1.0), tpr >= least)
    slopes = share * (curve.upto - curve.before) * (start + tpr) / 2
    following = np.concatenate([curve.before[1:], curve.negatives[None]]) if tpr.size else curve.before
    runs = np.where(tpr >= least, (following - curve.upto) * tpr, 0.0)
    area = np.where(_last(curve) > 0, (slopes + runs).sum(axis=0), np.nan)
    return _ratio(area, curve.negatives, empty=np.nan)


def average_precision(curve: Curve) -> np.ndarray:
    """Precision averaged over the steps in sensitivity, not interpolated (Manning 2008, ch. 8); NaN as for `auc`."""
    precision = _ratio(curve.hits, curve.hits + curve.upto, empty=0.0)
    area = (_steps(curve.hits) * precision).sum(axis=0)
    return _ratio(np.where(curve.negatives > 0, area, np.nan), _last(curve), empty=np.nan)


def _last(curve: Curve) -> np.ndarray:
    return curve.hits[-1, ...] if curve.hits.shape[0] else np.zeros_like(curve.negatives)


def _steps(cumulative: np.ndarray) -> np.ndarray:
    return np.diff(cumulative, axis=0, prepend=np.zeros_like(cumulative[:1]))


def weighted_sums(terms: np.ndarray, weights: Weights) -> np.ndarray:
    """Sum of each column of `terms` [cases, figures] over cases: [figures, *resamples]."""
    # Sparse, because a threaded BLAS is 20 times slower than this on a busy machine, and most terms are 0.
    return sparse.csr_array(terms.T, dtype=np.float64) @ weights


def _ratio(above: _Numbers, below: _Numbers, empty: float) -> np.ndarray:
    out = np.full(np.broadcast_shapes(np.shape(above), np.shape(below)), empty)
    np.divide(above, below, out=out, where=np.asarray(below) != 0)
    return out
