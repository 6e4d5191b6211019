"""Several processes that serve one port: started, started again where one ends, and ended together.

The parent takes the port and nothing else: each process accepts from it by itself, and the system shares them out. A
process that ends is replaced, at once the first time and later after ever longer pauses. uvicorn's own supervisor
replaces without a pause, and ends with a signal where 0 is wanted.
"""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from dermoscope.serve.options import Options

PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a process is replaced that ended soon after its start: the first time, and at most."""
SOON = 60.0
"""Seconds that a process has to live to be no sign of trouble."""
_GRACE = 10.0
"""Seconds more than a process has for its end, before it is killed."""
_log = logging.getLogger(__name__)
Target = Callable[[Options, socket.socket], None]


@dataclass
class _Place:
    """One of the processes, and how those before it fared."""

    number: int
    process: BaseProcess | None = None
    begun: float = 0.0
    failures: int = 0
    due: float = 0.0

    def ended(self, now: float) -> None:
        self.failures = self.failures + 1 if now - self.begun < SOON else 0
        self.due = now + (min(LONGEST_PAUSE, PAUSE * 2 ** (self.failures - 1)) if self.failures else 0.0)
        self.process = None


@dataclass
class _Signals:
    """How many came that ask for an end."""

    count: int = 0

    def note(self, *_: object) -> None:
        self.count += 1


def supervise(options: Options, listening: socket.socket, target: Target) -> int:
    """Keep `options.workers` processes running `target` until a signal comes; the exit code: 0 where all ended well.

    `target` serves the port in a new process, and ends on SIGTERM.
    """
    signals = _Signals()
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, signals.note)
    context = multiprocessing.get_context("spawn")  # threads of the network do not survive a fork
    places = [_Place(number) for number in range(1, options.workers + 1)]
    while not signals.count:
        for place in places:
            if place.process is None and _now() >= place.due:
                place.process, place.begun = context.Process(target=_child, args=(target, options, listening)), _now()
                place.process.start()
        connection.wait([place.process.sentinel for place in places if place.process], timeout=0.2)
        for place in places:
            if place.process is not None and not place.process.is_alive():
                place.process.join()
                code = place.process.exitcode
                place.ended(_now())
                _log.error("process %d ended by itself (exit code %s) and is replaced", place.number, code)
    listening.close()
    return _end([place.process for place in places if place.process], options.drain_s, signals)


def _end(processes: list[BaseProcess], drain_s: float, signals: _Signals) -> int:
    """Pass the signal on and wait; a second one, or the time, ends those that are left."""
    for process in processes:
        process.terminate()
    until, told = _now() + drain_s + _GRACE, False
    while any(process.is_alive() for process in processes):
        if signals.count > 1 and not told:
            told, until = True, min(until, _now() + _GRACE)
            for process in processes:
                process.terminate()
        if _now() > until:
            for process in processes:
                process.kill()
        time.sleep(0.05)
    codes = [process.exitcode for process in processes]
    if any(codes):
        print(f"dermoscope: not every process ended well (exit codes {codes})", file=sys.stderr, flush=True)
    return 1 if any(codes) else 0


def _child(target: Target, options: Options, listening: socket.socket) -> None:
    """One process: it hears signals of its parent alone, and ends with it."""
    os.setsid()  # Ctrl-C on a terminal goes to the parent, which passes it on
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
    target(options, listening)


def _now() -> float:
    return time.monotonic()
