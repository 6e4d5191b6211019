"""What is kept for how long, and what the service tidies up by itself once an hour."""

import datetime
from dataclasses import dataclass, replace

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from dermoscope.serve import erase, trail
from dermoscope.serve.backup import tidy
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.desk import Service
from dermoscope.serve.scrub import scrub
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Answered, Attempt, Case, Image, Job, JobItem, Link, Login, Patient, Reading, now

FORGOTTEN = datetime.timedelta(days=30)
"""Logins and links that are over, failed attempts, and answers to requests are kept that long."""
_AT_ONCE = 100
"""Cases deleted in one transaction."""


@dataclass(frozen=True)
class Due:
    """A case whose last picture, reading or histology is older than the site keeps cases."""

    case_id: int
    uid: str
    pseudonym: str
    lesion: str
    last: datetime.datetime


def due(session: Session, days: int) -> tuple[Due, ...]:
    """The cases that go, the oldest first; none where `days` is 0. Samples and open cases are no exception."""
    if not days:
        return ()
    before = now() - datetime.timedelta(days=days)
    last_image = select(func.max(Image.added_at)).where(Image.case_id == Case.id).scalar_subquery()
    last_reading = select(func.max(Reading.made_at)).where(Reading.case_id == Case.id).scalar_subquery()
    asked = select(Case, Patient.pseudonym, last_image, last_reading).join(Patient).where(Case.created_at < before)
    found = []
    for case, pseudonym, *moments in session.execute(asked):
        last = max(moment for moment in (case.created_at, case.closed_at, *moments) if moment is not None)
        if last < before:
            found.append(Due(case.id, case.uid, pseudonym, case.lesion, last))
    return tuple(sorted(found, key=lambda one: (one.last, one.case_id)))


def apply(store: Store, blobs: Blobs, days: int) -> erase.Erased:
    """Delete what is due, and note it. Images of batches that never became cases go by the age of their batch."""
    with store.read() as session:
        uids = [one.uid for one in due(session, days)]
    erased = erase.Erased()
    for start in range(0, len(uids), _AT_ONCE):
        erase.note(store, uids[start : start + _AT_ONCE], trail.SERVICE, f"kept for {days} days")
    if uids:
        erased = erase.finish(store, blobs)
    dropped = 0
    if days:
        with store.begin() as session:
            old = Job.created_at < now() - datetime.timedelta(days=days), JobItem.case_id.is_(None)
            ended = or_(JobItem.state != "waiting", Job.cancelled_at.is_not(None))
            dropped = erase.drop_items(session, blobs, select(JobItem).join(Job).where(*old, ended))
            if erased.cases:
                trail.record(session, trail.SERVICE, "retention.applied", "cases", days=days, cases=len(erased.cases))
    if dropped:
        files = erased.files + blobs.remove_unused(store)
        erased = replace(erased, files=files, scrubbed=scrub(store))
    return erased


def forget(session: Session) -> None:
    """Take out logins and links that are over, failed attempts and answers to requests, all of a month ago."""
    before = now() - FORGOTTEN
    for which in (
        delete(Login).where(or_(Login.until < before, Login.ended_at < before)),
        delete(Link).where(Link.until < before),
        delete(Attempt).where(Attempt.last_at < before),
        delete(Answered).where(Answered.made_at < before),
    ):
        session.execute(which)


def maintain(service: Service, *, by_age: bool = True) -> None:
    """What is done at every start and once an hour: unfinished deletions, retention, files that nobody needs.

    What makes room comes first: the rest needs some. Without `by_age` nothing goes because it is old (`serve/steady`).
    """
    tidy(service.blobs.folder)
    service.blobs.sweep(service.store)
    erase.finish(service.store, service.blobs)
    if by_age:
        apply(service.store, service.blobs, service.options.retention_days)
        with service.store.begin() as session:
            forget(session)
