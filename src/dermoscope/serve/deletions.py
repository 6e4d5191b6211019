"""What was deleted, a line for each case: `FOLDER/deletions.jsonl`.

It lies apart from the database, and no backup brings an older one back: after a restore these cases are deleted again.
A line says the name for ever of a case (`Case.uid`), when and by whom, and nothing else.
"""

import errno
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dermoscope.core.errors import DermoscopeError
from dermoscope.data.store import keep_names

FILE = "deletions.jsonl"
"""Its name below the folder of the service."""


def remembered(path: Path) -> dict[str, dict[str, Any]]:
    """What a file of deletions names: the line of each case, by its uid. A last line that was cut off is left out.

    Raises DermoscopeError for a file that is damaged elsewhere.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise DermoscopeError(f"{path}: cannot be read ({error}); restore it from a backup") from None
    found: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(lines[:-1], start=1):
        try:
            held = json.loads(line)
            found[str(held["uid"])] = held
        except (ValueError, KeyError, TypeError):
            raise DermoscopeError(f"{path}: line {number} is damaged; mend it by hand, or from a backup") from None
    return found


def remember(folder: Path, lines: Collection[Mapping[str, Any]]) -> None:
    """Add lines to a folder's file of deletions, unless they stand there; then they are on the disk.

    Raises DermoscopeError where it cannot be written.
    """
    path = folder / FILE
    held = remembered(path)
    new = [line for line in lines if line["uid"] not in held]
    if not new:
        return
    text = "".join(json.dumps(line) + "\n" for line in new).encode()
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.ftruncate(file, path.read_bytes().rfind(b"\n") + 1)  # a line that a kill has cut off
            if os.write(file, text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        finally:
            os.close(file)
        keep_names(folder)
    except OSError as error:
        raise DermoscopeError(
            f"{path}: cannot be written ({error.strerror}); what is to be deleted goes once that is mended"
        ) from None
