"""Truth: labels, weights and clusters, validated once."""

import numpy as np
import pytest

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018
from dermoscope.core.truth import Truth, plain_id, with_unknown


def labels(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_weights_are_one_unless_given() -> None:
    truth = Truth(("a", "b"), ISIC2018, labels(0, 1))
    assert truth.score_weight.tolist() == [1.0, 1.0]
    assert truth.validation_weight.tolist() == [1.0, 1.0]
    assert truth.groups is None


def test_arrays_are_copied_and_read_only() -> None:
    given = labels(0, 1)
    truth = Truth(("a", "b"), ISIC2018, given)
    given[0] = 5
    assert truth.labels.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        truth.labels[0] = 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ids": ("a", "a")}, "ids stand more than once in the truth: a"),
        ({"ids": ("a", "")}, r"ids of the truth are empty in rows 1"),
        ({"labels": labels(0, 7)}, r"labels that are no column of isic2018: b \(7\)"),
        ({"labels": labels(-2, 0)}, r"labels that are no column of isic2018: a \(-2\)"),
        ({"score_weight": np.array([1.0, -1.0])}, r"score_weight must be a number from 0 upwards: b \(-1.0\)"),
        ({"validation_weight": np.array([np.nan, 1.0])}, r"validation_weight must be .* a \(nan\)"),
        ({"groups": ("x",)}, "groups has 1 rows for 2 ids"),
        ({"patients": ("x", "")}, "patients of the truth are empty in rows 1"),
    ],
)
def test_broken_rules_name_the_rows(fields: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"ids": ("a", "b"), "taxonomy": ISIC2018, "labels": labels(0, 1)}
    with pytest.raises(ValueRuleError, match=message):
        Truth(**(good | fields))  # type: ignore[arg-type]


def test_from_cases_takes_lesions_and_patients() -> None:
    cases = CaseSet(
        (
            Case("ISIC_1", diagnosis="MEL", lesion_id="L1", patient_id="P"),
            Case("ISIC_2", diagnosis="NV"),
            Case("ISIC_0035068", diagnosis="NV"),
        ),
        ISIC2018,
    )
    truth = Truth.from_cases(cases)
    assert truth.labels.tolist() == [0, 1, 1]
    assert truth.groups == ("L1", "ISIC_2", "ISIC_0035068")
    assert truth.patients == ("P", "ISIC_2", "ISIC_0035068")
    assert truth.score_weight.tolist() == [1.0, 1.0, 0.0]


def test_from_cases_without_lesions_has_no_groups() -> None:
    truth = Truth.from_cases(CaseSet((Case("a", diagnosis="MEL"), Case("b", diagnosis="NV")), ISIC2018))
    assert truth.groups is None
    assert truth.patients is None


def test_from_cases_refuses_cases_without_a_diagnosis() -> None:
    with pytest.raises(ValueRuleError, match=r"1 cases have no diagnosis \(b\); leave them out"):
        Truth.from_cases(CaseSet((Case("a", diagnosis="MEL"), Case("b")), ISIC2018))


def test_take_keeps_everything_of_a_case() -> None:
    truth = Truth(("a", "b", "c"), ISIC2018, labels(0, 1, 2), np.array([1.0, 2.0, 3.0]), groups=("x", "y", "y"))
    part = truth.take(["c", "a"])
    assert part.ids == ("c", "a")
    assert part.labels.tolist() == [2, 0]
    assert part.score_weight.tolist() == [3.0, 1.0]
    assert part.groups == ("y", "x")
    with pytest.raises(ValueRuleError, match="the truth has no case z"):
        truth.take(["z"])


def test_merged_sends_ak_and_scc_to_akiec_and_keeps_none_of_these() -> None:
    codes = ["MEL", "AK", "SCC", "VASC"]
    truth = Truth(("a", "b", "c", "d", "e"), ISIC2019, labels(*(ISIC2019.index(c) for c in codes), -1))
    merged = truth.merged(ISIC2019_TO_ISIC2018)
    assert [ISIC2018.codes[k] for k in merged.labels[:4]] == ["MEL", "AKIEC", "AKIEC", "VASC"]
    assert merged.labels[4] == -1
    with pytest.raises(ValueRuleError, match="does not fit isic2018"):
        merged.merged(ISIC2019_TO_ISIC2018)


def test_unknown_becomes_the_last_class() -> None:
    truth = Truth(("a", "b"), ISIC2019, labels(7, -1)).with_unknown_class()
    assert truth.taxonomy.codes[-1] == "UNK"
    assert truth.labels.tolist() == [7, 8]
    assert with_unknown(truth.taxonomy) == truth.taxonomy


def test_plain_id_drops_the_suffix_only() -> None:
    assert plain_id("ISIC_0000022_downsampled") == "ISIC_0000022"
    assert plain_id("ISIC_0000022") == "ISIC_0000022"
