"""Answers beside histology, as a page."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_without_an_outcome_it_says_what_is_missing(
    reader: "TestClient", service: "Service", write_cases: Callable, words: Callable
) -> None:
    assert "No outcome yet Enter the histology of a case" in words(reader.get("/silent").text)
    write_cases(service, 3)
    said = words(reader.get("/silent").text)
    assert "Read by the model 3 with histology 0 without histology 3" in said
    assert "Refer 3 0 3" in said


def test_figures_come_with_counts_intervals_and_three_ways(
    reader: "TestClient", service: "Service", write_cases: Callable, close_case: Callable, words: Callable
) -> None:
    ids = write_cases(service, 6)
    for case_id, code in zip(ids, ("MEL", "MEL", "NV", "other"), strict=False):
        close_case(service, case_id, code)
    page = reader.get("/silent").text
    said = words(page)
    assert "Read by the model 6 with histology 4 without histology 2 Patients 6" in said
    assert "as referrals 2 of 2 100 % 34 % – 100 % as misses 2 of 2" in said
    assert "Benign cases of low concern 0 of 1 0 % 0 % – 79 %" in said
    assert "Melanoma 2 2 0 0" in said
    assert "One case turned out to be something that the model does not know" in said
    assert page.count('<svg viewBox="0 0 100 12"') >= 8
    reader.cookies.set("language", "de")
    german = words(reader.get("/silent").text)
    assert "als Überweisung 2 von 2 100 % 34 % – 100 %" in german
    assert "Jede maligne Diagnose" in german


def test_readers_do_not_see_it(enter: Callable, words: Callable) -> None:
    said = enter("reader").get("/silent")
    assert said.status_code == 403
    assert "needs the role reviewer" in words(said.text)
    for role in ("reviewer", "admin"):
        assert enter(role).get("/silent").status_code == 200
