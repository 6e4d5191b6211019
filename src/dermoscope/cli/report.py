"""`dermoscope report`: a page (PDF, LaTeX) that one would print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from dermoscope.report.dossier import Given, Measured, Provenance
    from dermoscope.report.latex import Progress


def report(
    subject: Annotated[
        str, typer.Argument(metavar="RUN_OR_PREDICTIONS", help="Folder of a run, or an ISIC submission (CSV).")
    ],
    truth: Annotated[str | None, typer.Argument(metavar="TRUTH.csv", help="Truth of a submission.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Data set of the images, by name or path: for groups and pictures.")
    ] = None,
    calibrated: Annotated[
        str | None, typer.Option(help="Probabilities of the same images under the prior they were calibrated for.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The page; else RUN/report.html, or report.html here.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write a PDF beside the page too.")] = False,
    paper: Annotated[Literal["a4", "letter"], typer.Option(help="Paper of the PDF.")] = "a4",
    latex: Annotated[Path | None, typer.Option(help="Folder for tables (booktabs), figures and main.tex.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    taxonomy: Annotated[str | None, typer.Option(help="isic2018 or isic2019; else read off the truth.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
) -> None:
    """Write a report of a run, or of predictions and their truth: one HTML page, fit to print.

    Figures with their intervals, curves, confusions, calibration, groups, the worst mistakes, and how each was made.
    """
    from dermoscope.cli.report_input import Asked, gather
    from dermoscope.report import figures
    from dermoscope.report import pdf as printed

    figures.require()
    if pdf:
        printed.require()
    given, where, warnings = gather(Asked(subject, truth, data, calibrated, title, taxonomy, resamples, seed))
    for warning in warnings:
        typer.echo(f"dermoscope: warning: {warning}", err=True)
    page = out or (Path(subject) if where.run else Path()) / "report.html"
    measured, written = _make(given, where, page, paper if pdf else None, latex)
    _tell(written, measured, as_json)


def _make(
    given: "Given", where: "Provenance", page: Path, paper: Literal["a4", "letter"] | None, latex: Path | None
) -> tuple["Measured", dict[str, Path]]:
    """Measure, draw and write; what was measured, and what was written where."""
    from dermoscope.cli.progress import phases
    from dermoscope.cli.report_input import with_pictures
    from dermoscope.report.dossier import measure

    with phases() as progress:
        measured = measure(given, progress)
        where = with_pictures(where, given, measured, progress)
        written = {"page": _write(page, measured, where, progress)}
        if paper is not None:
            written["pdf"] = _print(page, paper, progress)
        if latex is not None:
            written["latex"] = _write_latex(latex, measured, where, progress)
    return measured, written


def _write(page: Path, measured: "Measured", where: "Provenance", progress: "Progress") -> Path:
    from dermoscope.data.store import write_file
    from dermoscope.report.page import report_page

    return write_file(page, report_page(measured, where, progress).encode())


def _print(page: Path, paper: Literal["a4", "letter"], progress: "Progress") -> Path:
    from dermoscope.data.store import write_file
    from dermoscope.report.pdf import as_pdf

    progress("printing", 0, 1)
    done = write_file(page.with_suffix(".pdf"), as_pdf(page.read_text("utf-8"), paper))
    progress("printing", 1, 1)
    return done


def _write_latex(folder: Path, measured: "Measured", where: "Provenance", progress: "Progress") -> Path:
    from dermoscope.data.store import write_file
    from dermoscope.report.latex import as_latex

    files = as_latex(measured, where, progress)
    # main.tex comes last, so that a folder with one is complete.
    for name in sorted(files, key=lambda name: name == "main.tex"):
        write_file(folder / name, files[name])
    return folder / "main.tex"


def _tell(written: dict[str, Path], measured: "Measured", as_json: bool) -> None:
    import json

    from dermoscope.report.dossier import as_json as plain

    if as_json:
        said = {name: str(path) for name, path in written.items()} | plain(measured)
        typer.echo(json.dumps(said, indent=2, allow_nan=False))
        return
    best = measured.served["balanced_accuracy"]
    typer.echo(f"balanced accuracy {best.text()}, {best.n:,} {best.unit}s")
    for name, path in written.items():
        typer.echo(f"{name}: {path}")
