"""From probabilities to one of three answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import Answer
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import Diagnosis, Taxonomy
from dermoscope.refine.decision import DecisionRule, decide, fit_refer_at

THREE = Taxonomy(
    "three",
    (
        Diagnosis("MEL", "melanoma", "malignant"),
        Diagnosis("AK", "actinic keratosis", "premalignant"),
        Diagnosis("NV", "nevus", "benign"),
    ),
)
RULE = DecisionRule(("MEL", "AK"), refer_at=0.3, sensitivity=0.95, ood_limit=1.0, smallest_side=100)
BENIGN = (0.05, 0.05, 0.9)


def answer(
    calibrated: tuple[float, ...] = BENIGN,
    shown: tuple[float, ...] = BENIGN,
    ood: float | None = 0.5,
    side: float = 450.0,
) -> Answer:
    rows = [Probabilities(("a",), THREE, np.array([p])) for p in (calibrated, shown)]
    return decide(RULE, rows[0], rows[1], [ood], [side])[0]


def test_low_concern() -> None:
    found = answer()
    assert found.kind == "low_concern"
    assert found.reasons == ("no suspicious feature found by the model; this does not lower your own concern",)
    assert found.figures == {"concern": pytest.approx(0.1), "refer_at": 0.3}


def test_refer_names_the_likeliest_of_what_cannot_be_ruled_out() -> None:
    found = answer(calibrated=(0.1, 0.25, 0.65))
    assert found.kind == "refer"
    (reason,) = found.reasons
    assert reason.startswith("actinic keratosis cannot be ruled out: malignant or premalignant with 35 %")


def test_the_threshold_itself_refers() -> None:
    assert answer(calibrated=(0.25, 0.05, 0.7)).kind == "refer"
    assert answer(calibrated=(0.25, 0.0499, 0.7001)).kind == "low_concern"


def test_where_the_two_priors_disagree_the_answer_is_to_refer() -> None:
    only_shown = answer(shown=(0.2, 0.5, 0.3))
    assert only_shown.kind == "refer"
    assert only_shown.reasons == ("actinic keratosis is the most probable diagnosis under the prior shown",)
    assert answer(calibrated=(0.4, 0.1, 0.5), shown=BENIGN).kind == "refer"


def test_too_small_to_assess_whatever_it_shows() -> None:
    found = answer(calibrated=(0.9, 0.05, 0.05), side=99.0)
    assert found.kind == "cannot_assess"
    assert found.reasons == ("the image is too small: 99 px, at least 100 px are needed",)
    assert answer(side=100.0).kind == "low_concern"


def test_unlike_everything_cannot_be_assessed() -> None:
    found = answer(calibrated=(0.9, 0.05, 0.05), ood=1.0)
    assert found.kind == "cannot_assess"
    assert found.reasons == ("the image is unlike every dermoscopic image that the model was calibrated on",)
    assert answer(ood=0.999).kind == "low_concern"
    assert answer(ood=None).kind == "low_concern"


def test_rows_are_answered_one_by_one() -> None:
    p = Probabilities(("a", "b"), THREE, np.array([BENIGN, (0.8, 0.1, 0.1)]))
    assert [a.kind for a in decide(RULE, p, p, [None, None], [200.0, 200.0])] == ["low_concern", "refer"]


def test_no_rows_no_answers() -> None:
    p = Probabilities((), THREE, np.zeros((0, 3)))
    assert decide(RULE, p, p, [], []) == []


def test_threshold_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.95, 0.1])
    positive = np.array([1, 1, 1, 1, 0, 0])
    assert fit_refer_at(scores, positive, 0.75) == 0.7
    assert fit_refer_at(scores, positive, 0.76) == 0.6
    assert fit_refer_at(scores, positive, 1.0) == 0.6
    assert fit_refer_at(scores, positive, 0.01) == 0.9


def test_binary_fractions_do_not_cost_a_case() -> None:
    scores = np.linspace(1, 0, 100)
    # 0.55 * 100 is 55.00000000000001
    assert fit_refer_at(scores, np.ones(100, int), 0.55) == scores[54]


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
    threshold = fit_refer_at(scores, positive, sensitivity)
    held = scores[positive > 0]
    assert (held >= threshold).mean() >= sensitivity - 1e-9
    higher = held[held > threshold]
    if higher.size:
        assert (held >= higher.min()).mean() < sensitivity


def test_thresholds_that_cannot_be_chosen() -> None:
    with pytest.raises(ValueRuleError, match="no malignant or premalignant case to choose a threshold on"):
        fit_refer_at(np.array([0.5]), np.array([0]), 0.95)
    for sensitivity in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueRuleError, match="it must be above 0 and at most 1"):
            fit_refer_at(np.array([0.5]), np.array([1]), sensitivity)
