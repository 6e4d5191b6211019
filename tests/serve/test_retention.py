"""What is old goes, and nothing else."""

import datetime
import json
import os

import pytest
from sqlalchemy import func, select, text, update
from typer.testing import CliRunner

from dermoscope.cli.main import app
from dermoscope.core.errors import FullError
from dermoscope.data.synthetic import draw
from dermoscope.serve import cases, jobs, readings, retention
from dermoscope.serve.accounts import Person
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Service
from dermoscope.serve.erase import Erased
from dermoscope.serve.tables import (
    Answered,
    Attempt,
    Blob,
    Case,
    Deletion,
    Event,
    Image,
    Job,
    JobItem,
    Link,
    Login,
    Patient,
    Reading,
    User,
    now,
)
from dermoscope.serve.uploads import clean

ADMIN = Person("anna", "admin")
LONG_AGO = datetime.timedelta(days=40)


def make(service: Service, pseudonym: str, *, sample: bool = False) -> int:
    """A case of forty days ago, with a picture, a reading and a histology of then."""
    picture = clean(draw(1, "NV").jpeg(), "a.jpg")
    with service.desk(ADMIN) as desk:
        made = cases.create(desk, NewCase(pseudonym, sample=sample)).id
    cases.add_images(service, ADMIN, made, [picture], "overview")
    with service.desk(ADMIN) as desk:
        readings.lock(desk, made, readings.Said("refer"))
        cases.enter_histology(desk, made, "NV")
    then = now() - LONG_AGO
    with service.store.begin() as session:
        session.execute(update(Case).where(Case.id == made).values(created_at=then, closed_at=then))
        session.execute(update(Image).where(Image.case_id == made).values(added_at=then))
        session.execute(update(Reading).where(Reading.case_id == made).values(made_at=then))
    return made


def touch(service: Service, made: int, table: type, column: str, days: float) -> None:
    key = table.id if table is Case else table.case_id
    with service.store.begin() as session:
        session.execute(update(table).where(key == made).values({column: now() - datetime.timedelta(days=days)}))


def left(service: Service) -> list[int]:
    with service.store.read() as session:
        return list(session.scalars(select(Case.id).order_by(Case.id)))


def test_a_case_counts_from_its_last_picture_reading_or_histology(service: Service) -> None:
    old, picture, reading, histology, sample = (make(service, f"P{k}", sample=k == 4) for k in range(5))
    touch(service, picture, Image, "added_at", 29)
    touch(service, reading, Reading, "made_at", 29)
    touch(service, histology, Case, "closed_at", 29)
    with service.store.read() as session:
        assert retention.due(session, 0) == ()
        assert retention.due(session, 41) == ()
        assert [one.case_id for one in retention.due(session, 30)] == [old, sample]
        (first, _) = retention.due(session, 30)
        assert (first.pseudonym, first.lesion) == ("P0", "1")
        assert abs(now() - LONG_AGO - first.last) < datetime.timedelta(minutes=5)
    erased = retention.apply(service.store, service.blobs, 30)
    assert (erased.cases, erased.patients, erased.files) == ((old, sample), 2, 0)
    assert left(service) == [picture, reading, histology]
    with service.store.read() as session:
        said = session.scalars(select(Event).where(Event.what == "retention.applied")).all()
        assert [(e.who, e.subject, e.details) for e in said] == [("service", "cases", {"days": 30, "cases": 2})]
        gone = session.scalars(select(Event).where(Event.what == "case.deleted")).all()
        assert {e.details["reason"] for e in gone} == {"kept for 30 days"}
        assert session.scalar(select(func.count(Deletion.uid))) == 2
    assert retention.apply(service.store, service.blobs, 30).cases == ()
    assert retention.apply(service.store, service.blobs, 0).cases == ()
    assert retention.apply(service.store, service.blobs, 20).files == 1
    assert left(service) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_images_of_old_batches_that_never_became_cases_go_too(service: Service) -> None:
    given = [jobs.Given(b"no image", "P1"), jobs.Given(draw(2, "NV").jpeg(), "P2")]
    old, young, waiting = (jobs.create(service, ADMIN, given[: 1 + (k == 2)]) for k in range(3))
    with service.store.begin() as session:
        session.execute(update(Job).where(Job.id != young).values(created_at=now() - LONG_AGO))
    retention.apply(service.store, service.blobs, 30)
    with service.store.read() as session:
        held = session.execute(select(JobItem.job_id, JobItem.state).order_by(JobItem.id)).all()
        assert [tuple(row) for row in held] == [(young, "failed"), (waiting, "waiting")]
        assert session.get(Job, old) is None
        assert session.scalar(select(func.count(Blob.digest))) == 1


def test_what_old_batches_held_leaves_the_files_at_once(service: Service) -> None:
    made = jobs.create(service, ADMIN, [jobs.Given(draw(2, "NV").jpeg(), f"Quittenbaum-{k}") for k in range(3)])
    with service.desk(ADMIN) as desk:
        jobs.cancel(desk, made)
        desk.session.execute(update(Job).values(created_at=now() - LONG_AGO))
    assert retention.apply(service.store, service.blobs, 30) == Erased(files=1)
    assert not [path for path in (service.blobs.folder / "blobs").rglob("*") if path.is_file()]
    if service.store.engine.dialect.name == "postgresql":
        with service.store.engine.connect() as connection:
            assert connection.scalar(text("SELECT pg_relation_size('job_items')")) == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_room_is_made_before_what_needs_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    left_over = service.blobs.folder / "blobs" / "ab" / "ab".ljust(64, "0")
    left_over.parent.mkdir(parents=True)
    left_over.write_bytes(b"x")
    os.utime(left_over, (0, 0))

    def full(*_: object) -> None:
        raise FullError("full")

    monkeypatch.setattr(retention.erase, "finish", full)
    with pytest.raises(FullError):
        retention.maintain(service)
    assert not left_over.exists()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_over_is_forgotten_after_a_month(service: Service) -> None:
    def days(ago: float) -> datetime.datetime:
        return now() - datetime.timedelta(days=ago)

    with service.store.begin() as session:
        session.add(User(id=1, name="anna", role="admin", created_by="x"))
        session.flush()
        for name, until, ended in (("a", -1, None), ("b", 29, None), ("c", 31, None), ("d", -1, 31), ("e", -1, 29)):
            over = None if ended is None else days(ended)
            session.add(Login(digest=name, user_id=1, method="link", until=days(until), ended_at=over))
            session.add(Link(digest=name, made_by="x", until=days(until)))
            session.add(Attempt(bucket=name, last_at=days(until)))
            answered = {"place": "p", "who": "w", "digest": "d", "status": 201, "body": {}}
            session.add(Answered(key=name, made_at=days(max(until, 0)), **answered))
    with service.store.begin() as session:
        retention.forget(session)
    with service.store.read() as session:
        assert set(session.scalars(select(Login.digest))) == {"a", "b", "e"}
        for column in (Link.digest, Attempt.bucket, Answered.key):
            assert set(session.scalars(select(column))) == {"a", "b", "d", "e"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command_lists_what_would_go_and_deletes_nothing(service: Service) -> None:
    make(service, "P1")
    folder = ["--folder", str(service.blobs.folder)]

    def said(*more: str) -> str:
        ran = CliRunner().invoke(app, ["retention", *folder, *more])
        assert ran.exit_code == 0, ran.output
        return ran.output

    assert said() == "Cases are kept for ever: no days are set. See with --days N what would go.\n"
    listed = said("--days", "30").splitlines()
    assert listed[0] == "1 case has had no picture, reading or histology for 30 days."
    assert listed[1] == f"  case 1, last on {now() - LONG_AGO:%Y-%m-%d}"
    assert listed[2] == "To have such cases deleted, start the service with DERMOSCOPE_SERVE_RETENTION_DAYS=30."
    found = json.loads(said("--days", "30", "--json"))
    assert (found["days"], found["applied"], [row["case"] for row in found["due"]]) == (30, False, [1])
    assert left(service) == [1]
    with service.store.read() as session:
        assert session.scalar(select(func.count(Patient.id))) == 1
