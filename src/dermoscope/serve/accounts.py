"""Who is asking.

Where only this machine reaches the service there is no login: a reader gives the code name that is to stand in the
records. Anywhere else a person enters by a code, one for each role, of which the database holds a hash; a signed cookie
remembers it for a working day. Accounts of persons are not here yet.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.core.errors import ForbiddenError, InputError
from dermoscope.data.store import write_file
from dermoscope.serve.tables import Entry, now

Role = Literal["reader", "admin"]
Language = Literal["en", "de"]
ROLES: tuple[Role, ...] = ("reader", "admin")
LANGUAGES: tuple[Language, ...] = ("en", "de")
DAY = 12 * 3600
"""Seconds that a signed cookie is good for."""
_KEY = 32
"""Bytes of the key that cookies are signed with."""
NAME = re.compile(r"[\w][\w .@+-]{0,78}", re.UNICODE)
"""What a reader's code name may look like."""


@dataclass(frozen=True)
class Person:
    """Who is asking: the code name that stands in every record, and what that person may do."""

    name: str
    role: Role
    language: Language = "en"

    def require(self, role: Role) -> None:
        """Raise ForbiddenError where this person has not that role; an admin has every role."""
        if self.role not in (role, "admin"):
            raise ForbiddenError(f"this needs the role {role}; enter with its code")


def checked_name(text: str) -> str:
    """A reader's code name without spaces around it. Raises InputError for one that could not stand in a record."""
    name = " ".join(text.split())
    if not NAME.fullmatch(name):
        raise InputError("a reader's code name has 1 to 79 letters, digits, spaces or . @ + - _; choose such a one")
    return name


def language_of(cookies: Mapping[str, str], accepted: str) -> Language:
    """The language of the pages: as chosen, else as the browser asks for it, else English."""
    chosen = cookies.get("language")
    if chosen in LANGUAGES:
        return chosen
    ranked = [part.split(";")[0].strip().lower()[:2] for part in accepted.split(",")]
    return next((language for asked in ranked for language in LANGUAGES if asked == language), "en")


def new_codes(session: Session, *, again: bool = False) -> dict[Role, str]:
    """Codes for every role that has none yet (`again`: for all, and those before are good no longer)."""
    held = {entry.role: entry for entry in session.scalars(select(Entry))}
    made: dict[Role, str] = {}
    for role in ROLES:
        if role in held and not again:
            continue
        code, salt = secrets.token_urlsafe(24), secrets.token_bytes(16)
        entry = held.get(role) or Entry(role=role, salt=b"", hash=b"")
        entry.salt, entry.hash, entry.made_at = salt, _hash(salt, code), now()
        session.add(entry)
        made[role] = code
    return made


def role_of(session: Session, code: str) -> Role | None:
    """The role that a code belongs to, or None. Takes as long for a wrong code as for a right one."""
    found: Role | None = None
    for entry in session.scalars(select(Entry)):
        if hmac.compare_digest(entry.hash, _hash(entry.salt, code)):
            found = "admin" if entry.role == "admin" else "reader"
    return found


def key_of(folder: Path) -> bytes:
    """The key that cookies are signed with, made at the first start and kept below the folder.

    One that is not whole is made anew: whoever guessed it could sign a cookie as admin.
    """
    path = folder / "cookie.key"
    if not path.exists() or path.stat().st_size != _KEY:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, secrets.token_bytes(_KEY), durable=True)
        path.chmod(0o600)
    return path.read_bytes()


def ticket(session: Session, key: bytes, name: str, role: Role) -> str:
    """The content of a signed cookie; it ends with the day, or when the code of that role is made anew."""
    content = {"name": name, "role": role, "until": int(time.time()) + DAY, "of": _generation(session, role)}
    body = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    return f"{body}.{_sign(key, body)}"


def holder(session: Session, key: bytes, value: str) -> tuple[str, Role] | None:
    """Name and role that a signed cookie was made for; None for one that was altered, is over, or was revoked."""
    body, _, signature = value.partition(".")
    if not hmac.compare_digest(signature.encode(), _sign(key, body).encode()):
        return None
    content = json.loads(base64.urlsafe_b64decode(body))
    role: Role = "admin" if content["role"] == "admin" else "reader"
    if content["until"] < time.time() or content["of"] != _generation(session, role):
        return None
    return content["name"], role


def _generation(session: Session, role: Role) -> str:
    salt = session.scalar(select(Entry.salt).where(Entry.role == role))
    return "" if salt is None else hashlib.sha256(salt).hexdigest()[:16]


def _hash(salt: bytes, code: str) -> bytes:
    # a code is 192 random bits: a slow hash would protect nothing that a fast one does not
    return hashlib.sha256(salt + code.encode()).digest()


def _sign(key: bytes, body: str) -> str:
    return hmac.new(key, body.encode(), hashlib.sha256).hexdigest()
