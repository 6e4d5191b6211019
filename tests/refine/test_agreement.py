"""When two pictures of one lesion do not agree, and what is known of a model."""

from typing import get_args

from dermoscope.core.prediction import AnswerKind
from dermoscope.refine.agreement import MEASURED, opposed, repeatability_of


def test_only_refer_and_low_concern_are_opposed() -> None:
    kinds = get_args(AnswerKind)
    found = {(a, b) for a in kinds for b in kinds if opposed(a, b)}
    assert found == {("refer", "low_concern"), ("low_concern", "refer")}


def test_what_was_measured_is_told_of_that_model_only() -> None:
    for model, known in MEASURED.items():
        assert len(model) == 64
        assert repeatability_of(model) is known
        assert 0 < known.opposed < 1
        assert 0 < known.beyond < 1
    assert repeatability_of("0" * 64) is None
