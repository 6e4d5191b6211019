"""Persons and their accounts.

    Person     who asks, as all of the service sees it     logins   browsers in which somebody has entered
    User       the row of an account                       keys     by which programs act as a user
    passwords  hashed, off the event loop                  links    good once, to set a password
    throttle   what was tried in vain                      rules    which role and scope each address needs

The name of an account stands in every record, so it never changes and is never given twice: an account is disabled, not
deleted. There is always an active admin. With `--no-login`, which only this machine can reach, there are no accounts: a
reader gives the code name that is to stand in the records, and everybody is an admin.
"""

import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dermoscope.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError, ValueRuleError
from dermoscope.data.store import write_file
from dermoscope.serve.tables import ApiKey, Link, Login, User, now
from dermoscope.serve.trail import record

Role = Literal["reader", "reviewer", "admin"]
Scope = Literal["read", "write", "classify", "export", "admin", "metrics"]
Way = Literal["none", "password", "oidc", "link", "key"]
Language = Literal["en", "de"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
LANGUAGES: tuple[Language, ...] = ("en", "de")
_ALIKE = frozenset(("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "COPTIC", "CHEROKEE"))
"""Alphabets that have letters which look the same."""
_KEY = 32
"""Bytes of the key that short-lived cookies are signed with."""
NAME = re.compile(r"[\w][\w .@+-]{0,78}", re.UNICODE)
"""What a reader's code name may look like."""
TERMINAL = "terminal"
"""Who did what was done on the machine itself, by `dermoscope user`."""
FIRST_START = "first start"
"""Who did what a service does when it is new."""
PROVIDER = "openid connect"
"""Who made the accounts that the provider let in, and changes their roles."""
RESERVED = (TERMINAL, FIRST_START, PROVIDER, "nobody", "api", "service", "retention")
"""Names that stand in the trail for what no account did."""


@dataclass(frozen=True)
class Person:
    """Who is asking: the code name that stands in every record, and what that person may do.

    `by` says how that is known, `user_id` and `login_id` are rows of the database where there are any. `scopes` of None
    are all: only a key has fewer.
    """

    name: str
    role: Role
    language: Language = "en"
    user_id: int | None = None
    login_id: int | None = None
    scopes: tuple[Scope, ...] | None = None
    by: Way = "none"

    def may(self, role: Role) -> bool:
        """Whether this person has that role, or one above it."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def require(self, role: Role) -> None:
        """Raise ForbiddenError where this person has not that role, nor one above it."""
        if not self.may(role):
            raise ForbiddenError(f"this needs the role {role}, and yours is {self.role}; an admin can change that")


def plain_name(text: str) -> str:
    """A name as it is stored and looked for: no spaces around it, and of letters that are one in Unicode (NFKC) one."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def checked_name(text: str) -> str:
    """A reader's code name without spaces around it. Raises InputError for one that could not stand in a record."""
    name = plain_name(text)
    if not NAME.fullmatch(name):
        raise InputError("a reader's code name has 1 to 79 letters, digits, spaces or . @ + - _; choose such a one")
    return name


def checked_role(text: str) -> Role:
    """A role by its name. Raises ValueRuleError for any other word."""
    for role in ROLES:
        if role == text:
            return role
    raise ValueRuleError(f"no role {text[:40]!r}; there are {', '.join(ROLES)}")


def language_of(cookies: Mapping[str, str], accepted: str) -> Language:
    """The language of the pages: as chosen, else as the browser asks for it, else English."""
    chosen = cookies.get("language")
    if chosen in LANGUAGES:
        return chosen
    ranked = [part.split(";")[0].strip().lower()[:2] for part in accepted.split(",")]
    return next((language for asked in ranked for language in LANGUAGES if asked == language), "en")


def key_of(folder: Path) -> bytes:
    """The key that short-lived cookies are signed with, made at the first start and kept below the folder.

    One that is not whole is made anew: whoever guessed it could sign what he likes.
    """
    path = folder / "cookie.key"
    if not path.exists() or path.stat().st_size != _KEY:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, secrets.token_bytes(_KEY), durable=True)
        path.chmod(0o600)
    return path.read_bytes()


def users(session: Session) -> list[User]:
    """Every account, by name."""
    return sorted(session.scalars(select(User)), key=lambda user: user.name.lower())


def user_named(session: Session, name: str) -> User | None:
    """The account of that name, however its letters are written large or small."""
    plain = plain_name(name)
    # a PostgreSQL of locale C knows small letters of A to Z only: as it is written a name is found all the same
    same = or_(User.name == plain, func.lower(User.name) == plain.lower())
    return session.scalar(select(User).where(same).order_by(User.id).limit(1))


def user_of(session: Session, user_id: int) -> User:
    """The account of that number. Raises NotFoundError."""
    found = session.get(User, user_id) if 0 < user_id < 2**31 else None
    if found is None:
        raise NotFoundError(f"there is no user {user_id}; look in the list of users")
    return found


def active_admins(session: Session) -> int:
    """How many admins can enter."""
    wanted = select(func.count()).select_from(User).where(User.role == "admin", User.disabled_at.is_(None))
    return session.scalar(wanted) or 0


def create_user(session: Session, name: str, role: str, by: str) -> User:
    """A new account, which has no password yet: `links.user_link` leads to one.

    Raises InputError for a name that cannot be one, or mixes alphabets (an `A` of another one makes a second Ada),
    ConflictError for one that was given before.
    """
    name, role = checked_name(name), checked_role(role)
    if len(_ALIKE & {unicodedata.name(sign, "").partition(" ")[0] for sign in name}) > 1:
        raise InputError("the name mixes letters of several alphabets that look the same; write it in one of them")
    if name.lower() in RESERVED:
        raise ConflictError(f"{name} stands in the audit trail for the service itself; choose another name")
    if user_named(session, name) is not None:
        raise ConflictError(f"there is a user {name} already, and no name is given twice; choose another one")
    user = User(name=name, role=role, created_by=by)
    session.add(user)
    session.flush()
    record(session, by, "user.created", f"user/{user.id}", name=name, role=role)
    return user


def change_role(session: Session, user: User, role: str, by: str) -> None:
    """Give another role, which ends the user's logins. Raises ConflictError for the last active admin."""
    role = checked_role(role)
    if role == user.role:
        return
    _keep_an_admin(session, user)
    before, user.role = user.role, role
    record(session, by, "user.changed", f"user/{user.id}", name=user.name, before=before, after=role)
    end_logins(session, user, by, "role")


def disable(session: Session, user: User, by: str) -> None:
    """Let a user in no longer: logins, keys and links end at once. Raises ConflictError for the last active admin."""
    if user.disabled_at is not None:
        return
    _keep_an_admin(session, user)
    user.disabled_at = now()
    record(session, by, "user.disabled", f"user/{user.id}", name=user.name)
    end_logins(session, user, by, "disabled")
    for key in session.scalars(select(ApiKey).where(ApiKey.user_id == user.id, ApiKey.revoked_at.is_(None))):
        key.revoked_at = user.disabled_at
        record(session, by, "key.revoked", f"key/{key.id}", prefix=key.prefix, of=user.name, reason="disabled")
    for link in session.scalars(select(Link).where(Link.user_id == user.id, Link.used_at.is_(None))):
        link.until = user.disabled_at


def enable(session: Session, user: User, by: str) -> None:
    """Let a disabled user in again, with the password as it was; keys stay revoked."""
    if user.disabled_at is not None:
        user.disabled_at = None
        record(session, by, "user.changed", f"user/{user.id}", name=user.name, what="enabled")


def end_logins(session: Session, user: User, by: str, reason: str, but: int | None = None) -> int:
    """End every login of a user, except number `but`; how many there were."""
    ended = 0
    for login in session.scalars(select(Login).where(Login.user_id == user.id, Login.ended_at.is_(None))):
        if login.id != but:
            login.ended_at = now()
            ended += login.until > login.ended_at
    if ended:
        record(session, by, "login.ended", f"user/{user.id}", name=user.name, logins=ended, reason=reason)
    return ended


def _keep_an_admin(session: Session, user: User) -> None:
    if user.role == "admin" and user.disabled_at is None and active_admins(session) < 2:
        raise ConflictError(f"{user.name} is the last active admin; make another admin first")
