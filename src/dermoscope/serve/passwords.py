"""Passwords: which are taken, and how they are hashed.

Rules are those of NIST SP 800-63B (2017, 5.1.1.2): long enough, not the name, not among the commonest, and nothing
about kinds of characters. Hashes are argon2id with the parameters of argon2-cffi (RFC 9106, low memory). A hash takes
64 MiB and some hundredths of a second of four cores, so no more than two are made at once, and never while a
transaction is open: that would hold up every other writer.
"""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dermoscope.core.errors import BusyError, ValueRuleError

SHORTEST, LONGEST = 12, 200
"""Characters of a password."""
_FEWEST = 4
"""Different characters of a password: `aaaabbbbcccc` is guessed as soon as the commonest are."""
COMMON = frozenset(
    """
    123456789012 1234567890123 12345678901234 123456789123 123123123123 1234567890ab 123456abcdef 1q2w3e4r5t6y
    1qaz2wsx3edc 1qazxsw23edc abcdefghijkl abcd1234efgh abc123abc123 adminadminadmin adminadmin123
    administrator changemechangeme changeme1234 correcthorsebatterystaple dermatology1 dermatologie
    dermatoscope dermoscope123 dermoscopedermoscope dermoscopy123 iloveyou1234 iloveyouforever letmein12345
    letmeinletmein krankenhaus1 motdepasse123 passw0rd1234 password1234 password12345 password123456
    passwordpassword passwort1234 passwort12345 passwort123456 passwortpasswort q1w2e3r4t5y6 qwerty123456
    qwertyqwerty qwertyuiop12 qwertyuiop123 qwertyuiopasdf qwertz123456 qwertzqwertz qwertzuiop12
    qwertzuiop123 qwertzuiopasdf trustno1trustno1 unknown12345 welcome12345 welcome123456 willkommen12
    willkommen123 willkommen1234 1234567890qwertyuiop hospital1234 melanoma1234 sommer202620 geheim123456
    geheimgeheim hallohallo12 hallo1234567
    """.split()  # noqa: SIM905 - a list of them would be one line of a thousand signs
)
"""The commonest that are long enough, in small letters, and what is near at hand here."""

_hasher = PasswordHasher()
_turns = threading.BoundedSemaphore(2)
_line = threading.BoundedSemaphore(12)
"""Those who hash and those who wait for it: each holds a thread of the web server, of which there are forty."""


def check(password: str, name: str) -> None:
    """Raise ValueRuleError for a password that is too short, too long, or near at hand."""
    plain = _plain(password)
    small = plain.casefold()
    if not SHORTEST <= len(plain) <= LONGEST:
        raise ValueRuleError(f"a password has {SHORTEST} to {LONGEST} characters; choose another one")
    if small == _plain(name).casefold():
        raise ValueRuleError("the name is no password; choose another one")
    if small in COMMON or len(set(small)) < _FEWEST:
        raise ValueRuleError("this password is among the first that are guessed; choose another one")


def hashed(password: str) -> str:
    """The password as it is stored: argon2id with a salt of its own. Raises BusyError where too many wait."""
    with _turn():
        return _hasher.hash(_plain(password))


def verified(password: str, stored: str | None) -> bool:
    """Whether that is the password. Without a stored one it takes as long, and is not.

    Raises BusyError where too many wait.
    """
    with _turn():
        try:
            return _hasher.verify(stored or _nobodys(), _plain(password)[: LONGEST + 1]) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def outdated(stored: str) -> bool:
    """Whether a stored password was hashed with other parameters than are used now."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobodys() -> str:
    """The hash of a password that nobody has, for names that nobody has."""
    return _hasher.hash("of nobody at all")


@contextmanager
def _turn() -> Iterator[None]:
    if not _line.acquire(blocking=False):
        raise BusyError("too many enter at this moment; try again in a few seconds")
    try:
        with _turns:
            yield
    finally:
        _line.release()


def _plain(text: str) -> str:
    """One form of letters that have several (NIST SP 800-63B: NFKC); what UTF-8 cannot hold is replaced."""
    return unicodedata.normalize("NFKC", text).encode("utf-8", "replace").decode()
