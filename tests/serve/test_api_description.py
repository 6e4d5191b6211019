"""What `/openapi.json` says of the API: every route with examples, every problem as a problem."""

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dermoscope.serve.api import about, root, router
from dermoscope.serve.api.describe import describe
from dermoscope.serve.api.problems import MEDIA

if TYPE_CHECKING:
    from dermoscope.serve.options import Options

Operation = tuple[str, str, dict[str, Any]]


def described(*, login: bool = True) -> dict[str, Any]:
    app = FastAPI(title="dermoscope")
    app.include_router(root)
    app.include_router(router)
    describe(app, login=login)
    return app.openapi()


DOCUMENT = described()


def operations(document: dict[str, Any] = DOCUMENT) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


EVERY = pytest.mark.parametrize(
    ("method", "path", "operation"), list(operations()), ids=lambda v: v if type(v) is str else ""
)


def schema_of(content: dict[str, Any]) -> dict[str, Any]:
    schema = content["schema"]
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return DOCUMENT["components"]["schemas"][name] if name else schema


@EVERY
def test_a_route_is_explained_and_named(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["description"], (method, path)
    assert operation["tags"]
    assert re.fullmatch(r"[a-z_]+", operation["operationId"])


@EVERY
def test_a_route_shows_what_it_takes_and_gives(method: str, path: str, operation: dict[str, Any]) -> None:
    given = {code: said for code, said in operation["responses"].items() if code.startswith("2")}
    assert given
    for code, said in given.items():
        if code == "204":
            continue
        for content in said["content"].values():
            assert content.get("example") or schema_of(content).get("examples"), (method, path)
    for media, content in operation.get("requestBody", {"content": {}})["content"].items():
        assert media == "multipart/form-data" or schema_of(content)["examples"], (method, path)
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            assert parameter["schema"]["examples"]


@EVERY
def test_a_route_tells_its_problems(method: str, path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if path.startswith("/api/v1"):
        assert {"400", "401", "403", "422", "429", "503"} <= set(responses), (method, path)
    if "{" in path:
        assert "404" in responses
    if "multipart/form-data" in operation.get("requestBody", {"content": {}})["content"]:
        assert "413" in responses
    for code, said in responses.items():
        if code.startswith("4"):
            assert set(said["content"]) == {MEDIA}, (method, path, code)
            assert said["content"][MEDIA]["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert said["content"][MEDIA]["example"]["status"] == int(code)
    assert "Problem" in DOCUMENT["components"]["schemas"]
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


def test_names_of_operations_are_unique() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


def test_a_key_is_asked_for_where_there_is_a_login() -> None:
    asked = {path for _, path, operation in operations() if "security" in operation}
    assert asked == {path for path in DOCUMENT["paths"] if path.startswith("/api/v1") and "/problems" not in path}
    assert not any("security" in operation for _, _, operation in operations(described(login=False)))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_service_gives_this_description(client: TestClient) -> None:
    told = client.get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert set(told["paths"]) == set(DOCUMENT["paths"])
    assert told["paths"] == described(login=False)["paths"]
    asked = told["components"]["schemas"]["HistologyIn"]["properties"]["diagnosis"]
    assert asked["enum"] == [*client.get("/model-info").json()["diagnoses"], "other"]
    assert {tag["name"] for tag in told["tags"]} == {tag for _, _, o in operations() for tag in o["tags"]}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_service_tells_of_itself(client: TestClient) -> None:
    from dermoscope import __version__

    assert client.get("/health").json() == {"status": "ok", "version": __version__}
    ready = client.get("/ready").json()
    assert ready == {
        "ready": True,
        "checks": dict.fromkeys(("bundle", "database", "folder", "clock", "audit"), "ok"),
        "waiting": 0,
        "busy": 0,
    }
    model = client.get("/model-info").json()
    models = client.get("/api/v1/models").json()
    assert models["models"] == [model]
    assert (models["bundles"][0]["name"], models["bundles"][0]["sha256"]) == ("default", model["sha256"])
    assert set(model["calibration_prior"]) == set(model["diagnoses"])
    assert model["card"]["licence"] == model["licence"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_service_without_its_folder_is_not_ready(client: TestClient, options: "Options") -> None:
    away = options.folder.with_name("away")
    options.folder.rename(away)
    answer = client.get("/ready")
    away.rename(options.folder)
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    told = "the folder cannot be written (No such file or directory); mend its rights or its disk"
    assert answer.json()["checks"]["folder"] == told
    assert client.get("/ready").status_code == 200


def test_the_process_is_seen_to_live_while_every_thread_waits() -> None:
    assert inspect.iscoroutinefunction(about.health)  # what is no coroutine waits for a thread
