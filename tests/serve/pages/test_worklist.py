"""The worklist as a page: what it shows to whom, its empty states, and that a long one is as quick as a short one."""

import re
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_an_empty_list_says_what_to_do(reader: "TestClient", words: Callable[[str], str]) -> None:
    said = reader.get("/")
    assert said.status_code == 200
    assert "No case yet Enter the first lesion, or try the service with a drawn sample" in words(said.text)
    assert said.text.count('href="/cases/new"') >= 2
    assert "Everything" not in words(said.text)


@pytest.mark.parametrize(
    ("tab", "sentence"),
    [
        ("unread", "Nothing left to read"),
        ("awaiting", "No case awaits its histology"),
        ("disagreements", "No disagreement is open"),
        ("closed", "No case is closed yet"),
    ],
)
def test_each_tab_has_its_own_empty_state(
    reader: "TestClient", service: "Service", write_cases: Callable, words: Callable, tab: str, sentence: str
) -> None:
    read = {"reader": "R7", "disagrees": False, "resolved": "low_concern"}
    ids = write_cases(service, 1)
    with service.store.begin() as session:
        from dermoscope.serve.tables import Reading

        plain = {"case_id": ids[0], "visit": 1, "phase": "first", "aided": False, "decision": "low_concern"}
        session.add(Reading(**plain, **read, mode="open", order="human_first", shown=[]))
    assert sentence in words(reader.get(f"/?tab={tab}").text)


def test_a_filter_that_finds_nothing_says_so_and_can_be_cleared(
    reader: "TestClient", service: "Service", write_cases: Callable, words: Callable
) -> None:
    write_cases(service, 2)
    said = reader.get("/?tab=unread&text=nobody")
    assert "No case fits these filters" in words(said.text)
    assert '<a class="button" href="/?tab=unread">Clear filters</a>' in said.text
    assert 'value="nobody"' in said.text


def test_the_answer_of_an_unread_case_is_not_in_the_page(
    reader: "TestClient", service: "Service", write_cases: Callable, words: Callable
) -> None:
    write_cases(service, 2)
    said = words(reader.get("/?tab=all").text)
    assert said.count("after your reading") == 2
    assert "P0000 · lesion 1 Head or neck" in said
    write_cases(service, 1, reader="R7")
    said = words(reader.get("/?tab=all").text)
    assert "Disagreement" in said
    assert said.count("after your reading") == 2
    assert "Low concern Refer" in said


@pytest.mark.parametrize(("language", "silent"), [("en", "silent mode"), ("de", "stummer Modus")])
def test_silent_mode_shows_no_answer_and_offers_no_search_for_one(
    enter: Callable, abroad: "Service", write_cases: Callable, words: Callable, language: str, silent: str
) -> None:
    write_cases(abroad, 2, reader="R7")
    for role in ("reader", "admin"):
        said = enter(role, language=language).get("/?tab=all")
        assert words(said.text).count(silent) == 2
        assert "kind refer" not in said.text
        assert 'name="answer"' not in said.text
        assert ('href="/settings#mode">Mode: Silent' in said.text) == (language == "en")


def test_a_row_leads_to_its_case_with_the_filter_and_the_picture_is_loaded_when_seen(
    reader: "TestClient", service: "Service", write_cases: Callable
) -> None:
    (first,) = write_cases(service, 1)
    said = reader.get("/?tab=all&body_site=head_neck&text=P0").text
    assert f'href="/cases/{first}?tab=all&amp;text=P0&amp;body_site=head_neck" data-row' in said
    assert re.search(r'<img class="thumb" src="/images/\d+/thumb" alt="" width="64" height="64" loading="lazy"', said)


def test_pages_are_turned_and_one_beyond_the_last_is_the_last(
    reader: "TestClient", service: "Service", write_cases: Callable, words: Callable
) -> None:
    write_cases(service, 30)
    said = reader.get("/?tab=all").text
    assert "Page 1 of 2" in words(said)
    assert 'rel="next" href="/?tab=all&amp;page=2" data-key="]"' in said
    last = reader.get("/?tab=all&page=9").text
    assert "Page 2 of 2" in words(last)
    assert last.count("data-row") == 5
    assert 'rel="next"' not in last


def test_a_pseudonym_cannot_write_into_the_page(
    reader: "TestClient", service: "Service", write_cases: Callable
) -> None:
    from dermoscope.serve.tables import Patient

    write_cases(service, 1)
    with service.store.begin() as session:
        session.query(Patient).one().pseudonym = "<script>alert(1)</script>"
    said = reader.get("/?tab=all&text=<script>").text
    assert "&lt;script&gt;alert(1)" in said
    assert "<script>alert" not in said


def test_a_tab_that_is_not_there_is_told_as_a_page(reader: "TestClient", words: Callable) -> None:
    said = reader.get("/?tab=mine")
    assert said.status_code == 422
    assert "no tab 'mine'; there are unread, disagreements, awaiting, closed, all" in words(said.text)


def test_a_thousand_cases_take_as_many_queries_as_thirty(
    reader: "TestClient", service: "Service", write_cases: Callable
) -> None:
    write_cases(service, 30, reader="R7")
    few, _ = queries(reader, service)
    write_cases(service, 970, reader="R7")
    many, seconds = queries(reader, service)
    assert many == few
    assert many <= 20
    assert seconds < 2, "25 rows of a thousand cases"


def queries(reader: "TestClient", service: "Service") -> tuple[int, float]:
    """Statements of one page, and how long it took; what the service does beside it is not counted."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if threading.current_thread().name.startswith("AnyIO"):
            seen.append(statement)

    event.listen(service.store.engine, "before_cursor_execute", note)
    start = time.perf_counter()
    said = reader.get("/?tab=all")
    took = time.perf_counter() - start
    event.remove(service.store.engine, "before_cursor_execute", note)
    assert said.text.count("data-row") == 25
    return len(seen), took
