"""One-time links: the first admin's, and those by which a user sets a password."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import ConflictError, ForbiddenError, InputError, ValueRuleError
from dermoscope.serve import links, logins, passwords
from dermoscope.serve.depends import Serving
from dermoscope.serve.desk import Service
from dermoscope.serve.pages.agents import browser_of
from dermoscope.serve.pages.common import page
from dermoscope.serve.pages.enter import MOST, end_this
from dermoscope.serve.site import read_site
from dermoscope.serve.throttle import address_of

router = APIRouter(include_in_schema=False)
UNTOLD = {"Referrer-Policy": "strict-origin", "Cache-Control": "no-store"}
"""Where a link leads to is told to nobody. `no-referrer` would make browsers send `Origin: null` with the form, which
is refused as a request of another site."""


@router.get("/link/{token}")
def link(request: Request, service: Serving, token: str) -> Response:
    """Ask for a password; looking at a link does not use it. Raises ForbiddenError where no passwords are taken."""
    _require_passwords(service)
    return _form(request, service, token)


@router.post("/link/{token}")
def use(
    request: Request,
    service: Serving,
    token: str,
    new: Annotated[str, Form(max_length=MOST)] = "",
    again: Annotated[str, Form(max_length=MOST)] = "",
    name: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Set the password and enter, or say what was wrong; the link stays good then. Raises like `link`."""
    _require_passwords(service)
    if new != again:
        return _form(request, service, token, wrong="same", name=name)
    address, browser = address_of(request), browser_of(request.headers.get("user-agent", ""))
    try:
        made = links.use_link(service.store, token, new, name=name, address=address, browser=browser)
    except links.NoLinkError:
        return _form(request, service, token)
    except ConflictError:
        return _form(request, service, token, wrong="taken", name=name)
    except ValueRuleError:
        return _form(request, service, token, wrong="rule", name=name)
    except InputError:
        return _form(request, service, token, wrong="name", name=name)
    end_this(request, service)
    answer = RedirectResponse("/", 303, UNTOLD)
    logins.give_cookie(answer, request, service.options, made.token)
    return answer


def _require_passwords(service: Service) -> None:
    if not service.options.local_users:
        raise ForbiddenError("this service takes no passwords of its own, and so no links; sign in by the provider")


def _form(request: Request, service: Service, token: str, *, wrong: str = "", name: str = "") -> HTMLResponse:
    try:
        of, _ = links.opened(service.store, token, address_of(request))
        over = False
    except links.NoLinkError:
        of, over = "", True
    with service.store.read() as session:
        site = read_site(session)
    answer = page(
        request,
        "link.html.j2",
        None,
        site,
        410 if over else 422 if wrong else 200,
        over=over,
        whose=of,
        given=name,
        wrong=wrong,
        least=passwords.SHORTEST,
        most=passwords.LONGEST,
    )
    answer.headers.update(UNTOLD)
    return answer
