"""`dermoscope train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.predict.bundle import Bundle
    from dermoscope.train.settings import Recipe


RecipeName = Annotated[
    str, typer.Option(help="Name of a recipe: default, quick, or one of a paper (steppan2021/efficientnet-b4, ...).")
]
Ship = Annotated[bool, typer.Option(help="After every choice, go on with the same network on training + validation.")]
FromScratch = Annotated[
    bool, typer.Option("--from-scratch", help="Without ImageNet weights: the same as --set pretrained=false.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: --set rate=5e-4.")]
SplitFile = Annotated[
    Path | None, typer.Option(help="Roles from a file of `dermoscope data split`, not from the hash of the lesion.")
]
StartRun = Annotated[
    Path | None, typer.Option(help="Go on from the network of this finished run, not from the ImageNet weights.")
]
Mlflow = Annotated[
    bool | None,
    typer.Option("--mlflow/--no-mlflow", help="Log to MLflow; by default where MLFLOW_TRACKING_URI is set."),
]


def train(
    recipe: RecipeName = "default",
    data: Annotated[str, typer.Option(help="Name of a data set under DERMOSCOPE_DATA, or a path.")] = "ham10000",
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, log and bundle.")] = Path("runs/default"),
    ship: Ship = False,
    full: Annotated[bool, typer.Option(help="The recipe's longer form, for those with a GPU.")] = False,
    from_scratch: FromScratch = False,
    settings: Settings = None,
    split: SplitFile = None,
    start: StartRun = None,
    mlflow: Mlflow = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a recipe on a data set and write a bundle. A run that was cut goes on when the command is repeated.

    Several processes: accelerate-launch --multi_gpu --num_processes 2 -m dermoscope.cli.main train ...
    """
    _needed()
    from contextlib import nullcontext

    from dermoscope.cli.progress import phases
    from dermoscope.data.catalog import open_cases
    from dermoscope.data.home import home
    from dermoscope.data.splits import read_split
    from dermoscope.train.distributed import processes
    from dermoscope.train.run import Job
    from dermoscope.train.run import train as run
    from dermoscope.train.tracking import listener

    chosen = _recipe(recipe, full, _pairs(settings or []) | ({"pretrained": "false"} if from_scratch else {}))
    _check_weights(chosen, out, start)
    roles = read_split(split) if split else None
    cases, described = open_cases(data)
    job = Job(chosen, cases, out, home() / "cache", roles, {**described, "given": data}, ship, start)
    told = listener(mlflow)
    first: bool = processes().is_main_process
    with phases() if first else nullcontext() as progress:
        bundle = run(job, progress=progress, listener=told)
    if first:
        _tell(out, "bundle" if ship and chosen.ship else "chosen", bundle, as_json)


def _recipe(name: str, full: bool, settings: dict[str, str]) -> "Recipe":
    from dermoscope.train.recipes import recipe

    return (recipe(name).with_full() if full else recipe(name)).with_settings(settings)


def _check_weights(recipe: "Recipe", out: Path, start: Path | None) -> None:
    from dermoscope.train.backbones import check_backbone
    from dermoscope.train.checkpoint import CHECKPOINT

    has_them = start is not None or (out / "chosen").exists() or (out / "chosen-run" / CHECKPOINT).exists()
    if not has_them:
        check_backbone(recipe.backbone, pretrained=recipe.pretrained)


def _needed() -> None:
    from dermoscope.core.errors import MissingDependencyError

    try:
        import dermoscope.train.run  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs {error.name}: `make setup`, or pip install -c constraints.txt -e '.[train]' in the clone"
        ) from error


def _pairs(settings: list[str]) -> dict[str, str]:
    from dermoscope.core.errors import RecipeError

    pairs = [text.partition("=") for text in settings]
    if not all(equals for _, equals, _ in pairs):
        raise RecipeError("--set takes key=value, for example --set rate=5e-4")
    return {key: value for key, _, value in pairs}


def _tell(out: Path, folder: str, bundle: "Bundle", as_json: bool) -> None:
    import json

    from dermoscope.cli.runs import SHOWN
    from dermoscope.train.runs import read_run

    where = out / folder
    figures = read_run(out).figures
    if as_json:
        validation = figures[0].estimates if figures else {}
        recipe = bundle.card.recipe.get("name")
        print(json.dumps({"bundle": str(where), "sha256": bundle.sha256, "recipe": recipe, "validation": validation}))
        return
    print(f"bundle {where} ({sum(map(len, bundle.graphs.values())) / 1e6:.1f} MB, {bundle.sha256[:12]})")
    for name, label in SHOWN:
        if figures and name in figures[0].estimates:
            e = figures[0].get(name)
            print(f"{label:36} {e.text()}  ({e.n:,} {e.unit}s of the role validation)")
    print(f"next: dermoscope classify IMAGES --bundle {where}")
    print(f"      dermoscope report {out}")
