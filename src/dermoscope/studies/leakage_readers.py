"""What reads the features of a split: a linear head, and three that can learn their training images by heart.

How much a leak gains depends on how a reader remembers, so that one alone says little: the head of the recipe, which
has few numbers to remember with; the five nearest training images; a kernel machine that answers every training image
as it is labelled; the one nearest training image. All read the same frozen features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from dermoscope.evaluate.metrics import decisions
from dermoscope.studies.leakage_splits import Folds, Rows
from dermoscope.studies.material import fitted

Values = Float[np.ndarray, "pictures diagnoses"]

_RIDGE = 1e-6
"""Added to the diagonal of the kernel: enough for two equal pictures, too little to change an answer."""


@dataclass(frozen=True, eq=False)
class Bench:
    """Features of pictures with their diagnoses (`labels`, columns of `codes`) and lesions, and the recipe of a head.

    `codes` are the diagnoses there can be.
    """

    recipe: Any
    features: Float[np.ndarray, "pictures features"]
    labels: Folds
    groups: tuple[str, ...]
    codes: tuple[str, ...]

    @cached_property
    def distances(self) -> Float[np.ndarray, "pictures pictures"]:
        """Euclidean distances of the features at length 1, in [0, 2]: they rank as the cosine does."""
        unit = self.features / np.linalg.norm(self.features, axis=1, keepdims=True)
        squared = unit @ unit.T
        np.multiply(squared, -2, out=squared)
        squared += 2
        np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
        np.fill_diagonal(squared, 0)
        return squared


Reader = Callable[[Bench, Rows, Rows, int], Values]
"""Bench, the rows to train on and to answer, a seed -> scores of the latter."""


def head(bench: Bench, training: Rows, tested: Rows, seed: int) -> Values:
    """Probabilities of the recipe's linear head."""
    recipe = replace(bench.recipe, seed=bench.recipe.seed + seed)
    weight, bias, _ = fitted(recipe, bench.features[training], bench.labels[training], len(bench.codes))
    logits = bench.features[tested] @ weight.T + bias
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def nearest(count: int, bench: Bench, training: Rows, tested: Rows, _: int) -> Values:
    """Votes of the `count` nearest training images, each as heavy as its cosine; a picture is its own neighbour."""
    count = min(count, len(training))
    away = bench.distances[np.ix_(tested, training)]
    near = np.argpartition(away, count - 1, axis=1)[:, :count]
    votes = 1 - np.take_along_axis(away, near, axis=1) ** 2 / 2
    out = np.zeros((len(away), len(bench.codes)))
    np.add.at(out, (np.arange(len(away))[:, None], bench.labels[training][near]), votes)
    return out / count


def kernel(bench: Bench, training: Rows, tested: Rows, _: int) -> Values:
    """Least squares with a Laplace kernel and no ridge to speak of: it answers every training image as labelled.

    Such machines fit even random labels, and still answer well elsewhere, as networks of many parameters do
    (Belkin, Ma & Mandal 2018). The width is the mean distance of training images.
    """
    among = bench.distances[np.ix_(training, training)].astype(float)
    width = among.mean() or 1.0
    np.exp(np.divide(among, -width, out=among), out=among)
    among[np.diag_indices_from(among)] += _RIDGE
    truth = np.eye(len(bench.codes))[bench.labels[training]]
    share = truth.mean(axis=0)
    factors = cho_solve(cho_factor(among, lower=True, overwrite_a=True, check_finite=False), truth - share)
    away = bench.distances[np.ix_(tested, training)]
    return share + np.exp(away / np.float32(-width)) @ factors.astype(np.float32)


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "linear head": head,
        "5 nearest": partial(nearest, 5),
        "kernel": kernel,
        "1 nearest": partial(nearest, 1),
    }
)


def out_of_fold(bench: Bench, reader: Reader, folds: Folds, seed: int) -> Values:
    """Scores of every picture by the reader of the other folds."""
    scores = np.zeros((len(folds), len(bench.codes)), np.float32)
    for fold in np.unique(folds):
        tested = np.flatnonzero(folds == fold)
        scores[tested] = reader(bench, np.flatnonzero(folds != fold), tested, seed)
    return scores


def remembered(bench: Bench, reader: Reader, folds: Folds, seed: int) -> Float[np.ndarray, " pictures"]:
    """Of one fold's reader: whether it answers each of its own training pictures right; NaN for the others."""
    training = np.flatnonzero(folds != folds.min())
    out = np.full(len(folds), np.nan)
    out[training] = decisions(reader(bench, training, training, seed)) == bench.labels[training]
    return out
