"""Who is reading: a code name where only this machine is served, and a code with it anywhere else."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import InputError
from dermoscope.serve.accounts import DAY, Role, checked_name, role_of, ticket
from dermoscope.serve.depends import Serving, maybe_person
from dermoscope.serve.desk import Service
from dermoscope.serve.pages.common import inside, page
from dermoscope.serve.site import read_site
from dermoscope.serve.trail import record

router = APIRouter(include_in_schema=False)
_YEAR = 365 * 24 * 3600
LONGEST_CODE = 200


@router.get("/enter")
def enter(request: Request, service: Serving, back: str = "/") -> HTMLResponse:
    """Ask for a code name, and for a code where others reach the service."""
    return _form(request, service, {"back": inside(back)})


@router.post("/enter")
def entered(
    request: Request,
    service: Serving,
    name: Annotated[str, Form()] = "",
    code: Annotated[str, Form(max_length=LONGEST_CODE)] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    """Remember who is reading, or say what was wrong."""
    given = {"name": name, "back": inside(back)}
    try:
        name = checked_name(name)
    except InputError:
        return _form(request, service, given, wrong="name")
    answer = RedirectResponse(inside(back), 303)
    if service.options.on_loopback:
        answer.set_cookie("reader", quote(name), max_age=_YEAR, httponly=True, samesite="lax")
        return answer
    made = _ticket(service, name, code)
    if made is None:
        return _form(request, service, given, wrong="code")
    secure = request.url.scheme == "https"
    answer.set_cookie("session", made, max_age=DAY, httponly=True, samesite="lax", secure=secure)
    return answer


@router.post("/leave")
def leave() -> RedirectResponse:
    """Forget who was reading, and the pictures that this browser kept."""
    answer = RedirectResponse("/enter", 303, {"Clear-Site-Data": '"cache"'})
    for name in ("reader", "session"):
        answer.delete_cookie(name)
    return answer


def _ticket(service: Service, name: str, code: str) -> str | None:
    """The signed cookie of whoever gave a right code."""
    with service.store.begin() as session:
        role: Role | None = role_of(session, code.strip())
        if role is None:
            return None
        record(session, name, "entered", f"reader/{name}", role=role)
        return ticket(session, service.key, name, role)


def _form(request: Request, service: Service, given: dict[str, str], wrong: str = "") -> HTMLResponse:
    known = maybe_person(request)
    with service.store.read() as session:
        site = read_site(session)
    return page(
        request,
        "enter.html.j2",
        None,
        site,
        422 if wrong else 200,
        given={"name": known.name if known else "", **given},
        wrong=wrong,
        here=service.options.on_loopback,
        known=known,
    )
