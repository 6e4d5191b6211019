"""What was tried in vain, and how long to wait after it. Kept in the database: it holds for every process.

A wrong password counts for the name and for the address that it came from. From the fifth for a name (the fiftieth for
an address, behind which a whole clinic may sit) each doubles the wait, from five seconds to a quarter of an hour; a day
without any forgets them. While it lasts nothing is tried, right or wrong. So that nobody is locked out by what others
try, an address from which a name entered within 30 days counts by itself, and is held up by its own failures alone.

An attempt is counted before it is made and taken back when it succeeds: many at once are many.
"""

import datetime
import hashlib
import ipaddress
import threading
import time
from dataclasses import dataclass, field

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from starlette.requests import Request

from dermoscope.core.errors import BusyError
from dermoscope.serve.accounts import plain_name
from dermoscope.serve.tables import Attempt, now

FREE, FREE_OF_ADDRESS = 4, 49
"""Failures of a name, and of an address, after which nobody waits."""
FIRST, LONGEST = 5, 15 * 60
"""Seconds to wait after the first failure that counts, and at most."""
FORGOTTEN = datetime.timedelta(days=1)
KNOWN = datetime.timedelta(days=30)
"""How long an address is known to be a user's."""
A_SECOND, AT_ONCE = 100.0, 2000.0
"""Requests of one person: in the long run, and at most together."""


class TooManyError(BusyError):
    """Something was tried too often; `seconds` until it may be tried again."""

    def __init__(self, message: str, seconds: float) -> None:
        self.seconds = max(1, round(seconds + 0.5))
        super().__init__(f"{message}; try again in {self.seconds} s")
        self.again_after = self.seconds


@dataclass(frozen=True)
class Tried:
    """The buckets that an attempt counts in: hashes, so that the table is no list of names and addresses."""

    buckets: tuple[tuple[str, int], ...]
    known: str


def address_of(request: Request) -> str:
    """Where a request comes from; of IPv6 the network of one customer (/64)."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def begin(session: Session, name: str, address: str) -> Tried:
    """Count an attempt to enter before it is made. Raises TooManyError where it has to wait."""
    name = plain_name(name).lower()  # as `user_named` finds it: each way to write it would be tried by itself
    known = _bucket("known", name, address)
    seen = _held(session, known)
    if seen is not None and seen.last_at > now() - KNOWN:
        tried = Tried(((_bucket("both", name, address), FREE),), known)
    else:
        tried = Tried(((_bucket("name", name), FREE), (_bucket("address", address), FREE_OF_ADDRESS)), known)
    wait = max(_wait(_held(session, bucket), free) for bucket, free in tried.buckets)
    if wait > 0:
        raise TooManyError("too many attempts to enter failed", wait)
    for bucket, _ in tried.buckets:
        _count(session, bucket)
    return tried


def succeeded(session: Session, tried: Tried) -> None:
    """Take the attempt back, forget what failed for the name, and know the address."""
    for bucket, free in tried.buckets:
        held = _held(session, bucket)
        if held is not None:
            # who has an account could else try others at will from there
            held.count = 0 if free == FREE else max(0, held.count - 1)
    held = _held(session, tried.known)
    if held is None:
        session.add(Attempt(bucket=tried.known, count=0))
    else:
        held.last_at = now()


def untried(session: Session, tried: Tried) -> None:
    """Take an attempt back that came to nothing: whoever could not be asked has not failed."""
    for bucket, _ in tried.buckets:
        held = _held(session, bucket)
        if held is not None:
            held.count = max(0, held.count - 1)


def wait_of(session: Session, address: str) -> float:
    """Seconds that an address has to wait after wrong keys and links; right ones are never asked for it."""
    return _wait(_held(session, _bucket("token", address)), FREE_OF_ADDRESS)


def failed(session: Session, address: str) -> None:
    """Count a wrong key or link."""
    _count(session, _bucket("token", address))


def _bucket(kind: str, *parts: str) -> str:
    return f"{kind}:{hashlib.sha256(chr(0).join(parts).encode('utf-8', 'replace')).hexdigest()}"


def _held(session: Session, bucket: str) -> Attempt | None:
    return session.scalar(select(Attempt).where(Attempt.bucket == bucket))


def _wait(held: Attempt | None, free: int) -> float:
    """Seconds until the next attempt; a clock that was set back does not make it longer than it was."""
    passed = datetime.timedelta() if held is None else now() - held.last_at
    if held is None or held.count <= free or passed > FORGOTTEN:
        return 0.0
    delay = min(LONGEST, FIRST * 2.0 ** min(held.count - free - 1, 16))
    return max(0.0, delay - max(0.0, passed.total_seconds()))


def _count(session: Session, bucket: str) -> None:
    at = now()
    session.execute(delete(Attempt).where(Attempt.last_at < at - KNOWN))
    held = _held(session, bucket)
    if held is None:
        session.add(Attempt(bucket=bucket, count=1, since=at, last_at=at))
        return
    if at - held.last_at > FORGOTTEN:
        held.count, held.since = 0, at
    held.count, held.last_at = held.count + 1, at


@dataclass(eq=False)
class Allowance:
    """How many requests each user has left in this process: a bucket that fills by itself (`A_SECOND`, `AT_ONCE`)."""

    a_second: float = A_SECOND
    at_once: float = AT_ONCE
    _left: dict[int, tuple[float, float]] = field(default_factory=dict)
    _own: threading.Lock = field(default_factory=threading.Lock)

    def take(self, user_id: int) -> None:
        """Take one. Raises TooManyError where none is left."""
        at = time.monotonic()
        with self._own:
            left, since = self._left.get(user_id, (self.at_once, at))
            left = min(self.at_once, left + (at - since) * self.a_second)
            self._left[user_id] = (max(0.0, left - 1), at)
        if left < 1:
            raise TooManyError("this account asks too often", (1 - left) / self.a_second)
