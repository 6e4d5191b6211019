"""Keys of the audit trail: its own, which no database holds, and one of every case, which goes with the case.

What is said of a lesion is sealed under the key of its case (AES-256-GCM, NIST SP 800-38D), what was put in stands as
HMAC-SHA256 (RFC 2104) under it. Once that key is destroyed both are random bytes, and the trail still verifies.
"""

import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.orm import Session

from dermoscope.core.errors import DermoscopeError
from dermoscope.data.store import PART, keep_names
from dermoscope.serve.tables import CaseKey
from dermoscope.serve.vault import Vault

BYTES = 32
"""Length of a key."""
FILE = "audit.key"
"""The trail's own key, below the folder of the service."""
_NONCE = 12
_BLOCK = 256
"""What is sealed is filled up to a multiple of it: after a deletion its length must not tell what it said."""


@dataclass(frozen=True)
class Keyed:
    """A detail that stands in the trail as its keyed hash: the digest of a picture, a pseudonym."""

    data: str = field(repr=False)


@dataclass(frozen=True, eq=False)
class Keys:
    """The keys of one service. The trail's own lies in a file that nobody else may read, made when it is first needed.

    Of several processes one writes at a time (`Store.begin`), so that only one makes it.
    """

    folder: Path
    vault: Vault = field(default_factory=Vault)

    @property
    def there(self) -> bool:
        """Whether the trail has its key yet."""
        return (self.folder / FILE).exists()

    @cached_property
    def audit(self) -> bytes:
        """The trail's own key. Raises DermoscopeError where it is not there or damaged."""
        path = self.folder / FILE
        try:
            key = self.vault.unwrap(path.read_bytes(), FILE)
        except OSError as error:
            raise DermoscopeError(
                f"{path}: the key of the audit trail cannot be read ({error.strerror}); restore it from a backup"
            ) from None
        if len(key) != BYTES:
            raise DermoscopeError(f"{path}: is no key of an audit trail; restore it from a backup")
        return key

    def make(self) -> None:
        """Make the trail's own key. Raises DermoscopeError where it cannot be written."""
        _write_secret(self.folder / FILE, self.vault.wrap(secrets.token_bytes(BYTES), FILE))

    def seal(self, purpose: str, text: str) -> str:
        """HMAC of a text under the trail's own key: who only holds the database cannot make it."""
        return hmac.digest(_part(self.audit, purpose), text.encode(), "sha256").hex()

    def held(self, session: Session, case_id: int) -> bytes | None:
        """The key of a case; None where there is none, or no longer."""
        row = session.get(CaseKey, case_id)
        return None if row is None else self.vault.unwrap(row.key, f"case/{case_id}")

    def of_case(self, session: Session, case_id: int) -> bytes:
        """The key of a case, made with its first line of the trail."""
        held = self.held(session, case_id)
        if held is not None:
            return held
        made = secrets.token_bytes(BYTES)
        session.add(CaseKey(case_id=case_id, key=self.vault.wrap(made, f"case/{case_id}")))
        return made


def keyed(key: bytes, data: str) -> str:
    """HMAC-SHA256 of an input under a case's key, 64 hexadecimal digits: the same input twice is seen, itself never."""
    return hmac.digest(_part(key, "inputs"), data.encode(), "sha256").hex()


def seal(key: bytes, said: Mapping[str, Any], context: str) -> bytes:
    """What was said, for whoever has the key; `context` (the line's number) must be named to open it."""
    plain = json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    plain += b" " * (-len(plain) % _BLOCK)
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(_part(key, "said")).encrypt(nonce, plain, context.encode())


def unseal(key: bytes, sealed: bytes, context: str) -> Mapping[str, Any]:
    """What was said. Raises DermoscopeError for another key, another context, or bytes that were changed."""
    try:
        plain = AESGCM(_part(key, "said")).decrypt(sealed[:_NONCE], sealed[_NONCE:], context.encode())
    except (InvalidTag, ValueError):
        raise DermoscopeError(
            f"line {context} of the audit trail does not open: it was changed, or sealed with another key"
        ) from None
    said: Mapping[str, Any] = json.loads(plain)
    return said


def _part(key: bytes, purpose: str) -> bytes:
    """No key is used for two purposes."""
    return hmac.digest(key, f"dermoscope {purpose}".encode(), "sha256")


def _write_secret(path: Path, content: bytes) -> None:
    """Whole or not at all, and never readable by others, not even while it is written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=PART, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
        keep_names(path.parent)
    except OSError as error:
        raise DermoscopeError(
            f"{path}: cannot be written ({error.strerror}); the service needs room on its disk, and the right to "
            "write there"
        ) from None
