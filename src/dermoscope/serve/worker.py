"""The thread that works off batches, an item after the other, also those that a stopped process left.

While there is nothing to do it tidies up, once an hour (`serve/retention.py`).
"""

import datetime
import logging
import threading
import time

from sqlalchemy import select

from dermoscope.core.errors import BusyError, DermoscopeError, FullError
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import KEPT
from dermoscope.serve.cases import NewCase, create, read_uploads, store_images
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.jobs import finish, get, let_go, news
from dermoscope.serve.retention import maintain
from dermoscope.serve.tables import Job, JobItem
from dermoscope.serve.uploads import Upload

_PAUSE = 1.0
"""Seconds until the worker looks again by itself; a new batch wakes it at once."""
_log = logging.getLogger(__name__)


class Worker:
    """Runs from when it is made until `close`. Several may run, in one process or many: an item is done once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the item at hand and end; the others wait for the next start."""
        self._closed.set()
        with news:
            news.notify_all()
        self._thread.join()

    def _work(self) -> None:
        sweep_at = time.monotonic()
        while not self._closed.is_set():
            try:
                done = work_one(self._service)
                if not done and time.monotonic() >= sweep_at:
                    sweep_at += KEPT.total_seconds()
                    maintain(self._service)
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
    """Work off the item that waits longest; False where none does.

    Raises BusyError, FullError where the service or the database can do nothing just now: the item still waits.
    """
    with service.store.read() as session:
        waiting = select(JobItem, Job.created_by).join(Job)
        waiting = waiting.where(JobItem.state == "waiting", Job.cancelled_at.is_(None))
        found = session.execute(waiting.order_by(JobItem.job_id, JobItem.position).limit(1)).first()
    if found is None:
        return False
    item, who = found
    person = Person(who, "reader")
    try:
        _make_case(service, person, item)
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
    return True


def _make_case(service: Service, person: Person, item: JobItem) -> None:
    """What the model says of an item, its case and its end, stored together or not at all."""
    assert item.digest is not None, "an item that waits has its file"
    facts = dict(item.facts)
    lesion, taken = facts.pop("lesion"), facts.pop("captured_on")
    day = None if taken is None else datetime.date.fromisoformat(taken)
    upload = Upload(data=service.blobs.read(item.digest), captured_on=day, **facts)
    read = read_uploads(service, [upload])
    with service.desk(person) as desk:
        held = _still_waiting(desk, item.id)
        if held is None:
            return
        case = create(desk, NewCase(held.pseudonym, lesion, job_id=held.job_id))
        store_images(desk, case, [upload], "dermoscopic", read)
        held.case_id = case.id
        _end(desk, held, "done")


def _still_waiting(desk: Desk, item_id: int) -> JobItem | None:
    """The item, held until the transaction ends, unless somebody else did it or the batch was cancelled meanwhile."""
    item = desk.session.get_one(JobItem, item_id)
    job = get(desk, item.job_id, lock=True)
    desk.session.refresh(item)
    return item if item.state == "waiting" and job.cancelled_at is None else None


def _end(desk: Desk, item: JobItem, state: str, problem: str | None = None) -> None:
    item.state, item.problem = state, None if problem is None else problem[:400]
    let_go(desk, item)
    desk.session.flush()
    finish(desk, item.job)
