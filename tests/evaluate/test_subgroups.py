"""AUC within sources and against chosen negatives."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.evaluate.subgroups import auc_against, melanoma_aucs, stratified_auc


def test_stratified_auc_by_hand() -> None:
    # In a: 1 of 2 pairs won. In b: the one pair won. c holds no positive, hence no pair. Pairs across do not count.
    positive = np.array([1, 0, 0, 1, 0, 0], bool)
    scores = np.array([0.5, 0.4, 0.6, 0.2, 0.1, 0.9])
    found = stratified_auc(positive, scores, list("aaabbc"), resamples=20)
    assert found.value == pytest.approx(2 / 3)
    assert (found.unit, found.n) == ("image", 6)


@given(st.integers(0, 2**32 - 1))
def test_it_is_the_mean_of_the_strata_by_their_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = np.append([True, False], rng.random(50) < 0.3)
    scores, strata = np.round(rng.random(52), 1), np.append(["a", "a"], rng.choice(list("abc"), 50))
    won = pairs = 0.0
    for name in "abc":
        inside = strata == name
        count = positive[inside].sum() * (~positive[inside]).sum()
        if count:
            won += count * sk.roc_auc_score(positive[inside], scores[inside])
            pairs += count
    assert stratified_auc(positive, scores, list(strata), resamples=5).value == pytest.approx(won / pairs)
    order = rng.permutation(52)
    again = stratified_auc(positive[order], scores[order], list(strata[order]), resamples=5)
    assert again.value == pytest.approx(won / pairs)
    plain = stratified_auc(positive, scores, ["all"] * 52, resamples=5)
    assert plain.value == pytest.approx(sk.roc_auc_score(positive, scores))


def test_knowing_the_source_alone_is_worth_nothing_within_it() -> None:
    source = np.repeat([0, 1], 100)
    positive = np.concatenate([np.arange(100) < 10, np.arange(100) < 90])
    names = [str(s) for s in source]
    assert stratified_auc(positive, source.astype(float), ["all"] * 200, resamples=5).value == pytest.approx(0.9)
    assert stratified_auc(positive, source.astype(float), names, resamples=5).value == 0.5


def test_only_the_chosen_negatives_count() -> None:
    positive = np.array([1, 1, 0, 0, 0], bool)
    scores = np.array([0.9, 0.3, 0.8, 0.2, 0.1])
    found = auc_against(positive, scores, np.array([0, 0, 1, 0, 0], bool), groups=list("abcde"), resamples=20)
    assert found.value == 0.5
    assert (found.unit, found.n) == ("lesion", 3)


def test_lesions_are_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.random(60) < 0.5, rng.random(60)
    many, lesions = np.repeat(scores, 5), [str(k // 5) for k in range(300)]
    together = stratified_auc(np.repeat(positive, 5), many, ["s"] * 300, groups=lesions, resamples=400)
    single = stratified_auc(positive, scores, ["s"] * 60, resamples=400)
    assert together.n == 60
    assert together.high is not None
    assert together.low is not None
    assert single.high is not None
    assert single.low is not None
    assert together.high - together.low == pytest.approx(single.high - single.low, rel=0.2)


def test_nothing_to_compare_and_wrong_lengths() -> None:
    found = stratified_auc(np.array([True, False]), np.array([0.5, 0.4]), ["a", "b"])
    assert found.method == "not measurable: no stratum holds positives and negatives"
    with pytest.raises(ValueRuleError, match="2 labels, 2 scores and 1 strata must be as many"):
        stratified_auc(np.array([True, False]), np.array([0.5, 0.4]), ["a"])


def cases(source: str | None = "clinic") -> CaseSet:
    rows = [
        ("MEL", "histo"),
        ("MEL", "histo"),
        ("NV", "histo"),
        ("NV", "follow_up"),
        ("NV", "follow_up"),
        ("BKL", "histo"),
    ]
    return CaseSet(
        tuple(
            Case(
                f"i{k}", diagnosis=diagnosis, lesion_id=f"L{k}", source=source and f"{source}{k % 2}", confirmed_by=how
            )
            for k, (diagnosis, how) in enumerate(rows)
        ),
        ISIC2018,
    )


def test_three_melanoma_aucs_stand_beside_each_other() -> None:
    values = np.zeros((6, 7))
    values[:, 0] = [0.9, 0.4, 0.5, 0.1, 0.2, 0.3]
    found = melanoma_aucs(Scores(tuple(f"i{k}" for k in range(6)), ISIC2018, values), cases(), resamples=20)
    # Against all: .9 beats 4, .4 beats 3 of 4. Against the proven nevus: .9 wins, .4 loses.
    assert found["MEL.auc"].value == pytest.approx(7 / 8)
    assert found["MEL.auc_against_histo_nevi"].value == pytest.approx(1 / 2)
    # Source 0 holds .9 against .5 and .2, source 1 holds .4 against .1 and .3.
    assert found["MEL.auc_within_source"].value == pytest.approx(1.0)
    assert {e.unit for e in found.values()} == {"lesion"}


def test_without_sources_there_is_nothing_within_them() -> None:
    scores = Scores(tuple(f"i{k}" for k in range(6)), ISIC2018, np.random.default_rng(0).random((6, 7)))
    found = melanoma_aucs(scores, cases(source=None), resamples=5)
    assert found["MEL.auc_within_source"].method == "not measurable: no case names its source"
