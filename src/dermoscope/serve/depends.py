"""What endpoints ask for: the service, and who is asking. `authorised` stands before every one of them."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request
from sqlalchemy import update
from starlette.concurrency import run_in_threadpool

from dermoscope.core.errors import BusyError, DermoscopeError, ForbiddenError, InputError
from dermoscope.serve import keys, logins, throttle
from dermoscope.serve.accounts import SCOPES, Language, Person, Way, checked_name, checked_role, language_of
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.tables import ApiKey, Login, User, now

HANDED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
"""What proxies add to a request; none of them comes from a browser."""


class NotEnteredError(ForbiddenError):
    """Nobody knows who is asking: pages lead to `/enter`, the API answers 401."""


def service_of(request: Request) -> Service:
    """The service of this application."""
    service: Service = request.app.state.service
    return service


async def authorised(request: Request) -> None:
    """Ask the rule of this route (`serve/rules.py`), before anything else is done.

    Raises NotEnteredError where nobody knows who is asking, ForbiddenError for whoever may not, TooManyError for an
    account that asks without end.
    """
    rule = request.app.state.rules.get((request.method, request.scope["endpoint"]))
    if rule is None:  # create_app has looked, so this is a mistake in here: nobody may
        raise ForbiddenError("this address has no rule that says who may ask it")
    if rule.role is None:  # in the event loop: while every thread is taken, the process lives all the same
        return
    if rule.near and is_near(request):
        return
    person = await person_of(request)
    rule.check(person)
    if person.user_id is not None:
        request.app.state.allowance.take(person.user_id)


def is_near(request: Request) -> bool:
    """Whether a request comes from this machine, and not through a proxy; everybody is, where the options say so."""
    options = service_of(request).options
    if options.metrics_open or options.no_login:
        return True
    handed_on = any(name in request.headers for name in HANDED_ON)
    address = request.client.host if request.client else ""
    return not handed_on and not options.public_url and Options(host=address).on_loopback


def is_known(request: Request) -> bool:
    """Whether it was found out already who is asking."""
    return hasattr(request.state, "person")


async def entered(request: Request) -> bool:
    """Whether whoever asks is known; False for a name or a key that cannot be one, too."""
    try:
        known = maybe_person(request) if is_known(request) else await run_in_threadpool(maybe_person, request)
    except DermoscopeError:
        return False
    return known is not None


async def person_of(request: Request) -> Person:
    """Who is asking. Raises NotEnteredError where that is not known, InputError for a name that cannot be one."""
    found = maybe_person(request) if is_known(request) else await run_in_threadpool(maybe_person, request)
    if found is None:
        raise NotEnteredError("who is asking is not known; enter first, or send a key as `Authorization: Bearer KEY`")
    return found


def maybe_person(request: Request) -> Person | None:
    """Who is asking, or None; found out once a request.

    Raises InputError for a name that cannot be one, TooManyError after too many wrong keys from an address.
    """
    if not is_known(request):
        service = service_of(request)
        language = language_of(request.cookies, request.headers.get("accept-language", ""))
        if service.options.no_login:
            found = _by_name(request, language)
        else:
            key = bearer_of(request)
            found = _by_login(request, service, language) if key is None else _by_key(request, service, language, key)
        request.state.person = found
    person: Person | None = request.state.person
    return person


def bearer_of(request: Request) -> str | None:
    """What `Authorization: Bearer` sends, or None; with it cookies count for nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _by_name(request: Request, language: Language) -> Person | None:
    """Without login a name is enough, and everybody is an admin."""
    called = request.headers.get("x-reader") or ("api" if request.url.path.startswith("/api/") else "")
    name = checked_name(called) if called else _remembered(request)
    return Person(name, "admin", language) if name else None


def _remembered(request: Request) -> str | None:
    """The name in the cookie; none where another program of this machine has left one of that kind."""
    try:
        return checked_name(unquote(request.cookies.get("reader", "")))
    except InputError:
        return None


def _by_login(request: Request, service: Service, language: Language) -> Person | None:
    token = logins.token_in(request, service.options)
    if not token:
        return None
    with service.store.read() as session:
        login = logins.login_of(session, token)
        if login is None:
            return None
        known, seen = login.id, login.seen_at
        found = _as_person(login.user, language, login)
    if now() - seen > logins.NOTED:
        _note(service, Login, known)
    return found


def _by_key(request: Request, service: Service, language: Language, token: str) -> Person | None:
    with service.store.read() as session:
        key = keys.key_of_token(session, token)
        if key is not None:
            known, to_be_noted, found = key.id, keys.is_to_be_noted(key), _as_person(key.user, language, key)
        else:
            wait = throttle.wait_of(session, throttle.address_of(request))
    if key is None:
        if wait > 0:
            raise throttle.TooManyError("too many keys were wrong", wait)
        with service.store.begin() as session:
            throttle.failed(session, throttle.address_of(request))
        return None
    if to_be_noted:
        _note(service, ApiKey, known)
    return found


def _as_person(user: User, language: Language, of: Login | ApiKey) -> Person:
    role = checked_role(user.role)
    if isinstance(of, ApiKey):
        scopes = tuple(scope for scope in SCOPES if scope in of.scopes)
        return Person(user.name, role, language, user.id, None, scopes, "key")
    way: Way = "oidc" if of.method == "oidc" else "link" if of.method == "link" else "password"
    return Person(user.name, role, language, user.id, of.id, None, way)


def _note(service: Service, kind: type[Login] | type[ApiKey], row: int) -> None:
    """When it was used last; what is being written meanwhile is not waited for in vain."""
    try:
        with service.store.begin() as session:
            if kind is Login:
                session.execute(update(Login).where(Login.id == row).values(seen_at=now()))
            else:
                session.execute(update(ApiKey).where(ApiKey.id == row).values(used_at=now()))
    except BusyError:
        return


async def _serving(request: Request) -> Service:
    return service_of(request)  # in the event loop: nothing of it waits


async def admin_of(person: "Asking") -> Person:
    """Who is asking, if that is an admin. Raises ForbiddenError else."""
    person.require("admin")
    return person


Serving = Annotated[Service, Depends(_serving)]
Asking = Annotated[Person, Depends(person_of)]
AdminAsking = Annotated[Person, Depends(admin_of)]
