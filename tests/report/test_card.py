"""Cards and the blocks of figures that are rewritten from them."""

import pytest

from dermoscope.core.card import Card, DataUse, Figures
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import Estimate
from dermoscope.report.blocks import comparison, lowest_melanoma_auc, rewrite
from dermoscope.report.card import as_markdown, as_text, decision_tables


def figures(**estimates: Estimate) -> Figures:
    base = {
        "balanced_accuracy": Estimate(0.8, 0.7, 0.9, "bootstrap", "lesion", 1189),
        "calibration:MEL.auc": Estimate(0.93, 0.9, 0.95, "bootstrap", "lesion", 1189),
        "calibration:MEL.auc_against_histo_nevi": Estimate(0.88, 0.85, 0.91, "bootstrap", "lesion", 400),
        "calibration:MEL.auc_within_source": Estimate.not_measurable("no stratum", "lesion", 1189),
    }
    held = {name: e.as_dict() for name, e in (base | estimates).items()}
    return Figures(title="test", split="HAM10000, role test", date="2026-01-01", scorings=3, estimates=held)


def card() -> Card:
    data = DataUse(
        name="HAM10000",
        licence="CC BY-NC 4.0",
        citation="Tschandl 2018",
        roles=("training",),
        images=5900,
        lesions=4400,
        images_per_diagnosis={"MEL": 600, "SCC": 120},
    )
    return Card(
        name="default",
        summary="a network",
        licence="CC BY-NC-SA 4.0",
        intended_use="research",
        not_in_training=("invasive SCC",),
        data=(data,),
        figures=(figures(),),
    )


@pytest.mark.parametrize("render", [as_text, as_markdown])
def test_a_card_says_what_a_user_must_know(render):
    text = render(card(), "abc123")
    for needed in (
        "abc123",
        "CC BY-NC-SA 4.0",
        "invasive SCC",
        "5,900 images of 4,400 lesions",
        "SCC 120",
        "0.700 – 0.900",
    ):
        assert needed in text
    assert "not measurable" in text
    assert "scored 3 time(s)" in text


def answers() -> Figures:
    rate = Estimate(0.9, 0.8, 0.95, "wilson", "lesion", 97)
    names = [
        f"{kind}sensitivity{how}"
        for kind in ("melanoma_", "malignant_", "")
        for how in ("", "_abstained_missed", "_answered")
    ]
    names += ["specificity", "specificity_answered", "answered", "MEL.refer", "MEL.low_concern", "MEL.cannot_assess"]
    return figures(**{f"decision.{name}": rate for name in names})


def test_answers_stand_in_tables_of_their_own():
    lines = decision_tables(answers())
    assert lines[2] == "| melanomas referred | " + "0.900 [0.800, 0.950] | " * 3 + "97 |"
    assert lines[5] == "| benign of low concern | 0.900 [0.800, 0.950] | – | 0.900 [0.800, 0.950] | 97 |"
    assert lines[-1] == "| MEL | " + "0.900 [0.800, 0.950] | " * 3 + "97 |"
    assert len({line.count("|") for line in lines if line}) == 1
    text = as_markdown(card().model_copy(update={"figures": (answers(),), "operating_point": answers()}), "abc")
    assert text.count("| melanomas referred |") == 2
    assert "decision." not in text
    assert decision_tables(figures()) == []


def test_the_lowest_melanoma_auc_is_shown_and_unmeasured_ones_do_not_win():
    estimate, words = lowest_melanoma_auc(figures())
    assert estimate.value == 0.88
    assert words == "against nevi confirmed by histology"


def test_the_comparison_shows_intervals_units_n_and_hash():
    text = comparison([figures(), figures()], "f" * 64)
    assert "0.880 [0.850, 0.910] | 0.880" in text
    assert "test (1,189 lesions)" in text
    assert "`ffffffffffff`" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1


def test_blocks_are_replaced_between_their_markers_and_only_there():
    text = "a\n<!-- figures:x -->\nold\n<!-- /figures:x -->\nb\n"
    once = rewrite(text, {"x": r"new \1"})
    assert once == "a\n<!-- figures:x -->\nnew \\1\n<!-- /figures:x -->\nb\n"
    assert rewrite(once, {"x": r"new \1"}) == once


def test_a_missing_block_is_named():
    with pytest.raises(InputError, match=r"README\.md: no block <!-- figures:y -->"):
        rewrite("nothing here", {"y": ""}, "README.md")
