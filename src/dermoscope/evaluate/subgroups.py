"""AUCs that shortcuts cannot lift: within a source, and against negatives that were looked at as hard.

A plain AUC also rewards knowing which clinic an image comes from, and in HAM10000 most nevi were confirmed by
follow-up alone while every melanoma was cut out: such nevi are easier than those that somebody doubted.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate, Unit
from dermoscope.core.probabilities import Scores
from dermoscope.evaluate.intervals import percentile
from dermoscope.evaluate.metrics import Column, Mask, Ranking, auc
from dermoscope.evaluate.resampling import RESAMPLES, bootstrap, cluster


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
