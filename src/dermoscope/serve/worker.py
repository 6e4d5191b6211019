"""The threads that work off batches, some items at a time, also those that a stopped process left.

While there is nothing to do it tidies up, once an hour (`serve/retention.py`).
"""

import datetime
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Select, or_, select

from dermoscope.core.errors import BusyError, DermoscopeError, FullError, ImageError
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import KEPT
from dermoscope.serve.cases import NewCase, create, store_images
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.engine import Predicted
from dermoscope.serve.jobs import finish, get, let_go, news
from dermoscope.serve.processes import living
from dermoscope.serve.retention import maintain
from dermoscope.serve.steady import Steady
from dermoscope.serve.tables import Job, JobItem, now
from dermoscope.serve.uploads import Upload

AT_ONCE = 4
"""Items that a thread takes at once."""
TRIES = 4
"""Processes that may end while they read an item; then it is given up. A kill from outside looks the same."""
_PAUSE = 1.0
"""Seconds until the worker looks again by itself; a new batch wakes it at once."""
_log = logging.getLogger(__name__)


class Worker:
    """Runs from when it is made until `close`. Several may run, in one process or many: an item is done once.

    Two threads take turns, so that the network has work while what it said before is stored.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._closed = threading.Event()
        self._sweep_at = time.monotonic()
        self._tidying = threading.Lock()
        self._clock: Steady | None = None
        self._threads = [threading.Thread(target=self._work, name=f"batches-{k}", daemon=True) for k in (1, 2)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the items at hand and end; the others wait for the next start."""
        self._closed.set()
        with news:
            news.notify_all()
        for thread in self._threads:
            thread.join()

    def _tidy(self) -> None:
        if time.monotonic() >= self._sweep_at and self._tidying.acquire(blocking=False):
            try:
                self._sweep_at += KEPT.total_seconds()
                self._clock = self._clock or Steady(self._service.store)
                maintain(self._service, by_age=self._clock.trusted())
            finally:
                self._tidying.release()

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                done = work_some(self._service)
                if not done:
                    self._tidy()
            except (BusyError, FullError) as error:
                _log.warning("batches wait: %s", error)
                done = False
            except Exception:  # the thread must outlive what nobody foresaw
                _log.exception("batches wait")
                done = False
            with news:
                if not done and not self._closed.is_set():
                    news.wait(_PAUSE)


def work_one(service: Service) -> bool:
    """Work off the item that waits longest; False where none does. Raises like `work_some`."""
    return work_some(service, 1)


def work_some(service: Service, most: int = AT_ONCE) -> bool:
    """Take the items that wait longest and work them off; False where there is nothing to take just now.

    Raises BusyError, FullError where the service or the database can do nothing just now: the items still wait.
    """
    items = claim(service, most)
    if not items:
        return False
    try:
        _work_off(service, items)
    finally:
        service.working.difference_update(item.id for item, _ in items)
    return True


def claim(service: Service, most: int = AT_ONCE) -> list[tuple[JobItem, Person]]:
    """Items that nobody works on: for this process from now on, with who sent them.

    One that a process held when it ended may have ended it: such a one is taken alone, and after `TRIES` given up.
    """
    with service.store.read() as session:
        if session.scalar(_waiting().limit(1)) is None:
            return []
    with service.store.begin() as session:
        for item in session.scalars(_waiting().where(JobItem.claimed_by == service.name)):
            if item.id not in service.working:  # what the database was away for
                item.claimed_by, item.attempts = None, item.attempts - 1
        session.flush()
        free = or_(JobItem.claimed_by.is_(None), JobItem.claimed_by.not_in(living(session, service.name)))
        suspect = session.scalar(_waiting().where(free, JobItem.attempts > 0).limit(1))
        held = session.scalars(select(JobItem.attempts).where(JobItem.id.in_(service.working))).all()
        if suspect is not None:
            found = [] if held else [suspect]
        elif any(attempts > 1 for attempts in held):
            found = []
        else:
            found = list(session.scalars(_waiting().where(free).limit(most)))
        for item in found:
            item.claimed_by, item.claimed_at, item.attempts = service.name, now(), item.attempts + 1
        service.working.update(item.id for item in found)
        return [(item, Person(item.job.created_by, "reader")) for item in found]


def _waiting() -> Select[JobItem]:
    waiting = select(JobItem).join(Job).where(JobItem.state == "waiting", Job.cancelled_at.is_(None))
    return waiting.order_by(JobItem.job_id, JobItem.position)


def _work_off(service: Service, items: Sequence[tuple[JobItem, Person]]) -> None:
    """What the model says of items, their cases and their ends: each stored whole or not at all."""
    uploads: list[tuple[JobItem, Person, Upload]] = []
    for item, person in items:
        with _failing(service, item, person):
            if item.attempts > TRIES:
                raise ImageError(
                    f"the service ended {TRIES} times while it read this picture, so it is left out; send it by itself"
                )
            uploads.append((item, person, _upload(service, item)))
    read = service.engine.each([upload.data for *_, upload in uploads], behind=True)
    for (item, person, upload), said in zip(uploads, read, strict=True):
        with _failing(service, item, person):
            if isinstance(said, DermoscopeError):
                raise said
            _make_case(service, person, item, upload, said)


@contextmanager
def _failing(service: Service, item: JobItem, person: Person) -> Iterator[None]:
    """What is wrong with an item is its end; what is wrong with the service is not."""
    try:
        yield
    except (BusyError, FullError):
        raise
    except Exception as error:
        foreseen = isinstance(error, DermoscopeError)
        if not foreseen:
            _log.exception("item %d of batch %d", item.position, item.job_id)
        with service.desk(person) as desk:
            held = _still_waiting(desk, item.id)
            if held is not None:
                _end(desk, held, "failed", str(error) if foreseen else f"unexpected {type(error).__name__}")


def _upload(service: Service, item: JobItem) -> Upload:
    assert item.digest is not None, "an item that waits has its file"
    facts = {name: value for name, value in item.facts.items() if name != "lesion"}
    taken = facts.pop("captured_on")
    day = None if taken is None else datetime.date.fromisoformat(taken)
    return Upload(data=service.blobs.read(item.digest), captured_on=day, **facts)


def _make_case(service: Service, person: Person, item: JobItem, upload: Upload, read: Predicted) -> None:
    with service.desk(person) as desk:
        held = _still_waiting(desk, item.id)
        if held is None:
            return
        case = create(desk, NewCase(held.pseudonym, item.facts["lesion"], job_id=held.job_id))
        store_images(desk, case, [upload], "dermoscopic", read)
        held.case_id = case.id
        _end(desk, held, "done")


def _still_waiting(desk: Desk, item_id: int) -> JobItem | None:
    """The item, held until the transaction ends, unless another process has it, or the batch was cancelled by now."""
    item = desk.session.get(JobItem, item_id)
    if item is None:
        return None
    job = get(desk, item.job_id, lock=True)
    desk.session.refresh(item)
    own = item.claimed_by == desk.service.name
    return item if own and item.state == "waiting" and job.cancelled_at is None else None


def _end(desk: Desk, item: JobItem, state: str, problem: str | None = None) -> None:
    item.state, item.problem, item.claimed_by = state, None if problem is None else problem[:400], None
    let_go(desk, item)
    desk.session.flush()
    finish(desk, item.job)
