"""What the API answers when it cannot do what was asked: `application/problem+json` (RFC 9457).

Every error of `core/errors.py` has its status here, and so have the frame's own: an address that is not there, a method
that it has not, a body that breaks its schema. `/api/v1/problems` lists them.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from dermoscope.core.errors import (
    BusyError,
    ConflictError,
    DermoscopeError,
    ForbiddenError,
    FullError,
    InputError,
    MissingDependencyError,
    NotFoundError,
    UnavailableError,
)
from dermoscope.serve.depends import NotEnteredError
from dermoscope.serve.gone import disk_is_full, no_room
from dermoscope.serve.logins import WrongError
from dermoscope.serve.throttle import TooManyError

MEDIA = "application/problem+json"
PLACE = "/api/v1/problems"
ROOTS = ("/health", "/ready", "/metrics", "/model-info", "/openapi.json")
"""Addresses outside `/api/` that machines read, too."""
RETRY_AFTER = 30
"""Seconds after which a busy service may be asked again."""
BACK_AFTER = 5
"""The same where the database is away: it may be back in a moment, and asking costs little."""

Elsewhere = Callable[[Request, Exception], Response]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its status, its name in `type`, its title, and what to do."""

    status: int
    name: str
    title: str
    remedy: str


KINDS = (
    Kind(400, "malformed", "The request cannot be read", "Send it as the description of the API says."),
    Kind(401, "not-entered", "Who is asking is not known", "Send a key as `Authorization: Bearer KEY`."),
    Kind(
        403, "forbidden", "You may not do or see that now", "The detail says what comes first, or which role or scope."
    ),
    Kind(404, "not-found", "There is nothing at this address", "Look for it in the list one address up."),
    Kind(405, "no-such-method", "This address has no such method", "The header Allow names those that it has."),
    Kind(409, "conflict", "It contradicts what is stored already", "The detail names what is stored."),
    Kind(413, "too-large", "More than is taken at once", "Send smaller files, or fewer at a time."),
    Kind(422, "not-valid", "What was sent breaks its rules", "The detail and `errors` name what to mend."),
    Kind(429, "too-many", "That was tried too often", "Try again after the seconds in Retry-After."),
    Kind(500, "failed", "The service failed", "Tell whoever runs it; the service's log holds the reason."),
    Kind(501, "not-installed", "A part of the service is not installed", "Tell whoever runs it what the detail says."),
    Kind(503, "busy", "The service has too much to do just now", "Ask again after the seconds in Retry-After."),
    Kind(503, "unavailable", "The database cannot be used just now", "Ask again after the seconds in Retry-After."),
    Kind(507, "no-room", "There is no room left to store anything", "Tell whoever runs the service; then ask again."),
)
BY_STATUS: Mapping[int, Kind] = {kind.status: kind for kind in reversed(KINDS)}
_BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
_STATUS: tuple[tuple[type[DermoscopeError], int], ...] = (
    (NotEnteredError, 401),
    (WrongError, 422),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (TooManyError, 429),
    (BusyError, 503),
    (FullError, 507),
    (MissingDependencyError, 501),
    (InputError, 422),
)
"""The first that fits counts."""


class Fault(BaseModel):
    """One place of a request that breaks its rules."""

    where: str = Field(description="Where it stands: `body.pseudonym`, `query.page`, or the name of a file.")
    what: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """Why something was not done (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.update(examples=[example(404)]))

    type: str = Field(description="The kind of problem; what it means stands at this address.")
    title: str = Field(description="The kind of problem in words; always the same for one kind.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong this time, and what to do.")
    instance: str = Field(description="The address that was asked.")
    errors: list[Fault] = Field(description="The places that are wrong, where there are several or they have names.")


class RefusedError(InputError):
    """A request whose files are not taken: too many, too large (`status` 413), or none that can be read.

    `faults` has a line for each of them.
    """

    def __init__(self, message: str, faults: Sequence[Fault] = (), status: int = 422) -> None:
        super().__init__(message)
        self.faults, self.status = list(faults), status


def is_machine(path: str) -> bool:
    """Whether an address is read by programs, which get problems, and not by people, who get pages."""
    return path.startswith("/api/") or path in ROOTS


def status_of(error: DermoscopeError) -> int:
    """The HTTP status of an error that was raised on purpose."""
    if isinstance(error, RefusedError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def answer(
    request: Request,
    status: int | Kind,
    detail: str,
    faults: list[Fault] | None = None,
    after: int | None = None,
) -> Response:
    """A problem as a response, of a kind or the first of a status; `after` seconds the same may be asked again."""
    kind = status if isinstance(status, Kind) else BY_STATUS.get(status)
    status = kind.status if kind else int(status)  # type: ignore[arg-type]
    kind = kind or Kind(status, "malformed", HTTPStatus(status).phrase, "")
    problem = Problem(
        type=f"{PLACE}/{kind.name}",
        title=kind.title,
        status=status,
        detail=clean(detail),
        instance=clean(request.url.path),
        errors=faults or [],
    )
    headers = {"Retry-After": str(after or RETRY_AFTER)} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(problem.model_dump(), status, headers, MEDIA)


def again_after(error: Exception) -> int | None:
    """Seconds after which the same may be asked again, where an error says so; a database is back within moments."""
    found: int | None = getattr(error, "again_after", None)
    return found or (BACK_AFTER if isinstance(error, UnavailableError) else None)


def clean(text: str) -> str:
    """The text without what UTF-8 cannot hold: lone surrogates arrive in hostile JSON."""
    return text.encode("utf-8", "replace").decode()


def install(app: FastAPI, elsewhere: Elsewhere) -> None:
    """Let the API answer with problems; errors at other addresses go to `elsewhere`, which makes pages of them."""

    def told(request: Request, error: Exception) -> Response:
        response = problem_of(request, error) if is_machine(request.url.path) else elsewhere(request, error)
        foreseen = isinstance(error, DermoscopeError) and response.status_code in (500, 501)
        if foreseen or response.status_code == 507:
            # what was not foreseen is logged by `Watch`
            logging.getLogger(__name__).error("the service is at fault", exc_info=error)
        return response

    def of_system(request: Request, error: Exception) -> Response:
        if not disk_is_full(error):
            raise error
        return told(request, error)

    for kind in (DermoscopeError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, told)
    app.add_exception_handler(OSError, of_system)


def problem_of(request: Request, error: Exception) -> Response:
    """Any exception as a problem; one that nobody meant to raise is told without its text."""
    if disk_is_full(error):
        error = no_room()
    if isinstance(error, DermoscopeError):
        faults = error.faults if isinstance(error, RefusedError) else None
        kind = _BY_NAME["unavailable"] if isinstance(error, UnavailableError) else status_of(error)
        return answer(request, kind, str(error), faults, again_after(error))
    if isinstance(error, RequestValidationError):
        found = [_fault(e) for e in error.errors()]
        return answer(request, 422, "; ".join(f"{f.where}: {f.what}" for f in found[:5]), found)
    if isinstance(error, HTTPException):
        return _of_frame(request, error)
    return answer(request, 500, "the service failed; nothing was stored by this request")


def _of_frame(request: Request, error: HTTPException) -> Response:
    status, path = error.status_code, request.url.path
    headers, detail = dict(error.headers or {}), str(error.detail)
    if status == 404:
        detail = f"there is nothing at {path}; /openapi.json lists what there is"
    elif status == 405:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"{path} does not know {request.method}; it knows {headers['Allow']}"
    elif status == 400 and detail.startswith("Too many"):
        status = 413
    response = answer(request, status, detail)
    response.headers.update(headers)
    return response


def _methods(request: Request) -> list[str]:
    """What an address knows: the frame tells of the first route alone, and each method is a route."""
    found = set()
    for pattern, methods in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", pattern), request.url.path):
            found |= {method.upper() for method in methods}
    return sorted(found)


def _fault(error: Mapping[str, Any]) -> Fault:
    where = ".".join(str(part) for part in error.get("loc", ()))
    what = str(error.get("msg", "is not valid")).removeprefix("Value error, ")
    if error.get("type") == "string_pattern_mismatch":
        what = "holds signs that are not taken there; /openapi.json has the pattern"
    return Fault(where=clean(where), what=clean(what))


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these statuses at a route."""
    return {
        status: {
            "description": BY_STATUS[status].title,
            "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example(status)}},
        }
        for status in statuses
    }


def example(status: int | Kind) -> dict[str, Any]:
    """A problem of this kind, or of the first of this status, as it may look."""
    kind = status if isinstance(status, Kind) else BY_STATUS[status]
    return {
        "type": f"{PLACE}/{kind.name}",
        "title": kind.title,
        "status": kind.status,
        "detail": _AWAY if kind.name == "unavailable" else _EXAMPLES[kind.status],
        "instance": "/api/v1/cases/12",
        "errors": [],
    }


_AWAY = "the database cannot be used just now, and nothing was stored by this request"
_EXAMPLES: Mapping[int, str] = {
    400: "There was an error parsing the body",
    401: "who is asking is not known; enter first, or send a key as `Authorization: Bearer KEY`",
    403: "the answer to case 12 appears once your own reading is locked",
    404: "there is no case 12; look for it in the worklist",
    405: "/api/v1/cases/12 does not know PUT",
    409: "your reading of case 12 is locked already; revise it once the answer is shown",
    413: "lesion.tif has 61,000,000 bytes; at most 50,000,000 are taken",
    422: "body.pseudonym: String should have at least 1 character",
    429: "too many keys were wrong; try again in 40 s",
    500: "the service failed; nothing was stored by this request",
    501: "weasyprint is not installed, and a PDF needs it: pip install 'dermoscope[serve]'",
    503: "400 images wait already; try again in 41 s",
    507: "there is no room left on the disk of the service, so nothing was stored; whoever runs it has to make some",
}
