"""Memory that many threads share: whoever needs more than is left waits, and who came first goes first."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """So many bytes. What needs more than there is at all gets it while nothing else has any."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._used = 0
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def hold(self, wanted: int) -> Iterator[None]:
        """Have `wanted` bytes as long as the block runs; waits for them. Whoever holds some must not ask for more."""
        wanted, ticket = min(wanted, self.size), object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._changed.wait_for(lambda: self._queue[0] is ticket and self._used + wanted <= self.size)
                self._used += wanted
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= wanted
                self._changed.notify_all()
