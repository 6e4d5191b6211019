"""`dermoscope study`: papers, what they claim, and what was measured here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dermoscope.studies.base import Study
    from dermoscope.studies.results import Results

app = typer.Typer(help="Studies: what papers claim beside what was measured here.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a study; `dermoscope study list` names them.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every study, its paper, and whether results are here."""
    import json

    from dermoscope.studies.registry import STUDIES, find
    from dermoscope.studies.results import results_of

    rows: list[dict[str, Any]] = []
    for name in STUDIES:
        study, found = find(name), results_of(name)
        results = {"origin": found.origin, "date": found.card.changed, "rows": len(found.rows)} if found else None
        rows.append(
            {"study": name, "title": study.title, "paper": study.paper.citation, "claims": len(study.claims)}
            | {"results": results}
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        held = row["results"]
        here = f"results of {held['date'][:10]} ({held['origin']})" if held else "not yet run"
        claims = f"{row['claims']} claims" if row["claims"] else "claims nothing that is measured here"
        print(f"{row['study']}: {row['title']}\n    {row['paper']}\n    {claims}; {here}")
    print("next: dermoscope study show NAME")


@app.command("run")
def run(
    name: Name,
    data: Annotated[str, typer.Option(help="Data by name or path; several names are joined by +.")] = "",
    full: Annotated[bool, typer.Option(help="The longer form, for those with a GPU.")] = False,
    bundle: Annotated[
        str,
        typer.Option(
            help="Also score this bundle on the test role (a,b: and its twin b elsewhere); every scoring is logged."
        ),
    ] = "",
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a setting of the recipe.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a study here. A run that was stopped goes on when the command is repeated with the same data."""
    from dermoscope.cli.progress import phases
    from dermoscope.cli.train import _needed, _pairs
    from dermoscope.studies.base import Asked
    from dermoscope.studies.registry import find
    from dermoscope.studies.results import run_study

    study = find(name)
    _needed()
    with phases() as progress:
        found = run_study(study, Asked(data, full, bundle, _pairs(settings or [])), progress)
    _shown(study, found, as_json)


@app.command("show")
def show(
    name: Name,
    as_json: Json = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the method as a Mermaid diagram.")] = False,
) -> None:
    """Claims beside what was measured; without results of this machine those that the package came with."""
    from dermoscope.core.errors import InputError
    from dermoscope.studies.registry import find
    from dermoscope.studies.results import results_of

    study = find(name)
    if mermaid:
        if not study.diagram:
            raise InputError(f"study {name} has no diagram; `dermoscope study show {name}` shows its table")
        print(study.diagram)
        return
    found = results_of(name)
    if found is None:
        raise InputError(f"study {name} has no results yet; measure it with `dermoscope study run {name}`")
    _shown(study, found, as_json)


@app.command("table")
def table(
    as_json: Json = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Write tables (booktabs), studies.bib and main.tex into --out.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for --latex.")] = Path("study-tables"),
) -> None:
    """Every row of every study that has results."""
    import json

    from dermoscope.studies.registry import STUDIES, find
    from dermoscope.studies.results import results_of

    held = [(find(name), found) for name in STUDIES if (found := results_of(name)) is not None]
    if as_json:
        print(json.dumps([row.as_dict() for _, found in held for row in found.rows], indent=1, allow_nan=False))
        return
    if latex:
        _write_latex(out, held)
        return
    for k, (study, found) in enumerate(held):
        if k:
            print()
        _shown(study, found, False)


@app.command("sheet")
def sheet(
    name: Name,
    out: Annotated[Path, typer.Option(help="The JPEG to write.")],
    data: Annotated[str, typer.Option(help="Data by name or path; `drawn` for drawn lesions, where a study can.")] = "",
) -> None:
    """A contact sheet of the pictures that a study is about, from those that are here."""
    from dermoscope.core.errors import InputError
    from dermoscope.data.store import write_file
    from dermoscope.studies.base import Asked
    from dermoscope.studies.registry import find

    study = find(name)
    if study.sheet is None:
        raise InputError(f"study {name} has no contact sheet; `dermoscope study show {name}` shows its table")
    if out.suffix.lower() not in (".jpg", ".jpeg"):
        raise InputError(f"{out}: a contact sheet is a JPEG; give a name that ends in .jpg")
    print(write_file(out, study.sheet(Asked(data))))


@app.command("figures")
def figures(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder for the figures (SVG).")],
) -> None:
    """The figures of a study's results as SVG."""
    from dermoscope.core.errors import InputError
    from dermoscope.data.store import write_file
    from dermoscope.studies.registry import find
    from dermoscope.studies.results import figures_of, results_of

    study, found = find(name), results_of(name)
    if found is None:
        raise InputError(f"study {name} has no results yet; measure it with `dermoscope study run {name}`")
    made = figures_of(study, found)
    if not made:
        raise InputError(f"study {name} has no figures; `dermoscope study show {name}` shows its table")
    for file, content in made.items():
        print(write_file(out / file, content))


@app.command("check")
def check(as_json: Json = False) -> None:
    """Whether published figures can stand together: whether any table of counts gives all of them."""
    import json

    from dermoscope.studies.consistency import judge
    from dermoscope.studies.published import figure_sets

    found = [judge(figures).as_dict() for figures in figure_sets()]
    if as_json:
        print(json.dumps(found, indent=1))
        return
    _tell(found)


@app.command("publish", hidden=True)
def publish(name: Name) -> None:
    """Put the last results into the package and the docs; from the root of the repository."""
    from dermoscope.core.errors import InputError
    from dermoscope.studies.registry import find
    from dermoscope.studies.results import publish as published
    from dermoscope.studies.results import results_of
    from dermoscope.studies.scorings import recount

    root, found = Path.cwd(), results_of(name)
    if not (root / "docs" / "adr").is_dir():
        raise InputError(f"{root} is not the root of the repository; go there, the files to rewrite are in it")
    if found is None:
        raise InputError(f"study {name} has no results yet; measure it with `dermoscope study run {name}`")
    print("written:", *published(root, find(name), found))
    if not recount(root):
        print("docs/figures.json is of another bundle than the bundled one: `make figures`")


def _tell(verdicts: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    words = {True: "consistent", False: "INCONSISTENT", None: "cannot be asked"}
    for verdict in verdicts:
        console.print(f"{verdict['study']}: {verdict['title']} ({verdict['source']})", markup=False)
        figures = ", ".join(f"{name} {value:g}" for name, value in verdict["scores"].items())
        said = f"{figures}\n{words[verdict['consistent']]}: {verdict['why']}"
        console.print(Padding(Text(said), (0, 0, 0, 4)))


def _write_latex(out: Path, held: "list[tuple[Study, Results]]") -> None:
    from dermoscope.data.store import write_file
    from dermoscope.report.study import as_latex
    from dermoscope.studies.results import table_of

    files = as_latex([table_of(*pair) for pair in held], {study.paper.key: study.paper.bibtex for study, _ in held})
    for name in sorted(files, key=lambda name: name == "main.tex"):  # a folder with main.tex is complete
        write_file(out / name, files[name].encode())
    print(f"{out / 'main.tex'} with {', '.join(sorted(set(files) - {'main.tex'}))}")


def _shown(study: "Study", found: "Results", as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding
    from rich.text import Text

    from dermoscope.report.study_text import block_of, notes_of, page_lines
    from dermoscope.studies.results import verdicts_of, where_measured

    verdicts = verdicts_of(study.name)
    if as_json:
        print(json.dumps(found.as_dict() | {"consistency": verdicts}, indent=1, allow_nan=False))
        return
    rows = found.rows
    console = Console(highlight=False)
    console.print(f"[bold]{escape(study.title)}[/bold] ({study.name})\n{escape(study.paper.citation)}")
    blocks = [block_of(row, str(found.card.data.get("name", ""))) for row in rows]
    for words, style, indent in page_lines(blocks, console.width):
        console.print(Padding(Text(words, style), (0, 0, 0, indent)))
    console.print()
    for note in (*notes_of(rows), f"{where_measured(found).removesuffix('.')} ({found.origin})"):
        console.print(Text(f"* {note}", "dim"))
    if verdicts:
        console.print("\n[bold]Can the published figures stand together?[/bold]")
        _tell(verdicts)
