"""`dermoscope doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dermoscope.predict.installed import Check


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
    service: Annotated[
        str, typer.Option(help="Only ask a running service, like http://127.0.0.1:8000, whether it is ready.")
    ] = "",
) -> None:
    """Check the installation and say what mends it. Exit code 1 when something needed is missing or damaged."""
    import json
    from dataclasses import asdict

    checks = _of_service(service) if service else _of_installation()
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        _show(checks)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)


def _of_service(address: str) -> "tuple[Check, ...]":
    from dermoscope.serve.health import running

    return tuple(running(address))


def _of_installation() -> "tuple[Check, ...]":
    from dermoscope.predict.installed import environment, packages

    checks = (*environment(), *packages())
    if any(check.state == "fail" for check in checks):  # the rest cannot be looked at without the packages
        return checks
    from dermoscope.predict.health import examine
    from dermoscope.serve.health import settings

    return (*checks, *examine(), *settings())


def _show(checks: "tuple[Check, ...]") -> None:
    """A table of all checks, then the commands that mend what is not well, then a verdict."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, max_width=34, overflow="fold")
    table.add_column(overflow="fold")
    group = ""
    for check in checks:
        if check.group != group and group:
            table.add_row("", "", "")
        group = check.group
        table.add_row(check.state, check.what, check.detail)
        if check.mend:
            table.add_row("", "", f"-> {check.mend}")
    console.print(table)
    bad = sum(check.state == "fail" for check in checks)
    print(f"\nMissing or damaged, and needed: {bad} (fail, above)." if bad else "\nAll that is needed is here.")
    print("Research software: not a medical device, no diagnosis without a physician.")
