"""`dermoscope demo`: a first look, from nothing to a page of results."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.data.samples import Samples
    from dermoscope.predict.predictor import Predictor, Result
    from dermoscope.report.html import PageItem

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
    from dermoscope.data.samples import folder_samples, public_or_drawn_samples
    from dermoscope.predict.predictor import Predictor

    predictor = Predictor.load(bundle)
    samples = folder_samples(images) if images else public_or_drawn_samples(out / "images")
    print(samples.lead)
    with phases() as report:
        results, failures = predictor.classify(
            samples.paths, names=samples.names, progress=lambda done, total: report("classifying", done, total)
        )
        shown = _most_concerning(results, pictures)
        items = _items(shown, samples, predictor, lambda done, total: report("making the page", done, total))
    if results:
        _write_table(out / "predictions.csv", results, predictor)
        _print_table(results, predictor)
    page = _write_page(out / "index.html", items, (samples, results, failures), predictor)
    print(f"page: {page}")
    for _, message in failures:
        print(f"dermoscope: {message}", file=sys.stderr)
    if failures:
        print(f"dermoscope: {len(failures)} of {len(samples.paths)} images could not be read", file=sys.stderr)
        raise typer.Exit(InputError.exit_code)
