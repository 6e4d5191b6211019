"""Figures of one way to split, and of what two of them differ by: paired, for all ways answer the same pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured
from dermoscope.evaluate import metrics
from dermoscope.evaluate.intervals import percentile
from dermoscope.evaluate.metrics import Ranking
from dermoscope.evaluate.repeats import Resampled
from dermoscope.evaluate.resampling import bootstrap, cluster
from dermoscope.studies.gains import Gain
from dermoscope.studies.leakage_readers import Bench, Values
from dermoscope.studies.leakage_splits import Rows

RESAMPLES = 2000
"""Of each interval. It sets the floor of a p-value, 2 / 2001, which Holm's correction multiplies."""


def resampled(
    repeats: Sequence[Values], bench: Bench, rows: Rows, among: Sequence[str] = (), seed: int = 0
) -> Resampled:
    """`accuracy`, `balanced accuracy, N diagnoses`, `AUC, mean` and `AUC MEL` of some pictures, the mean over repeats.

    Lesions are drawn, each diagnosis by itself. `among` leaves other diagnoses out: their pictures, and their scores.
    """
    columns = sorted(bench.codes.index(code) for code in among or bench.codes)
    rows = rows[np.isin(bench.labels[rows], columns)]
    labels = np.searchsorted(columns, bench.labels[rows])
    present = np.unique(labels)
    positive = metrics.one_hot(labels, len(columns))
    scores = [values[rows][:, columns].astype(float) for values in repeats]
    rankings = [[Ranking.of(positive[:, c], own[:, c]) for c in present] for own in scores]

    def one(w: np.ndarray, own: Values, ranked: Sequence[Ranking]) -> np.ndarray:
        aucs = np.stack([metrics.auc(ranking.curve(w)) for ranking in ranked])
        top = (metrics.top_accuracy(labels, own, w), metrics.balanced_accuracy(labels, own, w))
        return np.concatenate([np.stack([*top, metrics.mean_over_present(aucs)]), aucs])

    def mean(w: np.ndarray) -> np.ndarray:
        return np.mean([one(w, own, ranked) for own, ranked in zip(scores, rankings, strict=True)], axis=0)

    groups = [bench.groups[row] for row in rows.tolist()]
    clusters, weights = cluster(groups, labels, "lesion"), np.ones(len(rows))
    draws = bootstrap(mean, clusters, weights, resamples=RESAMPLES, seed=seed)
    every = np.concatenate([mean(weights)[:, None], draws], axis=1)
    codes = [bench.codes[columns[c]] for c in present]
    names = ("accuracy", f"balanced accuracy, {len(codes)} diagnoses", "AUC, mean", *(f"AUC {code}" for code in codes))
    kept = {n: v for n, v in zip(names, every, strict=True) if not n.startswith("AUC ") or n == "AUC MEL"}
    return Resampled(kept, "lesion", len(clusters), seed, tuple(map(str, rows.tolist())))


def averaged(parts: Sequence[Resampled]) -> Resampled:
    """The mean of parts that share no lesion, each resampled with a seed of its own, of the figures that all have.

    The number of diagnoses goes from the name of the balanced accuracy, for it may differ.
    """
    named = [{name.partition(" accuracy, ")[0]: values for name, values in part.figures.items()} for part in parts]
    names = [name for name in named[0] if all(name in own for own in named)]
    figures = {_WHOLE.get(name, name): np.mean([own[name] for own in named], axis=0) for name in names}
    cases = tuple(f"{k}/{case}" for k, part in enumerate(parts) for case in part.cases)
    return Resampled(figures, "lesion", sum(part.n for part in parts), -1, cases)


_WHOLE = {"balanced": "balanced accuracy"}


def mean_of(values: Float[np.ndarray, " pictures"], bench: Bench) -> Estimate:
    """The mean of what some pictures have (others: NaN), with a bootstrap of lesions within each diagnosis."""
    rows = np.flatnonzero(~np.isnan(values))
    own, groups = values[rows], [bench.groups[row] for row in rows.tolist()]
    clusters = cluster(groups, bench.labels[rows], "lesion")

    def mean(w: np.ndarray) -> np.ndarray:
        return ((own @ w) / w.sum(axis=0))[None]

    low, high = percentile(bootstrap(mean, clusters, np.ones(len(rows)), resamples=RESAMPLES)[0])
    method = "bootstrap" if high > low else "bootstrap, every resample alike"
    return Estimate(float(own.mean()), low, high, method, "lesion", len(clusters))


@dataclass(frozen=True, eq=False)
class Compared:
    """Ways to split by their name, each resampled on the same pictures; what is told of them, of which metrics."""

    arms: Mapping[str, Resampled]
    split: str
    reader: str
    metrics: tuple[str, ...]

    def measured(self) -> tuple[Measured, ...]:
        """Every metric of every way."""
        return tuple(
            Measured(name, held.estimate(name), self.split, self._called(arm))
            for arm, held in self.arms.items()
            for name in self._held
        )

    def gains(self, of: str, against: str) -> tuple[Gain, ...]:
        """How much one way exceeds another."""
        a, b = self.arms[of], self.arms[against]
        return tuple(
            Gain(name, a.minus(b, name), self.split, self._called(of), self._called(against)) for name in self._held
        )

    @property
    def _held(self) -> list[str]:
        own = next(iter(self.arms.values()))
        return [name for start in self.metrics for name in own.figures if name.startswith(start)]

    def _called(self, arm: str) -> str:
        return f"{self.reader}, {arm}"
