"""What the commands share that look after a service's database beside the service itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.serve.options import Options
    from dermoscope.serve.store import Store

Folder = Annotated[Path | None, typer.Option(help="Folder of the service. [default: as `serve`]")]
Database = Annotated[
    str, typer.Option(help="Its database, where that is not in the folder; by default DERMOSCOPE_DATABASE.")
]


@contextmanager
def store_of(folder: Path | None, database: str) -> "Iterator[tuple[Options, Store]]":
    """The database of a service that is there. Raises InputError where nothing is."""
    from dermoscope.core.errors import InputError
    from dermoscope.serve.configure import options_for
    from dermoscope.serve.store import Store

    options = options_for(folder, database)
    if not options.database and not (options.folder / "dermoscope.sqlite").is_file():
        raise InputError(f"{options.folder}: no service has stored anything here; name its --folder or --database")
    store = Store.open(options)
    try:
        yield options, store
    finally:
        store.close()


def caller() -> str:
    """Who stands in the audit trail for what a command does; no account can have such a name."""
    import getpass
    import os

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # containers run numbers that have no name
        name = f"uid {os.getuid()}"
    return f"command line ({name})"[:80]
