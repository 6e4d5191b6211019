"""Image files by the SHA-256 of their content: written once, counted, and removed when nothing uses them.

    FOLDER/blobs/ab/abcdef...            the file
    FOLDER/thumbs/ab/abcdef...-480.jpg   a small copy of it, made again whenever it is missing

Where the folder has a key both are encrypted, and called by a keyed hash of that SHA-256: who has a picture cannot see
whether it is among them.

A file is written before the row that counts it, and removed while no other transaction can write. So whatever a row
speaks of is there, after a kill and after a power cut too; at worst a file is left over, which `sweep` finds.
"""

import contextlib
import datetime
import hashlib
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.core.errors import DermoscopeError, FullError, InputError
from dermoscope.data.store import PART, keep_names, write_file
from dermoscope.data.thumbnails import thumbnail
from dermoscope.serve.gone import disk_is_full, no_room
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Blob, Image, JobItem
from dermoscope.serve.vault import Vault

SIDES = (160, 320, 640, 1280)
"""Longer sides of small copies, in px."""
KEPT = datetime.timedelta(hours=1)
"""What nobody uses is kept that long: it may belong to an upload that is not finished."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_AT_ONCE = 200
"""Files removed in one transaction: others wait no longer than for these."""


@dataclass(frozen=True)
class Swept:
    """What `sweep` removed: pictures, bytes of them, and leftovers (unfinished files, small copies of nothing)."""

    files: int
    size: int
    leftovers: int


@dataclass(frozen=True)
class Blobs:
    """The files below a folder. Only `use` and `release` say whether one is needed."""

    folder: Path
    vault: Vault = field(default_factory=Vault)

    @staticmethod
    def digest(data: bytes) -> str:
        """The name of a content."""
        return hashlib.sha256(data).hexdigest()

    def path(self, digest: str) -> Path:
        """Where a content lies. Raises ValueError for what is no digest."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"no digest: {digest[:80]!r}")
        return self._at(self.vault.name(digest))

    def put(self, data: bytes) -> str:
        """Write a content, unless it is there, and return its digest; then it is on the disk, whole.

        Until it is used it is safe from `sweep` for as long as that is told to spare what is young; within the
        transaction that uses it, altogether.
        Raises FullError where the disk is full, DermoscopeError where it cannot be written.
        """
        digest = self.digest(data)
        path = self.path(digest)
        try:
            if self._holds(digest, data):
                os.utime(path)  # young again: `sweep` leaves it to whoever asked for it just now
                keep_names(path.parent)
            else:
                write_file(path, self.vault.lock(data, digest), durable=True)
        except (FullError, InputError, OSError) as error:
            if isinstance(error, FullError) or disk_is_full(error):
                raise no_room() from error
            raise DermoscopeError(
                f"{error}; the service needs room on its disk, and the right to write there"
            ) from None
        return digest

    def read(self, digest: str) -> bytes:
        """A content, compared with its digest. Raises DermoscopeError where it is missing or damaged."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DermoscopeError(f"{path}: cannot be read ({error.strerror}); restore it from a backup") from None
        try:
            data = self.vault.open(data, digest)
        except DermoscopeError as error:
            raise DermoscopeError(f"{path}: {error}") from None
        if self.digest(data) != digest:
            raise DermoscopeError(f"{path}: damaged (its SHA-256 is another one); restore it from a backup")
        return data

    def thumbnail(self, digest: str, side: int = 320) -> bytes:
        """A small JPEG of an image, sRGB and upright, at least `side` px long where the image is (see `SIDES`).

        Raises DermoscopeError like `read`.
        """
        side = next((known for known in SIDES if known >= side), SIDES[-1])
        kept, called = self._thumbs(digest) / f"{self.vault.name(digest)}-{side}.jpg", f"{digest}-{side}"
        with contextlib.suppress(DermoscopeError, FileNotFoundError):  # a damaged one is made anew
            return self.vault.open(kept.read_bytes(), called)
        small = thumbnail(self.read(digest), side)
        with contextlib.suppress(FullError):  # it can be shown all the same
            write_file(kept, self.vault.lock(small, called), durable=True)
        if not self.path(digest).exists():
            kept.unlink(missing_ok=True)  # its picture was deleted meanwhile, and nothing of it stays
        return small

    def remove(self, digest: str) -> int:
        """Remove a file and its small copies, and return its size in bytes (0 where there is none)."""
        self.path(digest)
        return self._unlink(self.vault.name(digest))

    def _unlink(self, name: str) -> int:
        path = self._at(name)
        size = path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        for small in (self.folder / "thumbs" / name[:2]).glob(f"{name}-*.jpg"):
            small.unlink(missing_ok=True)
        return size

    def use(self, session: Session, digest: str, media: str, size: int) -> None:
        """Count one more use of a file, in a transaction that writes. Raises DermoscopeError where it is not there."""
        if not self.path(digest).exists():
            raise DermoscopeError(f"{self.path(digest)}: is not there; send the image again")
        blob = session.get(Blob, digest)
        if blob is None:
            session.add(Blob(digest=digest, media=media, size=size, references=1))
        else:
            blob.references = Blob.references + 1
        session.flush()

    def release(self, session: Session, digest: str) -> None:
        """Count one use less; the file stays until the next `sweep`. Raises ValueError where none was counted."""
        blob = session.get(Blob, digest)
        if blob is None or blob.references < 1:
            raise ValueError(f"nothing uses {digest}")
        blob.references = Blob.references - 1
        session.flush()

    def sweep(self, store: Store, older_than: datetime.timedelta = KEPT) -> Swept:
        """Remove what nothing uses, and leftovers, where they were not written or asked for that recently.

        Safe beside uploads of this and other processes: a file goes in a transaction that keeps all others from
        writing, and what is uploaded again meanwhile is young.
        """
        before = time.time() - older_than.total_seconds()
        names = {path.name for path in self._everything() if _DIGEST.fullmatch(path.name) and _older(path, before)}
        with store.read() as session:
            names |= {self.vault.name(d) for d in session.scalars(select(Blob.digest).where(Blob.references < 1))}
        files, size = self._removed(store, sorted(names), before)
        left = [path for path in self._everything() if self._left_over(path, before)]
        if left:
            with store.begin():
                left = [path for path in left if self._left_over(path, before)]
                for path in left:
                    path.unlink(missing_ok=True)
        return Swept(files, size, len(left))

    def remove_unused(self, store: Store) -> int:
        """Remove at once every file that was used and is used no longer, and return how many.

        Also safe beside uploads; one that has stored the same picture and not counted it yet is told to send it again.
        """
        with store.read() as session:
            released = session.scalars(select(Blob.digest).where(Blob.references < 1)).all()
        return self._removed(store, sorted(map(self.vault.name, released)), math.inf)[0]

    def _removed(self, store: Store, names: Sequence[str], before: float) -> tuple[int, int]:
        """Remove files by name, where nothing uses them and nobody put them since; how many, of how many bytes."""
        files = size = 0
        for start in range(0, len(names), _AT_ONCE):
            with store.begin() as session:
                for name in self._unused(session, names[start : start + _AT_ONCE], before):
                    files, size = files + 1, size + self._unlink(name)
        return files, size

    def _unused(self, session: Session, names: Sequence[str], before: float) -> Iterator[str]:
        """Those of the names that no row uses and nobody put since; their own rows are deleted."""
        digests = {name: name for name in names}
        if self.vault.key:  # what a name stands for is known of the digests in the database alone
            digests = {self.vault.name(digest): digest for digest in session.scalars(select(Blob.digest))}
        asked = [digests[name] for name in names if name in digests]
        held = {blob.digest: blob for blob in session.scalars(select(Blob).where(Blob.digest.in_(asked)))}
        # the count alone would do; but a wrong count must not cost a picture
        named = set(session.scalars(select(Image.digest).where(Image.digest.in_(asked))))
        named |= set(session.scalars(select(JobItem.digest).where(JobItem.digest.in_(asked))))
        for name in names:
            digest = digests.get(name)
            blob = None if digest is None else held.get(digest)
            if digest in named or (blob is not None and blob.references > 0) or not _older(self._at(name), before):
                continue
            if blob is not None:
                session.delete(blob)
            yield name

    def _left_over(self, path: Path, before: float) -> bool:
        """An unfinished file, or the small copy of a picture that is gone; not written that recently."""
        if not _older(path, before):
            return False
        if path.name.startswith(PART):
            return True
        digest = path.name.partition("-")[0]
        small = path.parent.parent.name == "thumbs" and _DIGEST.fullmatch(digest)
        return bool(small) and not self._at(digest).exists()

    def _everything(self) -> Iterator[Path]:
        return (path for kind in ("blobs", "thumbs") for path in (self.folder / kind).glob("*/*"))

    def _thumbs(self, digest: str) -> Path:
        return self.folder / "thumbs" / self.path(digest).parent.name

    def _at(self, name: str) -> Path:
        return self.folder / "blobs" / name[:2] / name

    def _holds(self, digest: str, data: bytes) -> bool:
        """Whether a file has that very content; one that was damaged is written anew."""
        try:
            held = self.path(digest).read_bytes()
            return self.vault.open(held, digest) == data
        except (DermoscopeError, FileNotFoundError):
            return False


def _older(path: Path, before: float) -> bool:
    """Whether a file was written or asked for before that time; one that is gone was."""
    try:
        return path.stat().st_mtime <= before
    except FileNotFoundError:
        return True
