"""Deleting a case or a patient, so that nothing of either is left below the folder or in the database.

    1  a note of what is to go (`Deletion`), and a line of `FOLDER/deletions.jsonl`, which no backup takes back
    2  the rows, with the key of the case in the trail, and the line that says so: one transaction
    3  pictures that nothing else uses, and their small copies
    4  the free pages of the database

A kill leaves it undone before the first note is stored. After that the next start goes on where it ended, and every
step may be done twice. What stays is the name for ever of the case (`Case.uid`), who deleted it, when and why.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dermoscope.core.errors import ConflictError, NotFoundError, ValueRuleError
from dermoscope.serve import trail
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.deletions import remember
from dermoscope.serve.desk import LARGEST, Service
from dermoscope.serve.scrub import scrub
from dermoscope.serve.store import Store
from dermoscope.serve.tables import (
    Answered,
    Case,
    CaseKey,
    Deletion,
    Image,
    Job,
    JobItem,
    Opening,
    Patient,
    Reading,
    Result,
    now,
)

GONE = 410
"""The status of an answer that is given no more, for what it spoke of was deleted."""
LONGEST = 200
"""Characters of a reason."""
_AT_ONCE = 50
"""Cases that are taken out in one transaction: others wait no longer than for these."""
_TIMES = 20
"""A patient is looked at that often for cases that came in while others were deleted."""


@dataclass(frozen=True)
class Erased:
    """Numbers of the cases that went, how many pictures with them, and files that nothing else used.

    `patients` went with their last case. Where not `scrubbed`, others used the database for too long: its free pages
    are overwritten within the hour.
    """

    cases: tuple[int, ...] = ()
    patients: int = 0
    images: int = 0
    files: int = 0
    scrubbed: bool = True


def case(service: Service, person: Person, case_id: int, reason: str = "") -> Erased:
    """Delete a case with everything of it. Raises ForbiddenError, NotFoundError, ValueRuleError for the reason."""
    person.require("admin")
    with service.store.read() as session:
        found = session.get(Case, case_id) if 0 < case_id <= LARGEST else None
        if found is None:
            raise NotFoundError(f"there is no case {case_id}; look for it in the worklist")
        uid, why = found.uid, checked_reason(reason, found.patient.pseudonym)
    return erase(service.store, service.blobs, [uid], person.name, why)


def patient(service: Service, person: Person, which: int | str, reason: str = "") -> Erased:
    """Delete everything of a patient, named by number or pseudonym. Raises like `case`.

    Raises ConflictError where cases of the patient keep coming in meanwhile.
    """
    person.require("admin")
    named = Patient.id == which if isinstance(which, int) else Patient.pseudonym == which
    with service.store.read() as session:
        found = session.scalar(select(Patient).where(named)) if which != 0 and _possible(which) else None
        if found is None:
            raise NotFoundError("there is no such patient")
        pseudonym, why = found.pseudonym, checked_reason(reason, found.pseudonym)
    erased = Erased()
    for _ in range(_TIMES):
        with service.store.begin() as session:
            drop_items(session, service.blobs, select(JobItem).where(JobItem.pseudonym == pseudonym))
            uids = session.scalars(select(Case.uid).join(Patient).where(Patient.pseudonym == pseudonym)).all()
        if not uids:
            return erased
        erased = _both(erased, erase(service.store, service.blobs, uids, person.name, why))
    raise ConflictError("cases of this patient keep coming in; stop what sends them, and delete again")


def erase(store: Store, blobs: Blobs, uids: Sequence[str], who: str, reason: str) -> Erased:
    """Delete cases by their names for ever; one that is not there is only noted."""
    note(store, uids, who, reason)
    return _finish(store, blobs, uids)


def note(store: Store, uids: Sequence[str], who: str, reason: str) -> None:
    """Note what is to go: from here on it goes, whatever happens."""
    with store.begin() as session:
        for uid in uids:
            if session.get(Deletion, uid) is None:
                session.add(Deletion(uid=uid, by=who, reason=reason))


def finish(store: Store, blobs: Blobs) -> Erased:
    """Finish deletions that a kill, or somebody who used the database for long, has cut off."""
    with store.read() as session:
        left = session.scalars(select(Deletion.uid).where(Deletion.ended_at.is_(None))).all()
    return _finish(store, blobs, left) if left else Erased()


def checked_reason(reason: str, pseudonym: str) -> str:
    """A reason as it may stand in the trail for years. Raises ValueRuleError for a long one, or with the pseudonym."""
    text = " ".join(reason.split())
    if len(text) > LONGEST or not text.isprintable():
        raise ValueRuleError(f"the reason: give at most {LONGEST} printable characters")
    if re.search(rf"(?<!\w){re.escape(pseudonym)}(?!\w)", text, re.IGNORECASE):
        raise ValueRuleError("the reason names the pseudonym, and would be kept for years; say why without it")
    return text


def _finish(store: Store, blobs: Blobs, uids: Sequence[str]) -> Erased:
    parts = [uids[start : start + _AT_ONCE] for start in range(0, len(uids), _AT_ONCE)]
    erased = Erased()
    for part in parts:
        erased = _both(erased, _take_out_all(store, blobs, part))
    erased = replace(erased, files=blobs.remove_unused(store), scrubbed=scrub(store))
    for part in parts if erased.scrubbed else ():
        with store.begin() as session:
            for one in session.scalars(select(Deletion).where(Deletion.uid.in_(part), Deletion.ended_at.is_(None))):
                one.ended_at = now()
    return erased


def _take_out_all(store: Store, blobs: Blobs, uids: Sequence[str]) -> Erased:
    """Write down that these cases go, and take out their rows."""
    with store.begin() as session:  # of all processes one at a time writes to the file
        notes = session.scalars(select(Deletion).where(Deletion.uid.in_(uids))).all()
        remember(blobs.folder, [{"uid": d.uid, "at": trail.text_of_time(d.begun_at), "by": d.by} for d in notes])
    with store.begin() as session:
        found = [session.scalar(select(Case).where(Case.uid == uid)) for uid in uids]
        held = {d.uid: d for d in session.scalars(select(Deletion).where(Deletion.uid.in_(uids)))}
        images = sum(_take_out(session, blobs, one, held[one.uid]) for one in found if one is not None)
        patients = sum(_take_out_patient(session, blobs, k, held[u].by) for k, u in _patients_of(found))
    return Erased(tuple(one.id for one in found if one is not None), patients, images)


def _patients_of(cases: Sequence[Case | None]) -> list[tuple[int, str]]:
    """Each patient once, and the name for ever of one of its cases."""
    return list({one.patient_id: one.uid for one in cases if one is not None}.items())


def _take_out(session: Session, blobs: Blobs, found: Case, why: Deletion) -> int:
    """Take out the rows of a case, and say so in the trail; how many pictures it had."""
    patient, number = found.patient, found.id
    images = session.execute(select(Image.id, Image.digest).where(Image.case_id == number)).all()
    numbers = [one.id for one in images]
    _forget_answers(session, patient.pseudonym, number, numbers)
    same = select(JobItem).where(JobItem.pseudonym == patient.pseudonym, JobItem.state != "waiting")
    items = [i.id for i in session.scalars(same) if i.case_id == number or i.facts.get("lesion") == found.lesion]
    drop_items(session, blobs, select(JobItem).where((JobItem.case_id == number) | JobItem.id.in_(items)))
    session.execute(delete(Result).where(Result.image_id.in_(numbers)))
    session.execute(delete(Image).where(Image.id.in_(numbers)))
    for table in (Reading, Opening, CaseKey):
        session.execute(delete(table).where(table.case_id == number))
    for one in images:
        blobs.release(session, one.digest)
    job, uid = found.job_id, found.uid
    session.execute(delete(Case).where(Case.id == number))
    _drop_job(session, job)
    trail.record(session, why.by, "case.deleted", f"case/{number}", uid=uid, images=len(images), reason=why.reason)
    return len(images)


def _take_out_patient(session: Session, blobs: Blobs, number: int, who: str) -> bool:
    """Take out a patient of whom no case is left, nor one to come; whether it went."""
    held = session.get_one(Patient, number)
    waiting = select(JobItem.id).where(JobItem.pseudonym == held.pseudonym, JobItem.state == "waiting")
    if session.scalar(select(Case.id).where(Case.patient_id == number).limit(1)) is not None:
        return False
    if session.scalar(waiting.limit(1)) is None:
        drop_items(session, blobs, select(JobItem).where(JobItem.pseudonym == held.pseudonym))
    _forget_answers(session, held.pseudonym, 0, [])
    session.execute(delete(Patient).where(Patient.id == number))
    trail.record(session, who, "patient.deleted", f"patient/{number}")
    return True


def drop_items(session: Session, blobs: Blobs, which: Any) -> int:
    """Take images of batches out; how many. A batch goes on without them, or goes too where nothing is left of it."""
    jobs, items = set(), session.scalars(which).all()
    for item in items:
        digest = item.digest
        jobs.add(item.job_id)
        session.delete(item)
        session.flush()
        if digest is not None:
            blobs.release(session, digest)
    for number in jobs:
        _drop_job(session, number)
    return len(items)


def _drop_job(session: Session, number: int | None) -> None:
    """A batch of which nothing is left goes, with its title; one of which nothing waits any longer is finished."""
    job = None if number is None else session.get(Job, number)
    if job is None:
        return
    states = set(session.scalars(select(JobItem.state).where(JobItem.job_id == job.id)))
    if "waiting" not in states and job.cancelled_at is None:
        job.finished_at = job.finished_at or now()
    if not states and session.scalar(select(Case.id).where(Case.job_id == job.id).limit(1)) is None:
        session.delete(job)
    session.flush()


def _forget_answers(session: Session, pseudonym: str, case_id: int, images: Sequence[int]) -> None:
    """Answers that spoke of a case are given no more; their keys stay taken, so that nobody sends it in again."""
    places = {f"/api/v1/cases/{case_id}", *(f"/api/v1/images/{k}" for k in images)}
    for found in session.scalars(select(Answered).execution_options(yield_per=500)).all():
        if pseudonym == found.key or (len(pseudonym) > 3 and pseudonym in found.key):
            session.delete(found)
        elif _speaks_of(found, pseudonym, case_id, places):
            found.status, found.body, found.digest = GONE, {}, ""


def _speaks_of(found: Answered, pseudonym: str, case_id: int, places: Collection[str]) -> bool:
    here = any(found.place == place or found.place.startswith(f"{place}/") for place in places)
    made = found.place == "/api/v1/cases" and found.body.get("id") == case_id
    return here or made or _within(found.body, pseudonym)


def _within(value: Any, text: str) -> bool:
    """Whether a name stands in what was answered: as a value, or in quotes within a sentence."""
    if isinstance(value, dict | list):
        return any(_within(one, text) for one in (value.values() if isinstance(value, dict) else value))
    return value == text or (isinstance(value, str) and repr(text) in value)


def _possible(which: int | str) -> bool:
    """Whether a row can have that name; the databases refuse others each in its own way."""
    return which.isprintable() if isinstance(which, str) else 0 < which <= LARGEST


def _both(one: Erased, other: Erased) -> Erased:
    return Erased(
        one.cases + other.cases,
        one.patients + other.patients,
        one.images + other.images,
        one.files + other.files,
        one.scrubbed and other.scrubbed,
    )
