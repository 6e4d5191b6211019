"""`dermoscope model`: which model a service is served by."""

from typing import Annotated

import typer

from dermoscope.cli.stored import Database, Folder, caller, store_of

app = typer.Typer(name="model", no_args_is_help=True, help="The model of a service: list what there is, choose one.")
_JSON = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON and nothing else.")]


@app.command("list")
def list_models(folder: Folder = None, database: Database = "", as_json: _JSON = False) -> None:
    """List the bundles that may be chosen: installed ones, and those below FOLDER/bundles."""
    import json

    from rich.console import Console
    from rich.table import Table

    from dermoscope.serve.models import choice_of, listed

    with store_of(folder, database) as (options, store):
        with store.read() as session:
            chosen = choice_of(session)
        rows = listed(options, "" if chosen is None else chosen.sha256)
    told = None if chosen is None else {"name": chosen.name, "sha256": chosen.sha256}
    if as_json:
        print(json.dumps({"chosen": told, "bundles": [dict(row, chosen=row.pop("served")) for row in rows]}, indent=1))
        return
    table = Table("name", "SHA-256", "", box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(row["name"], (row["sha256"] or "-")[:12], "chosen" if row["served"] else row["problem"] or "")
    Console(highlight=False, markup=False).print(table)
    if chosen is None:
        print(f"None is chosen: the service serves the bundle of its start ({options.bundle}).")


@app.command()
def use(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Name of an installed one, or below FOLDER/bundles.")],
    folder: Folder = None,
    database: Database = "",
    as_json: _JSON = False,
) -> None:
    """Choose the model of a service. One that runs follows within seconds; requests under way keep the one before."""
    import json

    from dermoscope.predict.bundle import load
    from dermoscope.predict.predictor import Predictor
    from dermoscope.serve.models import check_same, choice_of, choose, read

    with store_of(folder, database) as (options, store):
        found = read(options, bundle)
        Predictor.load(found, threads=1)
        with store.begin() as session:
            before = choice_of(session)
            served = load(options.bundle) if before is None else None
            if served is not None:
                check_same(served.taxonomy, found)
            choose(session, caller(), bundle, found, "" if served is None else served.sha256)
    if as_json:
        print(json.dumps({"name": bundle, "sha256": found.sha256}, indent=1))
        return
    print(f"{bundle} {found.sha256[:12]} is the model of this service; processes that run follow within seconds.")
