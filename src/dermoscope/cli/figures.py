"""`dermoscope figures`: what `make figures` calls, from the root of the repository."""

from pathlib import Path
from typing import Annotated

import typer


def figures(
    chosen: Annotated[
        Path | None, typer.Option(help="Bundle of the twin that never saw the validation role (RUN/chosen).")
    ] = None,
    elsewhere: Annotated[
        Path | None, typer.Option(help="Bundle of the twin that was trained without ISIC 2017.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why the test role is scored; goes into the log.")] = "make figures",
) -> None:
    """Measure the bundled model and rewrite every figure of README, card and docs."""
    from functools import partial

    from dermoscope.cli.progress import phases
    from dermoscope.core.errors import InputError
    from dermoscope.studies.headline import Twins, run

    root = Path.cwd()
    if not (root / "docs" / "adr").is_dir():
        raise InputError(f"{root} is not the root of the repository; go there, the files to rewrite are in it")
    with phases() as progress:
        run(root, reason, Twins(chosen, elsewhere), lambda title: partial(progress, title))
    print("rewritten: README.md, docs/figures.json, docs/model-card.md, docs/test-scorings.csv, the bundle's card")


def choices(
    bundle: Annotated[str, typer.Option(help="Bundle of the twin that never saw the validation role.")],
    data: Annotated[str, typer.Option(help="Name of a data set under DERMOSCOPE_DATA, or a path.")] = "ham10000",
) -> None:
    """What numbers of views and priors reach on the validation role."""
    from functools import partial

    from rich.console import Console
    from rich.table import Table

    from dermoscope.cli.progress import phases
    from dermoscope.data.catalog import open_cases
    from dermoscope.predict.predictor import Predictor
    from dermoscope.studies.choices import compare

    table = Table("copy", "views", "prior", "balanced accuracy (7)", "accuracy", "melanoma AUC", box=None)
    cases, _ = open_cases(data)
    with phases() as progress:
        for c in compare(Predictor.load(bundle), cases, progress=lambda title: partial(progress, title)):
            figures = (c.balanced_accuracy.text(), c.accuracy.text(), c.melanoma_auc.text())
            table.add_row(c.copy, str(c.views), c.prior, *figures)
    Console().print(table)
