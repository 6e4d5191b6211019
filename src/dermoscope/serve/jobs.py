"""Batches of images that go on in the background: each image becomes a case of its own.

Files are stored and their rows committed before a batch is acknowledged. An item becomes a case, an image and a result
in the transaction that marks it done, so that it is done once, whenever the process is killed. Names of files are not
kept: they may name a patient.
"""

import datetime
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from sqlalchemy import func, select

from dermoscope.core.errors import ConflictError, ImageError, InputError, NotFoundError, some
from dermoscope.predict.session import usable_cores
from dermoscope.serve.accounts import Person
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.options import MOST_FILES
from dermoscope.serve.tables import Case, Job, JobItem, now
from dermoscope.serve.uploads import clean

State = Literal["running", "finished", "cancelled"]

_RECENT = 20
"""Items whose pace the time left is reckoned by."""
news = threading.Condition()
"""Notified when there is something to do in the background."""


@dataclass(frozen=True)
class Given:
    """One file of a batch, as it came. Without a pseudonym it gets `B<batch>-<number>`.

    `refused` says why it is not looked at.
    """

    data: bytes
    pseudonym: str = ""
    lesion: str = "1"
    refused: str = ""


@dataclass(frozen=True)
class ItemRow:
    """One image of a batch: `state` is `waiting`, `done` (a case) or `failed` (a problem in words)."""

    position: int
    pseudonym: str
    state: str
    case_id: int | None
    problem: str | None


@dataclass(frozen=True)
class Progress:
    """How far a batch is. `left_s` is how many seconds it will take yet, or None where nothing tells."""

    id: int
    title: str
    created_at: datetime.datetime
    created_by: str
    state: State
    total: int
    done: int
    failed: int
    left_s: float | None
    items: tuple[ItemRow, ...] = ()


def create(service: Service, person: Person, given: Iterable[Given], title: str = "") -> int:
    """Store a batch and acknowledge it by its number; its images are worked off by a `Worker`.

    A file that is no image becomes a failed item. Raises InputError for no file, more than `MOST_FILES`, a lesion of
    a patient that stands twice, or a title that cannot be printed.
    """
    title = " ".join(title.split())[:80]
    if not title.isprintable():
        raise InputError("the title holds signs that cannot be printed; leave them out")
    rows = _stored(service, given)
    if not rows:
        raise InputError("no image was given; choose at least one")
    named = Counter((one.pseudonym, one.lesion) for one, _ in rows if one.pseudonym)
    twice = [f"{pseudonym} ({lesion})" for (pseudonym, lesion), n in named.items() if n > 1]
    if twice:
        raise InputError(f"lesions that stand more than once in the batch: {some(twice)}; each image is one case")
    with service.desk(person) as desk:
        job = Job(created_by=person.name, title=title)
        desk.session.add(job)
        desk.session.flush()
        for position, (one, kept) in enumerate(rows, start=1):
            desk.session.add(_item(desk, job, position, one, kept))
        desk.session.flush()
        finish(desk, job)
        desk.record("job.created", f"job/{job.id}", images=len(rows))
        made = job.id
    with news:
        news.notify_all()
    return made


def progress(desk: Desk, job_id: int) -> Progress:
    """How far a batch is, item by item. Raises NotFoundError."""
    job = get(desk, job_id)
    items = tuple(ItemRow(i.position, i.pseudonym, i.state, i.case_id, i.problem) for i in job.items)
    return _progress(desk, job, Counter(i.state for i in items), items)


def listed(desk: Desk) -> tuple[Progress, ...]:
    """All batches without their items, the latest first."""
    counted: dict[int, Counter[str]] = {}
    states = select(JobItem.job_id, JobItem.state, func.count()).group_by(JobItem.job_id, JobItem.state)
    for job_id, state, n in desk.session.execute(states):
        counted.setdefault(job_id, Counter())[state] = n
    jobs = desk.session.scalars(select(Job).order_by(Job.id.desc())).all()
    return tuple(_progress(desk, job, counted.get(job.id, Counter()), ()) for job in jobs)


def cancel(desk: Desk, job_id: int) -> None:
    """Stop a batch; what is done stays. Raises NotFoundError, ConflictError where it has ended."""
    job = get(desk, job_id, lock=True)
    if job.finished_at is not None or job.cancelled_at is not None:
        raise ConflictError(f"batch {job_id} has ended already")
    job.cancelled_at = now()
    for item in job.items:
        let_go(desk, item)
    desk.record("job.cancelled", f"job/{job_id}", left=sum(i.state == "waiting" for i in job.items))


def _stored(service: Service, given: Iterable[Given]) -> list[tuple[Given, "_Kept | str"]]:
    """Every file of a batch, cleaned on all cores and stored; no more are held in memory than there are cores."""
    rows: list[tuple[Given, _Kept | str]] = []
    numbered, cores = enumerate(given, start=1), usable_cores()
    with ThreadPoolExecutor(cores) as pool:
        while chunk := list(islice(numbered, cores)):
            if chunk[-1][0] > MOST_FILES:
                raise InputError(f"a batch has at most {MOST_FILES} images; send the others as another one")
            checked = [_checked(one) for _, one in chunk]
            rows += zip(
                checked,
                pool.map(lambda item: item[1].refused or _kept(service, item[1].data, item[0]), chunk),
                strict=True,
            )
    return rows


def _checked(one: Given) -> Given:
    """Refuse what could be no case before anything is stored."""
    new = NewCase(one.pseudonym or "B", one.lesion)
    return Given(b"", new.pseudonym if one.pseudonym else "", new.lesion)


@dataclass(frozen=True)
class _Kept:
    """A picture whose file is stored: `facts` are the fields of its `Upload` but the bytes, as JSON."""

    digest: str
    size: int
    facts: dict[str, Any]


def _kept(service: Service, data: bytes, position: int) -> _Kept | str:
    """The picture, stored; or why there is none."""
    try:
        upload = clean(data, f"image {position}")
    except ImageError as error:
        return str(error)
    facts = {name: value for name, value in vars(upload).items() if name not in ("data", "held")}
    facts["captured_on"] = None if upload.captured_on is None else upload.captured_on.isoformat()
    return _Kept(service.blobs.put(upload.data), len(upload.data), facts)


def _item(desk: Desk, job: Job, position: int, one: Given, kept: _Kept | str) -> JobItem:
    item = JobItem(job_id=job.id, position=position, pseudonym=one.pseudonym or f"B{job.id}-{position:03d}")
    if isinstance(kept, str):
        item.facts, item.state, item.problem = {"lesion": one.lesion}, "failed", kept[:400]
    else:
        item.facts, item.digest = {"lesion": one.lesion, **kept.facts}, kept.digest
        desk.service.blobs.use(desk.session, kept.digest, kept.facts["media"], kept.size)
    return item


def let_go(desk: Desk, item: JobItem) -> None:
    """The item needs its file no longer; the image of its case does."""
    if item.digest is not None:
        digest, item.digest = item.digest, None
        desk.session.flush()
        desk.service.blobs.release(desk.session, digest)


def finish(desk: Desk, job: Job) -> None:
    """Note the end of a batch when nothing of it waits."""
    left = select(JobItem.id).where(JobItem.job_id == job.id, JobItem.state == "waiting").limit(1)
    if desk.session.scalar(left) is None:
        job.finished_at = now()


def get(desk: Desk, job_id: int, *, lock: bool = False) -> Job:
    """A batch by its number; `lock` holds it until the transaction ends. Raises NotFoundError."""
    job = desk.find(Job, job_id, lock=lock)
    if job is None:
        raise NotFoundError(f"there is no batch {job_id}")
    return job


def _progress(desk: Desk, job: Job, states: Counter[str], items: tuple[ItemRow, ...]) -> Progress:
    state: State = "finished" if job.finished_at else "cancelled" if job.cancelled_at else "running"
    left = _time_left(desk, job) if state == "running" else None
    total = states.total()
    who = (job.id, job.title, job.created_at, job.created_by)
    return Progress(*who, state, total, states["done"], states["failed"], left, items)


def _time_left(desk: Desk, job: Job) -> float | None:
    """Seconds until the batch ends, those before it included, by the pace of its last items."""
    recent = select(Case.created_at).where(Case.job_id == job.id).order_by(Case.id.desc()).limit(_RECENT)
    made = desk.session.scalars(recent).all()
    ahead = select(func.count(JobItem.id)).join(Job).where(JobItem.state == "waiting", Job.cancelled_at.is_(None))
    waiting = desk.session.scalar(ahead.where(Job.id <= job.id)) or 0
    return (made[0] - made[-1]).total_seconds() / (len(made) - 1) * waiting if len(made) > 1 else None
