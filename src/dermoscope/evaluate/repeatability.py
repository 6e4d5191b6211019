"""Whether the same is said of a lesion again: from its other pictures, or from changed copies of one picture.

A picture stands for nothing by itself, its lesion does: every figure counts lesions, each once however many pictures it
has, and intervals come from resampling lesions. What was said in words is compared between pictures (`changed`,
`pairs_apart`); numbers have a standard deviation within lesions and the repeatability coefficient that follows from it
(Bland & Altman 1986, Lancet 327:307), below which two of them lie in 95 % of the pairs where differences are normal,
and an intraclass correlation (Shrout & Fleiss 1979, Psychol Bull 86:420, case 1).
"""

import operator
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.estimate import Estimate
from dermoscope.evaluate.intervals import Difference, percentile, two_sided
from dermoscope.evaluate.resampling import RESAMPLES, Clusters, bootstrap

COEFFICIENT = 1.96 * 2**0.5
"""Repeatability coefficient, in standard deviations within a lesion: 1.96 of the difference of two pictures."""

Values = Float[np.ndarray, " pictures"]
Sums = Float[np.ndarray, "sums lesions"]
Weights = Float[np.ndarray, "lesions resamples"]


@dataclass(frozen=True)
class Spread:
    """How far numbers of one lesion lie apart.

    `sd` is the pooled standard deviation within lesions, `coefficient` the repeatability coefficient, both in the unit
    of the numbers; `intraclass` is the share of the variance of one picture's number that is between lesions.
    """

    sd: Estimate
    coefficient: Estimate
    intraclass: Estimate


def changed(said: Sequence[Hashable], lesions: Sequence[str]) -> Estimate:
    """Share of lesions of which not every picture got the same, with Wilson's interval.

    `said` and `lesions` are of each picture. Raises ValueRuleError where a lesion has one picture only.
    """
    held: dict[str, set[Hashable]] = {lesion: set() for lesion in _at(lesions)[1]}
    for lesion, word in zip(lesions, said, strict=True):
        held[lesion].add(word)
    return Estimate.of_counts(sum(len(words) > 1 for words in held.values()), len(held), "lesion", "lesion")


def otherwise(said: Sequence[Any], lesions: Sequence[str], differ: Callable[[Any, Any], bool] = operator.ne) -> Values:
    """For each picture the share of its lesion's other pictures of which something else was said.

    `differ` says what is something else, the same both ways round.
    Raises ValueRuleError where a lesion has one picture only.

    >>> otherwise(["refer", "refer", "low_concern"], ["a", "a", "a"]).tolist()
    [0.5, 0.5, 1.0]
    """
    at, names = _at(lesions)
    members = np.split(np.argsort(at, kind="stable"), np.cumsum(np.bincount(at))[:-1])
    out = np.zeros(len(said))
    for rows in members[: len(names)]:
        for row in rows:
            out[row] = sum(differ(said[row], said[k]) for k in rows if k != row) / (len(rows) - 1)
    return out


def mean_of_lesions(
    values: Values,
    lesions: Sequence[str],
    *,
    among: Bool[np.ndarray, " pictures"] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Mean over lesions of the mean over each one's pictures, or over those of them that are `among`.

    Of `otherwise` it is the share of pairs of pictures of one lesion that do not agree; of the difference of a copy
    from its picture, how far copies move it.
    """
    kept = np.ones(len(values), bool) if among is None else among
    if not kept.any():
        return Estimate.not_measurable("no such picture", "lesion", 0)
    means = _per_lesion(values[kept], [lesion for lesion, k in zip(lesions, kept, strict=True) if k])
    return _estimate(_ratio, np.stack([means, np.ones(len(means))]), (resamples, seed))


def gain_of_lesions(
    values: Values, less: Values, lesions: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """How much `values` exceed `less` on the same pictures, as `mean_of_lesions`, and the p-value of no difference.

    The p-value is that of `evaluate.intervals.two_sided`.
    """
    per_lesion = _per_lesion(values - less, lesions)
    sums = np.stack([per_lesion, np.ones(len(per_lesion))])
    draws = _draws(_ratio, sums, (resamples, seed))
    low, high = percentile(draws[1:])
    value = float(draws[0])
    estimate = Estimate(value, min(low, value), max(high, value), "paired bootstrap", "lesion", len(per_lesion))
    return Difference(estimate, two_sided(draws[1:]))


def pairs_apart(
    said: Sequence[Any],
    lesions: Sequence[str],
    differ: Callable[[Any, Any], bool] = operator.ne,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Share of pairs of pictures of one lesion of which not the same was said; every lesion counts once.

    Where that is none or all, resamples say nothing, and the interval is Wilson's for so many lesions.
    """
    found = mean_of_lesions(otherwise(said, lesions, differ), lesions, resamples=resamples, seed=seed)
    if found.value not in (0.0, 1.0):
        return found
    return Estimate.of_counts(found.n if found.value else 0, found.n, "lesion", "lesion")


def spread(values: Values, lesions: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> Spread:
    """How far numbers of one lesion lie apart; lesions are resampled.

    Raises ValueRuleError where a lesion has one picture only or a number is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueRuleError("numbers that are missing or not finite have no spread; leave those pictures out")
    at, _ = _at(lesions)
    counts = np.bincount(at).astype(float)
    centred = values - values.mean()
    means = np.bincount(at, centred) / counts
    within = np.bincount(at, (centred - means[at]) ** 2)
    sums = np.stack([np.ones(len(counts)), counts, counts**2, counts * means, counts * means**2, within])
    drawn = (resamples, seed)
    return Spread(
        _estimate(_deviation, sums, drawn),
        _estimate(lambda of: COEFFICIENT * _deviation(of), sums, drawn),
        _estimate(_intraclass, sums, drawn),
    )


def _deviation(sums: np.ndarray) -> np.ndarray:
    lesions, pictures, within = sums[0], sums[1], sums[5]
    return np.asarray(np.sqrt(within / (pictures - lesions)))


def _intraclass(sums: np.ndarray) -> np.ndarray:
    """ICC(1) of lesions with unequal numbers of pictures, NaN where nothing varies."""
    lesions, pictures, squares, totals, between, within = sums
    among = (between - totals**2 / pictures) / (lesions - 1)
    inside = within / (pictures - lesions)
    usual = (pictures - squares / pictures) / (lesions - 1)
    whole = among + (usual - 1) * inside
    return np.divide(among - inside, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _ratio(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[0] / sums[1])


def _per_lesion(values: Values, lesions: Sequence[str]) -> Float[np.ndarray, " lesions"]:
    order = {name: row for row, name in enumerate(dict.fromkeys(lesions))}
    at = np.array([order[lesion] for lesion in lesions])
    return np.asarray(np.bincount(at, values) / np.bincount(at))


def _draws(figure: Callable[[np.ndarray], np.ndarray], sums: Sums, drawn: tuple[int, int]) -> np.ndarray:
    """A figure of sums over lesions: itself, then that of `(resamples, seed)` draws of lesions."""
    n = sums.shape[1]
    clusters = Clusters(np.arange(n), np.zeros(n, dtype=np.int64), "lesion")

    def statistic(weights: Weights) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return figure(sums @ weights)[None]

    draws = bootstrap(statistic, clusters, np.ones(n), resamples=drawn[0], seed=drawn[1])[0]
    return np.concatenate([statistic(np.ones((n, 1)))[0], draws])


def _estimate(figure: Callable[[np.ndarray], np.ndarray], sums: Sums, drawn: tuple[int, int]) -> Estimate:
    n, found = sums.shape[1], _draws(figure, sums, drawn)
    value, draws = float(found[0]), found[1:]
    if not np.isfinite(value):
        return Estimate.not_measurable("too few lesions, or nothing varies", "lesion", n)
    low, high = percentile(draws)
    if not np.isfinite([low, high]).all():
        return Estimate(value, None, None, "too few lesions for an interval", "lesion", n)
    return Estimate(value, min(low, value), max(high, value), "bootstrap", "lesion", n)


def _at(lesions: Sequence[str]) -> tuple[Int[np.ndarray, " pictures"], tuple[str, ...]]:
    """The lesion of every picture as a number, and their names."""
    sizes = Counter(lesions)
    alone = [name for name, n in sizes.items() if n < 2]
    if alone or not sizes:
        raise ValueRuleError(f"lesions with one picture only: {some(alone) or 'none was given'}; leave them out")
    order = {name: row for row, name in enumerate(sizes)}
    return np.array([order[lesion] for lesion in lesions]), tuple(sizes)
