"""The service keeps to its own description, asked with and without login; `make reliability` asks more."""

from dataclasses import replace
from typing import Annotated, Any

import pytest
from contract import LEFT_OUT, asker, checks, hold
from fastapi import Body, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from live import listening
from people import People

from dermoscope.serve.app import create_app
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options

EXAMPLES = 3


@pytest.fixture
def database() -> str:
    return ""


def test_every_operation_keeps_to_its_description(
    options: Options, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermoscope.serve.throttle.FREE_OF_ADDRESS", 10**6)  # wrong keys are tried by the hundred
    asked = replace(service, options=replace(options, no_login=False))
    with listening(create_app(asked.options, asked)) as url:
        found = hold(url, asker(People(asked)), EXAMPLES)
    assert not found.broken, "\n\n".join(found.broken)
    assert found.operations == len([o for p in create_app(options).openapi()["paths"].values() for o in p])
    assert found.requests > 4 * found.operations
    assert {200, 201, 404, 422} <= set(found.statuses)
    assert max(found.statuses) < 500
    assert found.statuses[401] < found.requests / 10


def test_a_description_that_is_broken_is_found() -> None:
    app = FastAPI()

    @app.get("/wrong", response_model=list[int])
    def wrong() -> Any:
        return JSONResponse({"none": "of that"})

    @app.get("/failing")
    def failing() -> None:
        return JSONResponse({}, 500)  # type: ignore[return-value]

    with listening(app) as url:
        found = hold(url, {}, 1)
    assert sorted(one.partition("\n")[0] for one in found.broken) == [
        "GET /failing: Server error",
        "GET /failing: Undocumented status code",
        "GET /wrong: Response violates schema",
    ]


@pytest.mark.parametrize(("status", "broken"), [(413, 0), (200, 1)])
def test_too_large_is_a_refusal_and_yes_is_none(status: int, broken: int) -> None:
    app = FastAPI()

    @app.post("/some", responses={413: {}}, response_model=None)
    def some(some: Annotated[list[int], Body(max_length=2, embed=True)]) -> JSONResponse:
        return JSONResponse(len(some))

    @app.exception_handler(RequestValidationError)
    def refused(*_: object) -> JSONResponse:
        return JSONResponse({"detail": []}, status)

    with listening(app) as url:
        found = hold(url, {}, 5)
    assert sum("Schema-violating request accepted" in one for one in found.broken) == broken, found.broken


def test_most_checks_are_made() -> None:
    names = {check.__name__ for check in checks()}
    assert {"not_a_server_error", "ignored_auth", "negative_data_rejection", "response_schema_conformance"} <= names
    assert not names & set(LEFT_OUT)
    assert len(names) >= 10
