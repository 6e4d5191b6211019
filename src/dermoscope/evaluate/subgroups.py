"""Figures of groups of cases, and AUCs that shortcuts cannot lift: within a source, or against hard negatives.

A plain AUC also rewards knowing which clinic an image comes from, and in HAM10000 most nevi were confirmed by
follow-up alone while every melanoma was cut out: such nevi are easier than those that somebody doubted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate, Unit
from dermoscope.core.probabilities import Scores
from dermoscope.core.truth import Truth
from dermoscope.evaluate.intervals import percentile
from dermoscope.evaluate.matching import matched
from dermoscope.evaluate.metrics import Column, Mask, Ranking, auc
from dermoscope.evaluate.resampling import RESAMPLES, bootstrap, cluster, clusters_of
from dermoscope.evaluate.score import evaluate

HEADLINE = ("balanced_accuracy", "accuracy", "macro_average.auc", "MEL.auc", "log_loss")
"""Figures of `evaluate` that stand in a table of groups."""

FEWEST = 20
"""Units (patients, lesions or images) below which a group has no figures."""

FEWEST_OF_A_KIND = 5
"""Melanomas, and others, below which a group has no melanoma AUC."""

MOST_GROUPS = 12
"""Groups of one attribute that stand alone; where there are more, the smallest are put together."""

NOT_STATED = "not stated"

AGES = (30, 45, 60, 75)
"""Bounds of the age bands in years."""


@dataclass(frozen=True)
class Subgroup:
    """Cases that share one value of an attribute: how many units, images, diagnoses and melanomas, and their figures.

    `estimates` has the names of `HEADLINE` (without melanoma in the taxonomy one fewer).
    """

    value: str
    n: int
    images: int
    diagnoses: int
    melanomas: int
    estimates: Mapping[str, Estimate]


def attributes(cases: Sequence[Case]) -> dict[str, dict[str, str]]:
    """What cases can be grouped by: attribute -> image id -> value; attributes that no case states are left out."""
    found = {
        "source": {c.image_id: c.source for c in cases},
        "sex": {c.image_id: c.sex for c in cases},
        "age": {c.image_id: None if c.age is None else age_band(c.age) for c in cases},
        "site": {c.image_id: c.site for c in cases},
    }
    stated = {name: {i: value for i, value in of.items() if value} for name, of in found.items()}
    return {name: of for name, of in stated.items() if of}


def age_band(years: float | int) -> str:
    """The band of `AGES` that an age lies in.

    >>> age_band(29.5), age_band(45), age_band(90)
    ('under 30', '45 to 59', '75 and over')
    """
    if years < AGES[0]:
        return f"under {AGES[0]}"
    lower = max(bound for bound in AGES if bound <= years)
    at = AGES.index(lower)
    return f"{lower} and over" if at == len(AGES) - 1 else f"{lower} to {AGES[at + 1] - 1}"


def subgroups(
    scores: Scores, truth: Truth, values: Mapping[str, str], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Subgroup]:
    """The figures of `HEADLINE` in every group of cases with the same value; images without one are `NOT_STATED`.

    `values` maps image ids of the truth to the value of one attribute. Each group is scored by `evaluate` on its own
    cases, means over the diagnoses that occur there. Age bands stand by age, other groups by size, `NOT_STATED` last.
    Raises ValueRuleError where images or diagnoses of scores and truth differ.
    """
    known = {i: values.get(i) or NOT_STATED for i in truth.ids}
    scores, truth = matched(scores, truth)
    kept = [i for i, weight in zip(truth.ids, truth.score_weight, strict=True) if weight > 0]
    members: dict[str, list[str]] = {}
    for image, value in zip(kept, _pooled([known[i] for i in kept]), strict=True):
        members.setdefault(value, []).append(image)
    parts = {value: (scores.aligned_to(ids), truth.take(ids)) for value, ids in members.items()}
    found = [_subgroup(value, *part, resamples, seed) for value, part in parts.items()]
    return sorted(found, key=_place)


def _pooled(values: Sequence[str]) -> list[str]:
    sizes = Counter(value for value in values if value != NOT_STATED)
    if len(sizes) <= MOST_GROUPS:
        return list(values)
    alone = {value for value, _ in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[: MOST_GROUPS - 1]}
    rest = f"{len(sizes) - len(alone)} other values"
    return [value if value in alone or value == NOT_STATED else rest for value in values]


def _place(group: Subgroup) -> tuple[int, int, str]:
    bands = [age_band(years) for years in (0, *AGES)]
    last = 2 if group.value == NOT_STATED else int(group.value.endswith(" other values"))
    return last, bands.index(group.value) if group.value in bands else -group.n, group.value


def _subgroup(value: str, scores: Scores, truth: Truth, resamples: int, seed: int) -> Subgroup:
    clusters, labels = clusters_of(truth), truth.labels
    everyone = np.ones(len(labels), bool)
    n = clusters.count(everyone)
    names = [name for name in HEADLINE if name != "MEL.auc" or "MEL" in truth.taxonomy]
    melanoma = labels == truth.taxonomy.index("MEL") if "MEL" in truth.taxonomy else ~everyone
    hits, others = clusters.count(melanoma), clusters.count(~melanoma)
    if n < FEWEST:
        why = f"fewer than {FEWEST} {clusters.unit}s"
        estimates = {name: Estimate.not_measurable(why, clusters.unit, n) for name in names}
    else:
        figures = evaluate(scores, truth, resamples=resamples, seed=seed)
        estimates = {name: figures[name] for name in names}
        if "MEL.auc" in estimates and min(hits, others) < FEWEST_OF_A_KIND:
            why = f"fewer than {FEWEST_OF_A_KIND} {'melanomas' if hits <= others else 'others'}"
            estimates["MEL.auc"] = Estimate.not_measurable(why, clusters.unit, n)
    present = len(np.unique(labels[labels >= 0]))
    return Subgroup(value, n, len(labels), present, hits, estimates)


def stratified_auc(
    positive: Mask,
    scores: Column,
    strata: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """AUC over those pairs of a positive and a negative case that stand in one stratum, all pairs counting alike.

    `groups` are lesion ids (clusters of the bootstrap and then its unit). A stratum without positives or negatives
    holds no pair. After Janes & Pepe 2008 ("Adjusting for covariates in studies of diagnostic markers"), weighted by
    pairs instead of cases. Raises ValueRuleError where lengths differ.
    """
    if not len(positive) == len(scores) == len(strata) == len(groups if groups is not None else strata):
        raise ValueRuleError(f"{len(positive)} labels, {len(scores)} scores and {len(strata)} strata must be as many")
    unit: Unit = "image" if groups is None else "lesion"
    names = [str(row) for row in range(len(scores))] if groups is None else list(groups)
    _, stratum = np.unique(np.asarray(strata, dtype=str), return_inverse=True)
    members = [np.flatnonzero(stratum == s) for s in range(int(stratum.max(initial=-1)) + 1)]
    clusters = cluster(names, (2 * stratum + positive).astype(np.int64), unit)
    pooled = _Pooled([rows for rows in members if 0 < positive[rows].sum() < rows.size], positive, scores)
    n = clusters.count(np.ones(len(scores), bool))
    if not pooled.rankings:
        return Estimate.not_measurable("no stratum holds positives and negatives", unit, n)
    weights = np.ones(len(scores))
    low, high = percentile(bootstrap(pooled, clusters, weights, resamples=resamples, seed=seed)[0])
    return Estimate(float(pooled(weights[:, None])[0, 0]), low, high, "bootstrap", unit, n)


def auc_against(
    positive: Mask,
    scores: Column,
    negatives: Mask,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """AUC of the positive cases against chosen negatives only; everything else is left out. See `stratified_auc`."""
    rows = np.flatnonzero(positive | negatives)
    kept = None if groups is None else [groups[row] for row in rows.tolist()]
    one = [""] * len(rows)
    return stratified_auc(positive[rows], scores[rows], one, groups=kept, resamples=resamples, seed=seed)


def melanoma_aucs(
    scores: Scores, cases: CaseSet, *, nevus: str = "NV", resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """The three melanoma AUCs that stand beside each other, the lowest of which is the one to quote.

    `MEL.auc` against all other cases; `MEL.auc_against_histo_nevi` against nevi confirmed by histology (`confirmed_by`
    is `histo`); `MEL.auc_within_source`, cases compared only within one source. Clustered by lesion where the cases
    name lesions.

    Raises ValueRuleError when a case has no score.
    """
    values = scores.aligned_to(cases.ids).column("MEL")
    positive = np.array([c.diagnosis == "MEL" for c in cases], dtype=bool)
    proven = np.array([c.diagnosis == nevus and c.confirmed_by == "histo" for c in cases], dtype=bool)
    groups = cases.groups if any(c.lesion_id for c in cases) else None
    sources = [c.source or "" for c in cases]

    against = partial(auc_against, positive, values, groups=groups, resamples=resamples, seed=seed)
    within = stratified_auc(positive, values, sources, groups=groups, resamples=resamples, seed=seed)
    if not any(sources):
        within = Estimate.not_measurable("no case names its source", within.unit, within.n)
    return {
        "MEL.auc": against(~positive),
        "MEL.auc_against_histo_nevi": against(proven),
        "MEL.auc_within_source": within,
    }


class _Pooled:
    """Won pairs over all pairs, both summed over strata, as a function of the weights."""

    def __init__(self, members: Sequence[np.ndarray], positive: Mask, scores: Column) -> None:
        self.rankings = [(rows, Ranking.of(positive[rows], scores[rows])) for rows in members]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        won, pairs = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
        for rows, ranking in self.rankings:
            curve = ranking.curve(weights[rows])
            count = curve.hits[-1] * curve.negatives
            won += np.nan_to_num(auc(curve)) * count
            pairs += count
        return np.divide(won, pairs, out=np.full_like(won, np.nan), where=pairs > 0)[None]
