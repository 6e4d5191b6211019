"""`dermoscope retention`: what would be deleted by age."""

from pathlib import Path
from typing import Annotated

import typer

_SHOWN = 20
"""Cases that are listed on a terminal."""


def retention(
    days: Annotated[
        int | None, typer.Option(min=1, help="Days that cases are kept; by default as the service is set.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder of the service. [default: as `serve`]")] = None,
    database: Annotated[
        str,
        typer.Option(help="Its database, where that is not in the folder; by default DERMOSCOPE_DATABASE."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the cases that the service would delete by their age. It deletes nothing itself.

    A case counts from its last picture, reading or histology.
    """
    import json

    from dermoscope.core.errors import InputError
    from dermoscope.serve.configure import options_for
    from dermoscope.serve.retention import due
    from dermoscope.serve.store import Store

    options = options_for(folder, database)
    kept = days or options.retention_days
    if not options.database and not (options.folder / "dermoscope.sqlite").is_file():
        raise InputError(f"{options.folder}: no service has stored anything here; name its --folder or --database")
    store = Store.open(options)
    try:
        with store.read() as session:
            found = due(session, kept)
    finally:
        store.close()
    if as_json:
        rows = [{"case": one.case_id, "last": one.last.isoformat()} for one in found]
        print(json.dumps({"days": kept, "applied": options.retention_days > 0, "due": rows}, indent=1))
        return
    if not kept:
        print("Cases are kept for ever: no days are set. See with --days N what would go.")
        return
    have = "case has" if len(found) == 1 else "cases have"
    print(f"{len(found)} {have} had no picture, reading or histology for {kept} days.")
    for one in found[:_SHOWN]:
        print(f"  case {one.case_id}, last on {one.last:%Y-%m-%d}")
    if len(found) > _SHOWN:
        print(f"  and {len(found) - _SHOWN} others; --json lists them all")
    if kept == options.retention_days:
        print("The service deletes them within the hour that it runs.")
    else:
        print(f"To have such cases deleted, start the service with DERMOSCOPE_SERVE_RETENTION_DAYS={kept}.")
