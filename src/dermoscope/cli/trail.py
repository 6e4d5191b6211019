"""`dermoscope audit`: whether the service's audit trail is whole, taking it along, forgetting what is too old."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermoscope.cli.stored import Database, Folder, caller, store_of

if TYPE_CHECKING:
    from dermoscope.serve.audit import Verified

app = typer.Typer(
    name="audit", no_args_is_help=True, help="The service's audit trail: verify it, export it, prune what is too old."
)
_JSON = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON and nothing else.")]


@app.command()
def verify(
    folder: Folder = None,
    database: Database = "",
    file: Annotated[
        Path | None, typer.Option(help="An export instead of the database; with --folder its seal is compared too.")
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Find any change of the audit trail: lines altered, deleted, inserted, moved or cut off, or all of it made anew.

    Exit code 1 where there is one. The trail is only read; the service may run meanwhile.
    """
    import json

    from dermoscope.cli.progress import phases
    from dermoscope.serve import audit
    from dermoscope.serve.trail import keys_of

    if file is not None and folder is None and not database:
        found = audit.verify_export(file)
    else:
        with store_of(folder, database) as (_, store):
            if file is not None:
                with store.read() as session:
                    found = audit.verify_export(file, keys_of(session))
            else:
                with phases() as told:
                    found = audit.verify(store, lambda done, of: told("lines", done, of))
    if as_json:
        print(json.dumps(found.as_dict(), indent=1, ensure_ascii=False))
    else:
        print("\n".join(_said(found)))
    if not found.ok:
        raise typer.Exit(1)


@app.command()
def export(
    out: Annotated[Path | None, typer.Option(help="File to write. [default: standard output]")] = None,
    after: Annotated[int, typer.Option(min=0, help="Leave out the lines up to this number.")] = 0,
    opened: Annotated[
        bool, typer.Option("--open", help="Add what was said of lesions, where their cases are still there.")
    ] = False,
    folder: Folder = None,
    database: Database = "",
) -> None:
    """Write the audit trail as JSON lines, each with its hash: whoever has them can verify them.

    That it was exported is a line of the trail. What was said of lesions stays sealed without --open.
    """
    import sys

    from dermoscope.serve import audit
    from dermoscope.serve.trail import record

    with store_of(folder, database) as (_, store):
        with store.begin() as session:
            record(session, caller(), "audit.exported", "audit", None, opened=opened)
        with store.read() as session:
            lines = audit.exported(session, after, said=opened)
            if out is None:
                sys.stdout.writelines(lines)
            else:
                _write(out, lines)
                print(f"{out}: written; `dermoscope audit verify --file {out}` checks it", file=sys.stderr)


@app.command()
def prune(
    days: Annotated[int | None, typer.Option(min=1, help="Keep the lines of so many days. [default: as set]")] = None,
    folder: Folder = None,
    database: Database = "",
    as_json: _JSON = False,
) -> None:
    """Remove the oldest lines of the audit trail; the service does so each day. What remains verifies by itself.

    How many days are kept is a setting of the start (`audit_days`, 400 by default). Export what is to be kept first.
    """
    import json

    from dermoscope.core.errors import InputError
    from dermoscope.serve import audit

    with store_of(folder, database) as (options, store):
        kept = options.audit_days if days is None else days
        if kept == 0:
            raise InputError("this service keeps its audit trail for ever (audit_days is 0); name the --days to keep")
        removed = audit.prune(store, kept)
    if as_json:
        print(json.dumps({"removed": removed, "days": kept}))
    else:
        print(
            f"{removed:,} lines older than {kept} days were removed."
            if removed
            else f"No line is older than {kept} days."
        )


def _write(out: Path, lines: "Iterator[str]") -> None:
    """A file that is whole or not there, for nobody else; it may be larger than the memory."""
    import os
    from functools import partial

    from dermoscope.core.errors import InputError
    from dermoscope.data.store import PART

    unfinished = out.parent / f"{PART}{out.name}"
    try:
        with open(unfinished, "w", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
            file.writelines(lines)
        unfinished.replace(out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise InputError(f"{out}: cannot be written ({error.strerror}); name another --out") from None


def _said(found: "Verified") -> list[str]:
    if found.ok and not found.lines:
        return ["The audit trail is empty."]
    if not found.ok:
        first, *others = found.wrong
        told = [f"The audit trail was changed: {first}.", *(f"  {one}" for one in others)]
        return [*told, "Keep a copy of database and folder as they are, and look for who could write to them."]
    lines = "1 line" if found.lines == 1 else f"{found.lines:,} lines"
    told = [f"The audit trail is whole: {lines}, {found.first:,} to {found.last:,}."]
    if found.sealed:
        agree = "1 anchor agrees" if found.anchors == 1 else f"{found.anchors:,} anchors agree"
        told.append(f"  sealed by this service; {agree}")
    else:
        told.append("  chained without a gap; who wrote it only the key of its service tells (--folder)")
    told.append(f"  last hash {found.hash}")
    return [*told, "Note number and hash elsewhere: who can write database and folder cannot change what you noted."]
