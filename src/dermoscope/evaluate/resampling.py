"""The bootstrap: what is drawn, how often, and the weights that follow.

A resample is a column of whole numbers: how often each case was drawn. Clusters (patients, else lesions, else images)
are drawn with replacement within strata, so that images of one lesion stay together and every diagnosis keeps its
number of clusters (Davison & Hinkley 1997, ch. 3.2 and 3.8).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dermoscope.core.estimate import Unit
from dermoscope.core.truth import Truth
from dermoscope.evaluate.metrics import Column

RESAMPLES = 2000

_CELLS = 500_000
"""Numbers in one block of weights: 4 MB, so that a block stays in the cache while every metric reads it."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""Weights [cases, resamples] -> figures [figures, resamples]."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """What is drawn: the cluster of each case, the stratum of each cluster, and what a cluster is called."""

    of: Int[np.ndarray, " cases"]
    strata: Int[np.ndarray, " clusters"]
    unit: Unit

    def __len__(self) -> int:
        return len(self.strata)

    def unstratified(self) -> "Clusters":
        """The same clusters in one stratum, so that the mix of diagnoses is drawn too."""
        return Clusters(self.of, np.zeros(len(self), dtype=np.int64), self.unit)

    def count(self, cases: Bool[np.ndarray, " cases"]) -> int:
        """Number of clusters that hold at least one of these cases."""
        return len(np.unique(self.of[cases]))


def clusters_of(truth: Truth, rows: Int[np.ndarray, " rows"] | None = None) -> Clusters:
    """Patients where the truth knows them, else lesions, else images; stratified by diagnosis.

    `rows` picks some of the cases. A cluster of several diagnoses goes to the stratum of its rarest.
    """
    chosen = np.arange(len(truth)) if rows is None else rows
    names, unit = _names(truth)
    return cluster([names[row] for row in chosen.tolist()], truth.labels[chosen], unit)


def cluster(names: Sequence[str], labels: Int[np.ndarray, " cases"], unit: Unit) -> Clusters:
    """Clusters from the name of each case's cluster and the label by which to stratify."""
    order = {name: at for at, name in enumerate(dict.fromkeys(names))}
    of = np.array([order[name] for name in names], dtype=np.int64)
    values, codes = np.unique(labels, return_inverse=True)
    # Strata are numbered from the commonest label to the rarest, so that the highest in a cluster is its rarest.
    rank = np.argsort(np.argsort(-np.bincount(codes, minlength=len(values)), kind="stable"))
    strata = np.zeros(len(order), dtype=np.int64)
    np.maximum.at(strata, of, rank[codes])
    return Clusters(of, strata, unit)


def weights_of(clusters: Clusters, resamples: int, seed: int) -> Iterator[Float[np.ndarray, "cases block"]]:
    """Blocks of resampled weights, `resamples` columns in all; the same seed gives the same weights."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(clusters.strata == stratum) for stratum in np.unique(clusters.strata)]
    block = max(1, _CELLS // max(1, len(clusters.of)))
    single = len(clusters) == len(clusters.of)
    for start in range(0, resamples, block):
        width = min(block, resamples - start)
        drawn = np.empty((len(clusters), width))
        for rows in members:
            picks = rng.integers(0, rows.size, (rows.size, width)) * width + np.arange(width)
            drawn[rows] = np.bincount(picks.ravel(), minlength=rows.size * width).reshape(rows.size, width)
        yield drawn if single else drawn[clusters.of]


def bootstrap(
    statistic: Statistic, clusters: Clusters, weights: Column, *, resamples: int = RESAMPLES, seed: int = 0
) -> Float[np.ndarray, "figures resamples"]:
    """The statistic of every resample; `weights` [cases] are those of the cases themselves."""
    blocks = weights_of(clusters, resamples, seed)
    return np.concatenate([statistic(drawn * weights[:, None]) for drawn in blocks], axis=1)


def _names(truth: Truth) -> tuple[tuple[str, ...], Unit]:
    if truth.patients is not None:
        return truth.patients, "patient"
    return (truth.ids, "image") if truth.groups is None else (truth.groups, "lesion")
