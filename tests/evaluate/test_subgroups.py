"""Figures of groups, and AUC within sources and against chosen negatives."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.evaluate.score import evaluate
from dermoscope.evaluate.subgroups import (
    FEWEST,
    MOST_GROUPS,
    NOT_STATED,
    age_band,
    attributes,
    auc_against,
    melanoma_aucs,
    stratified_auc,
    subgroups,
)


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


def scored(n: int = 120) -> tuple[Scores, Truth]:
    rng = np.random.default_rng(3)
    ids, labels = tuple(f"i{k:03d}" for k in range(n)), rng.integers(0, 3, n)
    values = np.clip(rng.random((n, 7)) + 0.4 * np.eye(7)[labels], 0, 1)
    return Scores(ids, ISIC2018, values), Truth(ids, ISIC2018, labels, groups=tuple(f"L{k // 2}" for k in range(n)))


def test_a_group_has_the_figures_that_evaluate_has_of_its_cases_alone() -> None:
    scores, truth = scored()
    of = {i: "left" if k < 80 else "right" for k, i in enumerate(truth.ids) if k < 118}
    left, right, rest = subgroups(scores, truth, of, resamples=20, seed=4)
    assert [g.value for g in (left, right, rest)] == ["left", "right", NOT_STATED]
    assert (left.n, left.images, left.diagnoses) == (40, 80, 3)
    alone = evaluate(scores.aligned_to(truth.ids[:80]), truth.take(truth.ids[:80]), resamples=20, seed=4)
    assert all(alone[name] == estimate for name, estimate in left.estimates.items())
    assert rest.n == 1
    assert {e.method for e in rest.estimates.values()} == {f"not measurable: fewer than {FEWEST} lesions"}


def test_few_melanomas_have_no_auc() -> None:
    scores, truth = scored()
    labels = np.where(np.arange(120) < 4, 0, np.maximum(truth.labels, 1))
    few = Truth(truth.ids, ISIC2018, labels, groups=truth.groups)
    (group,) = subgroups(scores, few, dict.fromkeys(truth.ids, "all"), resamples=5)
    assert group.melanomas == 2
    assert group.estimates["MEL.auc"].method == "not measurable: fewer than 5 melanomas"
    assert group.estimates["accuracy"].value is not None


def test_age_bands_stand_by_age_and_many_groups_are_pooled() -> None:
    scores, truth = scored()
    ages = {i: age_band(20 + k % 70) for k, i in enumerate(truth.ids)}
    bands = [g.value for g in subgroups(scores, truth, ages, resamples=2)]
    assert bands == ["under 30", "30 to 44", "45 to 59", "60 to 74", "75 and over"]
    many = {i: f"clinic {k % 20}" for k, i in enumerate(truth.ids)}
    groups = subgroups(scores, truth, many, resamples=2)
    assert len(groups) == MOST_GROUPS
    assert groups[-1].value == "9 other values"
    assert sum(g.images for g in groups) == 120


def test_only_stated_attributes_are_grouped_by() -> None:
    found = attributes([Case("a", source="clinic", age=0.0), Case("b", sex="female", age=75.0), Case("c")])
    assert found == {"source": {"a": "clinic"}, "sex": {"b": "female"}, "age": {"a": "under 30", "b": "75 and over"}}
