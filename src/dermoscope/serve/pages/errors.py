"""What a page says where something did not work: in words first, what the service said below."""

from urllib.parse import quote, urlsplit

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from dermoscope.core.errors import DermoscopeError, UnavailableError
from dermoscope.serve.api.problems import RETRY_AFTER, again_after, status_of
from dermoscope.serve.depends import NotEnteredError, maybe_person
from dermoscope.serve.gone import disk_is_full, no_room
from dermoscope.serve.pages.common import back, inside, page

TOLD = (400, 403, 404, 409, 413, 422, 429, 500, 503, 507)
"""Statuses that the catalogue has words for; any other is told as 400 or 500."""


def error_page(request: Request, error: Exception) -> Response:
    """A readable page of an error, with the right status; whoever has not entered is led to where one enters."""
    if isinstance(error, NotEnteredError) or getattr(error, "status_code", 0) == 401:
        return _to_enter(request)
    if disk_is_full(error):
        error = no_room()
    status, said = _told(error)
    words: int | str = status if status in TOLD else 400 if status < 500 else 500
    if isinstance(error, UnavailableError):
        words = "gone"
    try:
        person = maybe_person(request)
    except (DermoscopeError, AttributeError):
        person = None
    headers = dict(getattr(error, "headers", None) or {})
    if status in (429, 503):
        headers["Retry-After"] = str(again_after(error) or RETRY_AFTER)
    name = "error_part.html.j2" if request.headers.get("hx-request") else "error.html.j2"
    answer = page(request, name, person, None, status, code=words, said=said, again=_again(request))
    answer.headers.update(headers)
    return answer


def _to_enter(request: Request) -> Response:
    """Lead to where one enters, and back from there; a part of a page cannot be led, so its whole page is."""
    whole = urlsplit(request.headers.get("hx-current-url", ""))
    part = request.headers.get("hx-request") == "true"
    asked = inside(whole.path) if part else back(request) if request.method == "GET" else "/"
    place = f"/enter?back={quote(asked, safe='/')}"
    return Response(status_code=204, headers={"HX-Redirect": place}) if part else RedirectResponse(place, 303)


def _told(error: Exception) -> tuple[int, str]:
    """Status of an error, and what it says of itself; a mistake of the service's own says nothing."""
    if isinstance(error, DermoscopeError):
        return status_of(error), str(error)
    if isinstance(error, RequestValidationError):
        return 422, "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    if isinstance(error, HTTPException):
        return error.status_code, "" if error.status_code == 404 else error.detail
    return 500, ""


def _again(request: Request) -> str | None:
    return back(request) if request.method == "GET" else None
