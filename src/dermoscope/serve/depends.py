"""What endpoints ask for: the service, and who is asking."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

from dermoscope.core.errors import ForbiddenError, InputError
from dermoscope.serve.accounts import Person, checked_name, holder, language_of, role_of
from dermoscope.serve.desk import Service


class NotEnteredError(ForbiddenError):
    """Nobody knows yet who is asking: pages lead to `/enter`, the API answers 401."""


def service_of(request: Request) -> Service:
    """The service of this application."""
    service: Service = request.app.state.service
    return service


def person_of(request: Request) -> Person:
    """Who is asking. Raises NotEnteredError where that is not known, InputError for a name that cannot be one."""
    found = maybe_person(request)
    if found is None:
        raise NotEnteredError(
            "who is asking is not known; enter first, or send the code as `Authorization: Bearer CODE`"
        )
    return found


def maybe_person(request: Request) -> Person | None:
    """Who is asking, or None."""
    service = service_of(request)
    language = language_of(request.cookies, request.headers.get("accept-language", ""))
    api = request.url.path.startswith("/api/")
    called = request.headers.get("x-reader") or ("api" if api else "")
    if service.options.on_loopback:
        name = checked_name(called) if called else _remembered(request)
        return Person(name, "admin", language) if name else None
    scheme, _, code = request.headers.get("authorization", "").partition(" ")
    with service.store.read() as session:
        if scheme.lower() == "bearer":
            role = role_of(session, code.strip())
            return None if role is None else Person(checked_name(called or "api"), role, language)
        known = holder(session, service.key, request.cookies.get("session", "."))
    return None if known is None else Person(known[0], known[1], language)


def _remembered(request: Request) -> str | None:
    """The name in the cookie; none where another program of this machine has left one of that kind."""
    try:
        return checked_name(unquote(request.cookies.get("reader", "")))
    except InputError:
        return None


def admin_of(person: "Asking") -> Person:
    """Who is asking, if that is an admin. Raises ForbiddenError else."""
    person.require("admin")
    return person


Serving = Annotated[Service, Depends(service_of)]
Asking = Annotated[Person, Depends(person_of)]
AdminAsking = Annotated[Person, Depends(admin_of)]
