"""Entering by the provider of the institution: out to it, and back with what it says."""

import logging
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from dermoscope.core.errors import NotFoundError
from dermoscope.serve import logins
from dermoscope.serve.admit import admit, refuse
from dermoscope.serve.depends import Serving
from dermoscope.serve.desk import Service
from dermoscope.serve.oidc import MINUTES, TURN, WHYS, Identity, Journey, NotLetInError, Provider, role_of, turn_of
from dermoscope.serve.pages.common import inside, page

router = APIRouter(include_in_schema=False)
OUT = "/enter/oidc"
COOKIES = (("oidc", OUT), ("__Host-oidc", "/"))
"""Name and path of the cookie over HTTP, and over HTTPS: a neighbour under the same domain cannot plant the second."""


def provider_of(request: Request) -> Provider:
    """The provider that was named at the start. Raises NotFoundError where none was."""
    found: Provider | None = request.app.state.provider
    if found is None:
        raise NotFoundError("this service knows no provider of OpenID Connect; enter with name and password")
    return found


@router.get(OUT)
async def out(
    request: Request,
    service: Serving,
    back: Annotated[str, Query(max_length=1000)] = "/",
    again: str = "",
) -> Response:
    """Lead to the provider; the browser takes along what its answer has to fit."""
    back = inside(back)
    try:
        turn = turn_of(service.options, str(request.base_url))
        address, journey = await provider_of(request).set_out(turn, back, again=bool(again))
    except NotLetInError as error:
        return _refused(request, service, error, back)
    answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    https = logins.is_https(request, service.options)
    (name, path), sealed = COOKIES[https], journey.sealed(service.key)
    answer.set_cookie(name, sealed, 60 * MINUTES, path=path, httponly=True, samesite="lax", secure=https)
    return answer


@router.get(TURN)
async def turn(request: Request, service: Serving) -> Response:
    """Let in whoever the provider names, or say why not. Either way this journey is over."""
    provider, back = provider_of(request), "/"
    https = logins.is_https(request, service.options)
    name, path = COOKIES[https]
    try:
        journey = Journey.opened(service.key, request.cookies.get(name, ""))
        back = journey.back
        identity = await provider.arrive(journey, request.query_params)
        answer = await run_in_threadpool(_let_in, request, service, identity, back)
    except NotLetInError as error:
        await run_in_threadpool(_note, service, error)
        answer = _refused(request, service, error, back)
    answer.delete_cookie(name, path=path, httponly=True, samesite="lax", secure=https)
    return answer


def _let_in(request: Request, service: Service, identity: Identity, back: str) -> Response:
    """A new login of whoever came back; one that this browser had before is over."""
    role = role_of(service.options, identity)
    with service.store.begin() as session:
        user = admit(session, identity, role)
        before = logins.login_of(session, logins.token_in(request, service.options))
        if before is not None:
            logins.end_login(session, before.user_id, before.id, user.name)
        made = logins.begin_login(session, user, "oidc", request.headers.get("user-agent", ""))
    answer = RedirectResponse(inside(back), 303, {"Cache-Control": "no-store"})
    logins.give_cookie(answer, request, service.options, made.token)
    return answer


def _note(service: Service, error: NotLetInError) -> None:
    """Record the refusal of somebody whom the provider knows; for less than that anybody at all can be refused."""
    if error.who is not None:
        with service.store.begin() as session:
            refuse(session, error.who, error.why)


def _refused(request: Request, service: Service, error: NotLetInError, back: str) -> Response:
    level = logging.ERROR if error.why in ("down", "setup") else logging.WARNING
    logging.getLogger(__name__).log(level, "not let in: %s", str(error))
    # forms of the page lead back to its address, which held a code and whatever words somebody put there
    plain = Request({**request.scope, "path": "/enter", "query_string": b""})
    told = {"why": error.why, "back": back, "passwords": service.options.local_users}
    return page(plain, "oidc.html.j2", None, None, WHYS[error.why], **told)
