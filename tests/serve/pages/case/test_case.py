"""The screen of a case: what it shows when, and above all what it does not show yet."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from dermoscope.serve.accounts import Person
from dermoscope.serve.site import change
from dermoscope.serve.tables import Event, Opening, Reading, Result

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ADMIN = Person("root", "admin")
LOW = {"decision": "low_concern", "diagnosis": "NV", "confidence": "0.75", "experience": "8 years"}


def setting(client: TestClient, name: str, value: object) -> None:
    with client.app.state.service.desk(ADMIN) as desk:  # type: ignore[attr-defined]
        change(desk, name, value)


def stored(client: TestClient, table: type) -> list:
    with client.app.state.service.looking(ADMIN) as desk:  # type: ignore[attr-defined]
        return list(desk.session.scalars(select(table).order_by(table.id)))


def answers_become(client: TestClient, **fields: object) -> None:
    """As if the model had said something else."""
    with client.app.state.service.store.begin() as session:  # type: ignore[attr-defined]
        session.execute(update(Result).values(**fields))


SUSPICIOUS = {
    "answer": "refer",
    "cause": "malignancy",
    "suspected": "MEL",
    "probabilities": {"MEL": 0.9, "NV": 0.1, "BCC": 0, "AK": 0, "BKL": 0, "DF": 0, "VASC": 0, "SCC": 0},
    "figures": {"at_site": 0.9, "concern": 0.9, "floor_at": 0.02, "refer_at": 0.04},
}
QUIET = {
    "answer": "low_concern",
    "cause": "none",
    "suspected": None,
    "probabilities": {"MEL": 0.001, "NV": 0.999, "BCC": 0, "AK": 0, "BKL": 0, "DF": 0, "VASC": 0, "SCC": 0},
    "figures": {"at_site": 0.001, "concern": 0.001, "floor_at": 0.02, "refer_at": 0.04},
}
REFUSED = {"answer": "cannot_assess", "cause": "unlike", "suspected": None, "ood": 1.0, "quality": {}, "warnings": []}


@pytest.mark.parametrize("mode", ["open", "study", "silent"])
def test_before_the_lock_the_page_is_the_same_whatever_the_model_said(
    anna: TestClient, enter: Callable[..., int], mode: str
) -> None:
    case = enter(pictures=(0, 1))
    setting(anna, "mode", mode)
    pages = []
    for said in (SUSPICIOUS, QUIET, REFUSED):
        answers_become(anna, **said)
        pages.append(anna.get(f"/cases/{case}").text)
    assert pages[0] == pages[1] == pages[2]
    assert "Lock my reading" in pages[0]
    for word in (
        "Suspicious",
        "No suspicious feature",
        "Heat",
        "such lesions",
        'id="what-if"',
        "result.pdf",
        "Other readers",
    ):
        assert word not in re.sub(r"<dialog.*?</dialog>", "", pages[0], flags=re.DOTALL)
    assert all(opening.answered_at is None for opening in stored(anna, Opening))


def test_after_the_lock_it_is_another_page(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    anna.post(f"/cases/{case}/reading", data=LOW)
    answers_become(anna, **SUSPICIOUS)
    first = anna.get(f"/cases/{case}").text
    answers_become(anna, **QUIET)
    assert anna.get(f"/cases/{case}").text != first
    assert "Suspicious: Melanoma" in first
    assert "about 90 of 100 such lesions" in first
    assert stored(anna, Opening)[0].answered_at is not None
    assert "answer.shown" in [event.what for event in stored(anna, Event)]


HEAT = "/images/1/heat?diagnosis=MEL"


def test_a_heat_map_is_of_what_the_model_saw_and_comes_after_the_lock(
    anna: TestClient, enter: Callable[..., int]
) -> None:
    from dermoscope.data.images import read_image

    case = enter()
    assert anna.get(HEAT).status_code == 403
    anna.post(f"/cases/{case}/reading", data=LOW)
    answers_become(anna, **SUSPICIOUS)
    page = anna.get(f"/cases/{case}").text
    assert 'data-does="heat"' in page
    assert 'data-title="Heat map: Melanoma, model default (experimental)"' in page
    assert 'aria-pressed="false" data-images="1"' in page
    answer = anna.get(HEAT)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["cache-control"] == "no-store"
    size = anna.app.state.service.engine.predictor.bundle.manifest.size  # type: ignore[attr-defined]
    assert read_image(answer.content).pixels.shape == (size, size, 3)
    assert anna.get(HEAT.replace("MEL", "BCC")).content != answer.content
    assert anna.get(HEAT.replace("MEL", "XXX")).status_code == 422
    answers_become(anna, model="another")
    assert anna.get(HEAT).status_code == 404
    setting(anna, "mode", "silent")
    assert anna.get(HEAT).status_code == 403


@pytest.mark.parametrize("place", ["what-if?setting=general_practice", "result.json", "result.pdf"])
def test_nothing_beside_the_page_says_it_either(anna: TestClient, enter: Callable[..., int], place: str) -> None:
    case = enter()
    assert anna.get(f"/cases/{case}/{place}").status_code == 403
    setting(anna, "mode", "silent")
    anna.post(f"/cases/{case}/reading", data=LOW)
    assert anna.get(f"/cases/{case}/{place}").status_code == 403


def test_silent_mode_never_shows_an_answer(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    setting(anna, "mode", "silent")
    pages = []
    anna.post(f"/cases/{case}/reading", data=LOW)
    for said in (SUSPICIOUS, QUIET, REFUSED):
        answers_become(anna, **said)
        pages.append(anna.get(f"/cases/{case}").text)
    assert pages[0] == pages[1] == pages[2]
    assert "Your reading is locked" in pages[0]
    assert [(r.aided, r.disagrees, r.shown) for r in stored(anna, Reading)] == [(False, False, [])]


def test_a_reading_made_in_silence_does_not_stand_against_a_suspicion(
    anna: TestClient, enter: Callable[..., int]
) -> None:
    case = enter()
    answers_become(anna, **SUSPICIOUS)
    setting(anna, "mode", "silent")
    anna.post(f"/cases/{case}/reading", data=LOW)
    setting(anna, "mode", "study")
    page = anna.get(f"/cases/{case}").text
    assert "A disagreement resolves towards referral." in page
    assert "Together:" not in page


def test_in_a_study_another_readers_lock_shows_nothing(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    setting(anna, "mode", "study")
    anna.post(f"/cases/{case}/reading", data=LOW)
    assert "such lesions" in anna.get(f"/cases/{case}").text
    anna.cookies.set("reader", "Bert")
    page = anna.get(f"/cases/{case}").text
    assert "Lock my reading" in page
    assert "such lesions" not in page
    assert "Anna" not in page.replace("by Anna", "")[page.index("<main") : page.index("Case, model")]


def test_lock_then_answer_then_revise(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    answers_become(anna, **SUSPICIOUS)
    locked = anna.post(f"/cases/{case}/reading?tab=all", data=LOW, follow_redirects=False)
    assert (locked.status_code, locked.headers["location"]) == (303, f"/cases/{case}?tab=all")
    page = anna.get(f"/cases/{case}").text
    assert "You and the model disagree" in page
    assert "A disagreement resolves towards referral." in page
    assert "Melanoma cannot be ruled out" in page
    assert "Revise my reading" in page
    anna.post(f"/cases/{case}/revision", data=LOW | {"decision": "refer", "diagnosis": "MEL", "confidence": ""})
    page = anna.get(f"/cases/{case}").text
    assert "Revise my reading" not in page
    assert "You and the model disagree" not in page
    kept = [(r.phase, r.aided, r.decision, r.confidence, r.experience) for r in stored(anna, Reading)]
    assert kept == [("first", False, "low_concern", 0.75, "8 years"), ("revised", True, "refer", None, "8 years")]


def test_a_second_lock_is_told_on_the_page(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    anna.post(f"/cases/{case}/reading", data=LOW)
    again = anna.post(f"/cases/{case}/reading", data=LOW)
    assert again.status_code == 409
    assert "locked already" in again.text
    assert len(stored(anna, Reading)) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("decision", "shrug"), ("decision", ""), ("diagnosis", "XXX"), ("confidence", "very")]
)
def test_a_reading_that_cannot_be_is_told(anna: TestClient, enter: Callable[..., int], field: str, value: str) -> None:
    case = enter()
    answer = anna.post(f"/cases/{case}/reading", data=LOW | {field: value})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert stored(anna, Reading) == []


def test_where_the_answer_comes_first_there_is_one_reading_with_it(anna: TestClient, enter: Callable[..., int]) -> None:
    setting(anna, "order", "ai_first")
    case = enter()
    assert "such lesions" in anna.get(f"/cases/{case}").text
    anna.post(f"/cases/{case}/reading", data=LOW)
    page = anna.get(f"/cases/{case}").text
    assert "With the answer" in page
    assert "Revise my reading" not in page
    assert [r.aided for r in stored(anna, Reading)] == [True]


def test_what_cannot_be_assessed_has_no_numbers(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter(intake=["nail", "scar"])
    anna.post(f"/cases/{case}/reading", data=LOW)
    page = anna.get(f"/cases/{case}").text
    assert "Cannot assess" in page
    assert "A lesion of the nail: not in the training data." in page
    assert "Your assessment stands." in page
    for word in ("such lesions", 'data-does="heat"', 'id="what-if"', "Other diagnoses, ranked", "Together:"):
        assert word not in page
    assert anna.get(f"/cases/{case}/what-if?setting=general_practice").status_code == 404


def test_histology_closes_a_case_and_it_can_be_opened_again(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    anna.post(f"/cases/{case}/reading", data=LOW)
    wrong = anna.post(f"/cases/{case}/histology", data={"code": "MEL", "on": "yesterday"})
    assert wrong.status_code == 422
    page = anna.post(f"/cases/{case}/histology", data={"code": "MEL", "on": "2026-03-05"}).text
    assert "Histology: Melanoma" in page
    assert "5 Mar 2026" in page
    assert "Revise my reading" not in page
    assert "Histology: Melanoma" not in anna.post(f"/cases/{case}/reopen").text


def test_pictures_of_a_later_day_begin_a_visit_and_hide_earlier_answers(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    case = enter(taken="2026-01-02")
    anna.post(f"/cases/{case}/reading", data=LOW)
    files = [("files", ("later.jpg", drawn[1], "image/jpeg"))]
    page = anna.post(f"/cases/{case}/images", data={"taken": "2026-05-02"}, files=files).text
    assert "visit 2" in page
    assert page.index("2 May 2026") < page.index("2 Jan 2026")
    assert "Earlier visits" in page
    assert "The model" not in re.sub(r"<header class=\"bar\".*?</header>", "", page, flags=re.DOTALL)
    page = anna.post(f"/cases/{case}/reading", data=LOW).text
    assert page.count("The model") >= 2


def test_a_form_of_an_earlier_visit_reads_no_new_pictures(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    case = enter()
    anna.cookies.set("reader", "Bert")
    assert '<input type="hidden" name="visit" value="1">' in anna.get(f"/cases/{case}").text
    anna.cookies.set("reader", "Anna")
    anna.post(f"/cases/{case}/reading", data=LOW)
    anna.post(f"/cases/{case}/images", files=[("files", ("2.jpg", drawn[1], "image/jpeg"))])
    anna.cookies.set("reader", "Bert")
    said = anna.post(f"/cases/{case}/reading", data={**LOW, "visit": "1"})
    assert (said.status_code, "at visit 2 by now" in said.text) == (409, True)
    assert [reading.reader for reading in stored(anna, Reading)] == ["Anna"]
    assert "Lock my reading" in said.text


def test_what_if_moves_numbers_and_no_record(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    anna.post(f"/cases/{case}/reading", data=LOW)
    before = [(r.id, r.answer, r.probabilities, r.figures) for r in stored(anna, Result)]
    tables = {
        name: anna.get(f"/cases/{case}/what-if?{query}")
        for name, query in (
            ("rare", "setting=own&melanoma=0.5&malignant=1"),
            ("common", "setting=own&melanoma=40&malignant=60"),
            ("practice", "setting=general_practice"),
        )
    }
    assert {answer.status_code for answer in tables.values()} == {200}
    assert len({answer.text for answer in tables.values()}) == 3
    assert "Walter et al. 2013" in tables["practice"].text
    assert "a high NPV does not lower your own concern" in tables["rare"].text
    assert "<html" not in tables["practice"].text
    assert [(r.id, r.answer, r.probabilities, r.figures) for r in stored(anna, Result)] == before


@pytest.mark.parametrize(
    "query",
    ["setting=moon", "setting=own", "setting=own&melanoma=50&malignant=20", "setting=own&melanoma=nan&malignant=1"],
)
def test_a_site_that_cannot_be_is_told(anna: TestClient, enter: Callable[..., int], query: str) -> None:
    case = enter()
    anna.post(f"/cases/{case}/reading", data=LOW)
    answer = anna.get(f"/cases/{case}/what-if?{query}")
    assert answer.status_code == 422
    assert "melanoma at most as common" in answer.text


def test_next_and_previous_follow_the_list(anna: TestClient, enter: Callable[..., int]) -> None:
    first, second, third = (enter(f"P{n}", (n,)) for n in range(3))
    page = anna.get(f"/cases/{second}?tab=all&text=P").text
    assert f'href="/cases/{first}?tab=all&amp;text=P"' in page
    assert f'href="/cases/{third}?tab=all&amp;text=P"' in page
    assert "Previous case" not in anna.get(f"/cases/{first}?tab=all").text


def test_pictures_are_kept_by_this_browser_only(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    enter()
    whole, small = anna.get("/images/1/full"), anna.get("/images/1/thumb")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "image/jpeg")
    assert whole.headers["cache-control"] == "no-store"
    assert len(small.content) < len(whole.content) <= len(drawn[0])
    assert anna.get("/images/2/full").status_code == 404
    anna.cookies.delete("reader")
    assert anna.get("/images/1/full", follow_redirects=False).status_code == 303


def test_there_is_no_such_case(anna: TestClient) -> None:
    assert anna.get("/cases/77").status_code == 404
    assert anna.post("/cases/77/reading", data=LOW).status_code == 404
