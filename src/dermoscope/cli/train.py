"""`dermoscope train`."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Option(help="Name of a recipe: default or quick.")] = "default",
    data: Annotated[str, typer.Option(help="Name of a data set under DERMOSCOPE_DATA, or a path.")] = "ham10000",
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, log and bundle.")] = Path("runs/default"),
    ship: Annotated[
        bool, typer.Option(help="After every choice, go on with the same network on training + validation.")
    ] = False,
    full: Annotated[bool, typer.Option(help="The recipe's longer form, for those with a GPU.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Change a setting: --set rate=5e-4.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a recipe on a data set and write a bundle. A run that was cut goes on when the command is repeated."""
    import json

    from dermoscope.cli.progress import phases
    from dermoscope.core.errors import MissingDependencyError, RecipeError
    from dermoscope.data.catalog import open_cases
    from dermoscope.data.home import home

    try:
        from dermoscope.train.recipes import recipe as find_recipe
        from dermoscope.train.run import train as run
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs {error.name}: `make setup`, or pip install -c constraints.txt -e '.[train]' in the clone"
        ) from error
    pairs = [text.partition("=") for text in settings or []]
    if not all(equals for _, equals, _ in pairs):
        raise RecipeError("--set takes key=value, for example --set rate=5e-4")
    chosen = find_recipe(recipe)
    chosen = (chosen.with_full() if full else chosen).with_settings({key: value for key, _, value in pairs})
    cases, described = open_cases(data)
    with phases() as progress:
        bundle = run(chosen, cases, out, ship=ship, cache=home() / "cache", data_use=described, progress=progress)
    where = out / ("bundle" if ship and chosen.ship else "chosen")
    if as_json:
        print(json.dumps({"bundle": str(where), "sha256": bundle.sha256, "recipe": chosen.name}))
    else:
        print(f"bundle {where} ({len(bundle.graph) / 1e6:.1f} MB, {bundle.sha256[:12]})")
        print(f"next: dermoscope classify IMAGES --bundle {where}")
