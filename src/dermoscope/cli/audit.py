"""`dermoscope data audit` and `dermoscope data split`; `cli/data.py` registers them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.core.audit import Audit

_SETS = typer.Argument(metavar="NAME|PATH...", help="Names of the catalog or paths; several are audited together.")
EXAMPLES = 3
PICTURED = 60
LARGEST = 6


def audit(
    given: Annotated[list[str], _SETS],
    split: Annotated[Path | None, typer.Option(help="A split file; without it roles follow from the lesion.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one page with pictures of duplicates and conflicts.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary without pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON and nothing else.")] = False,
) -> None:
    """Look for what makes a data set untrustworthy: broken files, conflicts, duplicates, leaks, shortcuts.

    Exit code 1 when something grave was found, 2 when there is nothing to audit. A broken file is a finding, never
    the end of the audit.
    """
    import json

    from dermoscope import __version__
    from dermoscope.cli.progress import phases
    from dermoscope.data.audit import audit as look
    from dermoscope.data.audit import with_shortcuts
    from dermoscope.data.splits import read_split
    from dermoscope.data.store import write_file
    from dermoscope.evaluate.shortcuts import measured
    from dermoscope.report.audit import audit_markdown

    roles = read_split(split) if split else None
    with phases() as progress:
        found, tables = look(given, roles, progress)
        whole = with_shortcuts(found, *measured(tables, progress), __version__)
        if html:
            _write_page(html, whole, progress)
    if markdown:
        command = " ".join(
            ["dermoscope data audit", *given, *(["--split", str(split)] if split else []), "--markdown", str(markdown)]
        )
        write_file(markdown, audit_markdown(whole, command).encode())
    if as_json:
        print(json.dumps(whole.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print(whole)
        for path in filter(None, (html, markdown)):
            print(f"written: {path}")
    if whole.of("grave"):
        raise typer.Exit(1)


def split(
    given: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A name of the catalog or a path.")],
    out: Annotated[Path, typer.Option(help="CSV to write: image, group, role.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Give every image a role, keeping lesions, patients and near-duplicates together; for sets without such roles.

    The same data set gives the same file. Refer to it by the SHA-256 that is printed.
    """
    import json

    from dermoscope.cli.progress import phases
    from dermoscope.data.audit import make_split
    from dermoscope.data.catalog import open_cases
    from dermoscope.data.grouping import counts_by_role, lacking

    cases, _ = open_cases(given)
    with phases() as progress:
        made, joined, unread = make_split(cases, out, progress)
    counts = counts_by_role(tuple(cases), {image: role for image, (_, role) in made.rows.items()})
    gaps = lacking(counts)
    groups = len({group for group, _ in made.rows.values()})
    if as_json:
        said = {"file": str(out), "sha256": made.sha256, "images": len(made), "groups": groups}
        print(json.dumps(said | {"joined": joined, "unread": unread, "roles": counts, "lacking": gaps}, indent=1))
        return
    print(f"{len(made):,} images in {groups:,} groups of lesion, patient and near-duplicates")
    print(f"{joined:,} groups hold more than one lesion\n")
    if any(counts.values()):
        _print_counts("role", counts)
    else:
        print("no image has a label; images of each role: " + ", ".join(f"{r} {n:,}" for r, n in made.counts().items()))
    for gap in gaps:
        print(f"warning: no image of a diagnosis in {gap}")
    for line in unread:
        print(f"warning: not compared, {line}")
    print(f"\nwritten: {out}\nsha256   {made.sha256}\nnext:    dermoscope data audit {given} --split {out}")


def _write_page(path: Path, whole: "Audit", progress) -> None:  # type: ignore[no-untyped-def]
    from dermoscope.core.errors import ImageError
    from dermoscope.data.store import write_file
    from dermoscope.data.thumbnails import thumbnail
    from dermoscope.report.audit import audit_page

    wanted = {m.path: None for f in whole.findings for group in f.groups[:PICTURED] for m in group[:LARGEST] if m.path}
    pictures = {}
    for done, picture in enumerate(wanted, start=1):
        try:
            pictures[picture] = thumbnail(picture, 200, quality=78)
        except ImageError:  # the finding names it; the page goes on without its picture
            continue
        finally:
            progress("making the page", done, len(wanted))
    write_file(path, audit_page(whole, pictures).encode())


def _print(whole: "Audit") -> None:
    from rich.console import Console
    from rich.text import Text

    from dermoscope.core.audit import GRAVITIES
    from dermoscope.report.audit import HEADINGS, verdict

    console = Console(highlight=False)
    styles = {"grave": "bold red", "warning": "yellow", "note": "dim"}
    sizes = ", ".join(f"{n:,} {what}" for what, n in whole.sizes.items() if n)
    console.print(Text(f"{' + '.join(whole.given)}: {sizes}", "bold"))
    for gravity in GRAVITIES:
        found = whole.of(gravity)
        if found:
            console.print(Text(f"\n{HEADINGS[gravity]}", styles[gravity]))
        for finding in found:
            console.print(Text(f"* {finding.what}"), soft_wrap=True)
            if gravity != "note":
                for item in finding.items[:EXAMPLES]:
                    console.print(Text(f"    {item}", "dim"), soft_wrap=True)
                if len(finding.items) > EXAMPLES:
                    console.print(Text(f"    and {len(finding.items) - EXAMPLES:,} more", "dim"))
                if finding.remedy:
                    console.print(Text(f"  -> {finding.remedy}"), soft_wrap=True)
    _print_shortcuts(console, whole)
    for name, sources in whole.counts.items():
        console.print(Text(f"\nImages per source: {name}", "bold"))
        _print_counts("source", sources)
    if any(whole.roles.values()):
        console.print(Text("\nImages per role", "bold"))
        _print_counts("role", whole.roles)
    console.print(f"\n{verdict(whole)}")


def _print_shortcuts(console, whole: "Audit") -> None:  # type: ignore[no-untyped-def]
    """The loudest property of each diagnosis, and the shares."""
    from rich.table import Table
    from rich.text import Text

    from dermoscope.evaluate.shortcuts import ALL
    from dermoscope.report.audit import share_tables

    for within in dict.fromkeys(s.within for s in whole.shortcuts):
        own = [s for s in whole.shortcuts if s.within == within and s.auc.value is not None]
        if not own:
            continue
        table = Table("diagnosis", "strongest property", "AUC", ALL, box=None, pad_edge=False, header_style="dim")
        for code in dict.fromkeys(s.diagnosis for s in own):
            single = [s for s in own if s.diagnosis == code and s.name != ALL]
            joint = next((s for s in own if s.diagnosis == code and s.name == ALL), None)
            best = max(single, key=lambda s: s.auc.value or 0.0)
            cells = [Text(s.auc.text(), "yellow" if s.alarming else "") if s else Text("") for s in (best, joint)]
            table.add_row(code, best.name, *cells)
        console.print(Text(f"\nShortcuts: file properties against diagnoses, AUC out of fold: {within}", "bold"))
        console.print(table)
    for title, unit, (values, rows) in share_tables([s for s in whole.shares if s.within in whole.given]):
        table = Table("diagnosis (lesions)", *values, box=None, pad_edge=False, header_style="dim")
        for name, shown in rows:
            table.add_row(name, *shown)
        console.print(Text(f"\n{title}", "bold"))
        console.print(Text(unit, "dim"))
        console.print(table)


def _print_counts(corner: str, counts) -> None:  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.table import Table

    from dermoscope.report.audit import counts_grid

    columns, rows = counts_grid(counts)
    table = Table(corner, box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows:
        table.add_row(name, *cells)
    Console(highlight=False).print(table)
