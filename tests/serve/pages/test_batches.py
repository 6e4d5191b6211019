"""Batches as pages: sent, refused with everything that was typed, followed, left and come back to."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dermoscope.data.synthetic import draw, encode

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
HTMX = {"HX-Request": "true"}


def picture(seed: int = 1, name: str = "a.jpg") -> tuple[str, tuple[str, bytes, str]]:
    return "files", (name, encode(draw(seed, "NV", (240, 180)).pixels), "image/jpeg")


def test_no_batch_yet_says_what_to_do(reader: "TestClient", words: Callable[[str], str]) -> None:
    said = words(reader.get("/batches").text)
    assert "No batch yet Choose a folder's worth of images" in said
    assert "Up to 100 dermoscopic images at once." in said


def test_a_batch_is_sent_followed_and_leads_to_its_cases(reader: "TestClient", words: Callable[[str], str]) -> None:
    bad = ("files", ("letter.txt", b"Dear colleague", "text/plain"))
    sent = reader.post("/batches", files=[picture(1), bad, picture(2)], data={"title": "Tuesday"})
    assert sent.url.path == "/batches/1"
    for _ in range(200):
        said = reader.get("/batches/1").text
        if "Finished" in words(said):
            break
        assert 'hx-get="/batches/1" hx-trigger="every 2s"' in said
        assert "You can leave this page; the work goes on." in words(said)
        time.sleep(0.1)
    assert "Tuesday R7" in words(said)
    assert "2 of 3 read One could not be read" in words(said)
    assert "could not be read image 2: not an image of a known format" in words(said)
    assert "letter" not in said, "names of files may name a patient"
    assert "hx-trigger" not in said, "a batch that has ended is asked for no more"
    assert 'href="/cases/1?tab=all" data-row>B1-001</a>' in said
    assert "B1-003" in said
    assert "Tuesday Finished 2 of 3 read" in words(reader.get("/batches").text)


def test_a_file_that_is_too_large_is_told_as_that(
    reader: "TestClient", words: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("serve.api.files", "serve.pages.batches"):
        monkeypatch.setattr(f"dermoscope.{place}.MOST_UPLOAD", 9)
    said = words(reader.post("/batches", files=[("files", ("large.jpg", b"x" * 1234, "image/jpeg"))]).text)
    assert "image 1: 1,234 bytes; at most 9 are taken" in said
    assert "large.jpg" not in said


def test_htmx_gets_the_part_that_changes_and_the_address_to_go_to(reader: "TestClient") -> None:
    sent = reader.post("/batches", files=[picture()], headers=HTMX, follow_redirects=False)
    assert (sent.status_code, sent.headers["hx-redirect"]) == (204, "/batches/1")
    part = reader.get("/batches/1", headers=HTMX).text
    assert part.lstrip().startswith('<div class="stack" id="progress"')
    assert "<html" not in part


@pytest.mark.parametrize(
    ("naming", "listed", "first"), [("by_name", "", "lesion-7"), ("own", "P9\nP10", "P9"), ("no such", "", "B1-001")]
)
def test_lesions_are_named_as_was_asked(
    reader: "TestClient", naming: str, listed: str, first: str, words: Callable[[str], str]
) -> None:
    files = [picture(1, "lesion-7.jpg"), picture(2, "lesion-8.jpg")]
    said = reader.post("/batches", files=files, data={"naming": naming, "pseudonyms": listed})
    assert f"1 {first} " in words(said.text)


@pytest.mark.parametrize(
    ("language", "listed", "told"),
    [
        ("en", "P9", "1 pseudonyms for 2 images; give one for each."),
        ("de", "P9", "1 Pseudonyme für 2 Bilder; geben Sie eines für jedes an."),
        ("de", "P9\nP9", "Der Stapel wurde nicht gespeichert: lesions that stand more than once in the batch: P9"),
    ],
)
def test_a_batch_that_is_refused_says_why_and_keeps_what_was_typed(
    reader: "TestClient", words: Callable[[str], str], language: str, listed: str, told: str
) -> None:
    reader.cookies.set("language", language)
    fields = {"title": "Tuesday", "naming": "own", "pseudonyms": listed}
    said = reader.post("/batches", files=[picture(1), picture(2)], data=fields)
    assert said.status_code == 422
    assert told in words(said.text)
    assert 'value="Tuesday"' in said.text
    assert f">{listed}</textarea>" in said.text
    part = reader.post("/batches", files=[picture(1), picture(2)], data=fields, headers=HTMX)
    assert part.status_code == 422
    assert part.text.startswith('<div class="problem" role="alert">')


def test_no_file_and_too_many_are_told_before_anything_is_read(
    reader: "TestClient", words: Callable[[str], str]
) -> None:
    empty = b'--X\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\n\r\n--X--\r\n'
    none = reader.post("/batches", content=empty, headers={"Content-Type": "multipart/form-data; boundary=X"})
    assert none.status_code == 422
    assert "Choose at least one image." in words(none.text)
    many = reader.post("/batches", files=[("files", (f"{k}.jpg", b"x", "image/jpeg")) for k in range(101)])
    assert "These are 101 images; a batch holds 100 at most. Leave 1 out" in words(many.text)
    assert "No batch yet" in words(reader.get("/batches").text)


def test_a_batch_is_stopped_once(reader: "TestClient", service: "Service", words: Callable[[str], str]) -> None:
    from dermoscope.serve.tables import Job, JobItem

    with service.store.begin() as session:
        job = Job(created_by="R7")
        session.add(job)
        session.flush()
        # what nobody has stored a file for cannot be begun, so it waits
        job.items = [JobItem(position=k, pseudonym=f"W-{k}", facts={}, state="done") for k in (1, 2)]
        job.items.append(JobItem(position=3, pseudonym="W-3", facts={}, state="waiting"))
        job.created_at = job.created_at.replace(year=2020)
        number = job.id
        session.flush()
        session.query(Job).filter(Job.id == number).update({"cancelled_at": job.created_at})
    said = reader.get(f"/batches/{number}")
    assert "Stopped" in words(said.text)
    assert "3 W-3 not begun" in words(said.text)
    again = reader.post(f"/batches/{number}/cancel")
    assert again.status_code == 409
    assert "batch 1 has ended already" in words(again.text)


def test_a_batch_that_is_not_there(reader: "TestClient", words: Callable[[str], str]) -> None:
    said = reader.get("/batches/7")
    assert said.status_code == 404
    assert "Nothing here" in words(said.text)
    assert "there is no batch 7" in words(said.text)
    assert reader.get("/batches/seven").status_code == 404
