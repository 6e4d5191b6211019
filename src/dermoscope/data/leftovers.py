"""What killed writes and transfers left behind, and one writer at a time."""

import os
import shutil
import time
from collections.abc import Iterator, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dermoscope.core.errors import InputError
from dermoscope.data.store import sole
from dermoscope.data.unpack import REPLACED, UNPACKING

_LOCK = ".dermoscope-get.lock"
_DEPTH = 3
_RECENT = 60.0
"""Seconds for which a temporary file may still be being written."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder of a write that never ended, its bytes, and whether the next `data get` goes on from it."""

    path: Path
    bytes: int
    resumable: bool


def leftovers(root: Path) -> tuple[Leftover, ...]:
    """What killed writes left in a folder and up to two levels below; folders of images are not looked through."""
    return tuple(_found(root, _DEPTH)) if root.is_dir() else ()


def sweep(root: Path) -> None:
    """Remove what no later command can use. To be called by who holds the `sole_writer` of the root."""
    for left in leftovers(root):
        if left.resumable:
            continue
        if left.path.is_dir():
            shutil.rmtree(left.path, ignore_errors=True)
        else:
            left.path.unlink(missing_ok=True)


def sole_writer(root: Path) -> AbstractContextManager[None]:
    """Hold a folder against other writers; the hold ends with the process, however that ends.

    Raises InputError where another process holds it or the folder cannot be written.
    """
    busy = InputError(f"{root}: another `dermoscope data get` is at work there; wait for it, or stop it")
    return sole(root / _LOCK, busy, "choose another folder with --root")


def _found(folder: Path, depth: int) -> Iterator[Leftover]:
    try:
        inside = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:  # not ours to read
        return
    names = {entry.name for entry in inside}
    for entry in inside:
        path, name = Path(entry.path), entry.name
        if entry.is_symlink():
            continue
        if entry.is_dir():
            if name.startswith(".") and name.endswith((UNPACKING, REPLACED)):
                yield Leftover(path, sum(p.stat().st_size for p in path.rglob("*") if p.is_file()), False)
            elif depth > 1 and not name.startswith("."):
                yield from _found(path, depth - 1)
        elif name.endswith(".part"):
            # without its state it is none of ours: browsers call their unfinished files so too
            if name + ".json" in names:
                yield Leftover(path, entry.stat().st_size, True)
        elif _abandoned(name, names) and time.time() - entry.stat().st_mtime > _RECENT:
            yield Leftover(path, entry.stat().st_size, False)


def _abandoned(name: str, beside: Set[str]) -> bool:
    """Whether a file is the temporary one of a write, or tells of a part that is gone."""
    return name.startswith(".part-") or (name.endswith(".part.json") and name.removesuffix(".json") not in beside)
