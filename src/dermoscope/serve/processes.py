"""Which processes serve. Each has a name and beats; what a process holds whose beat has stopped may be taken over.

A name is `MACHINE.PID.TOKEN`, where MACHINE stands for one start of one machine or container: there a process that has
ended is known at once, and elsewhere after `GONE`.
"""

import datetime
import hashlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from dermoscope.core.errors import DermoscopeError
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Process, now

BEAT = 2.0
"""Seconds between two beats; that often a process looks, too, which model it is to serve."""
GONE = datetime.timedelta(seconds=30)
"""After this long without a beat a process is taken for gone."""
_FORGOTTEN = datetime.timedelta(hours=1)
_log = logging.getLogger(__name__)


def new_name() -> str:
    """A name for this process that none had before."""
    return f"{_machine()}.{os.getpid()}.{secrets.token_hex(5)}"


@cache
def _machine() -> str:
    parts = [socket.gethostname()]
    with suppress(OSError):  # neither is there but on Linux
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]  # noqa: PTH115
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def living(session: Session, own: str) -> frozenset[str]:
    """Names of the processes that live; `own` is one of them."""
    rows = session.scalars(select(Process)).all()
    return frozenset({own, *(row.name for row in rows if abs(now() - row.beat_at) < GONE and not _ended(row.name))})


def _ended(name: str) -> bool:
    """Whether a process of this very machine has ended; nothing is known here of others."""
    machine, _, rest = name.partition(".")
    pid = rest.partition(".")[0]
    if machine != _machine() or not pid.isdigit() or os.name != "posix":
        return False
    if int(pid) == os.getpid():  # the number was given again: whoever asks has another name
        return name not in _OWN
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


_OWN: set[str] = set()
"""Names under which this process beats."""


class Beat:
    """A thread that says, until `close`, that a process lives, and does what has to be looked after every moment."""

    def __init__(
        self, store: Store, name: str, model: Callable[[], str], tasks: Sequence[Callable[[], None]] = ()
    ) -> None:
        self._store, self._name, self._model, self._tasks = store, name, model, tasks
        _OWN.add(name)
        self._write()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="beat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Beat no longer, and leave: what is held under this name is free from now on."""
        self._closed.set()
        self._thread.join()
        try:
            with self._store.begin() as session:
                session.execute(delete(Process).where(Process.name == self._name))
        except DermoscopeError as error:
            _log.warning("this process could not take its leave: %s", error)
        _OWN.discard(self._name)

    def _work(self) -> None:
        while not self._closed.wait(BEAT):
            for task in (self._write, *self._tasks):
                try:
                    task()
                except DermoscopeError as error:
                    _log.warning("%s", error)
                except Exception:  # the thread must outlive what nobody foresaw
                    _log.exception("a beat failed")

    def _write(self) -> None:
        with self._store.begin() as session:
            session.execute(delete(Process).where(Process.beat_at < now() - _FORGOTTEN))
            beaten = {"beat_at": now(), "model": self._model()}
            found = session.execute(update(Process).where(Process.name == self._name).values(**beaten))
            if not found.rowcount:  # type: ignore[attr-defined]
                session.add(Process(name=self._name, **beaten))
