"""`dermoscope data`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermoscope.cli import audit

if TYPE_CHECKING:
    from dermoscope.core.cases import CaseSet
    from dermoscope.data.acquire import Got
    from dermoscope.data.combine import Combined
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
    """List the public data sets: size, kind, licence, how to get them, whether they are here."""
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


@app.command("combine")
def combine(
    given: Annotated[list[str], typer.Argument(metavar="NAME|PATH", help="Names of the catalog or paths.")],
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier combination there is replaced.")],
    commercial_ok: Annotated[
        bool, typer.Option("--commercial-ok", help="Only sets whose licence allows commercial use.")
    ] = False,
    dermoscopic_only: Annotated[
        bool, typer.Option("--dermoscopic-only", help="Leave out sets of clinical photographs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make one data set of several: pictures that stand in two of them dropped, groups merged, licences collected.

    The same sets give the same bytes. Images stay where they are; use the folder as --data.
    """
    import json

    from dermoscope.cli.progress import phases
    from dermoscope.data.combine import combine as make

    with phases() as progress:
        found = make(given, out, commercial_ok=commercial_ok, dermoscopic_only=dermoscopic_only, progress=progress)
    lost = [{"image": d.image, "set": d.set, "reason": d.reason, "instead": d.instead} for d in found.dropped]
    if as_json:
        said = {"folder": str(out), "images": len(found.whole), "groups": len(set(found.whole.groups))}
        said |= {"sources": found.counts(), "dropped": lost, "left_out": dict(found.left_out)}
        print(json.dumps(said, indent=1, ensure_ascii=False))
    else:
        _tell_combined(found, out)


def _tell_combined(found: "Combined", out: Path) -> None:
    from dermoscope.cli.audit import _print_counts
    from dermoscope.data.licences import verdict

    for name, why in found.left_out.items():
        print(f"left out: {name}: {why}")
    whole = found.whole
    print(f"{len(whole):,} images in {len(set(whole.groups)):,} groups, of {', '.join(p.name for p in found.parts)}\n")
    _print_counts("source", {s: {c: n for c, n in of.items() if n} for s, of in found.counts().items()})
    reasons = Counter(d.reason.split(",")[0].split(":")[0] for d in found.dropped)
    kinds = ", ".join(f"{n:,} {why}" for why, n in reasons.most_common())
    print(f"\ndropped: {len(found.dropped):,} images" + (f" ({kinds}), listed in dropped.csv" if kinds else ""))
    unknown = sum(of.get("UNK", 0) for of in found.counts().values())
    if unknown:
        print(f"UNK: {unknown:,} images are none of the diagnoses; training leaves them out")
    print("licences:")
    used = Counter(row.set for row in found.rows)
    for line in verdict([(p.name, used[p.name], p.entry, p.said) for p in found.parts]):
        print(f"  {_wrapped(line, 2)}")
    print(f"\nwritten: {out}: cases.csv, split.csv, dropped.csv, table.csv, licences.md, combined.json")
    print(f"next:    dermoscope train --recipe quick --data {out} --out runs/{out.name}")


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
    """A table; where there is little room, without licence and access."""
    import re

    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    wide = console.width >= 96
    columns = ("set", "images", "kind", *(("licence",) if wide else ()), "commercial", *(("had by",) if wide else ()))
    table = Table(*columns, "here", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    may = {True: "yes", False: "no", None: "not known"}
    for one in sets:
        entry = one.entry
        licence, access = re.sub(r" \([^)]*\)", "", entry.licence), "data get" if one.command else entry.access
        cells = (entry.name, one.count, entry.kind, *((licence,) if wide else ()), may[entry.commercial])
        table.add_row(*cells, *((access,) if wide else ()), one.where)
    console.print(table)
    print(f"\n{_wrapped(_NOTE, 0)}\n")
    print(f"They are looked for in {sets[0].root}.")
    print("Read about one:  dermoscope data show NAME\nFetch one:       dermoscope data get NAME")


_NOTE = (
    "images: as published, not all are read. kind: of mixed sets only the dermoscopic images are read. commercial: "
    "whether the licence allows it. had by: `data get` fetches it; the others come from the address that `data show` "
    "names, some after a form or a login."
)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of a data set: see `dermoscope data list`.")],
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Say everything the catalog knows of one public data set: terms, files, words, what is debatable, sources."""
    import json

    from dermoscope.data.catalog import find
    from dermoscope.data.listing import details, listing

    one = listing(find(name), root)
    more = details(one)
    if as_json:
        print(json.dumps(one.as_dict() | more, indent=1, ensure_ascii=False))
        return
    print(f"{one.entry.name}: {_wrapped(one.entry.title, 2)}\n")
    for label, text in _facts(one).items():
        print(f"  {label:8} {_wrapped(text)}")
    _show_files(more)
    _show_words(more)
    print("\nWhere each statement was read")
    for what, where in one.entry.read_at.items():
        print(f"  {what:10} {_wrapped(where, 13)}")


def _facts(one: "Listing") -> dict[str, str]:
    entry = one.entry
    sizes = [f"{one.count} {entry.kind} images"]
    sizes += [f"{n:,} {what}" for n, what in ((entry.lesions, "lesions"), (entry.patients, "patients")) if n]
    facts = {
        "images": ", ".join(sizes) + (f"; {one.size} to fetch" if one.size else ""),
        "licence": f"{entry.licence}: {one.use}",
        "cite": entry.citation,
        "address": entry.address,
        "how": entry.access + (f": {one.command}" if one.command else ""),
        "here": f"{one.where} (looked for in {one.root})",
        "reader": f"ran on {entry.reader_ran}",
    }
    return facts | ({"lacks": "; ".join(entry.lacks)} if entry.lacks else {})


def _show_files(more: "dict[str, Any]") -> None:
    """Where the files go and which columns are read, for every layout."""
    print(
        "\nFiles, relative to that folder" + (" (the first layout that is whole is read)" * (len(more["layouts"]) > 1))
    )
    for layout in more["layouts"]:
        columns = ", ".join(f"{field} = {column}" for field, column in layout["columns"].items())
        only = "; ".join(f"only rows whose {c} is {' or '.join(words)}" for c, words in layout["only"].items())
        print(f"  images   {_wrapped(', '.join(layout['folders']))}")
        print(f"  tables   {_wrapped(', '.join(layout['tables']) or 'none: a folder for each diagnosis')}")
        print(f"  columns  {_wrapped('; '.join(filter(None, (columns, only))))}")
        if layout["lacks"]:
            print(f"  note     {_wrapped(layout['lacks'])}")


def _show_words(more: "dict[str, Any]") -> None:
    """Which word means which code, and what of it others do otherwise."""
    for source, codes in more["holds"].items():
        print(f"\nHolds only ({source}): {', '.join(codes) or 'none of the eight'}")
    for words, otherwise in zip(more["words"], more["other_words"], strict=True):
        print("\nWords")
        for code, said in words.items():
            print(f"  {code:8} {_wrapped(', '.join(w or '(empty)' for w in said))}")
        print(f"  {otherwise or 'error':8} every other word")
    if more["debatable"]:
        print("\nDebatable")
        for choice in more["debatable"]:
            print(f"  {choice['code']:8} {_wrapped(', '.join(choice['words']) + ': ' + choice['why'])}")
