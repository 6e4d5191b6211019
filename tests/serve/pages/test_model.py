"""The card of the model, as a page."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dermoscope.serve.pages.model import named
from dermoscope.serve.texts import Texts

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_card_is_shown_whole(reader: "TestClient", service: "Service", words: Callable, language: str) -> None:
    reader.cookies.set("language", language)
    said, bundle = words(reader.get("/model").text), service.engine.predictor.bundle
    assert bundle.sha256 in said
    assert bundle.card.licence in said
    assert bundle.card.intended_use in said
    assert all(item in said for item in (*bundle.card.not_for, *bundle.card.not_in_training))
    assert all(figures.title in said for figures in bundle.card.figures)
    found = bundle.card.figures[0].get("balanced_accuracy")
    assert found.value is not None
    assert Texts(language).number(found.value, 3) in said  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("decision.melanoma_sensitivity", "Referred: Melanoma (not assessed: as referrals)"),
        ("decision.sensitivity_abstained_missed", "Referred: Malignant or premalignant (not assessed: as misses)"),
        ("decision.malignant_sensitivity_answered", "Referred: Any malignant diagnosis (not assessed: left out)"),
        ("decision.MEL.refer", "Melanoma: Refer"),
        ("BKL.recall", "Recognised as such: Benign keratosis"),
        ("decision.answered", "Cases that got an answer"),
        ("calibration:brier", "calibration:brier"),
    ],
)
def test_figures_are_named_in_words_where_there_are_some(name: str, shown: str) -> None:
    assert named(name, Texts("en")) == shown
