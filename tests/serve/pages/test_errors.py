"""Errors as pages: words first, the right status, and nothing of the inside."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from starlette.exceptions import HTTPException

from dermoscope.core.errors import BusyError, ConflictError, DermoscopeError, ForbiddenError, InputError
from dermoscope.serve.rules import ANYONE

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    ("error", "status", "title", "said"),
    [
        (InputError("no such tab"), 422, "Das passt nicht", "no such tab"),
        (ForbiddenError("for admins"), 403, "Nicht für Sie oder nicht jetzt", "for admins"),
        (ConflictError("locked already"), 409, "Das widerspricht dem, was gespeichert ist", "locked already"),
        (BusyError("too much"), 503, "Gerade zu viel zu tun", "too much"),
        (HTTPException(413, "too many bytes"), 413, "Das ist zu groß", "too many bytes"),
        (HTTPException(405, "Method Not Allowed"), 405, "Das war nicht lesbar", "Method Not Allowed"),
        (DermoscopeError("strange"), 500, "Hier ist etwas kaputtgegangen", "strange"),
    ],
)
def test_every_error_is_a_page(
    reader: "TestClient", words: Callable, error: Exception, status: int, title: str, said: str
) -> None:
    reader.cookies.set("language", "de")
    raising(reader, error)
    page = reader.get("/raises", headers={"X-Kind": "page"})
    assert page.status_code == status
    assert title in words(page.text)
    assert f"Was der Dienst dazu sagte {said}" in words(page.text)
    assert "Zur Arbeitsliste" in words(page.text)
    assert page.headers.get("retry-after") == ("30" if status == 503 else None)
    part = reader.get("/raises", headers={"HX-Request": "true"})
    assert part.status_code == status
    assert part.text.startswith('<div class="problem" role="alert">')


def test_a_mistake_of_the_service_says_nothing_of_its_inside(reader: "TestClient", words: Callable) -> None:
    raising(reader, RuntimeError("SELECT secret FROM somewhere"))
    page = reader.get("/raises")
    assert page.status_code == 500
    assert "It is not your fault, and nothing was stored halfway." in words(page.text)
    assert '<a class="button" href="/raises">Try again</a>' in page.text
    assert "secret" not in page.text


def test_what_is_sent_to_a_page_and_not_taken_is_told(reader: "TestClient", words: Callable) -> None:
    said = reader.get("/?page=0")
    assert said.status_code == 422
    assert "page: Input should be greater than or equal to 1" in words(said.text)


def raising(reader: "TestClient", error: Exception) -> None:
    """An address that raises an error: the application is the real one, only the mistake is made up."""

    def fails() -> None:
        raise error

    reader.app.get("/raises")(fails)  # type: ignore[attr-defined]
    reader.app.state.rules["GET", fails] = ANYONE  # type: ignore[attr-defined]
    reader._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
