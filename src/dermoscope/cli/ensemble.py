"""`dermoscope ensemble`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.studies.assembly import Assembled


def ensemble(
    members: Annotated[list[str], typer.Argument(help="Names or folders of bundles, two or more.")],
    out: Annotated[Path, typer.Option(help="Folder of the new bundle.")],
    data: Annotated[
        str, typer.Option(help="Data set that it is calibrated on (role calibration), by name or path.")
    ] = "ham10000",
    weights: Annotated[
        str, typer.Option(help="equal, fitted or greedy (both on the role validation), or numbers: 2,1,1.")
    ] = "equal",
    mean: Annotated[str, typer.Option(help="arithmetic (Steppan & Hanke 2021) or geometric.")] = "arithmetic",
    onto: Annotated[
        str | None, typer.Option(help="Project members over ISIC 2019 onto isic2018 where some are over that.")
    ] = None,
    views: Annotated[
        int | None, typer.Option(help="Views of an image that each member looks at; as the first has by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was measured as JSON.")] = False,
) -> None:
    """Make one bundle of several: their mean, calibrated after it, and what each adds on the validation role.

    A member counts once unless a weight says so.
    """
    import json
    from dataclasses import replace

    from dermoscope.cli.progress import phases
    from dermoscope.data.catalog import open_cases
    from dermoscope.predict.bundle import save
    from dermoscope.studies.assembly import Wish, assemble, named_bundles, named_weights, projection

    bundles = named_bundles(members)
    wish = Wish(out.name, named_weights(weights, list(bundles)), mean, projection(onto), views)
    cases, _ = open_cases(data)
    with phases() as progress:
        made = assemble(bundles, cases, wish, progress)
    made = replace(made, bundle=save(made.bundle, out))
    if as_json:
        print(json.dumps({"bundle": str(out), **made.as_dict()}))
    else:
        _tell(made, out)


def _tell(made: "Assembled", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    size = sum(map(len, made.bundle.graphs.values())) / 1e6
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in made.weights.items())
    print(f"bundle {out} ({size:.1f} MB, {made.bundle.sha256[:12]}); weights: {weights}")
    console = Console()
    if not made.growth:
        print("no figures on validation: a member learnt from that role, or no case has it")
        return
    n = next(iter(made.growth[-1].figures.values())).n
    table = Table("on validation", *made.growth[-1].figures, box=None, title=f"{n:,} lesions", title_justify="left")
    for step in (*made.alone, *made.growth):
        table.add_row(" + ".join(step.members), *(e.text() for e in step.figures.values()))
    console.print(table)
    table = Table("all together minus", "figure", "difference", "p (Holm)", box=None)
    for gain in made.gains:
        table.add_row(gain.member, gain.metric, gain.estimate.text(), f"{gain.p_holm:.3f}")
    console.print(table)
    if made.chosen_here:
        print("The weights were fitted on these very lesions: the figures of all together are too good.")
    print(f"next: dermoscope classify IMAGES --bundle {out}")
