"""Whether the clock may be trusted with what is deleted by age: one that jumps ahead makes everything old at once.

A jump while the service runs is seen beside the clock that only counts seconds; one while it was off, by the lines of
the audit trail, which cannot be told from a long rest. After either nothing goes by age for a day: time to mend it.
"""

import datetime
import logging
import time

from sqlalchemy import func, select

from dermoscope.serve.store import Store
from dermoscope.serve.tables import Event, now

WAIT = datetime.timedelta(days=1)
"""How long the service has to run steadily before it goes by the clock again."""
AHEAD = datetime.timedelta(hours=2)
"""How far the clock may run ahead of the seconds that have passed."""
REST = datetime.timedelta(days=8)
"""How old the last line of the trail from before yesterday may be."""
_log = logging.getLogger(__name__)


class Steady:
    """The clock of one process, watched since this was made."""

    def __init__(self, store: Store) -> None:
        self._seen, self._ran, self._until = now(), time.monotonic(), 0.0
        with store.read() as session:
            last = session.scalar(select(func.max(Event.at)).where(Event.at < self._seen - WAIT))
        if last is not None and self._seen - last > REST:
            self._hold(f"its last line of the audit trail before yesterday is of {last:%Y-%m-%d}")

    def trusted(self) -> bool:
        """Whether what is old may go now."""
        moment, ran = now(), time.monotonic()
        ahead = moment - self._seen - datetime.timedelta(seconds=ran - self._ran)
        self._seen, self._ran = moment, ran
        if ahead > AHEAD:
            self._hold(f"its clock went {ahead.total_seconds() / 3600:.0f} hours ahead")
        return ran >= self._until

    def _hold(self, why: str) -> None:
        self._until = time.monotonic() + WAIT.total_seconds()
        _log.warning(
            "nothing is deleted by its age for a day: %s; see whether it is %s indeed", why, f"{now():%Y-%m-%d}"
        )
