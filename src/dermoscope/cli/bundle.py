"""`dermoscope bundle`."""

from typing import Annotated

import typer

app = typer.Typer(help="Look into a bundle.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Look into a bundle."""


@app.command()
def info(
    bundle: Annotated[str, typer.Argument(help="Name or folder of a bundle.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="The whole card and manifest as JSON.")] = False,
) -> None:
    """What a bundle is, what it was trained on, and how good it was found to be; every file is verified."""
    import json

    from dermoscope.predict.bundle import load
    from dermoscope.report.card import as_text

    found = load(bundle)
    if as_json:
        manifest = found.manifest.model_dump(mode="json")
        print(
            json.dumps(
                {"sha256": found.sha256, "manifest": manifest, "card": found.card.model_dump(mode="json")}, indent=1
            )
        )
    else:
        print(as_text(found.card, found.sha256))
