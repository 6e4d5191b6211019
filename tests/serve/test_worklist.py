"""What waits for whom, what is found, and what a list may not give away."""

import datetime
from collections.abc import Iterator

import pytest
from sqlalchemy import event

from dermoscope.core.errors import InputError
from dermoscope.serve import cases, readings, site, worklist
from dermoscope.serve.accounts import Person
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Service
from dermoscope.serve.readings import Said
from dermoscope.serve.tables import Blob, Case, Image, Result
from dermoscope.serve.worklist import TABS, Filter

ANNA, BEN = Person("anna", "admin"), Person("ben", "reader")


def add(service: Service, pseudonym: str, answer: str | None = "refer", **fields: object) -> int:
    """A case with an image whose result is written here: the list is tested, not the model."""
    with service.desk(ANNA) as desk:
        made = cases.create(desk, NewCase(pseudonym, **fields))
        if answer is not None:
            _add_result(desk, made, answer)
        return made.id


def _add_result(desk: "cases.Desk", case: Case, answer: str) -> None:
    digest = "0" * 64
    if desk.session.get(Blob, digest) is None:
        desk.session.add(Blob(digest=digest, media="image/jpeg", size=1, references=1))
        desk.session.flush()
    image = Image(case_id=case.id, kind="dermoscopic", digest=digest, width=9, height=9, added_by="anna")
    image.results.append(
        Result(
            model="m",
            mode="open",
            order="human_first",
            prevalence={},
            prior={},
            answer=answer,
            cause={"refer": "malignancy", "low_concern": "none"}.get(answer, "unlike"),
            suspected="MEL" if answer == "refer" else None,
            reasons=["because"],
            figures={},
            probabilities={"MEL": 0.6, "NV": 0.4},
            calibrated={},
            quality={},
            warnings=[],
            intake=[],
        )
    )
    desk.session.add(image)
    desk.session.flush()


def say(service: Service, person: Person, case_id: int, decision: str, diagnosis: str | None = None) -> None:
    with service.desk(person) as desk:
        readings.lock(desk, case_id, Said(decision, diagnosis))  # type: ignore[arg-type]


def found(service: Service, person: Person = ANNA, **wanted: object) -> list[int]:
    with service.looking(person) as desk:
        return [row.case_id for row in worklist.listed(desk, Filter(**wanted)).rows]  # type: ignore[arg-type]


def set_mode(service: Service, mode: str) -> None:
    with service.desk(ANNA) as desk:
        site.change(desk, "mode", mode)


def test_a_case_goes_from_tab_to_tab(service: Service) -> None:
    made = add(service, "P1", "refer")
    other = add(service, "P2", "low_concern")
    assert {tab: found(service, tab=tab) for tab in TABS} == {
        "unread": [made, other],
        "disagreements": [],
        "awaiting": [],
        "closed": [],
        "all": [made, other],
    }
    say(service, ANNA, made, "low_concern")
    say(service, ANNA, other, "low_concern")
    assert found(service) == []
    assert found(service, tab="disagreements") == [made]
    assert found(service, tab="awaiting") == [made]
    with service.desk(ANNA) as desk:
        readings.revise(desk, made, Said("refer"))
    assert found(service, tab="disagreements") == []
    with service.desk(ANNA) as desk:
        cases.enter_histology(desk, made, "MEL", datetime.date(2026, 1, 1))
        counted = worklist.counts(desk)
    assert counted == {"unread": 0, "disagreements": 0, "awaiting": 0, "closed": 1, "all": 2}


def test_in_a_clinic_one_reading_is_enough_and_in_a_study_everybody_reads(service: Service) -> None:
    made = add(service, "P1")
    say(service, ANNA, made, "refer")
    assert found(service, BEN) == []
    for mode in ("study", "silent"):
        set_mode(service, mode)
        assert found(service, BEN) == [made]
        assert found(service, ANNA) == []


def test_a_list_gives_no_answer_away(service: Service) -> None:
    made = add(service, "P1", "refer")
    with service.looking(ANNA) as desk:
        (row,) = worklist.listed(desk, Filter()).rows
        assert (row.answer, row.disagrees, row.resolved) == (None, False, None)
    assert found(service, tab="all", answer="refer") == []
    set_mode(service, "study")
    say(service, ANNA, made, "low_concern")
    with service.looking(ANNA) as desk:
        (row,) = worklist.listed(desk, Filter("all")).rows
        assert row.answer is not None
        assert (row.answer.kind, row.decision, row.disagrees, row.resolved) == ("refer", "low_concern", True, "refer")
    assert found(service, ANNA, tab="all", answer="refer") == [made]
    assert found(service, ANNA, tab="all", answer="low_concern") == []
    with service.looking(BEN) as desk:
        (row,) = worklist.listed(desk, Filter("all")).rows
        assert (row.answer, row.decision, row.reader, row.disagrees) == (None, None, None, False)
    assert found(service, BEN, tab="all", answer="refer") == []
    assert found(service, BEN, tab="disagreements") == []
    set_mode(service, "silent")
    assert found(service, ANNA, tab="all", answer="refer") == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"text": "ada"}, [0, 1]),
        ({"text": "ADA-2"}, [1]),
        ({"text": "50%"}, [2]),
        ({"text": "50_"}, []),
        ({"text": "\\"}, []),
        ({"body_site": "head_neck"}, [0]),
        ({"text": "left"}, [2]),
        ({"diagnosis": "NV"}, [1]),
        ({"diagnosis": "MEL"}, []),
    ],
)
def test_what_is_looked_for_is_found(service: Service, wanted: dict[str, str], expected: list[int]) -> None:
    ids = [
        add(service, "Ada-1", body_site="head_neck"),
        add(service, "ada-2"),
        add(service, "50% X", lesion="left"),
    ]
    say(service, ANNA, ids[1], "low_concern", "NV")
    assert found(service, tab="all", **wanted) == [ids[k] for k in expected]
    assert found(service, tab="all", text=str(ids[1])) in ([ids[1]], [ids[1], ids[0]], [ids[0], ids[1]])


def test_next_and_previous_follow_the_list(service: Service) -> None:
    ids = [add(service, f"P{k}") for k in range(4)]
    say(service, ANNA, ids[1], "refer")
    with service.looking(ANNA) as desk:
        assert worklist.neighbours(desk, ids[1], Filter()) == (ids[0], ids[2])
        assert worklist.neighbours(desk, ids[0], Filter()) == (None, ids[2])
        assert worklist.neighbours(desk, ids[3], Filter()) == (ids[2], None)
        assert worklist.neighbours(desk, ids[1], Filter("all")) == (ids[0], ids[2])


@pytest.fixture
def counted(service: Service) -> Iterator[list[str]]:
    statements: list[str] = []

    def count(_c: object, _u: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(service.store.engine, "before_cursor_execute", count)
    yield statements
    event.remove(service.store.engine, "before_cursor_execute", count)


def test_a_longer_list_asks_the_database_no_more_often(service: Service, counted: list[str]) -> None:
    for k in range(3):
        add(service, f"P{k}")
    asked = []
    for k in range(3, 60):
        counted.clear()
        with service.looking(ANNA) as desk:
            listing = worklist.listed(desk, Filter("all"), 1, rows=10)
        asked.append(len(counted))
        add(service, f"P{k}")
        if k == 20:
            break
    assert len(set(asked)) == 1
    assert (listing.total, listing.pages, len(listing.rows)) == (20, 2, 10)


def test_a_page_beyond_the_last_is_the_last(service: Service) -> None:
    ids = [add(service, f"P{k}", None) for k in range(3)]
    with service.looking(ANNA) as desk:
        listing = worklist.listed(desk, Filter(), 99, rows=2)
        assert (listing.page, listing.pages) == (2, 2)
        assert [(row.case_id, row.image_id, row.images) for row in listing.rows] == [(ids[2], None, 0)]
        assert worklist.listed(desk, Filter("closed"), 0).page == 1


def test_what_there_is_not_cannot_be_looked_for() -> None:
    for fields, why in (
        ({"tab": "x"}, "no tab 'x'"),
        ({"body_site": "x"}, "no body site"),
        ({"answer": "x"}, "no answer"),
    ):
        with pytest.raises(InputError, match=why):
            Filter(**fields)  # type: ignore[arg-type]


def test_what_was_read_in_silence_is_put_beside_the_answer_once_that_is_shown(service: Service) -> None:
    set_mode(service, "silent")
    missed, agreed, alone = add(service, "P1", "refer"), add(service, "P2", "refer"), add(service, "P3", "low_concern")
    unclear, none = add(service, "P4", "cannot_assess"), add(service, "P5", None)
    for case_id, decision in (
        (missed, "low_concern"), (agreed, "refer"), (alone, "refer"), (unclear, "low_concern"), (none, "low_concern")
    ):  # fmt: skip
        say(service, ANNA, case_id, decision)
    assert (found(service, tab="disagreements"), found(service, tab="awaiting")) == ([], [agreed, alone])
    set_mode(service, "study")
    assert found(service, tab="disagreements") == [missed, alone]
    assert found(service, tab="awaiting") == [missed, agreed, alone]
    assert found(service, BEN, tab="disagreements") == []
    with service.looking(ANNA) as desk:
        rows = {row.case_id: row for row in worklist.listed(desk, Filter("all")).rows}
    assert (rows[missed].resolved, rows[missed].disagrees) == ("refer", True)
    assert (rows[unclear].resolved, rows[unclear].disagrees) == ("low_concern", False)
    assert (rows[none].resolved, rows[none].disagrees) == ("low_concern", False)
