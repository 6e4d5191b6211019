"""A published figure and the fields it cannot do without."""

from dataclasses import replace

import pytest

from dermoscope.core.claim import Claim
from dermoscope.core.errors import ValueRuleError

WHOLE = Claim(
    task="seven diagnoses",
    dataset="HAM10000",
    metric="balanced_accuracy",
    value=0.76,
    model="a network",
    paper="Somebody 2020",
    source="table 2",
)


def test_a_whole_claim() -> None:
    assert WHOLE.code is None
    assert WHOLE.value == 0.76


@pytest.mark.parametrize("field", ["task", "dataset", "metric", "model", "paper", "source"])
@pytest.mark.parametrize("nothing", ["", "  "])
def test_a_claim_without_one_of_its_fields(field: str, nothing: str) -> None:
    with pytest.raises(ValueRuleError, match=f"^a claim needs {field}$"):
        replace(WHOLE, **{field: nothing})


def test_all_missing_fields_are_named() -> None:
    with pytest.raises(ValueRuleError, match=r"^a claim needs task, paper$"):
        replace(WHOLE, task="", paper="")
