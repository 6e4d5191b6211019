"""How well file properties alone tell a diagnosis: what a model could learn without looking at the lesion.

Each property is cut into bins, and a ridge logistic regression over them is fitted on four fifths of the lesions and
asked about the fifth (five folds, no lesion in two). An AUC of rates that were counted on the same images would be
too high: every category that holds a handful of images fits them. Pairs are compared within a fold, since the scores
of two folds come from two fits (as strata in Janes & Pepe 2008).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from dermoscope.core.audit import PropertyTable, Share, Shortcut
from dermoscope.core.estimate import LEVEL, Estimate, wilson
from dermoscope.evaluate.intervals import rate
from dermoscope.evaluate.metrics import Column, Mask
from dermoscope.evaluate.resampling import cluster

FOLDS = 5
BINS = 10
LEAST = 10
"""Fewest lesions of a diagnosis, and of the others, for which an AUC is measured."""
ALL = "all together"
SHOWN = ("source", "files per image")
"""Properties whose shares per diagnosis are told beside their AUC, where they have at most `MOST_VALUES` values."""
MOST_VALUES = 8
RARE = 20
"""Categories of fewer images are taken as one."""
METHOD = "clustered (Obuchowski 1997), out of fold"

Bins = Int[np.ndarray, " cases"]
Design = Float[np.ndarray, "cases bins"]


def shortcuts(
    table: PropertyTable, within: str = "all", *, progress: Callable[[int, int], None] | None = None
) -> list[Shortcut]:
    """AUC of each property, and of all together, for each diagnosis against the rest, the properties in their order.

    Images without a diagnosis and properties that have one value only are left out. Where a diagnosis or the others
    have fewer than 10 lesions, the estimate is not measurable. `progress` is called with (done, total).
    """
    table = table.rows(np.array([d is not None for d in table.diagnoses], bool))
    codes = sorted({d for d in table.diagnoses if d is not None})
    designs = {name: np.hstack([one_hot(binned(c)) for c in columns]) for name, columns in table.columns.items()}
    designs = {name: d for name, d in designs.items() if d.shape[1] > len(table.columns[name])}
    if len(designs) > 1:
        designs[ALL] = np.hstack(list(designs.values()))
    if len(codes) < 2:
        return []
    labels = np.array([codes.index(str(d)) for d in table.diagnoses], np.int64)
    folds = folds_of(table.groups, labels)
    found = []
    for name, design in designs.items():
        for at, code in enumerate(codes):
            found.append(Shortcut(within, name, code, _told(design, labels == at, folds, table.groups)))
            if progress is not None:
                progress(len(found), len(designs) * len(codes))
    return found


def measured(
    tables: Mapping[str, PropertyTable], progress: Callable[[str, int, int], None] | None = None
) -> tuple[list[Shortcut], list[Share]]:
    """Shortcuts of every table by its name, and the shares of the diagnoses by source and number of files.

    The shares show why. `progress` is called with (phase, done, total).
    """
    found: list[Shortcut] = []
    shown: list[Share] = []
    for name, table in tables.items():
        tell = partial(progress, f"shortcuts of {name}") if progress else None
        found += shortcuts(table, name, progress=tell)
        for column, (values, *_) in table.columns.items():
            if column in SHOWN and 1 < len(set(values.tolist())) <= MOST_VALUES:
                shown += shares(table, column, name)
    return found, shown


def shares(table: PropertyTable, name: str, within: str = "all") -> list[Share]:
    """Share of each diagnosis's images that have each value of a property (its first column), with interval.

    Wilson's interval at the number of images that the lesions are worth; the unit is the lesion.
    """
    values = np.array([str(v) for v in table.columns[name][0]])
    known = sorted({d for d in table.diagnoses if d is not None})
    labels = np.array([known.index(d) if d is not None else -1 for d in table.diagnoses], np.int64)
    clusters = cluster(table.groups, labels, "lesion")
    ones = np.ones(len(table))
    return [
        Share(within, name, value, code, rate(values == value, labels == at, ones, clusters))
        for value in sorted(set(values.tolist()))
        for at, code in enumerate(known)
    ]


def binned(values: np.ndarray) -> Bins:
    """Bin of each value: categories of text by their name (rare ones together), numbers by tenths, NaN on its own."""
    if values.dtype.kind not in "fiu":
        names, codes = np.unique(values.astype(str), return_inverse=True)
        common = np.bincount(codes, minlength=len(names)) >= RARE
        kept: Bins = np.where(common[codes], codes + 1, 0).astype(np.int64)
        return kept
    numbers = values.astype(np.float64)
    known = ~np.isnan(numbers)
    if not known.any():
        return np.zeros(len(numbers), np.int64)
    edges = np.unique(np.quantile(numbers[known], np.arange(1, BINS) / BINS))
    return np.where(known, 1 + np.searchsorted(edges, numbers, side="right"), 0).astype(np.int64)


def one_hot(bins: Bins) -> Design:
    """A column for each bin that occurs."""
    used, codes = np.unique(bins, return_inverse=True)
    return np.eye(len(used))[codes]


def folds_of(groups: Sequence[str], labels: Int[np.ndarray, " cases"], folds: int = FOLDS) -> Int[np.ndarray, " cases"]:
    """Fold of each case: groups are dealt out in the order of a hash of their names, each diagnosis by itself."""
    made = cluster(groups, labels, "lesion")
    names = list(dict.fromkeys(groups))
    keys = [sha256(f"fold of {name}".encode()).digest() for name in names]
    order = sorted(range(len(names)), key=lambda g: (made.strata[g], keys[g]))
    dealt = np.empty(len(names), np.int64)
    dealt[order] = np.arange(len(names)) % folds
    return dealt[made.of]


def fitted(design: Design, positive: Mask, ridge: float = 1.0) -> tuple[Float[np.ndarray, " bins"], float]:
    """Weights and intercept of a ridge logistic regression by Newton's steps (le Cessie & van Houwelingen 1992)."""
    # Sparse, because a row holds a single 1 for each property.
    full = sparse.csr_array(np.column_stack([design, np.ones(len(design))]))
    turned = sparse.csr_array(full.T)
    share = float(np.clip(positive.mean(), 1e-6, 1 - 1e-6))
    weights = np.append(np.zeros(design.shape[1]), np.log(share / (1 - share)))
    penalty = np.append(np.full(design.shape[1], ridge), 1e-6)
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(full @ weights, -30, 30)))
        slope = turned @ (positive - p) - penalty * weights
        bend = (turned @ full.multiply((p * (1 - p))[:, None])).toarray() + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        weights += step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-3:
            break
    return weights[:-1], float(weights[-1])


def pooled_auc(positive: Mask, scores: Column, folds: Int[np.ndarray, " cases"], groups: Sequence[str]) -> Estimate:
    """AUC over the pairs of a positive and a negative case of one fold, with an interval clustered by group.

    The variance is that of Obuchowski 1997 ("Nonparametric analysis of clustered ROC curve data"), linearised over
    folds; the interval is made on the logit and takes the scores as given. At 0 and 1, where that variance is none,
    it is Wilson's at the number of groups of the rarer side. Not measurable without a pair.
    """
    names, of = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    won, met = np.zeros(len(scores)), np.zeros(len(scores))
    for fold in np.unique(folds):
        up, down = np.flatnonzero((folds == fold) & positive), np.flatnonzero((folds == fold) & ~positive)
        won[up], met[up] = _beaten(scores[up], scores[down]), down.size
        won[down], met[down] = up.size - _beaten(scores[down], scores[up]), up.size
    pairs = met[positive].sum()
    if pairs == 0:
        return Estimate.not_measurable("no fold holds both", "lesion", len(names))
    value = float(won[positive].sum() / pairs)
    if value in (0.0, 1.0):
        size = min(np.unique(of[side]).size for side in (positive, ~positive))
        return Estimate(value, *wilson(value * size, size), METHOD, "lesion", len(names))
    sums = np.bincount(of, won - met * value)
    spread = np.sqrt((sums**2).sum() * len(names) / max(1, len(names) - 1)) / pairs
    inner = float(np.clip(value, 0.5 / pairs, 1 - 0.5 / pairs))
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * spread / (inner * (1 - inner))
    middle = np.log(inner / (1 - inner))
    low, high = (float(1 / (1 + np.exp(-(middle + side * half)))) for side in (-1, 1))
    return Estimate(value, min(low, value), max(high, value), METHOD, "lesion", len(names))


def out_of_fold(design: Design, positive: Mask, folds: Int[np.ndarray, " cases"]) -> Column:
    """Log-odds of each case by a fit on the other folds."""
    scores = np.zeros(len(design))
    for fold in np.unique(folds):
        rest = folds != fold
        weights, intercept = fitted(design[rest], positive[rest])
        scores[~rest] = design[~rest] @ weights + intercept
    # Rounded, so that cases of one bin stay tied whatever the order of a sum.
    return np.round(scores, 9)


def _told(design: Design, positive: Mask, folds: Int[np.ndarray, " cases"], groups: Sequence[str]) -> Estimate:
    with_it = {g for g, p in zip(groups, positive.tolist(), strict=True) if p}
    without = {g for g, p in zip(groups, positive.tolist(), strict=True) if not p}
    if min(len(with_it), len(without)) < LEAST:
        return Estimate.not_measurable(f"fewer than {LEAST} lesions with and without it", "lesion", len(with_it))
    return pooled_auc(positive, out_of_fold(design, positive, folds), folds, groups)


def _beaten(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many of the others each score is above, ties counting half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right")) / 2
