"""Curves with their uncertainty: ROC and precision-recall with bands, reliability with an interval per bin.

A band is pointwise: at each place of the horizontal axis the percentile interval of the resampled curves ("vertical
averaging" of Fawcett 2006, "An introduction to ROC analysis"; Macskassy & Provost 2005 on its bands). It holds 95 % at
each place, not for the whole curve at once. Resamples are those of `resampling`: clustered and stratified.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import LEVEL, Estimate, Unit
from dermoscope.core.probabilities import Scores
from dermoscope.core.truth import Truth
from dermoscope.evaluate.calibration import BINS, MALIGNANT, bin_of
from dermoscope.evaluate.intervals import rate
from dermoscope.evaluate.matching import matched
from dermoscope.evaluate.metrics import Column, Curve, Mask, Ranking, one_hot
from dermoscope.evaluate.resampling import RESAMPLES, Clusters, bootstrap, clusters_of
from dermoscope.evaluate.table import sums_to_one

FEWEST = 10
"""Clusters with a diagnosis, and without it, below which no band is drawn: so few say too little of their kind."""

CLASS_BINS = 10
"""Equal-width bins of the reliability curve of one diagnosis; that of the highest probability has those of the ECE."""

TOP = "top"
"""Key of the reliability of the highest probability, beside the codes of the diagnoses."""

GRID = np.linspace(0.0, 1.0, 101)

Points = Float[np.ndarray, " points"]
OnGrid = Float[np.ndarray, "grid resamples"]


@dataclass(frozen=True, eq=False)
class BandedCurve:
    """A curve [points] from left to right with all its corners, and its band [places] at `at`.

    `at`, `low` and `high` are empty where there are too few cases for a band (see `FEWEST`).
    """

    x: Points
    y: Points
    at: Float[np.ndarray, " places"]
    low: Float[np.ndarray, " places"]
    high: Float[np.ndarray, " places"]

    @property
    def banded(self) -> bool:
        """Whether there is a band."""
        return self.at.size > 0


@dataclass(frozen=True, eq=False)
class ClassCurves:
    """ROC and precision-recall curve of one diagnosis against all others.

    `positives` of `n` units have the diagnosis; `prevalence` is its share of the weights, which precision has at a
    recall of 1 and a useless model everywhere.
    """

    roc: BandedCurve
    precision_recall: BandedCurve
    prevalence: float
    positives: int
    n: int
    unit: Unit


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases whose probability lies in (`low`, `high`]: its mean, how often it came true, and how many they are."""

    low: float
    high: float
    expected: float
    observed: Estimate
    cases: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-able fields: `low`, `high`, `expected`, `observed` (an estimate) and `n`."""
        observed = self.observed.as_dict()
        return {"low": self.low, "high": self.high, "expected": self.expected, "observed": observed, "n": self.cases}


def curves(
    scores: Scores, truth: Truth, *, resamples: int = RESAMPLES, seed: int = 0, fewest: int = FEWEST
) -> dict[str, ClassCurves]:
    """ROC and precision-recall curves of every diagnosis that some cases have and some have not.

    Raises ValueRuleError where images or diagnoses of the two differ, or no case has a weight.
    """
    codes, labels, values, weights, clusters = _weighted(scores, truth)
    positive = one_hot(labels, len(codes))
    shares = weights @ positive / weights.sum()
    there = [c for c in range(len(codes)) if positive[:, c].any() and not positive[:, c].all()]
    if not there:
        return {}
    rankings = [Ranking.of(positive[:, c], values[:, c]) for c in there]

    def statistic(drawn: np.ndarray) -> np.ndarray:
        found = [ranking.curve(drawn) for ranking in rankings]
        return np.concatenate([on_grid(curve) for curve in found for on_grid in (_sensitivity, _precision)])

    draws = bootstrap(statistic, clusters, weights, resamples=resamples, seed=seed)
    blocks = np.split(draws, 2 * len(there))
    out, n = {}, clusters.count(np.ones(len(labels), bool))
    for k, c in enumerate(there):
        hits, others = clusters.count(positive[:, c]), clusters.count(~positive[:, c])
        pair = blocks[2 * k : 2 * k + 2] if min(hits, others) >= fewest else [np.empty((0, 0))] * 2
        curve = rankings[k].curve(weights)
        out[codes[c]] = ClassCurves(
            _banded(*roc_points(curve), pair[0]),
            _banded(*precision_recall_points(curve), pair[1]),
            float(shares[c]),
            hits,
            n,
            clusters.unit,
        )
    return out


def roc_points(curve: Curve) -> tuple[Points, Points]:
    """False positive rate and sensitivity at the corners of a ROC curve, from (0, 0) to (1, 1).

    A run of negatives is a flat piece, a run of positives an upright one, tied cases a slope. `curve` is of one
    weighting, with positives and negatives.
    """
    x = np.stack([curve.before, curve.upto], axis=1).ravel() / curve.negatives
    y = np.stack([np.append(0.0, curve.hits[:-1]), curve.hits], axis=1).ravel() / curve.hits[-1]
    return np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [1.0]])


def precision_recall_points(curve: Curve) -> tuple[Points, Points]:
    """Recall and precision as the steps whose area is `average_precision`: each holds back to the recall before it.

    `curve` is of one weighting, with positives and negatives.
    """
    recall = curve.hits / curve.hits[-1]
    precision = curve.hits / np.maximum(curve.hits + curve.upto, np.finfo(np.float64).tiny)
    x = np.stack([np.append(0.0, recall[:-1]), recall], axis=1).ravel()
    return x, np.repeat(precision, 2)


def reliability(
    probability: Column, true: Mask, weights: Column, clusters: Clusters, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """How often a probability came true, in equal-width bins that are open below and closed above; empty ones go.

    The interval of each bin is Wilson's, with as many cases as their clusters are worth. With the bins of `ece` and
    the highest probability, the mean gap between `expected` and `observed`, weighted, is the ECE.
    """
    where, out = bin_of(probability, bins), []
    for k in np.unique(where[weights > 0]).tolist():
        among: Bool[np.ndarray, " cases"] = (where == k) & (weights > 0)
        expected = float(np.average(probability[among], weights=weights[among]))
        observed = rate(true, among, weights, clusters)
        out.append(ReliabilityBin(k / bins, (k + 1) / bins, expected, observed, int(among.sum())))
    return tuple(out)


def reliability_curves(scores: Scores, truth: Truth) -> Mapping[str, tuple[ReliabilityBin, ...]]:
    """Reliability of the highest probability (`TOP`), each diagnosis and any malignant (`calibration.MALIGNANT`).

    Empty where rows do not sum to 1. Cases that are none of the diagnoses are left out of `TOP`, as in the ECE, and are
    cases without the diagnosis in the others. What has no case is left out. Raises ValueRuleError as `curves` does.
    """
    codes, labels, values, weights, clusters = _weighted(scores, truth)
    if not sums_to_one(values):
        return {}
    known = np.flatnonzero(labels >= 0)
    of_known = Clusters(clusters.of[known], clusters.strata, clusters.unit)
    right = values[known].argmax(axis=1) == labels[known]
    found = {TOP: reliability(values[known].max(axis=1), right, weights[known], of_known)}
    for c, code in enumerate(codes):
        if (labels == c).any():
            found[code] = reliability(values[:, c], labels == c, weights, clusters, CLASS_BINS)
    columns = np.flatnonzero(truth.taxonomy.of_group("malignant"))
    if np.isin(labels, columns).any():
        summed = np.minimum(values[:, columns].sum(axis=1), 1.0)
        found[MALIGNANT] = reliability(summed, np.isin(labels, columns), weights, clusters, CLASS_BINS)
    return {name: bins for name, bins in found.items() if bins}


def _weighted(
    scores: Scores, truth: Truth
) -> tuple[tuple[str, ...], Int[np.ndarray, " rows"], Float[np.ndarray, "rows classes"], Column, Clusters]:
    scores, truth = matched(scores, truth)
    rows = np.flatnonzero(truth.score_weight > 0)
    if not rows.size:
        raise ValueRuleError("no case has a weight above 0; there is no curve to draw")
    weights = truth.score_weight[rows]
    return truth.taxonomy.codes, truth.labels[rows], scores.values[rows], weights, clusters_of(truth, rows)


def _banded(x: Points, y: Points, draws: np.ndarray) -> BandedCurve:
    drawn = draws[:, ~np.isnan(draws).any(axis=0)]
    if not drawn.size:
        return BandedCurve(x, y, *[np.empty(0)] * 3)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=1)
    return BandedCurve(x, y, GRID, low, high)


def _sensitivity(curve: Curve) -> OnGrid:
    """Sensitivity at each false positive rate of the grid; at an upright piece its upper end."""
    out = np.full((GRID.size, curve.negatives.size), np.nan)
    for k in range(curve.negatives.size):
        if curve.negatives[k] > 0 and curve.hits[-1, k] > 0:
            one = Curve(curve.hits[:, k], curve.before[:, k], curve.upto[:, k], curve.negatives[k])
            out[:, k] = np.interp(GRID, *roc_points(one))
    return out


def _precision(curve: Curve) -> OnGrid:
    """Precision at the first step that reaches each recall of the grid."""
    out = np.full((GRID.size, curve.negatives.size), np.nan)
    for k in range(curve.negatives.size):
        hits = curve.hits[:, k]
        if curve.negatives[k] > 0 and hits[-1] > 0:
            # Rounding must not push a recall of 0.3 past the step that is 0.3; at 0 the first hit counts.
            wanted = np.maximum(GRID * hits[-1] * (1 - 1e-12), np.finfo(np.float64).tiny)
            step = np.searchsorted(hits, wanted)
            out[:, k] = hits[step] / (hits[step] + curve.upto[step, k])
    return out
