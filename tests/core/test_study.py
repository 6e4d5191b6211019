import pytest

from dermoscope.core.claim import Claim
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row

CLAIM = Claim("diagnosis", "ISIC 2019", "balanced accuracy", 0.634, "ensemble", "steppan2021", "table 3")
FOUND = Measured("balanced accuracy", Estimate(0.6, 0.5, 0.7, "bootstrap", "lesion", 90), "folds", "abc")
GAIN = Estimate(0.02, 0.01, 0.03, "paired bootstrap", "lesion", 90)
MORE = Measured("balanced accuracy", GAIN, "folds", "abc", "one", 0.01, 0.02)


def test_a_row_round_trips_and_has_the_keys_that_were_promised() -> None:
    row = Row("s", "stand-in", "all", "All members", (CLAIM,), (FOUND, MORE), "a note")
    assert Row.from_dict(row.as_dict()) == row
    assert {"study", "type", "claims", "measured"} <= set(row.as_dict())
    assert {"value", "low", "high", "n", "unit", "split", "bundle"} <= set(row.as_dict()["measured"][0])
    assert row.as_dict()["measured"][1]["against"] == "one"


def test_only_what_was_reproduced_is_subtracted_from_its_claim() -> None:
    for kind in ("re-measured", "stand-in", "method check"):
        row = Row("s", kind, "all", "All members", (CLAIM,), (FOUND,))  # type: ignore[arg-type]
        assert row.differences == ()
        assert "differences" not in row.as_dict()
    row = Row("s", "reproduced", "all", "All members", (CLAIM,), (FOUND, MORE))
    [(_, found, value)] = row.differences
    assert found is FOUND
    assert value == pytest.approx(0.034)
    assert row.as_dict()["differences"] == [{"metric": "balanced accuracy", "value": value}]


def test_what_is_not_whole_is_refused() -> None:
    with pytest.raises(Exception, match="better"):  # the checker of types is quicker where it is on
        Row("s", "better", "all", "All", (CLAIM,))  # type: ignore[arg-type]
    with pytest.raises(ValueRuleError, match="all: a row without claims and without measured figures"):
        Row("s", "stand-in", "all", "All")
    with pytest.raises(ValueRuleError, match="a measured figure needs split, bundle"):
        Measured("AUC", FOUND.estimate, "", " ")
    with pytest.raises(ValueRuleError, match="AUC: a p-value needs `against`"):
        Measured("AUC", FOUND.estimate, "folds", "abc", p_value=0.1)
