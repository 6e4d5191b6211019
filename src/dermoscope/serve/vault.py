"""Encryption of what is stored, under one key that is given at the start and lies nowhere in the folder.

AES-256-GCM (NIST SP 800-38D) under keys that HKDF-SHA256 (RFC 5869) derives, one for each purpose. Without a key
everything is stored as it is. A folder holds to what it was begun with: `FOLDER/key.check` opens with its key alone.
"""

import base64
import binascii
import contextlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dermoscope.core.errors import DermoscopeError, InputError
from dermoscope.data.store import PART, write_file
from dermoscope.serve.options import Options

BYTES = 32
"""Length of a key."""
CHECK = "key.check"
"""The file that a folder's key opens."""
MAGIC = b"dermo\x01"
"""What is encrypted begins with it."""
BEGUN = ("dermoscope.sqlite", "blobs", "thumbs", "cookie.key", "audit.key")
"""What stands in a folder that has been used."""
_NONCE = 12
_SAID = b"dermoscope"


def key_from(text: str, called: str = "DERMOSCOPE_KEY") -> bytes:
    """The key that a text in base64 (either alphabet) stands for; none for an empty one. Errors say what it is called.

    Raises InputError for what is no base64 of 32 bytes. The text is not repeated: it is a secret.
    """
    text = text.strip()
    if not text:
        return b""
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            f"{called} is no base64; make one with `openssl rand -base64 {BYTES}` and keep it safe"
        ) from None
    if len(key) != BYTES:
        raise InputError(
            f"{called} holds {len(key)} bytes and needs {BYTES}; make one with `openssl rand -base64 {BYTES}`"
        )
    return key


@dataclass(frozen=True, eq=False)
class Vault:
    """What encrypts and opens; with an empty key it hands everything on as it is."""

    key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.key and len(self.key) != BYTES:
            raise InputError(f"a key of {len(self.key)} bytes was given and {BYTES} are needed")

    @classmethod
    def of(cls, options: Options) -> "Vault":
        """The vault of a folder, begun with this key where nothing is there yet.

        Raises InputError for a folder that was begun with another key, with none, or with one where none is given.
        """
        vault, check = cls(options.key), options.folder / CHECK
        if not vault.key:
            if check.exists():
                raise InputError(f"{options.folder}: is encrypted; give its key in DERMOSCOPE_KEY")
            return vault
        if not check.exists():
            begun = [name for name in BEGUN if (options.folder / name).exists()]
            if begun:
                raise InputError(
                    f"{options.folder}: was begun without a key ({begun[0]} is there); start without DERMOSCOPE_KEY, "
                    "or make a backup and restore it with the key into a new --folder"
                )
            _begin(check, vault.lock(_SAID, CHECK))
        try:
            vault.open(check.read_bytes(), CHECK)
        except DermoscopeError:
            raise InputError(f"{options.folder}: was encrypted with another key; give that in DERMOSCOPE_KEY") from None
        return vault

    def derived(self, purpose: str, salt: bytes | None = None) -> bytes:
        """The 32 bytes that the key gives for a purpose; the key itself encrypts nothing. Raises ValueError without."""
        if not self.key:
            raise ValueError("there is no key to derive from")
        return HKDF(algorithm=SHA256(), length=BYTES, salt=salt, info=f"dermoscope {purpose}".encode()).derive(self.key)

    def wrap(self, data: bytes, context: str = "") -> bytes:
        """A small secret as the database may hold it; `context` names what it is for."""
        return self._seal("wrap", data, context)

    def unwrap(self, data: bytes, context: str = "") -> bytes:
        """What was wrapped. Raises DermoscopeError where it was damaged, or is of another key or context."""
        return self._unseal("wrap", data, context)

    def lock(self, data: bytes, context: str) -> bytes:
        """The bytes of a file as they may lie on the disk; `context` is what it is called in the database."""
        return self._seal("files", data, context)

    def open(self, data: bytes, context: str) -> bytes:
        """The bytes of a locked file. Raises DermoscopeError where it was damaged, or is another file or key's."""
        return self._unseal("files", data, context)

    def name(self, digest: str) -> str:
        """What a file is called on the disk: without the key nobody can tell whether a picture he has is among them."""
        return hmac.digest(self.derived("names"), digest.encode(), "sha256").hex() if self.key else digest

    def _seal(self, purpose: str, data: bytes, context: str) -> bytes:
        if not self.key:
            return data
        nonce = secrets.token_bytes(_NONCE)
        return MAGIC + nonce + AESGCM(self.derived(purpose)).encrypt(nonce, data, context.encode())

    def _unseal(self, purpose: str, data: bytes, context: str) -> bytes:
        if not self.key:
            return data
        start = len(MAGIC) + _NONCE
        nonce, sealed = data[len(MAGIC) : start], memoryview(data)[start:]
        try:
            if not data.startswith(MAGIC):
                raise InvalidTag
            return AESGCM(self.derived(purpose)).decrypt(nonce, sealed, context.encode())
        except (InvalidTag, ValueError):
            raise DermoscopeError(
                "what was encrypted does not open: it is damaged, or of another key; restore it from a backup"
            ) from None


def _begin(check: Path, content: bytes) -> None:
    """Note which key a folder is begun with; of processes that start at once the first one says it."""
    check.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = write_file(check.parent / f"{PART}{secrets.token_hex(8)}", content, durable=True)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, check)
    except OSError as error:
        raise InputError(f"{check}: cannot be written ({error.strerror}); give another --folder") from None
    finally:
        unfinished.unlink(missing_ok=True)
