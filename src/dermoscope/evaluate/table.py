"""The whole table of figures as one function of the weights, so that a bootstrap is the same code as the estimate.

Names are those of the official scorer, made flat: `balanced_accuracy`; `macro_average.auc` and the other per-class
metrics averaged over the classes present; `MEL.auc` and so on per class. What the official scorer does not report is
named alike: `accuracy` (multi-class), `MEL.recall` (share of melanomas whose highest score is melanoma; balanced
accuracy is its mean), `log_loss`, `brier`, `ece`, `MEL.calibration_slope`, `MEL.calibration_intercept`, and these two
of any malignant diagnosis against all others: `malignant.calibration_slope`, `malignant.calibration_intercept`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dermoscope.core.probabilities import SUM_TOLERANCE
from dermoscope.evaluate import calibration, metrics
from dermoscope.evaluate.metrics import Column, Labels, Ranking, Values, Weights

OFFICIAL = ("accuracy", "sensitivity", "specificity", "dice", "ppv", "npv", "auc", "auc_sens_80", "ap")
"""Per-class metrics of the official scorer, in its order; all but the last three at a threshold of 0.5."""

CALIBRATION = ("calibration_slope", "calibration_intercept")
PROBABILITY = ("log_loss", "brier", "ece")


@dataclass(frozen=True, eq=False)
class Table:
    """Labels and scores, prepared once; called with weights it returns every figure.

    `rankings` and `recalibration` are what can be computed before the weights are known; the latter, of every class and
    lastly of any malignant, is None where rows do not sum to 1, and then all figures of probabilities are NaN.
    """

    codes: tuple[str, ...]
    labels: Labels
    scores: Values
    present: Bool[np.ndarray, " classes"]
    malignant: Bool[np.ndarray, " classes"]
    rankings: tuple[Ranking, ...]
    recalibration: calibration.Recalibration | None

    @classmethod
    def of(
        cls,
        codes: tuple[str, ...],
        labels: Labels,
        scores: Values,
        weights: Column,
        malignant: Bool[np.ndarray, " classes"] | None = None,
    ) -> "Table":
        """Prepare the figures of `scores` [cases, classes]; classes whose cases all weigh 0 count as absent.

        `malignant` marks the classes that are; without it the figures of any malignant are NaN.
        """
        positive = metrics.one_hot(labels, len(codes))
        rankings = tuple(Ranking.of(positive[:, c], scores[:, c]) for c in range(len(codes)))
        among = np.zeros(len(codes), bool) if malignant is None else malignant
        recalibration = _recalibration(positive, scores, weights, among) if sums_to_one(scores) else None
        return cls(codes, labels, scores, weights @ positive > 0, among, rankings, recalibration)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the figures, in the order of the rows that a call returns."""
        metric_names = (*OFFICIAL, *CALIBRATION)
        macro = tuple(f"macro_average.{name}" for name in metric_names)
        per_class = tuple(f"{code}.{name}" for name in (*metric_names, "recall") for code in self.codes)
        of_malignant = tuple(f"{calibration.MALIGNANT}.{name}" for name in CALIBRATION)
        return ("balanced_accuracy", "accuracy", *macro, *PROBABILITY, *per_class, *of_malignant)

    def __call__(self, weights: Weights) -> Float[np.ndarray, "figures *resamples"]:
        """Every figure for these weights; NaN where it cannot be measured."""
        calibrated = self._calibrated(weights)
        malignant = np.stack([values[-1] for values in calibrated])
        per_class = [*self._thresholded(weights), *self._ranked(weights), *(values[:-1] for values in calibrated)]
        absent = ~self.present
        for values in per_class:
            values[absent] = np.nan
        recalls = metrics.recalls(self.labels, self.scores, weights)
        overall = [metrics.mean_over_present(recalls), metrics.top_accuracy(self.labels, self.scores, weights)]
        macro = [metrics.mean_over_present(values) for values in per_class]
        return np.concatenate(
            [np.stack([*overall, *macro, *self._probabilistic(weights)]), *per_class, recalls, malignant]
        )

    @property
    def calibration_names(self) -> tuple[str, ...]:
        """Names of the figures of `recalibrated`, in its order."""
        of = ("macro_average", *self.codes, calibration.MALIGNANT)
        return tuple(f"{what}.{name}" for name in CALIBRATION for what in of)

    def recalibrated(self, weights: Weights) -> Float[np.ndarray, "figures *resamples"]:
        """Calibration slopes and intercepts alone; NaN also in resamples without a case of the diagnosis."""
        counted = metrics.weighted_sums(metrics.one_hot(self.labels, len(self.codes)), weights)
        empty = np.concatenate([counted, counted[self.malignant].sum(axis=0)[None]]) == 0
        rows = []
        for values in self._calibrated(weights):
            values[empty] = np.nan
            rows.append(np.concatenate([metrics.mean_over_present(values[:-1])[None], values]))
        return np.concatenate(rows)

    def _thresholded(self, weights: Weights) -> list[np.ndarray]:
        positive = metrics.one_hot(self.labels, len(self.codes))
        counts = metrics.confusion(positive, self.scores > metrics.THRESHOLD, weights)
        functions = (metrics.accuracy, metrics.sensitivity, metrics.specificity, metrics.dice, metrics.ppv, metrics.npv)
        return [function(counts) for function in functions]

    def _ranked(self, weights: Weights) -> list[np.ndarray]:
        curves = [ranking.curve(weights) for ranking in self.rankings]
        functions = (metrics.auc, metrics.auc_above_sensitivity, metrics.average_precision)
        return [np.stack([function(curve) for curve in curves]) for function in functions]

    def _calibrated(self, weights: Weights) -> list[np.ndarray]:
        if self.recalibration is None:
            return [np.full((len(self.codes) + 1, *weights.shape[1:]), np.nan) for _ in CALIBRATION]
        return list(self.recalibration.figures(weights))

    def _probabilistic(self, weights: Weights) -> list[np.ndarray]:
        if self.recalibration is None:
            return [np.full(weights.shape[1:], np.nan) for _ in PROBABILITY]
        functions = (calibration.log_loss, calibration.brier, calibration.ece)
        return [function(self.labels, self.scores, weights) for function in functions]


def _recalibration(
    positive: metrics.Masks, scores: Values, weights: Column, malignant: Bool[np.ndarray, " classes"]
) -> calibration.Recalibration:
    """Of every class, and of the malignant ones together in a last column."""
    together = positive[:, malignant].any(axis=1, keepdims=True)
    summed = scores[:, malignant].sum(axis=1, keepdims=True)
    return calibration.Recalibration.of(np.hstack([positive, together]), np.hstack([scores, summed]), weights)


def sums_to_one(scores: Values) -> bool:
    """Whether every row sums to 1 within the tolerance of `Probabilities`."""
    return bool((np.abs(scores.sum(axis=1) - 1) <= SUM_TOLERANCE).all())
