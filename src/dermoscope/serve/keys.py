"""API keys: by which programs act as a user, with that user's role, and only within the scopes of the key.

A key looks like `dsk_PREFIX_SECRET`; it is shown once, and the database holds its SHA-256 (a secret of 256 bits needs
no slow hash) and the prefix, by which it is found and spoken of. `Authorization: Bearer KEY` sends it.
"""

import datetime
import hmac
import secrets
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.core.errors import ConflictError, NotFoundError, ValueRuleError
from dermoscope.serve.accounts import SCOPES, Scope
from dermoscope.serve.logins import NOTED, SKEW, digest_of, new_token
from dermoscope.serve.tables import ApiKey, User, now
from dermoscope.serve.trail import record

MARK = "dsk"
"""What every key begins with, so that it is recognised where it should not be: in a log, in a repository."""
MOST = 50
"""Keys of one user that are good at a time."""
LONGEST_NAME = 80


def make_key(
    session: Session, user: User, name: str, scopes: Iterable[str], by: str, until: datetime.datetime | None = None
) -> tuple[str, ApiKey]:
    """A key of a user, and its row; the key itself is shown this once.

    Raises ValueRuleError for a name, scopes or an end that cannot be, ConflictError for a disabled user or too many.
    """
    name, chosen = " ".join(name.split()), checked_scopes(scopes, user)
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValueRuleError(f"a key has a name of 1 to {LONGEST_NAME} characters; say what it is for")
    if until is not None and until <= now():
        raise ValueRuleError("the key would have ended already; choose a later end, or none")
    if user.disabled_at is not None:
        raise ConflictError(f"the account {user.name} is disabled; enable it first")
    if sum(is_good(key) for key in keys_of(session, user.id)) >= MOST:
        raise ConflictError(f"{user.name} has {MOST} keys already; revoke one first")
    prefix = secrets.token_hex(4)
    token = f"{MARK}_{prefix}_{new_token()}"
    key = ApiKey(
        user_id=user.id,
        name=name,
        prefix=prefix,
        digest=digest_of(token),
        scopes=list(chosen),
        created_by=by,
        until=until,
    )
    session.add(key)
    session.flush()
    ends = None if until is None else until.isoformat()
    record(session, by, "key.created", f"key/{key.id}", prefix=prefix, of=user.name, scopes=list(chosen), until=ends)
    return token, key


def checked_scopes(scopes: Iterable[str], user: User) -> tuple[Scope, ...]:
    """Scopes in their order, once each. Raises ValueRuleError for none, for an unknown one, for `admin` of no admin."""
    given = set(scopes)
    chosen = tuple(scope for scope in SCOPES if scope in given)
    if not chosen or given - set(SCOPES):
        raise ValueRuleError(f"a key has at least one scope of {', '.join(SCOPES)}; choose among them")
    if "admin" in chosen and user.role != "admin":
        raise ValueRuleError(f"only an admin's key has the scope admin, and {user.name} is {user.role}; leave it out")
    return chosen


def key_of_token(session: Session, token: str) -> ApiKey | None:
    """The key that was sent, with its user; None for one that is unknown, over, revoked, or of a disabled user."""
    mark, _, rest = token.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != MARK or not secret or not prefix.isalnum() or len(prefix) > 16:
        return None
    key = session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
    if key is None or not hmac.compare_digest(key.digest, digest_of(token)):
        return None
    return key if is_good(key) and key.user.disabled_at is None else None


def is_good(key: ApiKey) -> bool:
    """Whether a key was neither revoked nor has ended, nor was made in the future."""
    at = now()
    return key.revoked_at is None and key.created_at <= at + SKEW and (key.until is None or at < key.until)


def is_to_be_noted(key: ApiKey) -> bool:
    """Whether its last use was noted longer ago than a minute."""
    return key.used_at is None or abs(now() - key.used_at) > NOTED


def keys_of(session: Session, user_id: int | None = None) -> list[ApiKey]:
    """The keys of a user (None: of all), revoked ones too, the latest first."""
    wanted = select(ApiKey).order_by(ApiKey.id.desc())
    return list(session.scalars(wanted if user_id is None else wanted.where(ApiKey.user_id == user_id)))


def find_key(session: Session, key_id: int, user_id: int | None) -> ApiKey:
    """A key by its number, of that user (None: of anybody). Raises NotFoundError, also for a key of somebody else."""
    key = session.get(ApiKey, key_id) if 0 < key_id < 2**31 else None
    if key is None or user_id not in (None, key.user_id):
        raise NotFoundError(f"there is no key {key_id}; look in the list of keys")
    return key


def revoke(session: Session, key: ApiKey, by: str) -> None:
    """End a key at once."""
    if key.revoked_at is None:
        key.revoked_at = now()
        record(session, by, "key.revoked", f"key/{key.id}", prefix=key.prefix, of=key.user.name)
