"""Several members, one mean: arithmetic or geometric, equal, by fitted weights or by greedy selection.

Everything works case by case, on one image as on thousands. A member counts once unless a weight says so: Steppan &
Hanke 2021 had one model twice in their mean, by accident.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import MergeMap
from dermoscope.refine.calibrate import check_labels, logs_of, softmax

Stacked = Float[np.ndarray, "cases members diagnoses"]
Shares = Float[np.ndarray, " members"]
Score = Callable[[Probabilities, np.ndarray], float]
"""Probabilities and the labels [cases] of their cases -> a number, the higher the better."""


def _arithmetic(p: Stacked, shares: Shares) -> np.ndarray:
    return np.asarray(np.einsum("ckd,k->cd", p, shares))


def _geometric(p: Stacked, shares: Shares) -> np.ndarray:
    return softmax(np.einsum("ckd,k->cd", logs_of(p), shares))


KINDS: Mapping[str, Callable[[Stacked, Shares], np.ndarray]] = MappingProxyType(
    {"arithmetic": _arithmetic, "geometric": _geometric}
)
"""Kinds of mean. Arithmetic is that of Steppan & Hanke 2021; geometric is the normalised product, where one member
that all but rules a diagnosis out nearly has a veto (its probabilities below 1e-12 count as 1e-12)."""


def combine(
    p: Stacked, weights: Shares | None = None, kind: str = "arithmetic"
) -> Float[np.ndarray, "cases diagnoses"]:
    """Mean of probabilities over members (or views, or both); rows sum to 1.

    Only the ratios of `weights` [members] matter; None weighs all alike.
    Raises ValueRuleError for an unknown kind, no member, or weights that `shares_of` refuses.
    """
    if kind not in KINDS:
        raise ValueRuleError(f"no mean is called {kind!r}; there are {some(KINDS)}")
    mean = KINDS[kind](p, shares_of(np.ones(p.shape[1]) if weights is None else weights, p.shape[1]))
    return np.asarray(mean / mean.sum(axis=1, keepdims=True))


def shares_of(weights: Float[np.ndarray, " given"], members: int) -> Shares:
    """Weights scaled to sum to 1.

    Raises ValueRuleError for another number of weights than of members, one that is negative or not finite, or none
    above 0.
    """
    if len(weights) != members or members == 0:
        raise ValueRuleError(f"{len(weights)} weights for {members} members; give one for each of at least one")
    if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.sum() > 0:
        raise ValueRuleError(f"weights {some(weights.tolist())}; give numbers from 0 upwards, one of them above 0")
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def combined(
    members: Mapping[str, Probabilities],
    *,
    weights: Mapping[str, float] | None = None,
    kind: str = "arithmetic",
    onto: MergeMap | None = None,
) -> Probabilities:
    """Mean of named members over the same cases; without `weights` every member counts once.

    Members of two taxonomies need `onto`: those of its source are projected onto its target, and the mean is over that.
    Raises ValueRuleError where ids differ or stand in another order, taxonomies differ, two members say the same of
    every case and no weight is given, or a member has no weight.
    """
    names, stacked = _stacked(members, onto)
    if weights is None:
        _check_distinct(names, stacked)
    elif set(weights) != set(names):
        raise ValueRuleError(f"weights of {some(sorted(weights)) or 'none'} for the members {some(names)}")
    given = None if weights is None else np.array([weights[name] for name in names], dtype=float)
    first = members[names[0]]
    taxonomy = first.taxonomy if onto is None else onto.target
    return Probabilities(first.ids, taxonomy, combine(stacked, given, kind))


def check_once(identities: Mapping[str, str]) -> None:
    """Refuse one member under two names; `identities` maps names to what they are (the SHA-256 of a bundle).

    Raises ValueRuleError naming them.
    """
    names: dict[str, list[str]] = {}
    for name, identity in identities.items():
        names.setdefault(identity, []).append(name)
    for same in names.values():
        if len(same) > 1:
            raise ValueRuleError(f"{some(same)} are the same member; {_ONCE}")


@dataclass(frozen=True)
class Weighted:
    """Weights of members, summing to 1, and what they are worth on the `cases` that they were fitted to.

    `log_loss` is that of the weighted mean, `log_loss_equal` of the plain one, both on the very cases of the fit: the
    gain on others is smaller.
    """

    weights: Mapping[str, float]
    log_loss: float
    log_loss_equal: float
    cases: int


def fit_weights(
    members: Mapping[str, Probabilities],
    labels: Int[np.ndarray, " cases"],
    *,
    kind: str = "arithmetic",
    towards_equal: float = 10.0,
) -> Weighted:
    """Convex weights of the least log-loss on validation cases, drawn towards equal ones.

    Adds `towards_equal` times the sum of -log(weight), a Dirichlet prior: as much as that many cases which only one
    member explains, for each member. No weight becomes exactly 0.
    Raises ValueRuleError as `combined` does without weights, and where labels do not fit.
    """
    from scipy.optimize import minimize

    names, stacked = _stacked(members, None)
    _check_distinct(names, stacked)
    first = members[names[0]]
    check_labels(first.ids, first.taxonomy, labels)

    def log_loss(shares: Shares) -> float:
        mean = combine(stacked, shares, kind)
        return float(-logs_of(mean[np.arange(len(labels)), labels]).mean())

    def loss(z: np.ndarray) -> float:
        shares = softmax(z)
        return len(labels) * log_loss(shares) - towards_equal * float(np.log(np.maximum(shares, 1e-300)).sum())

    found = softmax(np.asarray(minimize(loss, np.zeros(len(names)), method="L-BFGS-B").x))
    weights = dict(zip(names, map(float, found), strict=True))
    return Weighted(weights, log_loss(found), log_loss(np.full(len(names), 1 / len(names))), len(labels))


@dataclass(frozen=True)
class Selected:
    """Weights of the members that were picked, summing to 1, and every pick in order with the score after it."""

    weights: Mapping[str, float]
    picks: tuple[tuple[str, float], ...]


def minus_log_loss(p: Probabilities, labels: np.ndarray) -> float:
    """Mean log of the probability of the label: a `Score`."""
    return float(logs_of(p.values[np.arange(len(labels)), labels]).mean())


def greedy(
    members: Mapping[str, Probabilities],
    labels: Int[np.ndarray, " cases"],
    *,
    score: Score = minus_log_loss,
    kind: str = "arithmetic",
    rounds: int = 20,
) -> Selected:
    """Forward selection with replacement (Caruana et al. 2004, ICML): add the member whose addition scores best.

    After `rounds` picks the best scoring beginning of them is kept; how often a member is in it is its weight. Members
    that score alike are taken by name. Scored on the cases it selects on, so optimistic.
    Raises ValueRuleError as `combined` does without weights, where labels do not fit, or for less than one round.
    """
    if rounds < 1:
        raise ValueRuleError(f"{rounds} rounds of selection; at least one is needed")
    names, stacked = _stacked(members, None)
    _check_distinct(names, stacked)
    first = members[names[0]]
    check_labels(first.ids, first.taxonomy, labels)
    counts, picks = np.zeros(len(names)), list[tuple[str, float]]()
    for _ in range(rounds):
        trials = [counts + one for one in np.eye(len(names))]
        means = [Probabilities(first.ids, first.taxonomy, combine(stacked, trial, kind)) for trial in trials]
        scores = [score(mean, labels) for mean in means]
        best = int(np.argmax(scores))
        counts = trials[best]
        picks.append((names[best], float(scores[best])))
    kept = [name for name, _ in picks[: int(np.argmax([value for _, value in picks])) + 1]]
    return Selected({name: kept.count(name) / len(kept) for name in names if name in kept}, tuple(picks))


_ONCE = "a member counts once: leave one out, or give weights"


def _stacked(members: Mapping[str, Probabilities], onto: MergeMap | None) -> tuple[list[str], Stacked]:
    """Names in their order and the members' probabilities, on one taxonomy and the same cases."""
    if not members:
        raise ValueRuleError("no member to take the mean of; give at least one")
    names = sorted(members)
    held = [members[name] for name in names]
    if onto is not None:
        held = [m.merged(onto) if m.taxonomy == onto.source else m for m in held]
    wanted = held[0].taxonomy if onto is None else onto.target
    for name, member in zip(names, held, strict=True):
        if member.taxonomy != wanted:
            how = "name a merge map onto one" if onto is None else "the merge map does not start there"
            raise ValueRuleError(f"{name} is over {member.taxonomy.name}, the mean over {wanted.name}; {how}")
        if member.ids != held[0].ids:
            strange = sorted(set(held[0].ids) ^ set(member.ids))
            where = f"only one of them has {some(strange)}" if strange else "their order differs: use aligned_to"
            raise ValueRuleError(f"{names[0]} and {name} do not hold the same cases: {where}")
    return names, np.stack([m.values for m in held], axis=1)


def _check_distinct(names: Sequence[str], stacked: Stacked) -> None:
    seen: dict[bytes, str] = {}
    for k, name in enumerate(names):
        other = seen.setdefault(np.ascontiguousarray(stacked[:, k]).tobytes(), name)
        if other != name and len(stacked):
            raise ValueRuleError(f"{other} and {name} say the same of every case; {_ONCE}")
