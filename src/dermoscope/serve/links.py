"""Links that are good once: for the first admin of a new service, and for a user to set a password.

A link is `/link/TOKEN` and good for 24 hours; the database holds the SHA-256 of the token. Looking at the page of a
link does not use it, since mail programs look at links too; setting the password does.
"""

import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.core.errors import ConflictError, NotFoundError
from dermoscope.serve import passwords, throttle
from dermoscope.serve.accounts import FIRST_START, active_admins, create_user, end_logins
from dermoscope.serve.logins import SKEW, Entered, begin_login, digest_of, new_token
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Link, User, now
from dermoscope.serve.trail import record

GOOD = datetime.timedelta(hours=24)
_KEPT = datetime.timedelta(days=30)


class NoLinkError(NotFoundError):
    """A link that is unknown, over, or was used."""

    def __init__(self) -> None:
        super().__init__(
            "this link is not good, or no longer: each is used once and ends after 24 hours; ask for another"
        )


def path_of(token: str) -> str:
    """The address of a link at this service."""
    return f"/link/{token}"


def first_link(session: Session) -> str | None:
    """The token of a link by which the first admin is made, or None where there is one; links made before end."""
    _end(session, None)
    return _make(session, None, FIRST_START) if active_admins(session) == 0 else None


def user_link(session: Session, user: User, by: str) -> str:
    """The token of a link by which a user sets a password; links made before end. Raises ConflictError if disabled."""
    if user.disabled_at is not None:
        raise ConflictError(f"the account {user.name} is disabled; enable it first")
    if user.issuer is not None:
        raise ConflictError(f"{user.name} enters by OpenID Connect and has no password here")
    _end(session, user.id)
    record(session, by, "user.changed", f"user/{user.id}", name=user.name, what="link")
    return _make(session, user, by)


def opened(store: Store, token: str, address: str) -> tuple[str, str]:
    """Name and role of whom a link is for; for the first admin, who has no name yet, the name is empty.

    Raises NoLinkError, TooManyError after too many wrong ones from that address.
    """
    with store.read() as session:
        link = _good(session, token)
        if link is not None:
            return (link.user.name, link.user.role) if link.user is not None else ("", "admin")
        wait = throttle.wait_of(session, address)
    if wait > 0:
        raise throttle.TooManyError("too many links were wrong", wait)
    with store.begin() as session:
        throttle.failed(session, address)
    raise NoLinkError


def use_link(store: Store, token: str, password: str, *, name: str = "", address: str, browser: str = "") -> Entered:
    """Set the password of the user whom a link is for (`name` is the first admin's), and enter; the link is used up.

    Raises NoLinkError, ValueRuleError for a password or InputError for a name that is not taken (the link stays good).
    """
    held, _ = opened(store, token, address)
    passwords.check(password, held or name)
    made = passwords.hashed(password)
    with store.begin() as session:
        link = _good(session, token)
        if link is None:  # used at the same moment
            raise NoLinkError
        user = link.user or create_user(session, name, "admin", FIRST_START)
        user.password, link.used_at = made, now()
        record(session, user.name, "link.used", f"user/{user.id}", name=user.name)
        end_logins(session, user, user.name, "password")
        return begin_login(session, user, "link", browser)


def _good(session: Session, token: str) -> Link | None:
    link, at = session.scalar(select(Link).where(Link.digest == digest_of(token))), now()
    if link is None or link.used_at is not None or not link.made_at - SKEW <= at < link.until:
        return None
    gone = active_admins(session) > 0 if link.user is None else link.user.disabled_at is not None
    return None if gone else link


def _make(session: Session, user: User | None, by: str) -> str:
    token, at = new_token(), now()
    of = None if user is None else user.id
    session.add(Link(digest=digest_of(token), user_id=of, made_at=at, made_by=by, until=at + GOOD))
    return token


def _end(session: Session, user_id: int | None) -> None:
    """End links that nobody has used, and forget those that were long ago."""
    for link in session.scalars(
        select(Link).where(Link.user_id.is_(None) if user_id is None else Link.user_id == user_id)
    ):
        if link.until < now() - _KEPT:
            session.delete(link)
        elif link.used_at is None:
            link.until = min(link.until, now())
