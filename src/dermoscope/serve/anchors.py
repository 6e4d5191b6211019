"""Anchors: where the audit trail ended at which time, in a file beside the database that only grows.

Each is a line of JSON, sealed under the trail's own key. A trail whose last lines were cut off, or that was put back to
an older state as a whole, verifies by itself; but an anchor knows what it held.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dermoscope.core.errors import DermoscopeError
from dermoscope.data.store import write_file
from dermoscope.serve.sealing import Keys
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Head, now
from dermoscope.serve.trail import ANCHORS, keys_of, text_of_time


class Anchor(NamedTuple):
    """The number and the hash of the last line at a time."""

    number: int
    hash: str
    at: str

    def line(self, keys: Keys) -> str:
        """As it stands in the file."""
        return json.dumps({**self._asdict(), "seal": self.seal(keys)}) + "\n"

    def seal(self, keys: Keys) -> str:
        """What proves that the service wrote it."""
        return keys.seal("anchor", " ".join(map(str, self)))


@dataclass(frozen=True)
class BadAnchor:
    """A line of the file that the service did not write."""

    line: int


def add(store: Store) -> Anchor | None:
    """Write an anchor for the end of the trail; None where the last one says so already.

    Raises DermoscopeError where the file cannot be written.
    """
    with store.begin() as session:  # nobody prunes meanwhile, and what is read is committed
        head, keys = session.get(Head, 1), keys_of(session)
        path = keys.folder / ANCHORS
        if head is None or head.count == 0:
            return None
        anchor = Anchor(head.count, head.hash, text_of_time(now()))
        try:
            end = _end(path)
            if f'"hash": "{anchor.hash}"'.encode() in end:
                return None
            _append(path, ("" if end.endswith(b"\n") or not end else "\n") + anchor.line(keys))
        except OSError as error:
            raise DermoscopeError(
                f"{path}: cannot be written ({error.strerror}); the service needs room on its disk, and the right to "
                "write there"
            ) from None
    return anchor


def read(path: Path, keys: Keys, size: int | None = None) -> Iterator[Anchor | BadAnchor]:
    """The anchors of the first `size` bytes, the oldest first. What a kill left half-written is passed over."""
    if not path.exists():
        return
    left = path.stat().st_size if size is None else size
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            left -= len(line)
            if left < 0:
                return
            if line.strip():
                found = _anchor(line, keys)
                torn = found is None and not line.rstrip().endswith(b"}")
                if not torn:
                    yield found or BadAnchor(number)


def drop(keys: Keys, base: int) -> None:
    """Forget the anchors of lines that were pruned; nobody may write meanwhile."""
    path = keys.folder / ANCHORS
    if path.exists():
        kept = [a.line(keys) for a in read(path, keys) if isinstance(a, Anchor) and a.number > base]
        write_file(path, "".join(kept).encode(), durable=True)
        path.chmod(0o600)


def _anchor(line: bytes, keys: Keys) -> Anchor | None:
    try:
        said = json.loads(line)
        found = Anchor(int(said["number"]), str(said["hash"]), str(said["at"]))
    except (ValueError, TypeError, KeyError):
        return None
    return found if said.get("seal") == found.seal(keys) else None


def _end(path: Path) -> bytes:
    """The last bytes of the file."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 400))
        return file.read()


def _append(path: Path, text: str) -> None:
    """On the disk when it returns."""
    held = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(held, text.encode())
        os.fsync(held)
    finally:
        os.close(held)
