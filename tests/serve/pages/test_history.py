"""Exports and the audit trail: what each role may take along."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_tables_are_taken_along_and_that_is_written_down(
    reader: "TestClient", service: "Service", write_cases: Callable, words: Callable
) -> None:
    write_cases(service, 2, reader="R7")
    for name, column in (("readings", "decision"), ("cases", "case_answer")):
        said = reader.get(f"/history/{name}.csv")
        assert said.headers["content-type"] == "text/csv; charset=utf-8"
        assert said.headers["content-disposition"].startswith(f'attachment; filename="dermoscope-{name}-20')
        rows = list(csv.DictReader(io.StringIO(said.text)))
        assert len(rows) == 2
        assert {row[column] for row in rows} == {"low_concern" if name == "readings" else "refer"}
    told = words(reader.get("/history").text)
    assert "R7 exported history.csv rows 2" in told
    assert "R7 exported readings.csv rows 2" in told


def test_a_reader_gets_no_trail_and_in_silent_mode_no_answer(
    enter: Callable, abroad: "Service", write_cases: Callable, words: Callable
) -> None:
    write_cases(abroad, 2, reader="Ben")
    ben = enter("reviewer", "Ben")
    said = words(ben.get("/history?subject=case/1").text)
    assert "Audit trail" not in said
    assert "You get what you may see" in said
    assert "refer" not in ben.get("/history/cases.csv").text
    assert "Audit trail" in words(enter("admin", "Ada").get("/history").text)


def test_the_trail_is_paged_and_followed_for_one_subject(
    reader: "TestClient", service: "Service", words: Callable
) -> None:
    from dermoscope.serve.trail import record

    with service.store.begin() as session:
        for number in range(1, 71):
            record(session, "R7", "case.created", f"case/{number}", sample=False)
    first = reader.get("/history").text
    assert first.count("<tr>") == 51
    assert "case/70" in first
    assert "case/20" not in words(first)
    older = first.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    second = words(reader.get(older).text)
    assert "case/20" in second
    assert "case/21" not in second
    one = reader.get("/history?subject=case/9").text
    assert words(one).count("case/9") == 2
    assert 'href="/cases/9?tab=all">Open it</a>' in one


def test_the_trail_tells_no_answer_and_no_decision(reader: "TestClient", service: "Service", words: Callable) -> None:
    from dermoscope.data.synthetic import draw
    from dermoscope.serve import cases, readings
    from dermoscope.serve.accounts import Person
    from dermoscope.serve.uploads import clean

    ben = Person("Ben", "reader")
    with service.desk(ben) as desk:
        made = cases.create(desk, cases.NewCase("P1")).id
    cases.add_images(service, ben, made, [clean(draw(1, "MEL").jpeg(), "1.jpg")], "dermoscopic")
    with service.desk(ben) as desk:
        readings.lock(desk, made, readings.Said("cannot_assess"))
    told = words(reader.get("/history").text)
    assert "read by the model result/1" in told
    assert "Ben reading locked case/1 aided no, results [], visit 1" in told
    assert not {"refer", "low_concern", "cannot_assess"} & set(re.split(r"\W+", told))


def test_what_is_not_there_is_said(reader: "TestClient", words: Callable) -> None:
    assert "No such line Look for less" in words(reader.get("/history?subject=case/99").text)


def test_lines_are_found_by_who_and_what(reader: "TestClient", words: Callable) -> None:
    reader.get("/batches")
    assert "R7 list looked at jobs" in words(reader.get("/history?who=R7&what=list.viewed").text)
    assert "No such line" in words(reader.get("/history?who=R8&what=list.viewed").text)


def test_an_admin_checks_the_trail_and_takes_it_along(
    reader: "TestClient", service: "Service", words: Callable, tmp_path: Path
) -> None:
    from sqlalchemy import text

    from dermoscope.serve.audit import verify_export

    assert "Nobody has checked yet whether the trail is whole" in words(reader.get("/history").text)
    assert "The trail is whole: " in words(reader.post("/history/verify").text)
    (tmp_path / "trail.jsonl").write_text(reader.get("/history/trail.jsonl").text)
    assert verify_export(tmp_path / "trail.jsonl").ok
    with service.store.engine.begin() as connection:
        connection.execute(text("UPDATE events SET who = 'x' WHERE id = 1"))
    told = words(reader.post("/history/verify").text)
    assert "The trail was changed by something else than this service" in told
    assert "line 1 was changed, or line 0 before it" in told


def test_a_reviewer_neither_checks_nor_takes_the_trail(enter: Callable) -> None:
    ben = enter("reviewer", "Ben")
    assert ben.post("/history/verify").status_code == 403
    assert ben.get("/history/trail.jsonl").status_code == 403


def test_elsewhere_the_trail_begins_with_the_first_start(enter: Callable, words: Callable) -> None:
    told = words(enter("admin", "Ada").get("/history").text)
    assert "first start setting changed setting/mode before –, after silent" in told
    assert " user/1 " in told
