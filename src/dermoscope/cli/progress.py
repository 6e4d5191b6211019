"""Progress bars with ETA, on standard error only; lines of text where that is no terminal."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SAID_EVERY = 30.0
"""Seconds between two lines of one phase in a log."""
SAID_FIRST = 2.0
"""Seconds after which a phase is mentioned at all."""


@contextmanager
def phases() -> Iterator[Callable[[str, int, int], None]]:
    """A callback (phase, done, total) that shows one bar per phase, or writes lines where nobody sees a bar."""
    if not sys.stderr.isatty():
        yield lines()
        return
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
    with Progress(*columns, console=Console(stderr=True)) as shown:
        yield _bars(shown)


@contextmanager
def transfers() -> Iterator[Callable[[str, int, int], None]]:
    """The same for phases that are counted in bytes (a total of 0: not known), with their speed."""
    if not sys.stderr.isatty():
        yield lines()
        return
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
    with Progress(*columns, console=Console(stderr=True)) as shown:
        yield _bars(shown)


def _bars(shown: "Progress") -> Callable[[str, int, int], None]:
    """A callback that keeps one bar per phase; a total of 0 is not known."""
    tasks: dict[str, TaskID] = {}

    def report(phase: str, done: int, total: int) -> None:
        if phase not in tasks:
            # what an earlier try left is no part of the speed of this one
            tasks[phase] = shown.add_task(phase, total=total or None, completed=done)
        shown.update(tasks[phase], completed=done, total=total or None)

    return report


def lines(every: float = SAID_EVERY, first: float = SAID_FIRST) -> Callable[[str, int, int], None]:
    """A callback that writes a line about a phase after `first` seconds, then every so many, and when it has ended."""
    begun: dict[str, tuple[float, int]] = {}
    said: dict[str, float] = {}

    def report(phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        # What an earlier transfer left took no time of this one.
        start, before = begun.setdefault(phase, (now, done if done > 1 else 0))
        passed, fresh, ended = now - start, done - before, 0 < total <= done
        due = passed >= first if phase not in said else now - said[phase] >= every or ended
        if not due or said.get(phase) == math.inf:
            return
        said[phase] = math.inf if ended else now
        left = f", {_clock(passed / fresh * (total - done))} to go" if fresh > 0 and done < total else ""
        of = f" of {total:,}" if total else ""
        print(f"{phase}: {done:,}{of}, {_clock(passed)}{left}", file=sys.stderr, flush=True)

    return report


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
