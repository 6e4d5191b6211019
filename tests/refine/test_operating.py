"""What a rule does to lesions whose diagnosis is known."""

import numpy as np
import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.refine.decision import DecisionRule
from dermoscope.refine.operating import Sample, masks, operating_point

MEL, NV, BCC, AK = (ISIC2019.index(code) for code in ("MEL", "NV", "BCC", "AK"))


def shares(kinds: list[str], labels: list[int]) -> dict[str, tuple[int, int]]:
    found = masks(kinds, np.array(labels), ISIC2019)  # type: ignore[arg-type]
    return {name: (int((hits & among).sum()), int(among.sum())) for name, (hits, among, _) in found.items()}


def test_figures_by_hand() -> None:
    found = shares(
        [
            "refer",
            "cannot_assess",
            "low_concern",
            "refer",
            "refer",
            "low_concern",
            "refer",
            "cannot_assess",
            "low_concern",
        ],
        [MEL, MEL, MEL, BCC, AK, NV, NV, NV, -1],
    )
    assert found["answered"] == (7, 9)
    assert found["melanoma_sensitivity"] == (2, 3)
    assert found["melanoma_sensitivity_abstained_missed"] == (1, 3)
    assert found["melanoma_sensitivity_answered"] == (1, 2)
    assert found["malignant_sensitivity"] == (3, 4)
    assert found["sensitivity"] == (4, 5)
    assert found["specificity"] == (1, 3)
    assert found["specificity_answered"] == (1, 2)
    assert found["not_malignant_answered"] == (2, 4)  # the keratosis is referred, and what has no diagnosis is calm
    assert [found[f"MEL.{kind}"] for kind in ("refer", "low_concern", "cannot_assess")] == [(1, 3)] * 3
    assert found["SCC.refer"] == (0, 0)


def test_an_operating_point_has_intervals_and_says_what_is_missing() -> None:
    rule = DecisionRule(("MEL", "BCC", "AK", "SCC"), refer_at=0.3, sensitivity=0.95)
    rows = np.zeros((4, 8))
    rows[:, MEL], rows[:, NV] = [0.9, 0.2, 0.1, 0.1], [0.1, 0.8, 0.9, 0.9]
    sample = Sample(
        Probabilities(tuple("abcd"), ISIC2019, rows), np.array([MEL, MEL, NV, NV]), np.array([1, 1, 1, 0]) > 0
    )
    home = Prior.uniform(ISIC2019)
    found = operating_point(rule, sample, home)
    assert (found["melanoma_sensitivity"].value, found["melanoma_sensitivity"].n) == (0.5, 2)
    assert found["melanoma_sensitivity"].method == "wilson"
    assert found["melanoma_sensitivity"].low == pytest.approx(0.0945, abs=1e-3)
    assert found["specificity"].value == 0.5
    assert found["answered"].value == 0.75
    assert found["BCC.refer"].method == "not measurable: no case of BCC"
    many = Prior("many", ISIC2019, np.array([0.5, 0.1] + [0.4 / 6] * 6))
    assert operating_point(rule, sample, home, many)["melanoma_sensitivity"].value == 1.0
    assert operating_point(rule, sample, home, shown=many)["melanoma_sensitivity"].value == 1.0


def test_a_sample_whose_parts_do_not_fit() -> None:
    rows = Probabilities(("a",), ISIC2019, np.full((1, 8), 1 / 8))
    with pytest.raises(ValueRuleError, match="1 probabilities, 2 labels and 1 marks of what was assessed"):
        Sample(rows, np.array([0, 1]), np.array([True]))
