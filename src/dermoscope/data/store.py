"""Writing a file whole or not at all, and holding a folder against other processes."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dermoscope.core.errors import DermoscopeError, FullError, InputError

PART = ".part-"
"""What names of files begin with that are not whole yet; after a kill they may be left over."""


def write_file(path: Path, data: bytes, *, durable: bool = False) -> Path:
    """Write `data` under a temporary name in the same folder, then move it into place; missing folders are made.

    With `durable` it returns only once the file is on the disk under its name, so that a power cut leaves it there.
    Raises FullError where there is no room, InputError where it cannot be written for another reason; both name it.
    """
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=PART, delete=False) as file:
            unfinished = Path(file.name)
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.chmod(0o644)  # a temporary file is readable by its owner only
        unfinished.replace(path)
        if durable:
            keep_names(path.parent)
            keep_names(path.parent.parent)  # the folder itself may be new
    except OSError as error:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        kind = FullError if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else InputError
        raise kind(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def keep_names(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk. Raises OSError."""
    if os.name == "nt":
        return  # Windows opens no folder
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)


@contextmanager
def sole(lock: Path, busy: DermoscopeError, remedy: str) -> Iterator[None]:
    """Hold the folder of a lock file against other processes; the hold ends with the process, however that ends.

    Raises `busy` where another holds it, InputError with `remedy` where the folder cannot be written.
    """
    hold = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        hold.acquire(timeout=0)
    except Timeout:
        raise busy from None
    except OSError as error:
        raise InputError(f"{lock.parent}: cannot be written ({error.strerror or error}); {remedy}") from None
    try:
        yield
    finally:
        hold.release()
