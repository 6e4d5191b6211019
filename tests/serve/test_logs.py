"""The log: a line for each request, and nothing in it that a request brought."""

import asyncio
import io
import json
import logging
import re
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from dermoscope.core.errors import BusyError, DermoscopeError, ImageError
from dermoscope.data.synthetic import draw
from dermoscope.serve import logs
from dermoscope.serve.options import Options

if TYPE_CHECKING:
    from people import People

    from dermoscope.serve.desk import Service

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LESION = draw(5, "MEL", (160, 120)).jpeg()
PSEUDONYM, FILE, PASSWORD, NAME = "Erika-1964", "Mustermann_Erika.jpg", "correct-horse-77", "dr.anna"
Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What this process logs from now on, as JSON lines."""
    root, own = logging.getLogger(), logging.getLogger("dermoscope")
    before = root.handlers[:], root.level, own.level, threading.excepthook
    stream = io.StringIO()
    logs.install(Options(log_format="json"), stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:], threading.excepthook = before[0], before[3]
    root.setLevel(before[1])
    own.setLevel(before[2])


@pytest.fixture
def log(written: io.StringIO) -> Log:
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


@sqlite
def test_a_request_is_one_line_with_its_pattern(guarded: "People", log: Log) -> None:
    reader = guarded.client("reader", NAME)
    asked = uuid.uuid4().hex
    answer = reader.get(f"/api/v1/cases/77?text={PSEUDONYM}", headers={"X-Request-ID": asked})
    (line,) = log()
    assert answer.headers["x-request-id"] == asked == line["request"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    told = {name: line[name] for name in ("level", "message", "method", "route", "role", "status", "bytes")}
    assert told == {
        "level": "info",
        "message": "answered",
        "method": "GET",
        "route": "/api/v1/cases/{case_id}",
        "role": "reader",
        "status": 404,
        "bytes": len(answer.content),
    }
    assert line["ms"] > 0


@sqlite
def test_probes_are_told_where_they_fail_alone(guarded: "People", log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = guarded.client()
    for path in ("/health", "/ready", "/static/app.css"):
        assert nobody.get(path).status_code == 200
    assert log() == []
    assert nobody.get("/static/none.css").status_code == 404
    monkeypatch.setattr("dermoscope.serve.readiness.LITTLE", 2**62)
    assert nobody.get("/ready").status_code == 503
    assert [(line["route"], line["status"]) for line in log()] == [("/static/{file}", 404), ("/ready", 503)]


@sqlite
@pytest.mark.parametrize("asked", ["Erika Mustermann", "x" * 20, "12345", "1" * 65, "{}\n"])
def test_an_id_that_could_name_somebody_is_replaced(guarded: "People", log: Log, asked: str) -> None:
    answer = guarded.client().get("/nothing", headers={"X-Request-ID": asked})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert [line["request"] for line in log()] == [answer.headers["x-request-id"]]


@sqlite
def test_names_of_users_stand_in_it_where_that_was_chosen(service: "Service", log: Log) -> None:
    from dataclasses import replace

    from people import People

    from dermoscope.serve.app import create_app

    options = replace(service.options, no_login=False, log_names=True)
    asked = replace(service, options=options)
    app = create_app(options, asked)
    with TestClient(app, base_url="http://127.0.0.1"):
        people = People(asked, app)
        people.client("reviewer", NAME).get("/api/v1/cases")
    assert [(line["role"], line["name"]) for line in log() if line["message"] == "answered"] == [("reviewer", NAME)]


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


UNFORESEEN = [
    KeyError(PSEUDONYM),
    ValueError(f"{FILE} {PASSWORD}"),
    OSError(5, "Input/output error", f"/kept/{FILE}"),
    OSError(28, "No space left on device", f"/kept/{FILE}"),
    IntegrityError(f"INSERT INTO patients VALUES ('{PSEUDONYM}')", {"pseudonym": PSEUDONYM}, ValueError(PSEUDONYM)),
    DermoscopeError("blobs/ab/abcd: damaged; restore it from a backup"),
]


@sqlite
@pytest.mark.parametrize("path", ["/api/v1/cases", "/"])
@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
def test_a_failure_is_told_by_its_kind_and_place(
    guarded: "People", log: Log, monkeypatch: pytest.MonkeyPatch, error: Exception, path: str
) -> None:
    place = "worklist.listed" if path.startswith("/api") else "pages.worklist.listed"
    monkeypatch.setattr(f"dermoscope.serve.{place}", raising(error))
    reader = guarded.client("reader", NAME)
    reader._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
    answer = reader.get(path, params={"text": PSEUDONYM})
    assert answer.status_code in (500, 507)
    assert answer.headers["x-request-id"]
    told = [line for line in log() if "error" in line]
    assert {line["request"] for line in log()} == {answer.headers["x-request-id"]}
    assert log()[-1]["status"] == answer.status_code
    (line,) = told
    assert line["error"].startswith(type(error).__name__)
    assert any("test_logs.py" in place and place.endswith(" fail") for place in line["at"])
    assert ("damaged" in line["error"]) == (type(error) is DermoscopeError)
    assert_silent(json.dumps(log()))


def assert_silent(text: str) -> None:
    for secret in (PSEUDONYM, FILE, "Mustermann", PASSWORD, NAME, "dsk_"):
        assert secret not in text


@sqlite
def test_nothing_that_was_sent_stands_in_it(guarded: "People", log: Log, written: io.StringIO) -> None:
    guarded.user("reader", NAME, password=PASSWORD)
    browser, key = guarded.client(), guarded.key("admin", name=NAME)
    browser.post("/enter", data={"name": NAME, "password": PASSWORD + "!"})
    browser.post("/enter", data={"name": PASSWORD, "password": NAME})
    browser.get(f"/enter?back=/{PSEUDONYM}")
    browser.get(f"/{PSEUDONYM}/{FILE}", headers={"X-Reader": NAME, "User-Agent": FILE})
    browser.get("/api/v1/cases", headers={"Authorization": f"Bearer dsk_abcd_{PASSWORD}"})
    browser.get("/api/v1/cases", headers={"Host": f"{PASSWORD}.example", **key})
    browser.request(PSEUDONYM, "/api/v1/cases", headers=key)
    made = browser.post("/api/v1/cases", json={"pseudonym": PSEUDONYM}, headers=key)
    assert made.status_code == 201, made.text
    case = made.json()["id"]
    browser.post("/api/v1/cases", json={"pseudonym": PSEUDONYM, "body_site": FILE}, headers=key)
    browser.post("/api/v1/cases", content=f'{{"pseudonym": "{PSEUDONYM}', headers=key)
    for data in (b"", b"no image", LESION[:300], LESION):
        browser.post(f"/api/v1/cases/{case}/images", files={"files": (FILE, data)}, headers=key)
        browser.post("/api/v1/classify", files={"files": (FILE, data)}, headers=key)
    said = {"title": PSEUDONYM, "pseudonyms": [PSEUDONYM]}
    browser.post("/api/v1/jobs", files={"files": (FILE, b"no image")}, data=said, headers=key)
    lines = log()
    assert len([line for line in lines if line["message"] == "answered"]) == 19
    assert {line["status"] // 100 for line in lines} >= {2, 4}
    assert {line["method"] for line in lines} == {"GET", "POST", "OTHER"}
    assert_silent(written.getvalue())


def test_threads_tasks_warnings_and_other_libraries_are_told_without_values(log: Log, written: io.StringIO) -> None:
    thread = threading.Thread(target=raising(KeyError(PSEUDONYM)), name="engine")
    thread.start()
    thread.join()

    async def forgotten() -> None:
        task = asyncio.create_task(asyncio.sleep(0))
        context = {"message": "Task exception was never retrieved", "task": task, "exception": KeyError(PSEUDONYM)}
        asyncio.get_running_loop().default_exception_handler(context)
        await task

    looping = threading.Thread(target=lambda: asyncio.run(forgotten()))  # a browser may keep a loop in this thread
    looping.start()
    looping.join()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn(f"{FILE}: corrupt EXIF", UserWarning, stacklevel=1)
    logging.getLogger("PIL").error("cannot read %s", FILE)
    logging.getLogger("dermoscope.serve.worker").warning("batches wait: %s", ImageError(f"{FILE}: is no image"))
    logging.getLogger("dermoscope.serve.worker").warning("batches wait: %s", BusyError("400 images wait already"))
    told = [line["message"] for line in log()]
    assert told[0] == "engine ended"
    assert told[1].startswith("Task exception was never retrieved")
    assert told[2].endswith("UserWarning")
    assert told[3:] == [
        "cannot read %s",
        "batches wait: ImageError",
        "batches wait: BusyError: 400 images wait already",
    ]
    assert [line.get("error") for line in log()[:2]] == ["KeyError", "KeyError"]
    assert_silent(written.getvalue())


def test_words_are_one_line_and_places_below_it() -> None:
    stream, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level, threading.excepthook
    try:
        logs.install(Options(log_format="text"), stream)
        logging.getLogger("dermoscope.x").info("answered", extra={"told": {"route": "/a\n/b", "status": 200}})
        try:
            raise KeyError(PSEUDONYM)
        except KeyError:
            logging.getLogger("dermoscope.x").exception("a request failed")
    finally:
        logging.captureWarnings(False)
        root.handlers[:], threading.excepthook = before[0], before[2]
        root.setLevel(before[1])
        logging.getLogger("dermoscope").setLevel(logging.NOTSET)
    first, second, third = stream.getvalue().splitlines()
    assert first.endswith("Z info answered route=/a?/b status=200")
    assert second.endswith("Z error a request failed error=KeyError")
    assert re.fullmatch(r" {4}\S*test_logs.py:\d+ test_words_are_one_line_and_places_below_it", third)


@sqlite
def test_the_database_hides_what_it_was_asked(service: "Service") -> None:
    from dermoscope.serve.tables import Patient

    with service.store.begin() as session:
        session.add(Patient(pseudonym=PSEUDONYM))
    with pytest.raises(IntegrityError) as error, service.store.begin() as session:
        session.add(Patient(pseudonym=PSEUDONYM))
    assert PSEUDONYM not in str(error.value)


def test_errors_keep_their_cause_without_its_text() -> None:
    with pytest.raises(ValueError, match=FILE) as error:  # noqa: PT012
        try:
            raise KeyError(PSEUDONYM)
        except KeyError as cause:
            raise ValueError(FILE) from cause
    found = [logs.described(error.value), *logs.places(error.value)]
    assert found[0] == "ValueError"
    assert found[2] == "after KeyError"  # its own place stands before it
    assert_silent(" ".join(found))
