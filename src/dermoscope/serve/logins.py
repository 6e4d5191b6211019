"""Logins: the browsers in which somebody has entered.

The cookie holds nothing but chance, a new token with every login; the database holds its SHA-256, so that a login ends
on the server and a copy of the database lets nobody in. A login is good for twelve hours, and for one after its last
request. What was made in the future is over: a clock that was set back makes nothing last longer.
"""

import datetime
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from dermoscope.core.errors import BusyError, ForbiddenError, NotFoundError, ValueRuleError
from dermoscope.serve import passwords, throttle
from dermoscope.serve.accounts import Way, end_logins, user_named, user_of
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Login, User, now
from dermoscope.serve.trail import record

MOST = datetime.timedelta(hours=12)
IDLE = datetime.timedelta(minutes=60)
NOTED = datetime.timedelta(minutes=1)
"""The last request is noted at most this often."""
SKEW = datetime.timedelta(seconds=5)
"""How far the clocks of several machines may lie apart."""
_KEPT = datetime.timedelta(days=30)
"""How long a login is listed that is over."""
COOKIES = ("session", "__Host-session")
"""The cookie over HTTP, and over HTTPS: browsers take the second from this very host and over HTTPS alone."""


class WrongError(ForbiddenError):
    """Name and password do not belong together; which of them is wrong is not said."""


@dataclass(frozen=True)
class Entered:
    """A login that was just made: the token for the cookie, and whose it is."""

    token: str
    user_id: int
    name: str


def digest_of(token: str) -> str:
    """What the database holds of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def new_token() -> str:
    """256 bits of chance."""
    return secrets.token_urlsafe(32)


def enter(store: Store, name: str, password: str, *, address: str, browser: str = "") -> Entered:
    """Enter by name and password.

    Raises WrongError, TooManyError after too many of them, BusyError where too many enter at this moment.
    """
    with store.begin() as session:
        tried = throttle.begin(session, name, address)
        user = user_named(session, name)
        active = user is not None and user.disabled_at is None
        stored = user.password if user is not None and active else None
    right = _tried(store, tried, password, stored)
    again = passwords.hashed(password) if right and stored and passwords.outdated(stored) else stored
    with store.begin() as session:
        user = user_named(session, name)
        # the password, or the account, may have been changed while it was verified
        if not right or user is None or user.disabled_at is not None or user.password != stored:
            who, subject = ("nobody", "user") if user is None else (user.name, f"user/{user.id}")
            record(session, who, "login.failed", subject, by="password")
            wrong = True
        else:
            wrong, user.password = False, again
            throttle.succeeded(session, tried)
            made = begin_login(session, user, "password", browser)
    if wrong:
        raise WrongError("this name and this password do not belong together; check both")
    return made


def _tried(store: Store, tried: throttle.Tried, password: str, stored: str | None) -> bool:
    """Whether the password is right; where too many wait nothing was tried, so nothing counts."""
    try:
        return passwords.verified(password, stored)
    except BusyError:
        with store.begin() as session:
            throttle.untried(session, tried)
        raise


def begin_login(session: Session, user: User, method: Way, browser: str = "") -> Entered:
    """A login of a user who has shown who that is; logins that ended long ago are forgotten.

    Raises ForbiddenError for a disabled user.
    """
    if user.disabled_at is not None:
        raise ForbiddenError(f"the account {user.name} is disabled; ask an admin")
    at, token = now(), new_token()
    session.execute(delete(Login).where(Login.until < at - _KEPT))
    user.entered_at = at
    session.add(
        Login(
            digest=digest_of(token),
            user_id=user.id,
            method=method,
            browser=" ".join(browser.split())[:80],
            made_at=at,
            seen_at=at,
            until=at + MOST,
        )
    )
    record(session, user.name, "login.succeeded", f"user/{user.id}", by=method, role=user.role)
    return Entered(token, user.id, user.name)


def login_of(session: Session, token: str) -> Login | None:
    """The login that a cookie belongs to, with its user; None for one that is over, or of a disabled user."""
    login = session.scalar(select(Login).where(Login.digest == digest_of(token)))
    return login if login is not None and is_good(login) and login.user.disabled_at is None else None


def is_good(login: Login) -> bool:
    """Whether a login has not ended in any way."""
    at = now()
    begun = login.made_at <= at + SKEW and login.seen_at <= at + SKEW
    return begun and login.ended_at is None and at < login.until and at < login.seen_at + IDLE


def own_logins(session: Session, user_id: int) -> list[Login]:
    """The logins of a user that are good, the latest first."""
    found = session.scalars(select(Login).where(Login.user_id == user_id, Login.ended_at.is_(None)))
    return sorted((login for login in found if is_good(login)), key=lambda login: login.seen_at, reverse=True)


def end_login(session: Session, user_id: int, login_id: int, by: str) -> None:
    """End one login of a user. Raises NotFoundError where the user has none of that number."""
    login = session.get(Login, login_id) if 0 < login_id < 2**31 else None
    if login is None or login.user_id != user_id:
        raise NotFoundError(f"there is no login {login_id}; look in the list of logins")
    if login.ended_at is None:
        login.ended_at = now()
        record(session, by, "login.ended", f"user/{user_id}", name=login.user.name, logins=1, reason="left")


def change_password(store: Store, user_id: int, old: str, new: str, *, address: str, keep: int | None = None) -> None:
    """Change the own password, which ends every login but number `keep`.

    Raises WrongError where the old one is not right, ValueRuleError for a new one that is not taken, TooManyError.
    """
    with store.begin() as session:
        user = user_of(session, user_id)
        name, stored = user.name, user.password
        passwords.check(new, name)
        tried = throttle.begin(session, name, address)
    if not _tried(store, tried, old, stored):
        raise WrongError("the old password is not right; nothing was changed")
    if passwords.verified(new, stored):
        raise ValueRuleError("that is the password that you have; choose another one")
    made = passwords.hashed(new)
    with store.begin() as session:
        user = user_of(session, user_id)
        if user.password != stored:
            raise WrongError("the password was changed at the same moment; enter again")
        user.password = made
        throttle.succeeded(session, tried)
        record(session, name, "user.changed", f"user/{user_id}", name=name, what="password")
        end_logins(session, user, name, "password", but=keep)


def is_https(request: Request, options: Options) -> bool:
    """Whether readers call the service by HTTPS, here or at a proxy in front of it."""
    return request.url.scheme == "https" or options.public_url.lower().startswith("https://")


def token_in(request: Request, options: Options) -> str:
    """The token in the cookie, or nothing; over HTTPS only what a browser took over HTTPS counts."""
    return _cookie(request.cookies, https=is_https(request, options))


def _cookie(cookies: Mapping[str, str], *, https: bool) -> str:
    return cookies.get(COOKIES[https], "")


def give_cookie(response: Response, request: Request, options: Options, token: str) -> None:
    """Let the browser keep the token of a login."""
    https = is_https(request, options)
    response.set_cookie(
        COOKIES[https], token, max_age=int(MOST.total_seconds()), httponly=True, samesite="lax", secure=https
    )


def take_cookie(response: Response, request: Request, options: Options) -> None:
    """Let the browser forget it."""
    https = is_https(request, options)
    response.delete_cookie(COOKIES[https], httponly=True, samesite="lax", secure=https)
