"""`dermoscope retention`: what would be deleted by age."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dermoscope.cli.stored import Database, Folder

if TYPE_CHECKING:
    from dermoscope.serve.retention import Due

_SHOWN = 20
"""Cases that are listed on a terminal."""


def retention(
    days: Annotated[
        int | None, typer.Option(min=1, help="Days that cases are kept; by default as the service is set.")
    ] = None,
    folder: Folder = None,
    database: Database = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the cases that the service would delete by their age. It deletes nothing itself.

    A case counts from its last picture, reading or histology.
    """
    import json

    from dermoscope.cli.stored import store_of
    from dermoscope.serve.retention import due

    with store_of(folder, database) as (options, store), store.read() as session:
        kept, applied = days or options.retention_days, options.retention_days
        found = due(session, kept)
    if as_json:
        rows = [{"case": one.case_id, "last": one.last.isoformat()} for one in found]
        print(json.dumps({"days": kept, "applied": applied > 0, "due": rows}, indent=1))
    elif not kept:
        print("Cases are kept for ever: no days are set. See with --days N what would go.")
    else:
        _tell(found, kept, applied)


def _tell(found: "Sequence[Due]", kept: int, applied: int) -> None:
    have = "case has" if len(found) == 1 else "cases have"
    print(f"{len(found)} {have} had no picture, reading or histology for {kept} days.")
    for one in found[:_SHOWN]:
        print(f"  case {one.case_id}, last on {one.last:%Y-%m-%d}")
    if len(found) > _SHOWN:
        print(f"  and {len(found) - _SHOWN} others; --json lists them all")
    if kept == applied:
        print("The service deletes them within the hour that it runs.")
    else:
        print(f"To have such cases deleted, start the service with DERMOSCOPE_SERVE_RETENTION_DAYS={kept}.")
