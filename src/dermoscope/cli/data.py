"""`dermoscope data`."""

import typer

app = typer.Typer(help="Public data sets: what there is, and whether it can be trusted.", rich_markup_mode=None)


@app.callback(no_args_is_help=True)
def _root() -> None:
    """Public data sets: what there is, and whether it can be trusted."""


@app.command("list")
def list_sets() -> None:
    """List the public data sets of the catalog."""
    from dermoscope.data.catalog import CATALOG

    for entry in CATALOG.values():
        print(f"{entry.name:12} {entry.images:>6,} images  {entry.licence}")
