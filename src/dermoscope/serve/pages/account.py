"""The own account: password, the browsers in which one has entered, keys of programs."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from dermoscope.core.errors import ConflictError, NotFoundError, ValueRuleError
from dermoscope.serve import keys, logins, passwords
from dermoscope.serve.accounts import SCOPES, Person, Role, Scope, end_logins, user_of
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Service
from dermoscope.serve.pages.common import page
from dermoscope.serve.pages.enter import MOST
from dermoscope.serve.site import read_site
from dermoscope.serve.tables import ApiKey, Login, now
from dermoscope.serve.throttle import TooManyError, address_of

router = APIRouter(include_in_schema=False)
SAVED = ("password", "ended", "others", "revoked")
GOOD = datetime.timedelta(days=90)
"""How long a key is good where the form is sent as it comes."""


@dataclass(frozen=True)
class ShownLogin:
    """A login as it is listed; `here` is the one of this browser."""

    id: int
    browser: str
    made_at: datetime.datetime
    seen_at: datetime.datetime
    here: bool


@dataclass(frozen=True)
class ShownKey:
    """A key as it is listed; `state` is good, over or revoked, `last_day` the last day on which it is good."""

    id: int
    name: str
    prefix: str
    scopes: tuple[str, ...]
    state: str
    last_day: datetime.date | None
    used_at: datetime.datetime | None


def shown_logins(session: Session, user_id: int, person: Person) -> list[ShownLogin]:
    """The logins of a user that have not ended, this browser's first."""
    return sorted((_login(one, person) for one in logins.own_logins(session, user_id)), key=lambda one: not one.here)


def shown_keys(session: Session, user_id: int) -> list[ShownKey]:
    """The keys of a user: those that are good first, each part the latest first."""
    return sorted((_key(one) for one in keys.keys_of(session, user_id)), key=lambda one: one.state != "good")


def scopes_of(role: Role) -> tuple[Scope, ...]:
    """The scopes that a key of somebody with that role can have.

    >>> "admin" in scopes_of("reviewer"), scopes_of("admin") == SCOPES
    (False, True)
    """
    return tuple(scope for scope in SCOPES if scope != "admin" or role == "admin")


def _login(one: Login, person: Person) -> ShownLogin:
    return ShownLogin(one.id, one.browser, one.made_at, one.seen_at, one.id == person.login_id)


def _key(one: ApiKey) -> ShownKey:
    state = "revoked" if one.revoked_at else "good" if keys.is_good(one) else "over"
    last = None if one.until is None else (one.until - datetime.timedelta(seconds=1)).astimezone().date()
    return ShownKey(one.id, one.name, one.prefix, tuple(one.scopes), state, last, one.used_at)


@dataclass(frozen=True)
class Told:
    """What the page says of what was just sent: `saved`, or what was `wrong`; `given` is the form of a key."""

    saved: str = ""
    wrong: str = ""
    seconds: int = 0
    given: Mapping[str, Any] | None = None


@router.get("/account")
def account(request: Request, service: Serving, person: Asking, saved: str = "") -> HTMLResponse:
    """Everything about the own account; where there are none it says so."""
    return _shown(request, service, person, Told(saved if saved in SAVED else ""))


@router.post("/account/password")
def password(
    request: Request,
    service: Serving,
    person: Asking,
    old: Annotated[str, Form(max_length=MOST)] = "",
    new: Annotated[str, Form(max_length=MOST)] = "",
    again: Annotated[str, Form(max_length=MOST)] = "",
) -> Response:
    """Change the password; every other login ends."""
    user_id, address = own(person), address_of(request)
    if new != again:
        return _shown(request, service, person, Told(wrong="same"))
    try:
        logins.change_password(service.store, user_id, old, new, address=address, keep=person.login_id)
    except logins.WrongError:
        return _shown(request, service, person, Told(wrong="old"))
    except TooManyError as error:
        return _shown(request, service, person, Told(wrong="often", seconds=error.seconds))
    except ValueRuleError:
        return _shown(request, service, person, Told(wrong="rule"))
    return RedirectResponse("/account?saved=password", 303)


@router.post("/account/logins/end")
def end_others(service: Serving, person: Asking) -> Response:
    """End every login but this one."""
    user_id = own(person)
    with service.store.begin() as session:
        end_logins(session, user_of(session, user_id), person.name, "left", but=person.login_id)
    return RedirectResponse("/account?saved=others", 303)


@router.post("/account/logins/{login_id:int}/end")
def end_one(service: Serving, person: Asking, login_id: int) -> Response:
    """End one login."""
    user_id = own(person)
    with service.store.begin() as session:
        logins.end_login(session, user_id, login_id, person.name)
    return RedirectResponse("/account?saved=ended", 303)


@router.post("/account/keys")
def make_key(
    request: Request,
    service: Serving,
    person: Asking,
    name: Annotated[str, Form(max_length=200)] = "",
    scopes: Annotated[list[str] | None, Form()] = None,
    until: Annotated[str, Form(max_length=20)] = "",
) -> Response:
    """Make a key and show it, this once."""
    user_id, given = own(person), {"name": name, "scopes": scopes or (), "until": until}
    try:
        end = end_of(until)
        with service.store.begin() as session:
            token, _ = keys.make_key(session, user_of(session, user_id), name, scopes or (), person.name, end)
    except (ValueRuleError, ConflictError):
        return _shown(request, service, person, Told(wrong="key", given=given))
    return once(request, service, person, kind="key", secret=token, onward="/account#keys")


@router.post("/account/keys/{key_id:int}/revoke")
def revoke(service: Serving, person: Asking, key_id: int) -> Response:
    """End a key of one's own."""
    user_id = own(person)
    with service.store.begin() as session:
        keys.revoke(session, keys.find_key(session, key_id, user_id), person.name)
    return RedirectResponse("/account?saved=revoked#keys", 303)


def own(person: Person) -> int:
    """The number of the own account. Raises NotFoundError where there are no accounts."""
    if person.user_id is None:
        raise NotFoundError("this service was started with --no-login: there are no accounts")
    return person.user_id


def end_of(day: str) -> datetime.datetime | None:
    """The moment at which a day ends where the service runs; None for no day. Raises ValueRuleError.

    >>> end_of("2026-12-31").astimezone().isoformat()[:19]
    '2027-01-01T00:00:00'
    """
    if not day:
        return None
    try:
        after = datetime.date.fromisoformat(day) + datetime.timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueRuleError(f"{day!r} is no day; write it as 2026-03-05") from None
    return datetime.datetime.combine(after, datetime.time()).astimezone(datetime.UTC)


def once(request: Request, service: Service, person: Person, **told: Any) -> HTMLResponse:
    """What is shown this once: `kind` (link, key), `secret`, `onward`; of a link `whose`, `until`."""
    with service.store.read() as session:
        site = read_site(session)
    return page(request, "once.html.j2", person, site, **{"whose": "", "until": None, **told})


def _shown(request: Request, service: Service, person: Person, told: Told) -> HTMLResponse:
    today = now().astimezone().date()
    with service.store.read() as session:
        user = None if person.user_id is None else user_of(session, person.user_id)
        answer = page(
            request,
            "account.html.j2",
            person,
            read_site(session),
            429 if told.seconds else 422 if told.wrong else 200,
            user=user,
            logins=shown_logins(session, user.id, person) if user else [],
            keys=shown_keys(session, user.id) if user else [],
            mark=keys.MARK,
            all_scopes=scopes_of(person.role),
            given=told.given or {"name": "", "scopes": ("read",), "until": (today + GOOD).isoformat()},
            today=today.isoformat(),
            told=told,
            least=passwords.SHORTEST,
            most=passwords.LONGEST,
        )
    if told.seconds:
        answer.headers["Retry-After"] = str(told.seconds)
    return answer
