"""`dermoscope figures`: what `make figures` calls, from the root of the repository."""

from pathlib import Path
from typing import Annotated

import typer


def figures(
    chosen: Annotated[
        Path | None, typer.Option(help="Bundle of the twin that never saw the validation role (RUN/chosen).")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why the test role is scored; goes into the log.")] = "make figures",
) -> None:
    """Measure the bundled model and rewrite every figure of README, card and docs."""
    from functools import partial

    from dermoscope.cli.progress import phases
    from dermoscope.core.errors import InputError
    from dermoscope.studies.headline import run

    root = Path.cwd()
    if not (root / "docs" / "adr").is_dir():
        raise InputError(f"{root} is not the root of the repository; go there, the files to rewrite are in it")
    with phases() as progress:
        run(root, reason, chosen, lambda title: partial(progress, title))
    print("rewritten: README.md, docs/figures.json, docs/model-card.md, docs/test-scorings.csv, the bundle's card")
