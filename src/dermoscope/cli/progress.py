"""Progress bars with ETA, on standard error only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """A callback (phase, done, total) that shows one bar per phase."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, int] = {}
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def report(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = shown.add_task(phase, total=total)
            shown.update(tasks[phase], completed=done, total=total)  # type: ignore[arg-type]

        yield report


@contextmanager
def transfers() -> Iterator[Callable[[str, int, int], None]]:
    """The same for phases that are counted in bytes (a total of 0: not known), with their speed."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, int] = {}
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def report(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                # what an earlier try left is no part of the speed of this one
                tasks[phase] = shown.add_task(phase, total=total or None, completed=done)
            shown.update(tasks[phase], completed=done, total=total or None)  # type: ignore[arg-type]

        yield report
