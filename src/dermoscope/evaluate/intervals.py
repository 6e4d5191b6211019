"""How sure a figure is: 95 % intervals, and differences between two models on the same lesions.

Words that `Estimate.method` may hold:

- `bootstrap`: percentile interval (Efron & Tibshirani 1993, ch. 13) of the stratified, clustered bootstrap. It is not
  BCa, whose acceleration costs a further pass per case and changes nothing visible beyond a few hundred lesions.
- `bootstrap, unstratified`: the same, the mix of diagnoses drawn too, for calibration slopes and intercepts: they hold
  probabilities against how common a diagnosis is, which a stratified resample would never doubt.
- `basic bootstrap`: the percentile interval mirrored at the estimate (Davison & Hinkley 1997, ch. 5.2), for the
  calibration error, which is biased upwards in every resample once more.
- `bootstrap, every resample alike`: nothing varied; a true interval would be wider.
- `wilson`: score interval of a rate (Wilson 1927), which keeps its coverage in small classes (Brown, Cai & DasGupta
  2001), where a bootstrap of 15 hits in 15 says [1, 1].
- `wilson, effective n`: the same with as many cases as their clusters and weights are worth (Korn & Graubard 1998).
- `convention`: the official scorer calls a rate of no cases 1; its interval is [0, 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import beta

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import LEVEL, Estimate, wilson
from dermoscope.core.probabilities import Scores
from dermoscope.core.truth import Truth
from dermoscope.evaluate.matching import matched
from dermoscope.evaluate.metrics import Column, Mask
from dermoscope.evaluate.resampling import RESAMPLES, Clusters, bootstrap, clusters_of
from dermoscope.evaluate.table import Table

Draws = Float[np.ndarray, " resamples"]


def clopper_pearson(hits: int | float, n: int | float, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a rate of `hits` in `n` (Clopper & Pearson 1934): never too narrow, often too wide."""
    tail = (1 - level) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(tail, hits, n - hits + 1))
    high = 1.0 if hits >= n else float(beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def effective_size(hits: Mask, weights: Column, clusters: Clusters) -> float:
    """How many independent cases a rate over these cases is worth, given their clusters and weights.

    `hits`, `weights` and `clusters` are of the cases that count. The number of cases divided by the design effect
    (Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts"), with
    the variance between clusters linearised; never above the number of cases, never below what whole clusters are
    worth. For independent cases of weight 1 it is their number.
    """
    used = weights > 0
    cases, total = int(used.sum()), weights.sum()
    if cases == 0:
        return 0.0
    share = (weights @ hits) / total
    whole = float(total**2 / (np.bincount(clusters.of, weights) ** 2).sum())
    members = clusters.count(used)
    variance = (np.bincount(clusters.of, weights * (hits - share)) ** 2).sum() / total**2
    if variance <= 0 or members < 2:
        return whole
    correction = (members - 1) / members * cases / max(1, cases - 1)
    size = share * (1 - share) / variance * correction
    # Rounding must not turn 40 cases into 39.99999: the word in `method` depends on it.
    return float(np.clip(np.round(size, 9), min(whole, cases), cases))


def rate(hits: Mask, among: Mask, weights: Column, clusters: Clusters) -> Estimate:
    """Rate of `hits` among the cases of `among`, with Wilson's interval; 1 by convention where there are none."""
    members = Clusters(clusters.of[among], clusters.strata, clusters.unit)
    used, w = hits[among], weights[among]
    n = members.count(w > 0)
    if n == 0:
        return Estimate(1.0, 0.0, 1.0, "convention", clusters.unit, 0)
    size = effective_size(used, w, members)
    value = float((w @ used) / w.sum())
    low, high = wilson(value * size, size)
    method = "wilson" if size == len(w) and n == len(w) else "wilson, effective n"
    return Estimate(value, min(low, value), max(high, value), method, clusters.unit, n)


def percentile(draws: Draws, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval; resamples without the figure are left out, and where all are it is NaN to NaN."""
    drawn = draws[~np.isnan(draws)]
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) if drawn.size else (np.nan, np.nan)
    return float(low), float(high)


def basic(value: float, draws: Draws, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval mirrored at the estimate, cut at 0 and stretched to hold the estimate."""
    low, high = percentile(draws, level)
    return max(0.0, min(value, 2 * value - high)), max(value, 2 * value - low)


def holm(pvalues: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): reject those that stay below the level; order as given."""
    order = np.argsort(np.asarray(pvalues, dtype=float), kind="stable")
    factors = np.arange(len(pvalues), 0, -1)
    adjusted = np.minimum(1.0, np.maximum.accumulate(np.asarray(pvalues, dtype=float)[order] * factors))
    out = np.empty(len(pvalues))
    out[order] = adjusted
    return [float(p) for p in out]


@dataclass(frozen=True)
class Difference:
    """How much a metric of `a` exceeds that of `b` on the same cases, and the p-value of no difference."""

    estimate: Estimate
    p_value: float


def paired_difference(
    a: Scores, b: Scores, truth: Truth, metric: str = "balanced_accuracy", *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Difference of a figure of `evaluate` (by its name) between two models on the same cases, a minus b.

    Both are scored on the same resamples (clustered by patient or lesion, stratified by diagnosis), so that what is
    hard for both cancels. Percentile interval; the p-value is twice the smaller share of resamples on one side of 0,
    one resample added (Davison & Hinkley 1997, ch. 4.4), hence never below 2 / (resamples + 1).

    Raises ValueRuleError for an unknown metric, one that cannot be measured, or ids that do not match.
    """
    (first, same), (second, _) = matched(a, truth), matched(b, truth)
    rows = np.flatnonzero(same.score_weight > 0)
    labels, weights, clusters = same.labels[rows], same.score_weight[rows], clusters_of(same, rows)
    tables = [Table.of(same.taxonomy.codes, labels, s.values[rows], weights) for s in (first, second)]
    if metric not in tables[0].names:
        raise ValueRuleError(
            f"no figure is called {metric!r}; for example balanced_accuracy, macro_average.auc, MEL.auc"
        )
    at = tables[0].names.index(metric)

    def difference(w: np.ndarray) -> np.ndarray:
        return (tables[0](w)[at] - tables[1](w)[at])[None]

    value = float(difference(weights)[0])
    if np.isnan(value):
        raise ValueRuleError(f"{metric} cannot be measured on these cases for both models")
    draws = bootstrap(difference, clusters, weights, resamples=resamples, seed=seed)[0]
    low, high = percentile(draws)
    everyone: Bool[np.ndarray, " rows"] = np.ones(len(rows), bool)
    n = clusters.count(everyone)
    return Difference(Estimate(value, low, high, "paired bootstrap", clusters.unit, n), two_sided(draws))


def two_sided(draws: Draws) -> float:
    """P-value of no difference from resampled differences, as `paired_difference` defines it."""
    drawn = draws[~np.isnan(draws)]
    fewer = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return float(min(1.0, 2 * (fewer + 1) / (len(drawn) + 1)))
