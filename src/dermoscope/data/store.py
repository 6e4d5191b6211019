"""Writing a file whole or not at all."""

import tempfile
from pathlib import Path

from dermoscope.core.errors import InputError


def write_file(path: Path, data: bytes) -> Path:
    """Write `data` under a temporary name in the same folder, then move it into place; missing folders are made.

    Raises InputError, naming the file, where it cannot be written.
    """
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
            unfinished = Path(file.name)
            file.write(data)
        unfinished.chmod(0o644)  # a temporary file is readable by its owner only
        unfinished.replace(path)
    except OSError as error:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path
