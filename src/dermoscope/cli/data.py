"""`dermoscope data`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermoscope.cli import audit

if TYPE_CHECKING:
    from dermoscope.core.cases import CaseSet
    from dermoscope.data.acquire import Got
    from dermoscope.data.listing import Listing

app = typer.Typer(help="Public data sets: what there is, and whether it can be trusted.", rich_markup_mode=None)

app.command("audit")(audit.audit)
app.command("split")(audit.split)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the data sets; default: DERMOSCOPE_DATA, else the folder data under DERMOSCOPE_HOME."),
]


@app.callback(no_args_is_help=True)
def _root() -> None:
    """Public data sets: what there is, and whether it can be trusted."""


@app.command("list")
def list_sets(root: Root = None, as_json: AsJson = False) -> None:
    """List the public data sets: size, licence, how to get them, whether they are here."""
    import json

    from dermoscope.data.catalog import CATALOG
    from dermoscope.data.listing import listing

    sets = [listing(entry, root) for entry in CATALOG.values()]
    if as_json:
        print(json.dumps([one.as_dict() for one in sets], indent=1, ensure_ascii=False))
    else:
        _show(sets)


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="Name of a data set: see `dermoscope data list`.")],
    root: Root = None,
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed", help="Take files whose size or checksum is not the known one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a public data set, check it and unpack it. A transfer that broke off goes on where it was."""
    import json

    from dermoscope.cli.progress import transfers
    from dermoscope.data.acquire import acquire, missing_bytes
    from dermoscope.data.catalog import find, load, storage, whereabouts
    from dermoscope.data.fetch import readable

    entry, folder = find(name), storage(root)
    missing = missing_bytes(entry, folder)
    if not as_json:
        print(f"{entry.title}\n\n  licence  {entry.licence}", end="")
        print("" if entry.commercial else ": no commercial use")
        print(f"  cite     {_wrapped(entry.citation)}\n  into     {folder}")
        here = f", {readable(entry.download_bytes - missing)} of it is here" if missing < entry.download_bytes else ""
        print(f"  size     {readable(entry.download_bytes)} as published{here}\n", flush=True)
    with transfers() as progress:
        got = acquire(entry, folder, progress, accept_changed=accept_changed)
    cases = load(name, folder)
    layout = whereabouts(entry, folder).layout
    note = layout.lacks if layout else ""
    if as_json:
        files = [{"file": g.file, "state": g.state, "bytes": g.bytes, "sha256": g.sha256} for g in got]
        terms = {"licence": entry.licence, "commercial_use": entry.commercial, "citation": entry.citation}
        said = {"name": name, "root": str(folder), "cases": len(cases), "note": note, **terms, "files": files}
        print(json.dumps(said, ensure_ascii=False))
    else:
        _tell(name, folder, got, cases, note)


def _tell(name: str, folder: Path, got: "tuple[Got, ...]", cases: "CaseSet", note: str) -> None:
    """What was fetched, where it lies, and what to do next."""
    from dermoscope.data.catalog import storage
    from dermoscope.data.fetch import readable

    words = {"already": "already here", "kept": "was there before, not checked"}
    if not got:
        print("  the whole set was here before; nothing was fetched")
    for one in got:
        size = readable(one.bytes) if one.bytes else ""
        print(f"  {one.file:48} {size:>8}  {words.get(one.state, one.state)}")
    counts = ", ".join(f"{code} {n:,}" for code, n in cases.counts().items() if n)
    print(f"\n{len(cases):,} images of {len(set(cases.groups)):,} lesions in {folder}\n  {counts}")
    if note:
        print(f"\nNote: {_wrapped(note, 6)}.")
    print("\nNext:")
    if folder.resolve() != storage().resolve():
        print(f"    export DERMOSCOPE_DATA={folder.resolve()}")
    print(f"    dermoscope data audit {name}\n    dermoscope train --recipe quick --data {name} --out runs/{name}")


def _wrapped(text: str, indent: int = 11) -> str:
    import shutil
    import textwrap

    width = max(60, min(shutil.get_terminal_size().columns, 120))
    return textwrap.fill(text, width, initial_indent=" " * indent, subsequent_indent=" " * indent).strip()


def _show(sets: "list[Listing]") -> None:
    """A table where there is room for one, else a paragraph for each set."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if console.width < 100:
        for one in sets:
            print(f"{one.entry.name}: {_wrapped(one.entry.title, 2)}")
            for label, text in _facts(one).items():
                print(f"  {label:8} {_wrapped(text)}")
            print()
    else:
        table = Table("set", "images", "lesions", "to fetch", "licence", "how", "here", box=None, pad_edge=False)
        for column in table.columns[1:4]:
            column.justify = "right"
        for one in sets:
            lesions = f"{one.entry.lesions:,}" if one.entry.lesions else "?"
            licence = f"{one.entry.licence}: {one.use}"
            row = (one.entry.name, f"{one.entry.images:,}", lesions, one.size, licence, one.entry.access, one.where)
            table.add_row(*row)
        console.print(table)
        print("\nkind: all are " + " or ".join(sorted({one.entry.kind for one in sets})) + ". The readers ran on:")
        for one in sets:
            print(f"  {one.entry.name:10} {one.entry.reader_ran}")
    print(f"\nThey are looked for in {sets[0].root}. Fetch one:  dermoscope data get NAME")


def _facts(one: "Listing") -> dict[str, str]:
    lesions = f" of {one.entry.lesions:,} lesions" if one.entry.lesions else ", lesions not known for all"
    return {
        "images": f"{one.entry.images:,} {one.entry.kind}{lesions}; {one.size} to fetch",
        "licence": f"{one.entry.licence}: {one.use}",
        "how": one.entry.access + (f": {one.command}" if one.command else ""),
        "here": one.where,
        "reader": f"ran on {one.entry.reader_ran}",
    }
