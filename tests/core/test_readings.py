"""What readers said, and the readings that a study refuses."""

import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.readings import ReaderStudy, Reading
from dermoscope.core.taxonomy import ISIC2018

TRUTH = {"x": "MEL", "y": "NV"}


def test_readers_stand_in_the_order_of_their_first_reading() -> None:
    readings = (
        Reading("anna", "x", "MEL", confidence=0.9),
        Reading("ben", "x", decision="refer"),
        Reading("anna", "y", "NV"),
        Reading("anna", "x", "MEL", aided=True),
        Reading("anna", "x", "MEL", phase="second"),
    )
    study = ReaderStudy(readings, ISIC2018, TRUTH)
    assert study.readers == ("anna", "ben")


def test_a_study_without_readings_is_allowed() -> None:
    assert ReaderStudy((), ISIC2018, {}).readers == ()


@pytest.mark.parametrize(
    ("readings", "truth", "message"),
    [
        ((Reading("r", "x"),), TRUTH, "readings with neither a diagnosis nor a decision: r/x"),
        ((Reading("r", "x", "SCC"),), TRUTH, "readings with a diagnosis that is not of isic2018: r/x"),
        ((Reading("r", "x", "MEL", confidence=1.5),), TRUTH, "readings with a confidence outside [0, 1]: r/x"),
        ((Reading("r", "x", "MEL", confidence=float("nan")),), TRUTH, "readings with a confidence outside [0, 1]: r/x"),
        ((Reading("r", "z", "MEL"),), TRUTH, "readings with no truth for the case: r/z"),
        ((Reading("r", "x", "MEL"), Reading("r", "x", "NV")), TRUTH, "readings that stand more than once: r/x"),
        ((), {"x": "SCC"}, "truth that is not of isic2018: x (SCC)"),
    ],
)
def test_readings_that_are_refused(readings: tuple[Reading, ...], truth: dict[str, str], message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        ReaderStudy(readings, ISIC2018, truth)
    assert str(caught.value) == message
