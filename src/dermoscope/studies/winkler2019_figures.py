"""Figures of melanomas against nevi, and their paired differences on the same lesions.

All ways to look at the same lesions share one bootstrap (clustered by lesion, stratified by diagnosis), so what is hard
in every look cancels. An answer counts by the decision rule on the probabilities alone, so that both looks have one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from dermoscope.core.cases import Case
from dermoscope.core.estimate import Estimate
from dermoscope.evaluate.intervals import Difference, percentile, rate, two_sided
from dermoscope.evaluate.resampling import Clusters, cluster, weights_of
from dermoscope.studies.winkler2019_scores import Looked

RESAMPLES = 5000
"""Of each interval: with thirty differences in a family, the smallest p-value has to stand Holm's correction."""

Weights = Float[np.ndarray, "cases draws"]
Draws = Float[np.ndarray, " draws"]
Figure = Callable[["Lesions", Looked, Weights], Draws]


@dataclass(frozen=True, eq=False)
class Lesions:
    """Melanomas and nevi that are looked at, and how they are drawn again."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    melanoma: Bool[np.ndarray, " cases"]

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "Lesions":
        """From cases of which each is a melanoma or not."""
        melanoma = np.array([c.diagnosis == "MEL" for c in cases], bool)
        return cls(tuple(c.image_id for c in cases), tuple(c.group for c in cases), melanoma)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Lesions":
        """Some of them."""
        kept = [int(row) for row in rows]
        return Lesions(tuple(self.names[r] for r in kept), tuple(self.groups[r] for r in kept), self.melanoma[kept])

    @property
    def nevus(self) -> Bool[np.ndarray, " cases"]:
        """What is no melanoma."""
        return ~self.melanoma

    @cached_property
    def clusters(self) -> Clusters:
        """What is drawn: the lesions, stratified by diagnosis."""
        return cluster(self.groups, self.melanoma.astype(int), "lesion")

    @cached_property
    def weights(self) -> Weights:
        """One column of ones, then the resamples."""
        drawn = list(weights_of(self.clusters, RESAMPLES, 0))
        return np.concatenate([np.ones((len(self.names), 1)), *drawn], axis=1)

    def rate(self, hits: Bool[np.ndarray, " cases"], among: Bool[np.ndarray, " cases"], what: str) -> Estimate:
        """A share with Wilson's interval; not measurable, for want of `what`, where nothing is counted."""
        if not among.any():
            return Estimate.not_measurable(f"no {what}", "lesion", 0)
        return rate(hits, among, np.ones(len(hits)), self.clusters)


def mean(values: Float[np.ndarray, " cases"], weights: Weights) -> Draws:
    """Weighted mean of every draw."""
    return np.asarray(values @ weights / weights.sum(axis=0))


def _of(part: Bool[np.ndarray, " cases"], values: np.ndarray, weights: Weights) -> Draws:
    return mean(values[part].astype(float), weights[part])


def auc(lesions: Lesions, looked: Looked, weights: Weights) -> Draws:
    """Share of pairs in which the melanoma has the higher score, ties by half (Hanley & McNeil 1982)."""
    part = lesions.melanoma
    return auc_of(looked.melanoma[part], looked.melanoma[~part], weights[part], weights[~part])


def auc_of(
    positive: Float[np.ndarray, " melanomas"],
    negative: Float[np.ndarray, " nevi"],
    of_positive: Weights,
    of_negative: Weights,
) -> Draws:
    """The same of scores and their weights."""
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return np.asarray(
        (of_positive * (wins @ of_negative)).sum(axis=0) / of_positive.sum(axis=0) / of_negative.sum(axis=0)
    )


FIGURES: Mapping[str, Figure] = {
    "nevi referred": lambda lesions, looked, w: _of(lesions.nevus, looked.referred, w),
    "melanomas referred": lambda lesions, looked, w: _of(lesions.melanoma, looked.referred, w),
    "AUC": auc,
    "log-odds of melanoma, nevi": lambda lesions, looked, w: _of(lesions.nevus, looked.log_odds, w),
    "log-odds of melanoma, melanomas": lambda lesions, looked, w: _of(lesions.melanoma, looked.log_odds, w),
}
"""What changes from one look to the other; shares as shares, log-odds as natural logarithms."""


def estimate(draws: Draws, n: int) -> Estimate:
    """The first value with the percentile interval of the others."""
    value, (low, high) = float(draws[0]), percentile(draws[1:])
    return Estimate(value, min(low, value), max(high, value), "bootstrap", "lesion", n)


def difference(draws: Draws, n: int) -> Difference:
    """A paired difference and the p-value of none, from its draws."""
    value, (low, high) = float(draws[0]), percentile(draws[1:])
    found = Estimate(value, min(low, value), max(high, value), "paired bootstrap", "lesion", n)
    return Difference(found, two_sided(draws[1:]))


def changes(lesions: Lesions, after: Looked, before: Looked) -> dict[str, Difference]:
    """Every figure of `FIGURES`, after minus before, on the same lesions."""
    counts = {"nevi": int(lesions.nevus.sum()), "melanomas": int(lesions.melanoma.sum())}
    found = {}
    for name, figure in FIGURES.items():
        n = next((count for what, count in counts.items() if what in name), len(lesions.names))
        draws = figure(lesions, after, lesions.weights) - figure(lesions, before, lesions.weights)
        found[name] = difference(draws, n)
    return found


def levels(lesions: Lesions, looked: Looked) -> dict[str, Estimate]:
    """Sensitivity, specificity and AUC of one look."""
    return {
        "sensitivity": lesions.rate(looked.referred, lesions.melanoma, "melanoma"),
        "specificity": lesions.rate(~looked.referred, lesions.nevus, "nevus"),
        "AUC": estimate(auc(lesions, looked, lesions.weights), len(lesions.names)),
    }


def flips(lesions: Lesions, after: Looked, before: Looked) -> dict[str, Estimate]:
    """Shares of answers as served that turn, of those that had the first answer before."""
    nevus, melanoma = lesions.nevus, lesions.melanoma
    low, refer = before.was("low_concern"), before.was("refer")
    return {
        "nevi: low concern turns to refer": lesions.rate(
            after.was("refer"), nevus & low, "nevus of low concern before"
        ),
        "nevi: refer turns to low concern": lesions.rate(
            after.was("low_concern"), nevus & refer, "nevus referred before"
        ),
        "melanomas: refer turns to low concern": lesions.rate(
            after.was("low_concern"), melanoma & refer, "melanoma referred before"
        ),
        "assessed turns to cannot assess": lesions.rate(
            after.was("cannot_assess"), ~before.was("cannot_assess"), "assessed picture before"
        ),
    }
