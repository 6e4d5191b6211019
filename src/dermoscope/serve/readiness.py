"""Whether the service can do its work, part by part, and why not in a sentence that holds nothing of a patient."""

import datetime
import hmac
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping

from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from dermoscope.core.errors import DermoscopeError
from dermoscope.serve.desk import Service
from dermoscope.serve.tables import Event, Head, now
from dermoscope.serve.trail import BEHIND, keys_of, text_of_head

LITTLE = 200_000_000
"""Bytes of free disk below which nothing more is taken: an upload may have a hundred large files."""


class NotReadyError(DermoscopeError):
    """A part that cannot do its work, and why."""


def readiness(service: Service) -> dict[str, str]:
    """Every part of `PARTS`: `ok`, or what is wrong and what to do."""
    return {name: _said(check, service) for name, check in PARTS.items()}


def _said(check: Callable[[Service], None], service: Service) -> str:
    try:
        check(service)
    except NotReadyError as error:
        return str(error)
    except (DermoscopeError, SQLAlchemyError, OSError) as error:
        return f"{type(error).__name__}: it cannot be used; the service's log says more"
    return "ok"


def _bundle(service: Service) -> None:
    service.engine.predictor.bundle.check_served()


def _database(service: Service) -> None:
    with service.store.read() as session:
        session.execute(text("SELECT 1"))


def _folder(service: Service) -> None:
    folder = service.options.folder
    try:
        handle, name = tempfile.mkstemp(prefix=".ready-", dir=folder)
        os.close(handle)
        os.unlink(name)  # noqa: PTH108 - the very file that was made
    except OSError as error:
        raise NotReadyError(f"the folder cannot be written ({error.strerror}); mend its rights or its disk") from None
    free = shutil.disk_usage(folder).free
    if free < LITTLE:
        raise NotReadyError(f"only {free // 10**6} MB are free where images are kept; make room")


def _clock(service: Service) -> None:
    """The trail's last line was written in the past: a clock that went back makes nonsense of every time."""
    with service.store.read() as session:
        last = session.scalar(select(Head.at))
    if last is not None and now() < last - BEHIND:
        late = round((last - now()) / datetime.timedelta(seconds=1))
        raise NotReadyError(f"the clock is {late} s behind the last line of the audit trail; set it right")


def _audit(service: Service) -> None:
    """The head of the trail is what the service left, and the last line is the one that it names."""
    with service.store.read() as session:
        head = session.get(Head, 1)
        if head is None or not head.seal:
            return
        last = session.execute(select(Event.id, Event.hash).order_by(Event.id.desc()).limit(1)).first()
        sealed = hmac.compare_digest(head.seal, keys_of(session).seal("head", text_of_head(head)))
        at_end = (head.count, head.hash) == ((last.id, last.hash) if last else (head.base, head.base_hash))
    if not sealed or not at_end:
        raise NotReadyError("the audit trail was changed by something else; `dermoscope audit verify` says where")


PARTS: Mapping[str, Callable[[Service], None]] = {
    "bundle": _bundle,
    "database": _database,
    "folder": _folder,
    "clock": _clock,
    "audit": _audit,
}
