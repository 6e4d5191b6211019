"""The audit trail while the service lives: its start and stop, an anchor every minute, old lines gone each day."""

import datetime
import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from dermoscope import __version__
from dermoscope.core.errors import DermoscopeError
from dermoscope.serve import anchors, trail
from dermoscope.serve.audit import prune
from dermoscope.serve.desk import Service
from dermoscope.serve.steady import Steady
from dermoscope.serve.tables import now

EVERY = 60.0
"""Seconds between two anchors, where something was recorded meanwhile."""
_DAY = datetime.timedelta(days=1)
_log = logging.getLogger(__name__)


class Keeping:
    """A thread that keeps the trail until `close`. Several processes may: whatever is done already is left alone."""

    def __init__(self, service: Service, every: float = EVERY) -> None:
        self._service, self._every = service, every
        self._note("started")
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="trail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Note the end, with a last anchor behind it. What cannot be written any more is logged."""
        self._closed.set()
        self._thread.join()
        try:
            self._note("stopped")
            anchors.add(self._service.store)
        except (DermoscopeError, SQLAlchemyError) as error:
            _log.warning("the end of the service is not in the audit trail: %s", error)

    def _work(self) -> None:
        prune_at, clock = now(), None
        while True:
            try:
                clock = clock or Steady(self._service.store)
                if clock.trusted() and now() >= prune_at and self._service.options.audit_days:
                    prune_at = now() + _DAY
                    prune(self._service.store, self._service.options.audit_days)
                anchors.add(self._service.store)
            except (DermoscopeError, SQLAlchemyError) as error:
                _log.warning("no anchor of the audit trail could be written: %s", error)
            if self._closed.wait(self._every):
                return

    def _note(self, what: str) -> None:
        with self._service.store.begin() as session:
            model = self._service.engine.predictor.bundle.sha256
            trail.record(session, trail.SERVICE, what, trail.SERVICE, version=__version__, model=model)
