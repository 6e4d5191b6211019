"""A request that is sent again is done once; a key belongs to an address, a person and a content."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from dermoscope.data.synthetic import draw
from dermoscope.serve import cases, erase, store
from dermoscope.serve.accounts import Person
from dermoscope.serve.api import idempotency
from dermoscope.serve.desk import Service
from dermoscope.serve.tables import Answered, Case, Image, Table, now

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LESION = draw(1, "MEL", (160, 120)).jpeg()
OTHER = draw(2, "NV", (160, 120)).jpeg()
REPLAYED = "Idempotency-Replayed"


def count(service: Service, table: type[Table]) -> int:
    with service.store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def create(
    client: TestClient, pseudonym: str, key: str = "k", reader: str = "R1"
) -> tuple[int, dict[str, object], str]:
    headers = {"Idempotency-Key": key, "X-Reader": reader}
    answer = client.post("/api/v1/cases", json={"pseudonym": pseudonym}, headers=headers)
    return answer.status_code, answer.json(), answer.headers.get(REPLAYED, "")


def add(
    client: TestClient, case: int, data: bytes, key: str | None = "k", name: str = "a.jpg"
) -> tuple[int, dict, str]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = client.post(f"/api/v1/cases/{case}/images", files={"files": (name, data)}, headers=headers)
    return answer.status_code, answer.json(), answer.headers.get(REPLAYED, "")


def test_the_same_request_is_done_once(client: TestClient, service: Service) -> None:
    first, again = create(client, "P1"), create(client, "P1")
    assert (first[0], first[2], again[2]) == (201, "", "true")
    assert again[:2] == first[:2]
    assert count(service, Case) == 1
    status, problem, _ = create(client, "P2")
    assert (status, problem["type"]) == (422, "/api/v1/problems/not-valid")
    assert "used here with other content" in str(problem["detail"])
    assert create(client, "P1", key="k2")[0] == 409
    assert create(client, "P1", reader="R2")[0] == 409
    assert create(client, "P3", reader="R2")[0] == 201


def test_images_are_stored_once_and_never_by_content(client: TestClient, service: Service) -> None:
    for pseudonym in ("P1", "P2"):
        create(client, pseudonym, key=pseudonym)
    first, again = add(client, 1, LESION), add(client, 1, LESION)
    assert (first[0], first[2], again[2]) == (201, "", "true")
    assert first[1] == again[1]
    other = add(client, 2, LESION)
    assert (other[0], other[2]) == (201, "")
    (notice,) = other[1]["notices"]
    assert (notice["code"], notice["figures"]) == ("same_image_other_patient", {"case": 1})
    assert notice["text"].startswith("The same file stands under another patient already")
    assert count(service, Image) == 2
    assert add(client, 1, OTHER)[0] == 422
    assert add(client, 1, LESION, key=None)[0] == 201
    assert count(service, Image) == 3


def test_many_at_once_are_one(client: TestClient, service: Service) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: create(client, "P1"), range(8)))
    assert {(status, body["id"]) for status, body, _ in found} == {(201, 1)}
    assert sorted(replayed for *_, replayed in found) == ["", *["true"] * 7]
    with ThreadPoolExecutor(6) as pool:
        stored = list(pool.map(lambda _: add(client, 1, LESION), range(6)))
    assert {status for status, *_ in stored} <= {201, 409}
    assert sum(status == 201 and not replayed for status, _, replayed in stored) == 1
    assert count(service, Image) == 1
    assert add(client, 1, LESION)[2] == "true"


def test_without_a_key_the_same_at_once_is_a_conflict(client: TestClient, service: Service) -> None:
    def post(_: int) -> int:
        return client.post("/api/v1/cases", json={"pseudonym": "P1"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(post, range(8))) == [201, *[409] * 7]
    assert count(service, Case) == 1


@sqlite
def test_a_request_that_failed_may_be_mended_under_its_key(client: TestClient, service: Service) -> None:
    assert add(client, 1, LESION)[0] == 404
    create(client, "P1")
    assert add(client, 1, b"no image")[0] == 422
    assert count(service, Answered) == 1
    assert add(client, 1, LESION)[0] == 201


@sqlite
def test_while_the_first_is_under_way_the_second_waits(client: TestClient, service: Service) -> None:
    create(client, "P1")
    entered, go_on = threading.Event(), threading.Event()
    engine = client.app.state.service.engine  # type: ignore[attr-defined]
    each = engine.predict

    def slow(*given: object) -> object:
        entered.set()
        assert go_on.wait(20)
        return each(*given)

    engine.predict = slow
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(add, client, 1, LESION)
        assert entered.wait(20)
        status, problem, _ = add(client, 1, LESION)
        go_on.set()
        assert first.result()[0] == 201
    assert (status, "still under way" in str(problem["detail"])) == (409, True)
    assert add(client, 1, LESION)[2] == "true"
    assert count(service, Image) == 1


@sqlite
def test_what_was_cut_off_is_not_done_again_unseen(client: TestClient, service: Service) -> None:
    create(client, "P1")
    add(client, 1, LESION)
    with service.store.begin() as session:  # as a kill leaves it between the images and their answer
        row = session.scalars(select(Answered).where(Answered.place.endswith("images"))).one()
        row.status = idempotency.UNDER_WAY
    status, problem, _ = add(client, 1, LESION)
    assert status == 409
    assert "was cut off before it was answered; look at what is stored" in str(problem["detail"])
    assert count(service, Image) == 1


@sqlite
def test_what_was_done_and_could_not_be_noted_is_not_done_again(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, "P1")
    stored = cases.add_images

    def then_busy(*given: Any) -> cases.Added:
        added = stored(*given)
        service.store.turn.acquire()  # as if another writer took his time
        return added

    with monkeypatch.context() as patched:
        patched.setattr(cases, "add_images", then_busy)
        patched.setattr(store, "_WAIT", 0.05)
        assert add(client, 1, LESION)[0] == 503
        service.store.turn.release()
    status, problem, _ = add(client, 1, LESION)
    assert (status, "was cut off" in str(problem["detail"])) == (409, True)
    assert count(service, Image) == 1


@sqlite
def test_an_answer_whose_case_was_deleted_meanwhile_is_not_noted(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, "P1")
    stored = cases.add_images

    def then_delete(*given: Any) -> cases.Added:
        added = stored(*given)
        erase.case(service, Person("anna", "admin"), 1)
        return added

    monkeypatch.setattr(cases, "add_images", then_delete)
    assert add(client, 1, LESION)[0] == 201
    with service.store.read() as session:
        assert {(row.status, str(row.body)) for row in session.scalars(select(Answered))} == {(410, "{}")}
    assert add(client, 1, LESION)[0] == 409


@sqlite
def test_keys_are_forgotten_after_a_month(client: TestClient, service: Service) -> None:
    create(client, "P1", key="old")
    with service.store.begin() as session:
        session.scalars(select(Answered)).one().made_at = now() - datetime.timedelta(days=31)
    create(client, "P2", key="new")
    with service.store.read() as session:
        assert session.scalars(select(Answered.key)).all() == ["new"]


@sqlite
def test_jobs_readings_and_histology_have_keys_too(client: TestClient) -> None:
    create(client, "P1")
    add(client, 1, LESION)
    headers = {"Idempotency-Key": "k"}
    sent = (
        ("/api/v1/jobs", {"files": {"files": ("a.jpg", LESION)}, "data": {"title": "one"}}),
        ("/api/v1/cases/1/readings", {"json": {"decision": "refer", "confidence": 0.5}}),
        ("/api/v1/cases/1/histology", {"json": {"diagnosis": "MEL", "on": "2026-01-31"}}),
    )
    for place, said in sent:
        first, again = client.post(place, headers=headers, **said), client.post(place, headers=headers, **said)
        assert (first.status_code, again.json(), again.headers[REPLAYED]) == (201, first.json(), "true")
    assert len(client.get("/api/v1/jobs").json()["jobs"]) == 1
