"""Figures of a method that was run several times (seeds, folds' models) on the same cases, and their differences.

A figure is its mean over the repeats. Intervals come from one bootstrap of the cases that every repeat and every method
shares, so that two methods resampled with the same seed are compared on the same lesions; they say how much the figure
depends on the cases, not how much on the seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate, Unit
from dermoscope.core.probabilities import Scores
from dermoscope.core.truth import Truth
from dermoscope.evaluate import metrics
from dermoscope.evaluate.intervals import Difference, percentile, two_sided
from dermoscope.evaluate.matching import matched
from dermoscope.evaluate.metrics import Labels, Ranking, Values, Weights
from dermoscope.evaluate.resampling import RESAMPLES, bootstrap, clusters_of


@dataclass(frozen=True, eq=False)
class Resampled:
    """Figures by name, [1 + resamples] each: first the figure itself, then that of every resample.

    `cases` are the ids of what was scored; `n` counts its units.
    """

    figures: Mapping[str, Float[np.ndarray, " draws"]]
    unit: Unit
    n: int
    seed: int
    cases: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Whether a figure can be measured."""
        return name in self.figures and not np.isnan(self.figures[name][0])

    def estimate(self, name: str) -> Estimate:
        """One figure with its percentile interval; not measurable where a class it needs has no case."""
        value, draws = float(self.figures[name][0]), self.figures[name][1:]
        if np.isnan(value):
            return Estimate.not_measurable("no case of a diagnosis it is about", self.unit, self.n)
        low, high = percentile(draws)
        return Estimate(value, min(low, value), max(high, value), "bootstrap", self.unit, self.n)

    def minus(self, other: "Resampled", name: str) -> Difference:
        """How much this exceeds another method on the same cases.

        Raises ValueRuleError where the two were not resampled alike, or the figure cannot be measured.
        """
        drawn = [len(r.figures[name]) for r in (self, other)]
        if (self.cases, self.seed, drawn[0]) != (other.cases, other.seed, drawn[1]):
            raise ValueRuleError(f"{name}: two methods that were not resampled alike have no paired difference")
        both = self.figures[name] - other.figures[name]
        if np.isnan(both[0]):
            raise ValueRuleError(f"{name} cannot be measured on these cases for both methods")
        low, high = percentile(both[1:])
        value = float(both[0])
        estimate = Estimate(value, min(low, value), max(high, value), "paired bootstrap", self.unit, self.n)
        return Difference(estimate, two_sided(both[1:]))


def resampled(
    repeats: Sequence[Scores], truth: Truth, *, resamples: int = RESAMPLES, seed: int = 0, among: Sequence[str] = ()
) -> Resampled:
    """`balanced_accuracy`, `macro_average.auc` and `CODE.auc` of every diagnosis, as `evaluate` defines them.

    All repeats are scores of the cases of `truth`. `among` restricts the diagnoses: scores of the others are left out
    of the ranking and of the maximum, and so must be the cases.
    Raises ValueRuleError where ids or diagnoses do not match or there is no repeat.
    """
    if not repeats:
        raise ValueRuleError("no repeat to take the mean of")
    pairs = [matched(scores, truth) for scores in repeats]
    same = pairs[0][1]
    codes = tuple(among) or same.taxonomy.codes
    columns = [same.taxonomy.index(code) for code in codes]
    rows = np.flatnonzero((same.score_weight > 0) & np.isin(same.labels, columns))
    labels = np.searchsorted(np.sort(columns), same.labels[rows])
    codes = tuple(same.taxonomy.codes[column] for column in sorted(columns))
    weights, clusters = same.score_weight[rows], clusters_of(same, rows)
    tables = [_Few.of(labels, scores.values[rows][:, sorted(columns)]) for scores, _ in pairs]

    def mean(w: np.ndarray) -> np.ndarray:
        return np.mean([table(w) for table in tables], axis=0)

    draws = bootstrap(mean, clusters, weights, resamples=resamples, seed=seed)
    both = np.concatenate([mean(weights)[:, None], draws], axis=1)
    names = ("balanced_accuracy", "macro_average.auc", *(f"{code}.auc" for code in codes))
    n = clusters.count(np.ones(len(rows), bool))
    return Resampled(dict(zip(names, both, strict=True)), clusters.unit, n, seed, tuple(same.ids[row] for row in rows))


@dataclass(frozen=True, eq=False)
class _Few:
    """The few figures of one repeat; called with weights."""

    labels: Labels
    scores: Values
    rankings: tuple[Ranking, ...]

    @classmethod
    def of(cls, labels: Labels, scores: Values) -> "_Few":
        positive = metrics.one_hot(labels, scores.shape[1])
        return cls(labels, scores, tuple(Ranking.of(positive[:, c], scores[:, c]) for c in range(scores.shape[1])))

    def __call__(self, weights: Weights) -> Float[np.ndarray, "figures *resamples"]:
        aucs = np.stack([metrics.auc(ranking.curve(weights)) for ranking in self.rankings])
        absent = [not (self.labels == c).any() for c in range(len(self.rankings))]
        aucs[absent] = np.nan
        balanced = metrics.balanced_accuracy(self.labels, self.scores, weights)
        return np.concatenate([np.stack([balanced, metrics.mean_over_present(aucs)]), aucs])
