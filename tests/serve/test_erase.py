"""Deleted is deleted: nothing of a case is left in rows, files, free pages or logs, and no kill changes that."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from dermoscope.core.errors import ConflictError, DermoscopeError, ForbiddenError, NotFoundError, ValueRuleError
from dermoscope.data.synthetic import draw
from dermoscope.serve import cases, erase, jobs, readings, scrub, trail
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.cases import NewCase
from dermoscope.serve.deletions import FILE, remember, remembered
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Answered, Blob, Case, CaseKey, Deletion, Event, Image, Job, JobItem, Patient, Table
from dermoscope.serve.uploads import Upload, clean
from dermoscope.serve.worker import work_one

ADMIN = Person("anna", "admin")
SECRET, PLACE = "Quittenbaum-7731", "hinter dem linken Ohr"
sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def drawn() -> list[Upload]:
    return [clean(draw(seed, code).jpeg(), f"{seed}.jpg") for seed, code in ((1, "MEL"), (2, "NV"))]


def make(service: Service, pseudonym: str, pictures: list[Upload], lesion: str = PLACE) -> int:
    """A case that was read by the model and a reader, looked at, and answered."""
    with service.desk(ADMIN) as desk:
        made = cases.create(desk, NewCase(pseudonym, lesion)).id
        body = {"id": made, "pseudonym": pseudonym, "lesion": lesion}
        desk.session.add(Answered(key=f"k{made}", place="/api/v1/cases", who="anna", digest="d", status=201, body=body))
    added = cases.add_images(service, ADMIN, made, pictures, "dermoscopic")
    with service.desk(ADMIN) as desk:
        readings.lock(desk, made, readings.Said("refer", "MEL", 0.9))
        for image in added.image_ids:
            place = f"/api/v1/images/{image}"
            desk.session.add(Answered(key=place, place=place, who="anna", digest="d", status=201, body={}))
    for side in (160, 640):
        service.blobs.thumbnail(service.blobs.digest(pictures[0].data), side)
    return made


def raw(folder: Path, database: str) -> bytes:
    """Every byte below the folder, and of the server's data but its write-ahead log, which is the clinic's to limit."""
    found = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    if database:
        import psycopg

        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("ANALYZE")
            connection.execute("CHECKPOINT")
            (data,) = connection.execute("SHOW data_directory").fetchone() or ("",)
            (number,) = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        found += [path.read_bytes() for path in (Path(data) / "base" / str(number)).glob("*") if path.is_file()]
    return b"".join(found)


def count(service: Service, table: type[Table]) -> int:
    with service.looking(ADMIN) as desk:
        return desk.session.scalar(select(func.count()).select_from(table)) or 0


def told(service: Service, what: str) -> list[Event]:
    with service.looking(ADMIN) as desk:
        return list(desk.session.scalars(select(Event).where(Event.what == what).order_by(Event.id)))


def test_nothing_of_a_deleted_case_is_found_anywhere(service: Service, options: Options, drawn: list[Upload]) -> None:
    other = make(service, "P-other", drawn[1:], "1")
    made = make(service, SECRET, drawn)
    with service.looking(ADMIN) as desk:
        uid = cases.get(desk, made).uid
    marks = [SECRET.encode(), PLACE.encode(), drawn[0].data[9000:9300], uid.encode()]
    before = raw(options.folder, options.database)
    assert all(mark in before for mark in marks[:3])
    erased = erase.case(service, ADMIN, made, "asked for")
    assert erased == erase.Erased((made,), 1, 2, 1, scrubbed=True)
    after = raw(options.folder, options.database)
    for mark in marks[:3]:
        assert mark not in after
    digest = service.blobs.digest(drawn[0].data)
    assert not list(options.folder.rglob(f"{digest}*"))
    assert digest.encode() not in after
    assert count(service, Patient) == count(service, Case) == 1
    with service.looking(ADMIN) as desk:  # the other one lost nothing, also not the picture that both had
        (image,) = cases.get(desk, other).images
        assert service.blobs.read(image.digest) == drawn[1].data
        assert desk.session.get_one(Blob, image.digest).references == 1
        assert image.results


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_planner_keeps_no_sample_of_what_went(service: Service, drawn: list[Upload]) -> None:
    for k in range(3):
        make(service, f"{SECRET}-{k}", drawn[:1], f"{k}")
    with service.store.begin() as session:
        for k in range(3):
            job = Job(created_by="anna", title=f"{SECRET} {k}")
            session.add(job)
            session.flush()
            given = {"job_id": job.id, "position": 1, "pseudonym": f"{SECRET}-{k}", "facts": {"lesion": "0"}}
            session.add(JobItem(**given, state="failed", problem=f"lesion '0' of '{SECRET}-{k}' is case 1 already"))
        keys = [held.key for held in session.scalars(select(CaseKey))]
    with service.store.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        sampled = "SELECT string_agg(concat(histogram_bounds::text, most_common_vals::text), ' ') FROM pg_stats"
        found = connection.scalar(text(f"{sampled} WHERE schemaname = 'public'"))
    assert len(keys) == 3
    assert not [key for key in keys if key.hex() in found]
    assert SECRET not in found


def test_it_is_remembered_that_it_was_deleted_by_whom_and_why(service: Service, drawn: list[Upload]) -> None:
    made = make(service, SECRET, drawn[:1])
    with service.looking(ADMIN) as desk:
        uid = cases.get(desk, made).uid
    erase.case(service, ADMIN, made, " consent   withdrawn ")
    (line,) = told(service, "case.deleted")
    assert (line.who, line.subject) == ("anna", f"case/{made}")
    assert line.details == {"images": 1, "reason": "consent withdrawn", "uid": uid}
    (gone,) = told(service, "patient.deleted")
    assert gone.subject == "patient/1"
    with service.looking(ADMIN) as desk:
        kept = desk.session.get_one(Deletion, uid)
        assert kept.ended_at is not None
        assert kept.reason == "consent withdrawn"
        sealed = desk.session.scalars(select(Event).where(Event.sealed.is_not(None))).all()
        assert sealed
        assert [trail.opened(desk.session, one) for one in sealed] == [None] * len(sealed)
    (held,) = (service.blobs.folder / FILE).read_text().splitlines()
    said = json.loads(held)
    assert set(said) == {"uid", "at", "by"}
    assert (said["uid"], said["by"]) == (uid, "anna")
    assert (service.blobs.folder / FILE).stat().st_mode & 0o777 == 0o600


@sqlite_only
def test_the_last_case_takes_the_patient_along_and_no_other_does(service: Service, drawn: list[Upload]) -> None:
    first, second = make(service, SECRET, drawn[:1], "1"), make(service, SECRET, drawn[1:], "2")
    assert erase.case(service, ADMIN, first).patients == 0
    assert erase.case(service, ADMIN, second).patients == 1
    third, fourth = make(service, SECRET, drawn[:1], "1"), make(service, SECRET, drawn[:1], "2")
    make(service, "P-other", drawn[:1])
    assert erase.patient(service, ADMIN, SECRET) == erase.Erased((third, fourth), 1, 2, 0)  # another has the picture
    assert count(service, Patient) == 1
    assert erase.patient(service, ADMIN, 3).files == 1
    assert count(service, Image) == count(service, Blob) == 0


@sqlite_only
def test_answers_that_spoke_of_it_are_given_no_more_and_their_keys_stay_taken(
    service: Service, drawn: list[Upload]
) -> None:
    made = make(service, SECRET, drawn[:1])
    with service.desk(ADMIN) as desk:
        desk.session.add(Answered(key=f"x-{SECRET}", place="/api/v1/jobs", who="a", digest="d", status=201, body={}))
        desk.session.add(Answered(key="y", place="/api/v1/cases", who="a", digest="d", status=201, body={"id": 999}))
        said = {"items": [{"problem": f"lesion '1' of '{SECRET}' is case 3 already"}]}
        desk.session.add(Answered(key="z", place="/api/v1/jobs", who="a", digest="d", status=201, body=said))
    erase.case(service, ADMIN, made)
    with service.looking(ADMIN) as desk:
        held = {a.key: a for a in desk.session.scalars(select(Answered))}
    assert set(held) == {f"k{made}", "/api/v1/images/1", "y", "z"}
    assert held["y"].body == {"id": 999}
    for key in (f"k{made}", "/api/v1/images/1", "z"):
        assert (held[key].status, held[key].digest) == (410, "")
        assert held[key].body == {}


def test_images_of_batches_go_too_and_the_batch_goes_on(service: Service) -> None:
    data = [draw(seed, "NV").jpeg() for seed in (5, 6, 7)]
    given = [jobs.Given(data[0], SECRET, "1"), jobs.Given(data[1], SECRET, "2"), jobs.Given(data[2], "P-other")]
    number = jobs.create(service, ADMIN, given, f"of {SECRET}")
    assert work_one(service)
    erase.patient(service, ADMIN, SECRET)
    while work_one(service):
        pass
    with service.looking(ADMIN) as desk:
        left = jobs.progress(desk, number)
        assert (left.state, left.total, left.done) == ("finished", 1, 1)
        assert desk.session.scalars(select(Patient.pseudonym)).all() == ["P-other"]
    erase.patient(service, ADMIN, "P-other")
    assert count(service, Job) == count(service, JobItem) == count(service, Blob) == 0
    assert not [path for path in (service.blobs.folder / "blobs").rglob("*") if path.is_file()]


@sqlite_only
def test_who_may_and_what_a_reason_may_say(service: Service, drawn: list[Upload]) -> None:
    made = make(service, SECRET, drawn[:1])
    for role in ("reader", "reviewer"):
        with pytest.raises(ForbiddenError):
            erase.case(service, Person("r", role), made)
        with pytest.raises(ForbiddenError):
            erase.patient(service, Person("r", role), SECRET)
    for which in (0, -1, 99, 2**40):
        with pytest.raises(NotFoundError, match=f"there is no case {which}; look for it in the worklist"):
            erase.case(service, ADMIN, which)
    for name in ("nobody", 0, 99, 2**40, "\0"):
        with pytest.raises(NotFoundError, match="there is no such patient"):
            erase.patient(service, ADMIN, name)
    with pytest.raises(ValueRuleError, match="the reason names the pseudonym, and would be kept for years"):
        erase.case(service, ADMIN, made, f"wish of {SECRET.upper()}.")
    with pytest.raises(ValueRuleError, match="give at most 200 printable characters"):
        erase.patient(service, ADMIN, SECRET, "x" * 201)
    assert count(service, Case) == 1
    assert not (service.blobs.folder / FILE).exists()


@sqlite_only
def test_who_looks_for_long_delays_only_the_free_pages(
    service: Service, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "_WAIT", 0.2)
    made = make(service, SECRET, drawn[:1])
    with service.looking(ADMIN) as desk:
        assert cases.get(desk, made).lesion == PLACE
        assert erase.case(service, ADMIN, made).scrubbed is False
    assert count(service, Case) == 0
    assert erase.finish(service.store, service.blobs).scrubbed
    assert SECRET.encode() not in raw(service.blobs.folder, "")
    assert erase.finish(service.store, service.blobs) == erase.Erased()
    assert len(told(service, "case.deleted")) == 1


@sqlite_only
def test_a_small_copy_that_is_drawn_while_its_picture_goes_does_not_stay(
    service: Service, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = service.blobs.put(drawn[0].data)

    def read(blobs: Blobs, digest: str) -> bytes:
        blobs.remove(digest)
        return drawn[0].data

    monkeypatch.setattr(Blobs, "read", read)
    assert service.blobs.thumbnail(digest, 160)
    assert not [path for path in (service.blobs.folder / "thumbs").rglob("*") if path.is_file()]


def test_the_file_of_deletions_bears_a_line_that_was_cut_off_and_no_other_damage(tmp_path: Path) -> None:
    assert remembered(tmp_path / FILE) == {}
    remember(tmp_path, [{"uid": "a"}, {"uid": "b"}])
    remember(tmp_path, [{"uid": "b"}])
    with (tmp_path / FILE).open("a") as file:
        file.write('{"uid": "c')
    assert list(remembered(tmp_path / FILE)) == ["a", "b"]
    remember(tmp_path, [{"uid": "d"}])
    assert (tmp_path / FILE).read_text() == '{"uid": "a"}\n{"uid": "b"}\n{"uid": "d"}\n'
    (tmp_path / FILE).write_text('{"uid": "a"}\nno\n')
    with pytest.raises(DermoscopeError, match=r"deletions.jsonl: line 2 is damaged; mend it by hand"):
        remembered(tmp_path / FILE)


PLACES = ("note", "rows", "files", "pages")
CHILD = """
import os, signal, sys
from pathlib import Path
from dermoscope.serve import erase
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def do(place, uid, options):
    if place == "note":
        erase.remember = die
    elif place == "rows":
        erase.trail.record = die
    elif place == "files":
        Blobs._unlink = die
    else:
        erase.scrub = die
    erase.erase(Store.open(options), Blobs(options.folder), [uid], "anna", "")

options = Options(folder=Path(sys.argv[1]), database=sys.argv[2])
for place, uid in zip(("note", "rows", "files", "pages"), sys.argv[3:], strict=True):
    number = os.fork()
    if number == 0:
        do(place, uid, options)
        os._exit(1)
    assert os.waitpid(number, 0)[1] == signal.SIGKILL, place
"""


def test_a_kill_leaves_it_undone_or_to_be_finished(service: Service, options: Options) -> None:
    pictures = [clean(draw(seed, "NV").jpeg(), "a.jpg") for seed in range(11, 15)]
    made = [make(service, f"{SECRET}-{place}", [one]) for place, one in zip(PLACES, pictures, strict=True)]
    with service.looking(ADMIN) as desk:
        uids = [cases.get(desk, number).uid for number in made]
    service.store.close()
    subprocess.run([sys.executable, "-c", CHILD, str(options.folder), options.database, *uids], check=True)
    store = Store.open(options)
    try:
        with store.read() as session:  # each whole, or gone
            assert session.scalars(select(Case.uid).order_by(Case.id)).all() == uids[:2]
        assert erase.finish(store, service.blobs).scrubbed
        with store.read() as session:
            assert session.scalar(select(func.count()).select_from(Case)) == 0
            assert session.scalar(select(func.count(Event.id)).where(Event.what == "case.deleted")) == 4
            assert session.scalar(text("SELECT count(*) FROM deletions WHERE ended_at IS NULL")) == 0
    finally:
        store.close()
    assert set(remembered(options.folder / FILE)) == set(uids)
    after = raw(options.folder, options.database)
    assert SECRET.encode() not in after
    assert not [one for one in pictures if one.data[9000:9300] in after]


@sqlite_only
def test_many_cases_go_some_at_a_time(service: Service, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [make(service, f"P-{k}", drawn[:1]) for k in range(3)]
    with service.looking(ADMIN) as desk:
        uids = [cases.get(desk, number).uid for number in numbers]
    monkeypatch.setattr(erase, "_AT_ONCE", 2)
    record = trail.record

    def stumble(session: Session, who: str, what: str, subject: str, /, **details: str) -> int:
        if subject == f"case/{numbers[2]}":
            raise DermoscopeError("as if it were cut off")
        return record(session, who, what, subject, **details)

    monkeypatch.setattr(trail, "record", stumble)
    with pytest.raises(DermoscopeError, match="cut off"):
        erase.erase(service.store, service.blobs, uids, "anna", "")
    monkeypatch.setattr(trail, "record", record)
    assert count(service, Case) == 1
    assert erase.finish(service.store, service.blobs) == erase.Erased((numbers[2],), 1, 1, 1)
    assert set(remembered(service.blobs.folder / FILE)) == set(uids)


@sqlite_only
def test_a_full_disk_delays_only_the_free_pages(
    service: Service, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(service, SECRET, drawn[:1])
    connect = service.store.engine.raw_connection

    class Full:
        def __init__(self) -> None:
            self.held = connect()
            self.driver_connection = self

        def __getattr__(self, name: str) -> object:
            return getattr(self.held, name)

        def execute(self, said: str) -> sqlite3.Cursor:
            if said == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return self.held.driver_connection.execute(said)

    with monkeypatch.context() as patch:
        patch.setattr(service.store.engine, "raw_connection", Full)
        assert erase.case(service, ADMIN, made).scrubbed is False
    assert erase.finish(service.store, service.blobs).scrubbed
    assert SECRET.encode() not in raw(service.blobs.folder, "")


def test_a_line_that_found_no_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, text: write(file, text[:5]))
    with pytest.raises(DermoscopeError, match=r"deletions.jsonl: cannot be written \(No space left on device\)"):
        remember(tmp_path, [{"uid": "a"}])


@sqlite_only
def test_cases_that_never_end_to_come_in_are_told(
    service: Service, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(service, SECRET, drawn[:1])
    monkeypatch.setattr(erase, "erase", lambda *_: erase.Erased())
    with pytest.raises(ConflictError, match="cases of this patient keep coming in; stop what sends them"):
        erase.patient(service, ADMIN, SECRET)


@sqlite_only
def test_a_request_that_is_sent_again_brings_nothing_back(client: TestClient, service: Service) -> None:
    sent = {"json": {"pseudonym": SECRET}, "headers": {"Idempotency-Key": "k"}}
    made = client.post("/api/v1/cases", **sent).json()["id"]
    erase.case(service, ADMIN, made)
    again = client.post("/api/v1/cases", **sent)
    assert again.status_code == 409
    assert "has been deleted; take another key to send it again" in again.json()["detail"]
    assert count(service, Case) == 0


@sqlite_only
def test_the_api_deletes_for_admins(client: TestClient, service: Service, drawn: list[Upload]) -> None:
    first, second = make(service, SECRET, drawn[:1], "1"), make(service, SECRET, drawn[1:], "2")
    said = client.delete(f"/api/v1/cases/{first}", params={"reason": "a mistake"})
    assert said.status_code == 200, said.text
    assert said.json() == {"cases": [first], "patients": 0, "images": 1, "files": 1, "pages_overwritten": True}
    assert client.get(f"/api/v1/cases/{first}").status_code == 404
    assert client.delete(f"/api/v1/cases/{first}").status_code == 404
    patient = client.get(f"/api/v1/cases/{second}").json()["patient"]
    assert client.delete(f"/api/v1/patients/{patient}", params={"reason": SECRET}).status_code == 422
    assert client.delete(f"/api/v1/patients/{patient}").json()["cases"] == [second]
    assert client.delete(f"/api/v1/patients/{patient}").status_code == 404
