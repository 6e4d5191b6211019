"""Whatever goes wrong below /api, and at the addresses that machines ask, is told as a problem document."""

import json

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.testclient import TestClient

from dermoscope.core.errors import (
    BusyError,
    ConflictError,
    DermoscopeError,
    ForbiddenError,
    ImageError,
    InputError,
    MissingDependencyError,
    NotFoundError,
)
from dermoscope.serve.api import problems
from dermoscope.serve.depends import NotEnteredError
from dermoscope.serve.limits import BodyLimit

RAISED: dict[str, tuple[Exception, int, str]] = {
    "input": (InputError("mend it"), 422, "not-valid"),
    "image": (ImageError("x.jpg: no image"), 422, "not-valid"),
    "missing": (NotFoundError("no case 9"), 404, "not-found"),
    "conflict": (ConflictError("there already"), 409, "conflict"),
    "forbidden": (ForbiddenError("not yet"), 403, "forbidden"),
    "nobody": (NotEnteredError("who?"), 401, "not-entered"),
    "busy": (BusyError("400 wait"), 503, "busy"),
    "package": (MissingDependencyError("weasyprint is missing"), 501, "not-installed"),
    "files": (problems.RefusedError("too many", [problems.Fault(where="a", what="b")], 413), 413, "too-large"),
    "disk": (DermoscopeError("blobs: the disk is full"), 500, "failed"),
    "bug": (ZeroDivisionError("secret"), 500, "failed"),
}


@pytest.fixture(scope="module")
def calling() -> TestClient:
    """An application that raises whatever is asked for, with room for a thousand bytes."""
    app = FastAPI()

    @app.get("/api/v1/{name}")
    @app.get("/pages/{name}")
    def fail(name: str) -> None:
        raise RAISED[name][0]

    @app.post("/api/v1/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    problems.install(app, lambda _, error: PlainTextResponse(f"page: {error}", 418))
    app.add_middleware(BodyLimit, most=1000, most_words=100)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("name", RAISED)
def test_every_error_has_its_problem(calling: TestClient, name: str) -> None:
    error, status, kind = RAISED[name]
    answer = calling.get(f"/api/v1/{name}")
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert set(said) == {"type", "title", "status", "detail", "instance", "errors"}
    assert (said["type"], said["status"]) == (f"/api/v1/problems/{kind}", status)
    assert said["instance"] == f"/api/v1/{name}"
    assert said["title"] == problems.BY_STATUS[status].title
    expected = "the service failed; nothing was stored by this request" if name == "bug" else str(error)
    assert said["detail"] == expected
    assert said["errors"] == ([{"where": "a", "what": "b"}] if name == "files" else [])
    assert answer.headers.get("retry-after") == ("30" if status == 503 else None)
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


def test_other_addresses_get_pages(calling: TestClient) -> None:
    assert calling.get("/pages/missing").text == "page: no case 9"
    assert calling.get("/nowhere").text == "page: 404: Not Found"


@pytest.mark.parametrize(
    ("size", "headers", "status"),
    [
        (100, {}, 200),
        (101, {}, 413),
        (1000, {"content-type": "multipart/form-data; boundary=x"}, 400),  # as many as are taken, but no form
        (1001, {"content-type": "Multipart/mixed"}, 413),
        (10, {"content-length": "1" + "0" * 30}, 413),
        (10, {"content-length": "many"}, 413),
    ],
)
def test_bytes_are_counted(calling: TestClient, size: int, headers: dict[str, str], status: int) -> None:
    answer = calling.post("/api/v1/read", content=b"x" * size, headers=headers)
    assert answer.status_code == status
    if status == 413:
        most = 1000 if size > 1000 else 100
        assert answer.json()["detail"] == f"a request of this kind has at most {most:,} bytes; send less at a time"


def test_bytes_are_counted_without_a_length(calling: TestClient) -> None:
    answer = calling.post("/api/v1/read", content=iter([b"x" * 60, b"x" * 60]))
    assert answer.status_code == 413


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_the_frame_refuses_is_a_problem_too(client: TestClient) -> None:
    for method, path, sent, status, where in (
        ("GET", "/api/v1/nothing", {}, 404, None),
        ("GET", "/api/v1/cases/0", {}, 422, "path.case_id"),
        ("GET", "/api/v1/cases/99999999999999999999", {}, 422, "path.case_id"),
        ("GET", "/api/v1/cases?page=0", {}, 422, "query.page"),
        ("GET", "/api/v1/cases?text=%00", {}, 422, "query.text"),
        ("POST", "/api/v1/cases", {"json": {"pseudonym": "P", "name": "Anna"}}, 422, "body.name"),
        ("POST", "/api/v1/cases", {"json": {"pseudonym": " "}}, 422, "body.pseudonym"),
        ("POST", "/api/v1/cases", {"json": {"pseudonym": "a\0b"}}, 422, "body.pseudonym"),
        ("POST", "/api/v1/cases", {"content": b'{"pseudonym":', "headers": JSON}, 422, "body.13"),
        ("POST", "/api/v1/cases", {"content": b'{"pseudonym":"\\ud800"}', "headers": JSON}, 422, "body"),
        ("POST", "/api/v1/cases", {"content": b"[" * 50_000, "headers": JSON}, 400, None),
        ("POST", "/api/v1/cases", {"content": b" " * 1_000_001, "headers": JSON}, 413, None),
        ("POST", "/api/v1/cases", {"headers": {"Idempotency-Key": "a b"}, "json": {"pseudonym": "P"}}, 422, "header"),
        ("GET", "/api/v1/cases", {"headers": {"X-Reader": "<b>"}}, 422, None),
        ("GET", "/api/v1/cases", {"headers": {"Host": "evil.example"}}, 403, None),
        ("GET", "/api/v1/cases", {"headers": {"Host": "["}}, 403, None),
        ("POST", "/api/v1/cases", {"headers": {"Origin": "http://["}, "json": {"pseudonym": "P"}}, 403, None),
        ("POST", "/api/v1/classify", {"content": b"xx", "headers": FORM}, 400, None),
    ):
        answer = client.request(method, path, **sent)
        said = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (status, problems.MEDIA), path
        assert said["status"] == status
        if where is not None:
            assert any(fault["where"].startswith(where) for fault in said["errors"]), said


JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=a"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_method_that_is_not_there_names_those_that_are(client: TestClient) -> None:
    answer = client.request("PATCH", "/api/v1/cases/1")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, PUT"
    assert answer.json()["detail"] == "/api/v1/cases/1 does not know PATCH; it knows DELETE, GET, PUT"
    assert client.post("/health").headers["allow"] == "GET"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_type_leads_to_what_it_means(client: TestClient) -> None:
    listed = client.get(problems.PLACE).json()["problems"]
    assert [kind["status"] for kind in listed] == sorted(kind.status for kind in problems.KINDS)
    for kind in listed:
        assert client.get(kind["type"]).json() == kind
        assert kind["example"]["status"] == kind["status"]
    assert client.get(f"{problems.PLACE}/none").status_code == 404
    assert json.dumps(listed).isascii()
