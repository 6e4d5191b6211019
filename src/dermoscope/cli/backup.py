"""`dermoscope backup` and `dermoscope restore`."""

from pathlib import Path
from typing import Annotated

import typer

from dermoscope.cli.stored import Database, Folder

AsJson = Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")]
KEY = "DERMOSCOPE_BACKUP_KEY"
"""The variable that holds the key of a backup, where that is not the key of the service."""


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    folder: Folder = None,
    database: Database = "",
    as_json: AsJson = False,
) -> None:
    """Back the service up into one file, while it runs or not.

    What was deleted is noted in `deletions.jsonl` beside the file. With DERMOSCOPE_KEY the file is encrypted.
    """
    import json
    import sys

    from dermoscope.cli.progress import phases
    from dermoscope.cli.stored import caller
    from dermoscope.serve.backup import backup as make
    from dermoscope.serve.configure import options_for

    options = options_for(folder, database)
    with phases() as told:
        made = make(options, file, caller(), told)
    if as_json:
        print(json.dumps(made.as_dict(), indent=1))
    else:
        print(f"{made.path}: {made.cases} cases, {made.pictures} pictures, {made.size / 1e6:.1f} MB")
        print(f"  SHA-256 {made.sha256}")
        print(
            "  encrypted with DERMOSCOPE_KEY" if options.key else "  not encrypted: keep it where nobody else reads it"
        )
    if made.missing:
        print(
            f"{len(made.missing)} pictures are damaged or lost and not in it, {made.missing[0]} first", file=sys.stderr
        )


def restore(
    file: Annotated[Path, typer.Argument(help="A file of `dermoscope backup`.")],
    folder: Annotated[Path, typer.Option(help="The new folder of the service; empty, or not there yet.")],
    database: Annotated[str, typer.Option(help="An empty PostgreSQL database, for a backup of such a one.")] = "",
    deletions: Annotated[
        list[Path] | None,
        typer.Option(help="A `deletions.jsonl` besides that beside the file, such as the old folder's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a new folder; what was deleted since is deleted again.

    The new folder is encrypted with DERMOSCOPE_KEY, where that is set. A backup under another key is opened with
    DERMOSCOPE_BACKUP_KEY. Logins end; look through users and keys, which are as they were then.
    """
    import json
    import os

    from dermoscope.cli.progress import phases
    from dermoscope.cli.stored import caller
    from dermoscope.core.errors import DermoscopeError
    from dermoscope.serve.configure import options_for
    from dermoscope.serve.restore import Extra
    from dermoscope.serve.restore import restore as bring_back
    from dermoscope.serve.vault import key_from

    options = options_for(folder, database)
    with phases() as told:
        before = key_from(os.environ.get(KEY, ""), KEY)
        done = bring_back(file, options, Extra(tuple(deletions or ()), before, caller()), told)
    if as_json:
        print(json.dumps(done.as_dict(), indent=1))
    else:
        print(f"{done.folder}: {done.counts['cases']} cases and {done.pictures} pictures of {done.made_at}")
        print(f"  {done.deleted} cases were deleted since, and were deleted again")
        print("  the audit trail verifies" if not done.wrong else "  the audit trail does not verify")
        if done.missing:
            print(f"  {len(done.missing)} pictures were not in the backup, {done.missing[0]} first")
        print("  logins have ended; look through users and keys, which are as they were when it was made")
    if done.wrong:
        raise DermoscopeError(f"{done.folder}: is restored, but its audit trail does not verify: {done.wrong[0]}")
