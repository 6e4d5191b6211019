"""Are the probabilities true? Log-loss, Brier score, expected calibration error, calibration slope and intercept.

As in `metrics`, weights are [cases] or [cases, resamples] and every function returns one figure per resample. Cases
with a label of -1 ("none of these") have no true column and are left out of log-loss, Brier score and calibration
error; in slope and intercept they are cases without the diagnosis, which they are.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from dermoscope.evaluate.metrics import (
    Column,
    Figure,
    Labels,
    Mask,
    Masks,
    PerClass,
    Values,
    Weights,
    one_hot,
    weighted_sums,
)

BINS = 15
"""Equal-width bins of the calibration error, as in Guo et al. 2017."""

SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1 before their logit is taken: the resolution of float32 near 1, in which
most models compute them."""

MALIGNANT = "malignant"
"""What "any malignant" is called beside the codes of the diagnoses: the sum over those whose group is malignant (MEL,
BCC and SCC of ISIC 2019; AK and AKIEC are premalignant)."""

_MOST_NEWTON_STEPS = 50


def log_loss(labels: Labels, probabilities: Values, weights: Weights) -> Figure:
    """Mean of -ln(probability of the true class), in nats; 0 is clipped to 2.2e-16, as scikit-learn does."""
    rows = np.flatnonzero(labels >= 0)
    true = np.maximum(probabilities[rows, labels[rows]], np.finfo(np.float64).eps)
    return _mean(-np.log(true), weights[rows])


def brier(labels: Labels, probabilities: Values, weights: Weights) -> Figure:
    """Mean over cases of the squared distance between probabilities and truth, summed over classes (Brier 1950, eq. 2).

    From 0 (perfect) to 2; twice the usual figure where there are two classes.
    """
    rows = np.flatnonzero(labels >= 0)
    distance = ((probabilities - one_hot(labels, probabilities.shape[1])) ** 2).sum(axis=1)
    return _mean(distance[rows], weights[rows])


def ece(labels: Labels, probabilities: Values, weights: Weights, bins: int = BINS) -> Figure:
    """Expected calibration error of the highest probability, equal-width bins (Guo et al. 2017, eq. 3).

    It is above 0 even for perfect probabilities, more so in small samples: read it beside `ece_if_perfect`.
    """
    rows = np.flatnonzero(labels >= 0)
    confidence = probabilities.max(axis=1)
    gap = ((probabilities.argmax(axis=1) == labels) - confidence)[rows]
    members = np.equal.outer(np.arange(bins), bin_of(confidence, bins)[rows]) * gap
    total = weights[rows].sum(axis=0)
    return _quotient(np.abs(weighted_sums(members.T, weights[rows])).sum(axis=0), total)


def bin_of(confidence: Column, bins: int) -> Int[np.ndarray, " cases"]:
    """Equal-width bin of each probability, open below and closed above (Guo et al. 2017); 0 is in the first."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def ece_if_perfect(
    probabilities: Values,
    weights: Column,
    clusters: Int[np.ndarray, " cases"],
    *,
    simulations: int = 1000,
    seed: int = 0,
) -> Float[np.ndarray, " simulations"]:
    """Calibration errors that these probabilities would show if they were true.

    Whether the highest probability is right is drawn from that probability, once per cluster (images of one lesion are
    right or wrong together). After the consistency sampling of Bröcker & Smith 2007.
    """
    rng = np.random.default_rng(seed)
    confidence = probabilities.max(axis=1)
    where = bin_of(confidence, BINS)
    count = int(clusters.max(initial=-1)) + 1
    out = np.empty(simulations)
    for k in range(simulations):
        right = rng.random(count)[clusters] < confidence
        gaps = np.bincount(where, weights * (right - confidence), minlength=BINS)
        out[k] = np.abs(gaps).sum() / weights.sum()
    return out


@dataclass(frozen=True, eq=False)
class Recalibration:
    """Logistic recalibration of each class against all others, fitted once and reweighted cheaply.

    logit P(class) = a + b logit(p) (Cox 1958). The calibration slope is b: below 1 the probabilities are too extreme.
    The calibration intercept is a with b held at 1: below 0 they are too high on average (Van Calster et al. 2019,
    "Calibration: the Achilles heel of predictive analytics"). `slope` and `intercept` [classes] are these two; NaN
    where the fit does not exist (no case, or the scores separate the class completely).

    Reweighted figures take one Newton step from the fit (the one-step bootstrap of Moulton & Zeger 1991). The step
    needs only sums over cases of `terms` [figures, cases], the same for every resample.
    """

    slope: Float[np.ndarray, " classes"]
    intercept: Float[np.ndarray, " classes"]
    terms: sparse.csr_array

    @classmethod
    def of(cls, positive: Masks, probabilities: Values, weights: Column) -> "Recalibration":
        """Fit by maximum likelihood with the given weights."""
        clipped = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
        logits = np.log(clipped) - np.log1p(-clipped)
        columns = range(probabilities.shape[1])
        ones = np.ones(len(logits))
        free = np.array([_fit(np.stack([ones, logits[:, c]]), None, positive[:, c], weights) for c in columns])
        fixed = np.array([_fit(ones[None], logits[:, c], positive[:, c], weights)[0] for c in columns])
        rest, spread = _residuals(positive, free[:, 0] + free[:, 1] * logits)
        terms = (
            rest,
            rest * logits,
            spread,
            spread * logits,
            spread * logits**2,
            *_residuals(positive, fixed + logits),
        )
        return cls(free[:, 1], fixed, sparse.csr_array(np.concatenate(terms, axis=1).T))

    def figures(self, weights: Weights) -> tuple[PerClass, PerClass]:
        """Calibration slope (1 is perfect) and intercept (in logits, 0 is perfect) of each class."""
        g0, g1, h00, h01, h11, gradient, curvature = np.split(self.terms @ weights, 7)
        slope = _quotient(h00 * g1 - h01 * g0, h00 * h11 - h01 * h01)
        columns = (-1, *[1] * (weights.ndim - 1))
        return self.slope.reshape(columns) + slope, self.intercept.reshape(columns) + _quotient(gradient, curvature)


def _residuals(positive: Masks, linear: Values) -> tuple[Values, Values]:
    fitted = _sigmoid(linear)
    return positive - fitted, fitted * (1 - fitted)


def _quotient(above: np.ndarray | np.float64, below: np.ndarray | np.float64) -> np.ndarray:
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)


def _fit(
    design: Float[np.ndarray, "terms cases"], offset: Column | None, positive: Mask, weights: Column
) -> Float[np.ndarray, " terms"]:
    """Logistic regression by Newton steps, halved while they do not improve the likelihood; NaN where none exists."""
    keep = weights > 0
    x, y, w = design[:, keep], positive[keep], weights[keep]
    base = np.zeros(x.shape[1]) if offset is None else offset[keep]
    if y.all() or not y.any() or (len(x) == 2 and _separated(x[1], y)):
        return np.full(len(x), np.nan)
    sign = np.where(y, -1.0, 1.0)
    theta, loss = np.zeros(len(x)), np.inf
    step = np.zeros(len(x))
    for _ in range(_MOST_NEWTON_STEPS):
        new = float(w @ np.logaddexp(0, sign * ((theta + step) @ x + base)))
        if new > loss + 1e-12 * abs(loss):
            step /= 2
            continue
        theta, loss = theta + step, new
        fitted = _sigmoid(theta @ x + base)
        hessian = (x * (w * fitted * (1 - fitted))) @ x.T
        step = np.linalg.lstsq(hessian, x @ (w * (y - fitted)), rcond=None)[0]
        if np.abs(step).max() < 1e-12 * (1 + np.abs(theta).max()):
            break
    return theta


def _separated(x: np.ndarray, y: np.ndarray) -> bool:
    return bool(x[y].min() >= x[~y].max() or x[y].max() <= x[~y].min())


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def _mean(values: Column, weights: Weights) -> np.ndarray:
    return _quotient(weighted_sums(values[:, None], weights)[0], weights.sum(axis=0))
