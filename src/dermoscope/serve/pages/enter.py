"""Who is reading: name and password; with `--no-login` a code name is enough."""

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import InputError
from dermoscope.serve import logins
from dermoscope.serve.accounts import active_admins, checked_name
from dermoscope.serve.depends import Serving, maybe_person
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.pages.agents import browser_of
from dermoscope.serve.pages.common import inside, page
from dermoscope.serve.passwords import LONGEST
from dermoscope.serve.site import read_site
from dermoscope.serve.throttle import TooManyError, address_of

router = APIRouter(include_in_schema=False)
_YEAR = 365 * 24 * 3600
MOST = 4 * LONGEST
"""Characters of a password that are read at most: several of them may be one letter."""


@router.get("/enter")
def enter(request: Request, service: Serving, back: str = "/") -> HTMLResponse:
    """Ask for name and password, or for a code name."""
    return _form(request, service, {"back": inside(back)})


@router.post("/enter")
def entered(
    request: Request,
    service: Serving,
    name: Annotated[str, Form(max_length=1000)] = "",
    password: Annotated[str, Form(max_length=MOST)] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    """Let in and lead back, or say what was wrong."""
    given = {"name": name, "back": inside(back)}
    answer = RedirectResponse(inside(back), 303)
    if service.options.no_login:
        try:
            answer.set_cookie("reader", quote(checked_name(name)), max_age=_YEAR, httponly=True, samesite="lax")
        except InputError:
            return _form(request, service, given, wrong="name")
        return answer
    if not service.options.local_users:
        return _form(request, service, given)
    try:
        address, browser = address_of(request), browser_of(request.headers.get("user-agent", ""))
        made = logins.enter(service.store, name, password, address=address, browser=browser)
    except logins.WrongError:
        return _form(request, service, given, wrong="login")
    except TooManyError as error:
        return _form(request, service, given, wrong="often", seconds=error.seconds)
    end_this(request, service)
    logins.give_cookie(answer, request, service.options, made.token)
    return answer


@router.post("/leave")
def leave(request: Request, service: Serving) -> RedirectResponse:
    """End the login, forget who was reading, and the pictures that this browser kept."""
    end_this(request, service)
    answer = RedirectResponse("/enter", 303, {"Clear-Site-Data": '"cache"'})
    answer.delete_cookie("reader")
    logins.take_cookie(answer, request, service.options)
    return answer


def end_this(request: Request, service: Service) -> None:
    """End the login that this browser has, if any: nobody has two in one."""
    token = logins.token_in(request, service.options)
    if token and not service.options.no_login:
        with service.store.begin() as session:
            held = logins.login_of(session, token)
            if held is not None:
                logins.end_login(session, held.user_id, held.id, held.user.name)


def _links(options: Options) -> bool:
    """Whether a link makes the first admin here."""
    return options.local_users and not options.no_login


def _form(request: Request, service: Service, given: dict[str, str], wrong: str = "", seconds: int = 0) -> HTMLResponse:
    known, options = maybe_person(request), service.options
    with service.store.read() as session:
        site, nobody_yet = read_site(session), _links(options) and active_admins(session) == 0
    answer = page(
        request,
        "enter.html.j2",
        None,
        site,
        429 if seconds else 422 if wrong else 200,
        given={"name": known.name if known and options.no_login else "", **given},
        wrong=wrong,
        seconds=seconds,
        here=options.no_login,
        known=known,
        nobody_yet=nobody_yet,
        local=options.local_users,
        provider=urlsplit(options.oidc_issuer).hostname or "",
        most=MOST,
    )
    if seconds:
        answer.headers["Retry-After"] = str(seconds)
    return answer
