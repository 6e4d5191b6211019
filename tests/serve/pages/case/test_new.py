"""Entering cases: pictures of every kind, refused ones, samples, corrections, preferences."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from dermoscope.serve.accounts import Person
from dermoscope.serve.pages.samples import SAMPLES
from dermoscope.serve.tables import Case, Image, Result

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
HTMX = {"HX-Request": "true"}


def counted(client: TestClient, table: type) -> int:
    with client.app.state.service.looking(Person("root", "admin")) as desk:  # type: ignore[attr-defined]
        return desk.session.scalar(select(func.count()).select_from(table)) or 0


def jpeg(content: bytes, name: str = "a.jpg") -> tuple[str, tuple[str, bytes, str]]:
    return ("files", (name, content, "image/jpeg"))


def test_overview_photographs_are_shown_and_never_scored(anna: TestClient, drawn: tuple[bytes, ...]) -> None:
    data = {"pseudonym": "P1", "body_site": "head_neck", "kinds": ["overview", "dermoscopic"]}
    page = anna.post("/cases/new", data=data, files=[jpeg(drawn[0]), jpeg(drawn[1], "b.jpg")]).text
    assert "Head or neck" in page
    assert "Overview, not scored" in page
    with anna.app.state.service.looking(Person("root", "admin")) as desk:  # type: ignore[attr-defined]
        images = list(desk.session.scalars(select(Image).order_by(Image.id)))
        assert sorted((i.kind, len(i.results)) for i in images) == [("dermoscopic", 1), ("overview", 0)]


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["form", "htmx"])
def test_one_file_that_is_no_picture_refuses_all_with_its_reason(
    anna: TestClient, drawn: tuple[bytes, ...], headers: dict[str, str]
) -> None:
    sent = [jpeg(drawn[0]), ("files", ("notes.txt", b"hello", "text/plain"))]
    data = {"pseudonym": "P 7", "intake": ["nail"]}
    answer = anna.post("/cases/new", data=data, files=sent, headers=headers)
    assert answer.status_code == 422
    assert "notes.txt: not an image of a known format" in answer.text
    assert "One file cannot be taken" in answer.text
    assert ("<html" in answer.text) == (not headers)
    if not headers:
        assert 'value="P 7"' in answer.text
        assert 'value="nail" checked' in answer.text
    assert (counted(anna, Case), counted(anna, Image)) == (0, 0)


def test_a_form_without_picture_or_pseudonym_stores_nothing(anna: TestClient, drawn: tuple[bytes, ...]) -> None:
    assert anna.post("/cases/new", data={"pseudonym": "P1"}).status_code == 422
    assert anna.post("/cases/new", data={"pseudonym": " "}, files=[jpeg(drawn[0])]).status_code == 422
    assert (
        anna.post("/cases/new", data={"pseudonym": "P1", "taken": "2999-01-01"}, files=[jpeg(drawn[0])]).status_code
        == 422
    )
    assert counted(anna, Case) == 0


def test_htmx_is_led_to_the_case(anna: TestClient, drawn: tuple[bytes, ...]) -> None:
    answer = anna.post("/cases/new", data={"pseudonym": "P1"}, files=[jpeg(drawn[0])], headers=HTMX)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/cases/1")


def test_a_lesion_that_has_a_case_leads_there(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    case = enter("P1")
    answer = anna.post("/cases/new", data={"pseudonym": "P1"}, files=[jpeg(drawn[1])], headers=HTMX)
    assert answer.status_code == 409
    assert f'href="/cases/{case}"' in answer.text


def test_equal_bytes_under_two_patients_are_told_and_stay_two_records(
    anna: TestClient, enter: Callable[..., int], drawn: tuple[bytes, ...]
) -> None:
    first = enter("P1")
    page = anna.post("/cases/new", data={"pseudonym": "P2"}, files=[jpeg(drawn[0])]).text
    assert "stands under another patient already" in page
    assert f'href="/cases/{first}"' in page
    assert (counted(anna, Case), counted(anna, Result)) == (2, 2)
    assert "another patient" not in anna.get("/cases/2?notice=nonsense:1&notice=same_image_other_patient:x").text


def test_a_sample_is_pressed_once_for_everybody(anna: TestClient) -> None:
    assert anna.get("/samples/1").headers["content-type"] == "image/jpeg"
    page = anna.post("/samples/1").text
    assert "Drawn sample" in page
    assert "Lock my reading" in page
    anna.post("/samples/1")
    assert counted(anna, Case) == 1
    assert anna.get(f"/samples/{len(SAMPLES) + 1}").status_code == 404


def test_site_and_intake_are_corrected_until_somebody_has_read(anna: TestClient, enter: Callable[..., int]) -> None:
    case = enter()
    page = anna.post(f"/cases/{case}/facts", data={"body_site": "lower_extremity", "intake": ["tattoo"]}).text
    assert "Leg" in page
    assert "In a tattoo" in page
    assert counted(anna, Result) == 2
    assert anna.post(f"/cases/{case}/facts", data={"intake": ["hat"]}).status_code == 422
    anna.post(f"/cases/{case}/reading", data={"decision": "refer"})
    late = anna.post(f"/cases/{case}/facts", data={})
    assert late.status_code == 409
    assert 'role="alert"' in late.text


def test_a_picture_is_taken_out_until_somebody_has_read(anna: TestClient, enter: Callable[..., int]) -> None:
    case, other = enter("P1", (0, 1)), enter("P2", (2,))
    assert anna.post(f"/cases/{other}/images/1/remove").status_code == 404
    page = anna.post(f"/cases/{case}/images/1/remove").text
    assert "/images/2/thumb" in page
    assert "/images/1/thumb" not in page
    anna.post(f"/cases/{case}/reading", data={"decision": "refer"})
    late = anna.post(f"/cases/{case}/images/2/remove")
    assert late.status_code == 409
    assert "stays with the readings" in late.text
    assert counted(anna, Image) == 2


@pytest.mark.parametrize(
    ("back", "place"),
    [("/cases/new?x=1", "/cases/new?x=1"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/\\evil", "/")],
)
def test_preferences_lead_back_and_nowhere_else(anna: TestClient, back: str, place: str) -> None:
    answer = anna.post("/preferences", data={"language": "de", "back": back}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, place)
    assert answer.cookies["language"] == "de"
    odd = anna.post("/preferences", data={"language": "xx", "theme": "pink"}, follow_redirects=False)
    assert "set-cookie" not in odd.headers
