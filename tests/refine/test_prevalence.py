"""Site settings, predictive values, and what if."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import Answer
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Diagnosis, Taxonomy
from dermoscope.refine.decision import DecisionRule
from dermoscope.refine.operating import Sample
from dermoscope.refine.prevalence import (
    SITES,
    SiteSetting,
    of_100,
    own,
    predictive_values,
    setting_named,
    site_prior,
    values_at,
    what_if,
)

CALIBRATION = Prior("calibration", ISIC2019, np.array([0.076, 0.724, 0.041, 0.007, 0.101, 0.016, 0.014, 0.021]))
RULE = DecisionRule(("MEL", "BCC", "AK", "SCC"), refer_at=0.04, sensitivity=0.95, floor_at=0.03, floor=0.95)


def rate(hits: int, n: int) -> Estimate:
    return Estimate.of_counts(hits, n, "lesion", "case")


def one(mel: float, bcc: float = 0.001) -> Probabilities:
    row = np.full(8, 0.0)
    row[[0, 1, 2]] = mel, 1 - mel - bcc, bcc
    return Probabilities(("a",), ISIC2019, row[None])


def test_settings_are_cited_and_ordered() -> None:
    assert list(SITES) == ["general_practice", "skin_cancer_clinic", "referral_centre"]
    assert all(name == s.name and len(s.source) > 80 for name, s in SITES.items())
    shares = [(round(s.malignant, 3), round(s.melanoma, 3)) for s in SITES.values()]
    assert shares == [(0.045, 0.025), (0.298, 0.063), (0.491, 0.23)]
    assert setting_named("general_practice") is SITES["general_practice"]
    with pytest.raises(ValueRuleError, match="no setting 'moon'; there are general_practice, skin_cancer_clinic, ref"):
        setting_named("moon")


@pytest.mark.parametrize(("malignant", "melanoma"), [(0.1, 0.2), (0.1, 0.0), (1.0, 0.5), (math.nan, 0.1)])
def test_shares_that_cannot_be(malignant: float, melanoma: float) -> None:
    with pytest.raises(ValueRuleError, match=r"setting 'own'.*melanoma at most as common as malignant"):
        own(malignant, melanoma)


@given(st.floats(0.001, 0.99), st.floats(0.01, 1), st.sampled_from((ISIC2019, ISIC2018)))
def test_a_site_has_the_shares_it_says_and_keeps_the_others_in_proportion(
    malignant: float, part: float, taxonomy: Taxonomy
) -> None:
    values = CALIBRATION.values[: len(taxonomy)]
    source = Prior("calibration", taxonomy, values / values.sum())
    prior = site_prior(own(malignant, malignant * part), source)
    held = taxonomy.of_group("malignant")
    assert prior.values[held].sum() == pytest.approx(malignant, abs=2e-6)
    assert prior.values[0] == pytest.approx(malignant * part, abs=2e-6)
    rest = prior.values[~held] / source.values[~held]
    assert rest == pytest.approx(rest[0])
    if taxonomy is ISIC2019:
        assert prior.values[2] / prior.values[7] == pytest.approx(0.041 / 0.021)


def test_a_taxonomy_that_does_not_tell_them_apart() -> None:
    two = Taxonomy("two", (Diagnosis("MEL", "melanoma", "malignant"), Diagnosis("NV", "nevus", "benign")))
    with pytest.raises(ValueRuleError, match="two does not tell melanoma, other malignant and other diagnoses apart"):
        site_prior(own(0.1, 0.05), Prior.uniform(two))


def test_predictive_values_by_hand() -> None:
    # 90 of 100 and 160 of 200, one lesion in ten positive: 9 true and 18 false of 100 referred
    ppv, npv = predictive_values(rate(90, 100), rate(160, 200), 0.1)
    assert ppv.value == pytest.approx(9 / 27)
    assert npv.value == pytest.approx(72 / 73)
    spread = 1.959964 * math.sqrt(0.1 / 0.9 / 100 + 0.8 / 0.2 / 200)
    assert ppv.low == pytest.approx(1 / (1 + 2 * math.exp(spread)), rel=1e-5)
    assert ppv.high == pytest.approx(1 / (1 + 2 * math.exp(-spread)), rel=1e-5)
    spread = 1.959964 * math.sqrt(0.9 / 0.1 / 100 + 0.2 / 0.8 / 200)
    assert npv.low == pytest.approx(1 / (1 + math.exp(spread) / 72), rel=1e-5)
    assert (ppv.method, ppv.unit, ppv.n) == ("logit", "lesion", 300)


def test_a_sensitivity_of_one_is_not_certain() -> None:
    ppv, npv = predictive_values(rate(20, 20), rate(160, 200), 0.1)
    assert npv.value == npv.high == 1.0
    assert npv.method == "adjusted logit"
    assert npv.low is not None
    assert 0.95 < npv.low < 0.999
    assert ppv.value is not None
    assert ppv.low is not None
    assert ppv.high is not None
    assert ppv.low < ppv.value < ppv.high


def test_predictive_values_that_cannot_be_measured() -> None:
    assert predictive_values(rate(0, 0), rate(5, 9), 0.1)[0].method == "not measurable: no sensitivity or specificity"
    nothing, npv = predictive_values(rate(0, 20), rate(200, 200), 0.1)
    assert nothing.value is None
    assert nothing.method == "not measurable: nothing is referred"
    assert npv.value == pytest.approx(0.9)
    assert predictive_values(rate(20, 20), rate(0, 20), 0.1)[1].method == "not measurable: everything is referred"
    with pytest.raises(ValueRuleError, match=r"a prevalence of 1\.0; it must be above 0 and below 1"):
        predictive_values(rate(9, 10), rate(9, 10), 1.0)


@given(
    st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.001, 0.4),
)
def test_more_prevalence_is_more_ppv_and_less_npv(hit: tuple[int, int], calm: tuple[int, int], share: float) -> None:
    few = predictive_values(rate(*hit), rate(*calm), share)
    many = predictive_values(rate(*hit), rate(*calm), 2 * share)
    for sign, (a, b) in zip((1, -1), zip(few, many, strict=True), strict=True):
        assert (a.value is None) == (b.value is None)
        if a.value is not None and b.value is not None:
            assert sign * (b.value - a.value) >= -1e-12
            assert a.low is not None
            assert a.high is not None
            assert a.low <= a.value <= a.high


def test_of_a_hundred() -> None:
    assert [of_100(p) for p in (0.0, 0.0099, 0.01, 0.124, 0.99, 0.991, 1.0)] == ["<1", "<1", 1, 12, 99, ">99", ">99"]


def test_what_if_moves_the_numbers_and_leaves_the_record() -> None:
    recorded = Answer("low_concern", ("x",), {}, "none")
    few, many = (
        what_if(one(0.02), recorded, SITES[name], RULE, CALIBRATION) for name in ("general_practice", "referral_centre")
    )
    assert few.melanoma < 0.02 < many.melanoma < many.malignant
    assert few.answer.kind == "low_concern"
    assert (many.answer.kind, many.answer.cause, many.answer.suspected) == ("refer", "malignancy", "MEL")
    assert recorded.kind == "low_concern"
    assert few.ppv is None
    assert few.prior.name == "general_practice"


def test_what_if_never_takes_back_a_floor_nor_an_abstention() -> None:
    rare = SiteSetting("rare", 1e-5, 1e-6, "nowhere")
    referred = Answer("refer", ("x",), {}, "malignancy", "MEL")
    assert what_if(one(0.05), referred, rare, RULE, CALIBRATION).answer.cause == "floor"
    blurred = Answer("cannot_assess", ("x",), {}, "blurred")
    assert what_if(one(0.9), blurred, SITES["referral_centre"], RULE, CALIBRATION).answer is blurred
    with pytest.raises(ValueRuleError, match="2 rows of probabilities; what if is asked of one image"):
        what_if(Probabilities(("a", "b"), ISIC2019, np.full((2, 8), 1 / 8)), blurred, rare, RULE, CALIBRATION)


def test_values_at_a_site_follow_the_rule_there() -> None:
    # melanomas at 0.5 and 0.02, nevi at 0.02 and 0.001: only the first is referred at home
    scores = np.array([0.5] * 9 + [0.02] + [0.02] * 20 + [0.001] * 80)
    rows = np.zeros((110, 8))
    rows[:, 0], rows[:, 1] = scores, 1 - scores
    sample = Sample(
        Probabilities(tuple(map(str, range(110))), ISIC2019, rows),
        np.array([0] * 10 + [1] * 100),
        np.ones(110, bool),
    )
    ppv, npv = values_at(own(0.02, 0.01), RULE, sample, CALIBRATION)
    assert ppv.value == 1.0
    assert npv.value == pytest.approx(0.98 / (0.98 + 0.02 * 0.1))
    ppv, npv = values_at(own(0.3, 0.25), RULE, sample, CALIBRATION)
    assert ppv.value == pytest.approx(0.3 / (0.3 + 0.7 * 0.2))
    assert npv.value == 1.0
