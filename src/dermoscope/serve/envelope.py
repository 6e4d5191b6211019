"""A long file encrypted piece by piece, so that neither its length nor a cut is a matter of memory or of trust.

    MAGIC, 16 bytes of salt, then pieces of AES-256-GCM; the last one says that it is the last

The key is derived from the vault's and the salt, so that no two files share one; the nonce of a piece is its number and
whether it is the last (the construction STREAM: Hoang, Reyhanitabar, Rogaway and Vizár 2015).
"""

import io
import secrets
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dermoscope.core.errors import InputError
from dermoscope.serve.vault import Vault

MAGIC = b"dermoscope backup, encrypted 1\n"
"""What an encrypted file begins with."""
PIECE = 1 << 20
"""Bytes of one piece before encryption."""
_TAG, _SALT = 16, 16
_PURPOSE = "backup"


class Sealing(io.RawIOBase):
    """What is written to it goes encrypted into `file`; `close` writes the last piece and leaves `file` open."""

    def __init__(self, file: IO[bytes], vault: Vault) -> None:
        salt = secrets.token_bytes(_SALT)
        self._file, self._number, self._held = file, 0, bytearray()
        self._cipher = AESGCM(vault.derived(_PURPOSE, salt))
        file.write(MAGIC + salt)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def,override]
        """Encrypt what makes whole pieces, and keep the rest."""
        self._held += data
        while len(self._held) > PIECE:  # the last piece is never written here
            self._write(bytes(self._held[:PIECE]), last=False)
            del self._held[:PIECE]
        return len(data)

    def close(self) -> None:
        """End the file."""
        if not self.closed:
            self._write(bytes(self._held), last=True)
        super().close()

    def _write(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), piece, None))
        self._number += 1


class Unsealing(io.RawIOBase):
    """Reads what was sealed. Raises InputError for another key, and where the file was changed or cut off."""

    def __init__(self, file: IO[bytes], vault: Vault, name: str) -> None:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{name}: is no encrypted backup")
        self._cipher = AESGCM(vault.derived(_PURPOSE, file.read(_SALT)))
        self._file, self._name, self._number, self._held, self._last = file, name, 0, b"", False

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        parts, left = [], size
        while left:
            if not self._held and not self._next():
                break
            taken = self._held if left < 0 else self._held[:left]
            self._held = self._held[len(taken) :]
            left -= len(taken) if left > 0 else 0
            parts.append(taken)
        return b"".join(parts)

    def _next(self) -> bool:
        """Open the next piece; False after the last."""
        while not self._last and not self._held:
            sealed = self._file.read(PIECE + _TAG)
            for last in (False, True):
                try:
                    self._held = self._cipher.decrypt(_nonce(self._number, last), sealed, None)
                except (InvalidTag, ValueError):
                    continue
                self._last = last
                break
            else:
                why = "is of another key, or damaged" if self._number == 0 else "is damaged or not whole"
                raise InputError(f"{self._name}: {why}; give its key in DERMOSCOPE_KEY, or take another backup")
            self._number += 1
        return bool(self._held)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
