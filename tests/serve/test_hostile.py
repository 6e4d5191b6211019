"""What nobody sends by accident: signs that a database refuses, numbers that no row has."""

import pytest
from starlette.testclient import TestClient

from dermoscope.serve import cases
from dermoscope.serve.accounts import Person
from dermoscope.serve.app import create_app
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.tables import Job, JobItem

HUGE = "9" * 5000


@pytest.fixture
def reader(options: Options, service: Service) -> TestClient:
    """A reader who is told what broke as a browser would be: by a status. Nothing goes on in the background."""
    with service.desk(Person("R7", "admin")) as desk:
        cases.create(desk, NewCase("P1"))
    app = create_app(options, service)
    app.state.service, app.state.most_uploads = service, 10
    calling = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    calling.cookies.set("reader", "R7")
    return calling


@pytest.mark.parametrize(
    "address",
    [
        "/?text=%00",
        "/?diagnosis=%00",
        "/?page=" + "9" * 30,
        "/?text=" + "x" * 5000,
        "/?text=%ff%ed%a0%80",
        "/cases/1?text=%00",
        "/cases/1?image=" + HUGE,
        "/cases/1?notice=same_image_same_patient:" + HUGE,
        f"/cases/{HUGE}",
        f"/cases/{'9' * 30}",
        f"/images/{HUGE}/full",
        f"/batches/{HUGE}",
        f"/samples/{HUGE}",
        "/history?before=" + "9" * 30,
        "/history?subject=%00",
        "/cases/1/what-if?setting=own&melanoma=nan&malignant=inf",
        "/settings?saved=%00",
        "/enter?back=%00",
        f"/api/v1/cases/{HUGE}",
        "/api/v1/cases?text=%00",
        "/api/v1/cases?page=" + "9" * 30,
        "/static/..%2f..%2fapp.py",
        "/static/%00",
    ],
)
def test_no_address_breaks_the_service(reader: TestClient, address: str) -> None:
    assert reader.get(address).status_code < 500


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("/cases/1/reading", {"decision": "refer", "experience": "a\0b"}),
        ("/cases/1/reading", {"decision": "refer", "diagnosis": "\0"}),
        ("/cases/1/reading", {"decision": "refer", "confidence": "1e999"}),
        ("/cases/1/revision", {"decision": "refer", "experience": "\0"}),
        ("/cases/1/histology", {"code": "MEL\0", "on": ""}),
        ("/cases/1/histology", {"code": "MEL", "on": "9999-12-31"}),
        ("/cases/1/facts", {"body_site": "\0", "intake": "\0"}),
        ("/cases/new", {"pseudonym": "a\0b", "lesion": "1"}),
        ("/settings/notice", {"en": "a\0b"}),
        ("/settings/mode", {"value": "\0"}),
        ("/settings/prevalence", {"value": "own", "malignant": "1e-320", "melanoma": "1e-321"}),
        ("/enter", {"name": "\0"}),
        ("/enter", {"name": "R7", "back": "/\r\nSet-Cookie: a=b"}),
        ("/preferences", {"language": "\0", "back": "//elsewhere.example"}),
    ],
)
def test_no_form_breaks_the_service(reader: TestClient, address: str, fields: dict[str, str]) -> None:
    said = reader.post(address, data=fields, follow_redirects=False)
    assert said.status_code < 500
    assert not said.headers.get("location", "/").startswith(("//", "http"))
    assert reader.get("/").status_code == 200


def test_a_title_that_cannot_be_stored_is_refused_in_words(reader: TestClient) -> None:
    said = reader.post("/batches", data={"title": "a\0b"}, files={"files": ("a.jpg", b"none", "image/jpeg")})
    assert said.status_code == 422
    assert "the title holds signs that cannot be printed" in said.text


def test_a_batch_that_runs_is_stopped_and_led_back_to(reader: TestClient, service: Service) -> None:
    with service.store.begin() as session:
        job = Job(created_by="R7")
        job.items = [JobItem(position=1, pseudonym="W-1", facts={}, state="waiting")]
        session.add(job)
        session.flush()
        number = job.id
    said = reader.post(f"/batches/{number}/cancel", follow_redirects=False)
    assert (said.status_code, said.headers["location"]) == (303, f"/batches/{number}")


def test_a_cookie_of_another_program_is_no_name(reader: TestClient) -> None:
    reader.cookies.set("reader", "%00=x")
    assert reader.get("/", follow_redirects=False).headers["location"].startswith("/enter")
    assert reader.get("/enter").status_code == 200
