"""`dermoscope silent-report`: the service's stored answers against histology."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from dermoscope.serve.silent import SilentReport

_HEADLINES = (
    ("Melanoma found, abstentions counted as refer", "melanoma_sensitivity"),
    ("  abstentions counted as missed", "melanoma_sensitivity_abstained_missed"),
    ("  abstentions left out", "melanoma_sensitivity_answered"),
    ("Any malignant found, abstentions counted as refer", "malignant_sensitivity"),
    ("  abstentions counted as missed", "malignant_sensitivity_abstained_missed"),
    ("  abstentions left out", "malignant_sensitivity_answered"),
    ("Benign and of low concern", "specificity"),
    ("  abstentions left out", "specificity_answered"),
    ("Malignant among those referred (PPV)", "ppv"),
    ("Not malignant among those of low concern (NPV)", "npv"),
    ("Answered at all", "answered"),
)


def silent_report(
    folder: Annotated[Path | None, typer.Option(help="Folder of the service. [default: as `serve`]")] = None,
    database: Annotated[
        str,
        typer.Option(help="Its database, where that is not in the folder; by default DERMOSCOPE_DATABASE."),
    ] = "",
    model: Annotated[str | None, typer.Option(help="Only answers of the model with this SHA-256.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare the answers that the service stored with histology as it comes, seen by readers or not.

    Only excised lesions have histology: sensitivity among them is flattering. What is missing is counted.
    """
    import json

    from rich.console import Console

    from dermoscope.core.errors import InputError
    from dermoscope.serve.configure import options_for
    from dermoscope.serve.silent import silent_report as report
    from dermoscope.serve.store import Store

    options = options_for(folder, database)
    if not options.database and not (options.folder / "dermoscope.sqlite").is_file():
        raise InputError(f"{options.folder}: no service has stored anything here; name its --folder or --database")
    store = Store.open(options)
    try:
        with store.read() as session:
            found = report(session, model)
    finally:
        store.close()
    if as_json:
        print(json.dumps(found.as_dict(), indent=1))
        return
    console = Console(highlight=False)
    for line in _lines(found):
        console.print(line, soft_wrap=True)
    if found.outcomes:
        console.print(_headlines(found))
        console.print(_diagnoses(found))


def _lines(found: "SilentReport") -> list[str]:
    if not found.cases:
        return ["No lesion was read by the model yet (samples do not count)."]
    missing = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in found.missing.items())
    lines = [
        f"{found.cases} lesions of {found.patients} patients were read by the model; {found.outcomes} have histology"
        + (f", {found.other} of a diagnosis that the model does not know." if found.other else "."),
        f"{found.without_outcome} without histology, by answer: {missing}.",
    ]
    if len(found.models) > 1:
        given = ", ".join(f"{model[:12]} {n}" for model, n in found.models.items())
        lines.append(f"Answers of {len(found.models)} models: {given}; see one alone with --model SHA256.")
    return [*lines, "Only excised lesions have histology: sensitivity among them is flattering."]


def _headlines(found: "SilentReport") -> "Table":
    from rich.table import Table

    table = Table("", "rate", "95 % interval", "lesions", box=None, pad_edge=False, header_style="dim")
    for label, name in _HEADLINES:
        figure = found.figures[name]
        value, _, interval = figure.estimate.text(2).partition(" ")
        shown = (value, interval) if figure.among else ("–", "not measurable")
        table.add_row(label, *shown, f"{figure.hits} of {figure.among}")
    return table


def _diagnoses(found: "SilentReport") -> "Table":
    from rich.table import Table

    head = ("\nhistology", "\nlesions", "\nrefer", "\nlow concern", "\ncannot assess")
    table = Table(*head, box=None, pad_edge=False, header_style="dim")
    for code, kinds in found.histology.items():
        shown = (str(kinds[kind]) for kind in ("refer", "low_concern", "cannot_assess"))
        table.add_row(code, str(sum(kinds.values())), *shown)
    return table
