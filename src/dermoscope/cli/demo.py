"""`dermoscope demo`: a first look, from nothing to a page of results."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.data.samples import Samples
    from dermoscope.predict.predictor import Failure, Predictor, Result
    from dermoscope.report.html import PageItem

TABLE = "predictions.csv"
LINES = 12


def demo(
    images: Annotated[
        Path | None, typer.Option(help="A folder of your own images; without it a dozen public or synthetic ones.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the page and the table.")] = Path("out/demo"),
    bundle: Annotated[str, typer.Option(help="Name or folder of a bundle.")] = "default",
    pictures: Annotated[int, typer.Option(min=1, help="Most pictures on the page; the table holds all images.")] = 120,
) -> None:
    """Classify a few images and write a page of results.

    Exit code 2 when an image could not be read; the others are done all the same.
    """
    import sys

    from dermoscope.cli.progress import phases
    from dermoscope.core.errors import InputError
    from dermoscope.data.samples import folder_samples, printable, public_or_drawn_samples
    from dermoscope.predict.predictor import Predictor

    predictor = Predictor.load(bundle)
    samples = folder_samples(images) if images else public_or_drawn_samples(out / "images")
    if samples.problem:
        print(f"dermoscope: {samples.problem}", file=sys.stderr)
    print(samples.lead)
    with phases() as report:
        results, failures = predictor.classify(
            samples.paths, names=samples.names, progress=lambda done, total: report("classifying", done, total)
        )
        shown = _most_concerning(results, pictures)
        items = _items(shown, samples, predictor, lambda done: report("making the page", done, len(shown)))
    page = _write(out, items, results, failures, samples.lead, predictor)
    _print_table(shown, len(results), predictor)
    print(f"page: {page}")
    for _, message in failures:
        print(f"dermoscope: {printable(message)}", file=sys.stderr)
    if failures:
        print(f"dermoscope: {len(failures)} of {len(samples.paths)} images could not be read", file=sys.stderr)
        raise typer.Exit(InputError.exit_code)


def _most_concerning(results: "Sequence[Result]", most: int) -> "list[Result]":
    """All results in their order; where there are more than `most`, those of most concern, the greatest first."""
    if len(results) <= most:
        return list(results)
    return sorted(results, key=lambda r: -r.answer.figures.get("concern", 0.0))[:most]


def _items(
    results: "Sequence[Result]", samples: "Samples", predictor: "Predictor", progress: Callable[[int], None]
) -> "list[PageItem]":
    from dermoscope.core.taxonomy import ISIC2019
    from dermoscope.data.samples import Origin
    from dermoscope.data.synthetic import NOTICE
    from dermoscope.data.thumbnails import thumbnail
    from dermoscope.report.html import PageItem

    paths = dict(zip(samples.names, samples.paths, strict=True))
    known = {d.code: d for d in (*ISIC2019.diagnoses, *predictor.taxonomy.diagnoses)}
    items = []
    for done, result in enumerate(results, start=1):
        origin = samples.origins.get(result.image, Origin("", "", False))
        ranked = sorted(result.probabilities.items(), key=lambda pair: -pair[1])
        items.append(
            PageItem(
                result.image,
                thumbnail(paths[result.image], note=NOTICE if origin.synthetic else ""),
                tuple((code, known[code].name, known[code].group, p) for code, p in ranked),
                result.answer,
                result.warnings,
                origin.attribution,
                origin.synthetic,
                known[origin.diagnosis].name if origin.diagnosis else None,
            )
        )
        progress(done)
    return items


def _write(
    out: Path,
    items: "Sequence[PageItem]",
    results: "Sequence[Result]",
    failures: "Sequence[Failure]",
    lead: str,
    predictor: "Predictor",
) -> Path:
    """Write the table and the page; the page's path."""
    import io
    from collections import Counter

    import numpy as np

    from dermoscope.core.probabilities import Probabilities
    from dermoscope.data.files import write_scores
    from dermoscope.data.store import write_file
    from dermoscope.report.html import Listing, result_page

    listing = None
    if results:
        values = np.array([list(r.probabilities.values()) for r in results])
        table = io.StringIO()
        write_scores(table, Probabilities(tuple(r.image for r in results), predictor.taxonomy, values))
        write_file(out / TABLE, table.getvalue().encode())
        listing = Listing(TABLE, Counter(r.answer.kind for r in results))
    model = {"Model": predictor.bundle.card.name, "SHA-256": predictor.bundle.sha256}
    if results:
        model["Probabilities under the prior"] = results[0].prior
    what = "synthetic" if items and all(item.synthetic for item in items) else "dermoscopic"
    title = f"{len(results):,} {what} image{'' if len(results) == 1 else 's'}"
    page = result_page(items, title=title, model=model, failures=failures, lead=lead, listing=listing)
    return write_file(out / "index.html", page.encode())


def _print_table(results: "Sequence[Result]", total: int, predictor: "Predictor") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dermoscope.report.html import ANSWERS, NOTICE, percent

    names = {d.code: d.name for d in predictor.taxonomy.diagnoses}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("image", "answer", "most probable", ""):
        table.add_column(heading, overflow="fold", justify="right" if not heading else "left")
    for result in results[:LINES]:
        code, p = max(result.probabilities.items(), key=lambda pair: pair[1])
        table.add_row(Text(result.image), ANSWERS[result.answer.kind], names[code], percent(p))
    console = Console()
    if results:
        console.print(table)
    if total > LINES:
        console.print(f"and {total - LINES:,} more in {TABLE}", style="dim", highlight=False)
    console.print(NOTICE, style="dim", highlight=False)
