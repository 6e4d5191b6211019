"""`dermoscope runs`: what has been trained, with what, and how good it was on validation."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from dermoscope.core.card import RunCard
    from dermoscope.core.estimate import Estimate
    from dermoscope.train.comparison import Comparison

app = typer.Typer(help="Training runs: list, show and compare them.", rich_markup_mode=None)

_ROOT = Path("runs")
SHOWN = (
    ("isic2018:balanced_accuracy", "balanced accuracy, seven diagnoses"),
    ("balanced_accuracy", "balanced accuracy, all diagnoses"),
    ("calibration:MEL.auc", "melanoma AUC"),
    ("calibration:log_loss", "log-loss"),
)
"""Figures of a run card that the terminal shows, and how it calls them."""

_BARS = "▁▂▃▄▅▆▇█"


@app.callback(no_args_is_help=True)
def _root() -> None:
    """Training runs: list, show and compare them."""


@app.command("list")
def list_runs(
    root: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = _ROOT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run cards as JSON.")] = False,
) -> None:
    """List runs, the newest first: state, time, and validation figures with their 95 % intervals."""
    import json

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dermoscope.core.errors import InputError
    from dermoscope.train.runs import find_runs, read_run, state_of

    found = []
    for folder in find_runs(root):
        try:
            found.append((folder, read_run(folder)))
        except InputError as error:  # one damaged run must not hide the others
            typer.echo(f"dermoscope: warning: {error}", err=True)
    if as_json:
        told = [{"run": str(f), **c.model_dump(mode="json"), "state": state_of(f, c)} for f, c in found]
        print(json.dumps(told, indent=1))
        return
    if not found:
        print(f"no runs below {root}; dermoscope train --out {root}/NAME makes one")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = [str(folder.relative_to(root)) for folder, _ in found]
    for heading in ("run", "recipe", "state", "begun", "balanced accuracy", "melanoma AUC"):
        table.add_column(heading, overflow="fold")  # a narrow terminal must not hide anything
    for name, (folder, card) in zip(names, found, strict=True):
        figures = [_estimate(card, name) for name in (SHOWN[0][0], SHOWN[2][0])]
        shown = [e.text().replace("0.", ".") if e else "" for e in figures]
        table.add_row(Text(name), Text(card.name), state_of(folder, card), card.started[:10], *map(Text, shown))
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "Figures: role validation, one image per lesion, 95 % intervals; balanced accuracy over seven diagnoses.",
        style="dim",
    )


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the run card and its epochs as JSON.")] = False,
) -> None:
    """What a run was made of, how it went, and what it reached."""
    import json

    from rich.console import Console
    from rich.markup import escape

    from dermoscope.train.runs import read_log, read_run, settings_of, state_of

    card, lines = read_run(run), read_log(run)
    state = state_of(run, card)
    if as_json:
        print(json.dumps({"run": str(run), **card.model_dump(mode="json"), "state": state, "epochs": lines}, indent=1))
        return
    console = Console(highlight=False)
    told = f"recipe {card.name}, {state}" + (f": {card.why}" if card.why else "")
    console.print(f"[bold]{escape(str(run))}[/bold]  {escape(told)}")
    if state in ("cut", "stopped"):
        console.print("It goes on where it stopped when the same `dermoscope train` command is repeated.")
    console.print(_pairs(_facts(card)))
    console.print("\n[bold]Settings[/bold]")
    console.print(_pairs({k: _short(v) for k, v in settings_of(card).items() if k not in ("name", "seed")}))
    if lines:
        console.print("\n[bold]Epochs[/bold]")
        console.print(_curves(lines))
    for figures in card.figures:
        console.print(f"\n[bold]{escape(figures.title)}[/bold]: {escape(figures.split)}")
        console.print(_pairs({n: f"{e.text()}  ({e.n:,} {e.unit}s)" for n, e in _all(card).items()}))
    console.print(f"\nnext: dermoscope report {run}", style="dim", markup=False)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of two or more runs; the first is compared with each.")],
    on: Annotated[
        str | None, typer.Option(help="Compare on the validation role of this data set too, by name or path.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare runs: settings that differ, and paired differences of their validation figures.

    Differences are taken on the same lesions, with Holm's correction over all that are shown.
    """
    import json

    from dermoscope.cli.progress import phases
    from dermoscope.data.catalog import open_cases
    from dermoscope.train.comparison import compare as compared

    with phases() as progress:
        found = compared(runs, open_cases(on)[0] if on else None, progress)
    if as_json:
        print(json.dumps(found.as_dict(), indent=1))
    else:
        _tell(found, runs, on)


def _tell(found: "Comparison", runs: list[Path], on: str | None) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for remark in found.remarks:
        console.print(f"* {remark}", style="yellow", markup=False)
    console.print("[bold]What differs[/bold]")
    console.print(_table(["", *map(str, runs)], [[n, *map(_short, v)] for n, v in found.settings.items()]))
    there = f"; elsewhere: on {escape(on)}, among the diagnoses that it holds" if on else ""
    console.print(f"\n[bold]Validation[/bold], with 95 % intervals; calibration: under the calibration prior{there}")
    console.print(_table(["", *map(str, runs)], [[n, *map(_text, v)] for n, v in found.figures.items()]))
    if found.differences:
        labels = dict(SHOWN)
        console.print(f"\n[bold]Against {escape(str(runs[0]))}, on the same lesions[/bold]")
        rows = [
            [
                Path(d.run).name,
                labels.get(d.metric, d.metric),
                _signed(d.estimate),
                f"{d.p_value:.3f}",
                f"{d.p_holm:.3f}",
            ]
            for d in found.differences
        ]
        console.print(_table(["run", "figure", "difference", "p", "p (Holm)"], rows))


def _facts(card: "RunCard") -> dict[str, str]:
    data, code, where = card.data, card.code, card.environment
    commit = (
        f", commit {code['commit'][:12]}{' with changes' if code.get('changed') else ''}" if "commit" in code else ""
    )
    packages = where.get("packages", {})
    resumed = len(code.get("before", []))
    return {
        "begun": f"{card.started}, took {_duration(card.seconds)}",
        "data": f"{data.get('given') or data['name']}: {data['images']:,} images of {data['lesions']:,} lesions "
        f"({data['sha256'][:12]})",
        "roles": f"training {data['training']:,}, validation {data['validation']:,}, calibration "
        f"{data['calibration']:,} images; split: {data['split'][:18]}",
        "code": f"dermoscope {code['version']}, sources {code['sources']}{commit}"
        + (f"; resumed with other code {resumed} time(s)" if resumed else ""),
        "machine": f"{where['device']}, {where['cores']} cores, {where['processes']} process(es), "
        f"{where['system']}, Python {where['python']}",
        "packages": ", ".join(f"{k} {v}" for k, v in packages.items()),
        "seed": str(card.seed),
        "bundles": ", ".join(f"{k} {v[:12]}" for k, v in card.bundles.items()) or "none yet",
    }


def _curves(lines: list[dict[str, Any]]) -> "Table":
    every = [k for line in lines for k, v in line.items() if isinstance(v, int | float)]
    numbers = [k for k in dict.fromkeys(every) if k not in ("epoch", "size", "seconds")]
    rows = []
    for name in numbers:
        values = [line.get(name) for line in lines]
        known = [v for v in values if v is not None]
        rows.append(
            [name, _spark(values), f"{known[0]:.3f}", f"{min(known):.3f}", f"{max(known):.3f}", f"{known[-1]:.3f}"]
        )
    return _table(["", f"{len(lines)} epochs", "first", "lowest", "highest", "last"], rows)


def _spark(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    low, high = min(known), max(known)
    step = (high - low) or 1.0
    return "".join(" " if v is None else _BARS[round((v - low) / step * (len(_BARS) - 1))] for v in values)


def _table(headings: list[str], rows: list[list[str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _pairs(facts: dict[str, str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(value))
    return table


def _all(card: "RunCard") -> "dict[str, Estimate]":
    return {name: figures.get(name) for figures in card.figures for name in figures.estimates}


def _estimate(card: "RunCard", name: str) -> "Estimate | None":
    return _all(card).get(name)


def _text(estimate: "Estimate | None") -> str:
    return "–" if estimate is None else estimate.text()


def _signed(e: "Estimate") -> str:
    if e.value is None or e.low is None or e.high is None:
        return e.text()
    return f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"


def _short(value: object) -> str:
    if isinstance(value, list):
        return ",".join("x".join(map(str, v)) if isinstance(v, list) else str(v) for v in value) or "none"
    text = "–" if value is None else str(value)
    return text[:12] if len(text) == 64 else text


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min" if minutes >= 10 else f"{minutes} min {rest} s" if minutes else f"{rest} s"
