"""From probabilities to one of three answers."""

from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import CAUSES, Answer, AnswerKind
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2019, Diagnosis, Taxonomy
from dermoscope.refine.decision import (
    INTAKE,
    DecisionRule,
    Evidence,
    Resolved,
    decide,
    fit_floor_at,
    fit_threshold,
    in_words,
    resolve,
    with_reader,
)
from dermoscope.refine.prior import shift_prior
from dermoscope.refine.quality import CODES, Problem

THREE = Taxonomy(
    "three",
    (
        Diagnosis("MEL", "melanoma", "malignant"),
        Diagnosis("AK", "actinic keratosis", "premalignant"),
        Diagnosis("NV", "nevus", "benign"),
    ),
)
RULE = DecisionRule(("MEL", "AK"), refer_at=0.3, sensitivity=0.95, floor_at=0.2, floor=0.95)
BENIGN = (0.05, 0.05, 0.9)
Row = tuple[float, ...]


def rows(*values: Row, taxonomy: Taxonomy = THREE) -> Probabilities:
    return Probabilities(tuple(f"i{k}" for k in range(len(values))), taxonomy, np.array(values))


def answer(
    calibrated: Row = BENIGN,
    shown: Row | None = None,
    site: Row | None = None,
    ood: float | None = 0.5,
    intake: Collection[str] = (),
    **quality: float,
) -> Answer:
    given = [None if values is None else rows(values) for values in (calibrated, shown or calibrated, site)]
    assert given[0] is not None
    quality = {"width": 450.0, "height": 600.0} | quality
    return decide(RULE, Evidence(given[0], given[1], given[2], [ood], [quality], [intake]))[0]


def test_low_concern() -> None:
    found = answer()
    assert (found.kind, found.cause, found.suspected) == ("low_concern", "none", None)
    assert found.reasons == ("no suspicious feature found by the model; this does not lower your own concern",)
    concern = pytest.approx(0.1)
    assert found.figures == {"concern": concern, "at_site": concern, "floor_at": 0.2, "refer_at": 0.3}


def test_refer_names_the_likeliest_of_what_cannot_be_ruled_out() -> None:
    found = answer((0.1, 0.25, 0.65))
    assert (found.kind, found.cause, found.suspected) == ("refer", "malignancy", "AK")
    expected = (
        "actinic keratosis cannot be ruled out: malignant or premalignant with 35 % in the mix it was calibrated on"
    )
    assert found.reasons == (expected,)


def test_the_threshold_itself_refers() -> None:
    assert answer((0.25, 0.05, 0.7)).cause == "malignancy"
    assert answer((0.25, 0.0499, 0.7001)).cause == "floor"
    assert answer((0.15, 0.05, 0.8)).cause == "floor"
    assert answer((0.15, 0.0499, 0.8001)).kind == "low_concern"


def test_what_a_site_says_refers_more_and_never_less() -> None:
    more = answer(BENIGN, site=(0.3, 0.1, 0.6))
    assert (more.cause, more.suspected) == ("malignancy", "MEL")
    assert more.reasons == (
        "melanoma cannot be ruled out: malignant or premalignant with 40 % in the mix of this site",
    )
    fewer = answer((0.3, 0.1, 0.6), site=BENIGN)
    assert (fewer.kind, fewer.cause, fewer.suspected) == ("refer", "floor", "MEL")
    assert fewer.reasons == (
        "melanoma cannot be ruled out: malignant or premalignant with 40 % in the mix it was calibrated on",
    )


def test_where_the_two_priors_disagree_the_answer_is_to_refer() -> None:
    only_shown = answer(shown=(0.2, 0.5, 0.3))
    assert (only_shown.kind, only_shown.cause, only_shown.suspected) == ("refer", "most_probable", "AK")
    assert only_shown.reasons == ("actinic keratosis is the most probable diagnosis under the prior shown",)
    assert answer((0.4, 0.1, 0.5), shown=BENIGN).kind == "refer"


def test_a_rule_without_a_floor_keeps_its_threshold_as_one() -> None:
    old = DecisionRule(("MEL", "AK"), refer_at=0.3, sensitivity=0.95)
    kinds = [a.kind for a in decide(old, Evidence(rows((0.2, 0.1, 0.7), (0.2, 0.05, 0.75)), site=rows(BENIGN, BENIGN)))]
    assert kinds == ["refer", "low_concern"]
    assert DecisionRule(("MEL",), 0.3, 0.95, smallest_side=80).quality.smallest_side == 80


def test_too_small_to_assess_whatever_it_shows() -> None:
    found = answer((0.9, 0.05, 0.05), width=99.0)
    assert (found.kind, found.cause, found.suspected) == ("cannot_assess", "too_small", None)
    assert found.reasons == ("the image is too small: 99 px, at least 100 px are needed",)
    assert (found.figures["value"], found.figures["limit"]) == (99.0, 100.0)
    assert answer(width=100.0).kind == "low_concern"


@pytest.mark.parametrize(
    ("quality", "cause", "reason"),
    [
        ({"blur": 0.9}, "blurred", "the image is out of focus (blur 0.90, at most 0.73)"),
        ({"luminance": 0.1}, "too_dark", "the image is too dark (luminance 0.10, at least 0.30 is needed)"),
        ({"bright": 0.5}, "too_bright", "50 % of the image are burnt out, at most 25 %"),
    ],
)
def test_too_poor_to_assess(quality: dict[str, float], cause: str, reason: str) -> None:
    found = answer((0.9, 0.05, 0.05), **quality)
    assert (found.kind, found.cause, found.reasons) == ("cannot_assess", cause, (reason,))


def test_every_problem_has_a_cause_and_a_sentence() -> None:
    assert set(CODES) < set(CAUSES)
    said = {code: in_words(Problem(code, 0.5, 0.1, False)) for code in CODES}
    assert said["dark_corners"] == "50 % of the image are dark corners, at most 10 %"
    assert said["hair"] == "50 % of the image are covered by hair, at most 10 %"
    assert said["ink"] == "50.0 % of the image are covered by ink, at most 10.0 %"
    assert said["ruler"] == "a ruler or a scale is in the image (50.0 % of it, at most 10.0 %)"
    assert said["coloured"] == "50.0 % of the image are blue or green (a patch, a glove, cloth), at most 10.0 %"


def test_unlike_everything_cannot_be_assessed() -> None:
    found = answer((0.9, 0.05, 0.05), ood=1.0)
    assert (found.kind, found.cause) == ("cannot_assess", "unlike")
    assert found.reasons == ("the image is unlike every dermoscopic image that the model was calibrated on",)
    assert answer(ood=0.999).kind == "low_concern"
    assert answer(ood=None).kind == "low_concern"


@pytest.mark.parametrize("flag", INTAKE)
def test_what_was_not_in_the_training_cannot_be_assessed(flag: str) -> None:
    found = answer((0.9, 0.05, 0.05), intake={flag})
    assert (found.kind, found.cause) == ("cannot_assess", f"intake.{flag}")
    assert found.reasons[0].endswith(": not in the training data")


def test_the_first_of_several_reasons_decides_and_all_are_said() -> None:
    found = answer(ood=1.0, intake=("scar", "nail"), blur=0.95)
    assert found.cause == "intake.nail"
    assert [reason[:20] for reason in found.reasons] == [
        "a lesion of the nail",
        "a lesion in a scar: ",
        "the image is out of ",
        "the image is unlike ",
    ]


def test_flags_that_do_not_exist_and_rows_that_do_not_fit() -> None:
    with pytest.raises(ValueRuleError, match="no intake flag elbow; there are under_18, nail, mucosa"):
        answer(intake=("elbow",))
    with pytest.raises(ValueRuleError, match="ood has 2 rows for 1 images"):
        Evidence(rows(BENIGN), ood=[0.1, 0.2])
    with pytest.raises(ValueRuleError, match="the site prior are of other images"):
        Evidence(rows(BENIGN), site=rows(BENIGN, BENIGN))


def test_rows_are_answered_one_by_one() -> None:
    assert [a.kind for a in decide(RULE, Evidence(rows(BENIGN, (0.8, 0.1, 0.1))))] == ["low_concern", "refer"]


def test_no_rows_no_answers() -> None:
    assert decide(RULE, Evidence(Probabilities((), THREE, np.zeros((0, 3))))) == []


def of_isic2019(*values: Row) -> Probabilities:
    return rows(*values, taxonomy=ISIC2019)


mixes = arrays(np.float64, 8, elements=st.floats(0.001, 1)).map(lambda v: v / v.sum())
calibration = Prior("calibration", ISIC2019, np.array([0.076, 0.724, 0.041, 0.007, 0.101, 0.016, 0.014, 0.021]))
EIGHT = DecisionRule(("MEL", "BCC", "AK", "SCC"), refer_at=0.04, sensitivity=0.95, floor_at=0.03, floor=0.95)


@given(mixes, mixes, mixes)
def test_no_prior_takes_back_what_the_floor_refers(row: np.ndarray, site: np.ndarray, shown: np.ndarray) -> None:
    calibrated = of_isic2019(tuple(row))
    there = shift_prior(calibrated, calibration, Prior("site", ISIC2019, site))
    seen = shift_prior(calibrated, calibration, Prior("shown", ISIC2019, shown))
    (found,) = decide(EIGHT, Evidence(calibrated, seen, there))
    if calibrated.of_codes(EIGHT.codes)[0] >= 0.03:
        assert found.kind == "refer"


@given(mixes, st.floats(1, 50), st.floats(1, 50))
def test_a_site_with_more_malignant_lesions_only_adds_referrals(row: np.ndarray, mel: float, others: float) -> None:
    few = calibration.values
    many = few * np.array([mel, 1, others, 1, 1, 1, 1, others])
    kinds = []
    for values in (few, many / many.sum()):
        there = shift_prior(of_isic2019(tuple(row)), calibration, Prior("site", ISIC2019, values))
        kinds.append(decide(EIGHT, Evidence(of_isic2019(tuple(row)), site=there))[0].kind)
    assert kinds != ["refer", "low_concern"]


@given(mixes, st.sampled_from(EIGHT.codes), st.floats(0, 1))
def test_more_of_what_is_referred_never_lowers_the_answer(row: np.ndarray, code: str, moved: float) -> None:
    more = row * (1 - moved)
    more[ISIC2019.index(code)] += moved
    before, after = (decide(EIGHT, Evidence(of_isic2019(tuple(v / v.sum()))))[0].kind for v in (row, more))
    assert (before, after) != ("refer", "low_concern")


kinds = st.sampled_from(("refer", "low_concern", "cannot_assess"))
parts = st.tuples(
    kinds,
    st.tuples(st.sampled_from(("one", "two"))),
    st.dictionaries(st.sampled_from(("concern", "at_site", "value")), st.floats(0, 1)),
    st.sampled_from(sorted(CAUSES)),
    st.sampled_from((None, "MEL", "BCC")),
)
pictures = st.lists(parts, min_size=1, max_size=5)


@given(pictures.flatmap(lambda given: st.tuples(st.just(given), st.permutations(given))))
def test_the_order_of_pictures_does_not_matter(orders: tuple[list, list]) -> None:  # type: ignore[type-arg]
    one, other = ([Answer(*fields) for fields in given] for given in orders)
    assert resolve(one) == resolve(other)
    assert resolve(one) in one


@given(pictures)
def test_several_pictures_resolve_towards_referral(given: list) -> None:  # type: ignore[type-arg]
    had = {fields[0] for fields in given}
    expected = "refer" if "refer" in had else "cannot_assess" if "cannot_assess" in had else "low_concern"
    assert resolve([Answer(*fields) for fields in given]).kind == expected


def test_the_picture_of_most_concern_gives_the_reason() -> None:
    one, two = (Answer("refer", (f"{c}",), {"concern": c}, "floor", "MEL") for c in (0.2, 0.6))
    assert resolve([one, two]) == resolve([two, one]) == two
    with pytest.raises(ValueRuleError, match="no answers to resolve"):
        resolve([])


@pytest.mark.parametrize(
    ("model", "reader", "decision", "disagrees"),
    [
        ("refer", "refer", "refer", False),
        ("refer", "low_concern", "refer", True),
        ("refer", "cannot_assess", "refer", False),
        ("low_concern", "refer", "refer", True),
        ("low_concern", "low_concern", "low_concern", False),
        ("low_concern", "cannot_assess", "cannot_assess", False),
        ("cannot_assess", "refer", "refer", False),
        ("cannot_assess", "low_concern", "low_concern", False),
        ("cannot_assess", None, "cannot_assess", False),
        ("refer", None, "refer", False),
    ],
)
def test_with_a_reader_a_referral_by_either_stands(
    model: AnswerKind, reader: AnswerKind | None, decision: AnswerKind, disagrees: bool
) -> None:
    assert with_reader(model, reader) == Resolved(decision, disagrees)


def test_the_floor_by_hand() -> None:
    scores = np.linspace(1, 0, 61)
    # 0.95 * 62 = 58.9: the 59th of 61, where 95 % of 61 themselves would be the 58th
    assert fit_floor_at(scores, np.ones(61, int), 0.95) == scores[58]
    assert fit_threshold(scores, np.ones(61, int), 0.95) == scores[57]
    assert fit_floor_at(scores[:18], np.ones(18, int), 0.95) == scores[17]


def test_the_floor_holds_for_a_further_case_on_average() -> None:
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(2000):
        scores = rng.random(62)
        reached.append(scores[61] >= fit_floor_at(scores[:61], np.ones(61, int), 0.95))
    assert np.mean(reached) == pytest.approx(59 / 62, abs=0.015)


def test_threshold_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.95, 0.1])
    positive = np.array([1, 1, 1, 1, 0, 0])
    assert fit_threshold(scores, positive, 0.75) == 0.7
    assert fit_threshold(scores, positive, 0.76) == 0.6
    assert fit_threshold(scores, positive, 1.0) == 0.6
    assert fit_threshold(scores, positive, 0.01) == 0.9


def test_binary_fractions_do_not_cost_a_case() -> None:
    scores = np.linspace(1, 0, 100)
    # 0.55 * 100 is 55.00000000000001
    assert fit_threshold(scores, np.ones(100, int), 0.55) == scores[54]


@given(
    arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)),
    st.floats(0.01, 1),
    st.integers(0, 2**32 - 1),
)
def test_the_threshold_is_the_highest_that_reaches_the_sensitivity(
    scores: np.ndarray, sensitivity: float, seed: int
) -> None:
    positive = np.random.default_rng(seed).integers(0, 2, len(scores))
    positive[0] = 1
    threshold = fit_threshold(scores, positive, sensitivity)
    held = scores[positive > 0]
    assert (held >= threshold).mean() >= sensitivity - 1e-9
    higher = held[held > threshold]
    if higher.size:
        assert (held >= higher.min()).mean() < sensitivity


def test_thresholds_that_cannot_be_chosen() -> None:
    with pytest.raises(ValueRuleError, match="no malignant or premalignant case to choose a threshold on"):
        fit_threshold(np.array([0.5]), np.array([0]), 0.95)
    for sensitivity in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueRuleError, match="it must be above 0 and at most 1"):
            fit_threshold(np.array([0.5]), np.array([1]), sensitivity)
