"""Several processes at one database: what one of them holds no other takes, until it has ended."""

import datetime
import os
import subprocess
import sys

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from dermoscope.core.errors import UnavailableError
from dermoscope.data.synthetic import draw
from dermoscope.serve import jobs, processes, worker
from dermoscope.serve.accounts import Person
from dermoscope.serve.api import idempotency
from dermoscope.serve.desk import Service
from dermoscope.serve.jobs import Given
from dermoscope.serve.processes import Beat, living
from dermoscope.serve.tables import Answered, JobItem, Process, now
from dermoscope.serve.worker import AT_ONCE, TRIES, claim, work_one, work_some

READER = Person("anna", "reader")
sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def lesion() -> bytes:
    return draw(1, "NV", size=(320, 240)).jpeg()


def another(service: Service) -> Service:
    """The service of another process, which beats no more than this one does."""
    return Service(service.options, service.store, service.blobs, service.engine, service.key)


def beats(service: Service, name: str, ago: float = 0) -> None:
    with service.store.begin() as session:
        session.add(Process(name=name, beat_at=now() - datetime.timedelta(seconds=ago)))


def states(service: Service) -> list[tuple[str, int, bool]]:
    with service.store.read() as session:
        rows = session.scalars(select(JobItem).order_by(JobItem.position)).all()
        return [(row.state, row.attempts, row.claimed_by == service.name) for row in rows]


def test_who_lives(service: Service) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    machine, _, _ = service.name.split(".")
    here = {"ended": f"{machine}.{ended.pid}.x", "again": f"{machine}.{os.getpid()}.x", "parent": f"{machine}.1.x"}
    for name in (*here.values(), "elsewhere.1.x"):
        beats(service, name)
    beats(service, "silent.1.x", ago=31)
    beats(service, "ahead.1.x", ago=-31)  # its clock was set back since
    with service.store.read() as session:
        assert living(session, service.name) == {service.name, here["parent"], "elsewhere.1.x"}


def test_a_process_beats_and_takes_its_leave(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BEAT", 0.02)
    seen: list[int] = []

    def broken() -> None:
        seen.append(1)
        raise UnavailableError("away") if len(seen) % 2 else ZeroDivisionError

    beat = Beat(service.store, service.name, lambda: "abc", [broken])
    with service.store.read() as session:
        first = session.scalars(select(Process)).one()
        assert (first.name, first.model) == (service.name, "abc")
        assert service.name in living(session, "x")
    while len(seen) < 4:
        pass
    with service.store.read() as session:
        assert session.scalars(select(Process.beat_at)).one() > first.beat_at
    beat.close()
    with service.store.read() as session:
        assert session.scalars(select(Process)).all() == []


def test_what_one_process_has_in_hand_no_other_takes(service: Service, lesion: bytes) -> None:
    made = jobs.create(service, READER, [Given(lesion) for _ in range(AT_ONCE + 2)])
    other = another(service)
    for one in (service, other):
        beats(one, f"elsewhere{one.name[-4:]}")
    object.__setattr__(other, "name", f"elsewhere{other.name[-4:]}")
    assert [item.position for item, _ in claim(service)] == [1, 2, 3, 4]
    with service.store.begin() as session:  # `service` lives elsewhere, too
        for item in session.scalars(select(JobItem).where(JobItem.claimed_by == service.name)):
            item.claimed_by = f"elsewhere{service.name[-4:]}"
    assert [item.position for item, _ in claim(other)] == [5, 6]
    assert claim(other) == []
    with service.store.begin() as session:
        session.delete(session.scalars(select(Process).where(Process.name == f"elsewhere{service.name[-4:]}")).one())
    assert claim(other) == []  # what may have ended a process is read alone
    other.working.clear()
    with service.store.begin() as session:
        for item in session.scalars(select(JobItem).where(JobItem.claimed_by == other.name)):
            item.claimed_by, item.attempts = None, 0
    assert [item.position for item, _ in claim(other)] == [1]
    with service.looking(READER) as desk:
        assert jobs.progress(desk, made).done == 0


@sqlite
def test_a_picture_that_ends_every_process_is_given_up_and_no_other_with_it(
    service: Service, lesion: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill at the third item, whoever reads it: items that were in the same hand are done all the same."""
    made = jobs.create(service, READER, [Given(lesion) for _ in range(5)])

    class EndedError(BaseException):
        pass

    each = service.engine.each

    def read(images: list[bytes], **how: bool) -> object:
        if 3 in now_read:
            raise EndedError
        return each(images, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(service.engine, "each", read)
    now_read: list[int] = []
    work_off = worker._work_off

    def noting(service: Service, items: list[tuple[JobItem, Person]]) -> None:
        now_read[:] = [item.position for item, _ in items if item.attempts <= TRIES]
        work_off(service, items)

    monkeypatch.setattr(worker, "_work_off", noting)
    ends = 0
    process = another(service)
    for _ in range(40):
        try:
            if not work_some(process):
                break
        except EndedError:
            ends += 1
            process = another(service)
    assert ends == TRIES
    assert [state for state, *_ in states(service)] == ["done", "done", "failed", "done", "done"]
    with service.looking(READER) as desk:
        found = jobs.progress(desk, made)
    assert found.items[2].problem == (
        f"the service ended {TRIES} times while it read this picture, so it is left out; send it by itself"
    )
    assert found.state == "finished"


@sqlite
def test_items_go_back_when_the_database_was_away(
    service: Service, lesion: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.create(service, READER, [Given(lesion), Given(lesion, "P")])

    def away(*_: object, **__: object) -> None:
        raise UnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(worker, "_make_case", away)
        for _ in range(TRIES + 2):
            with pytest.raises(UnavailableError):
                work_some(service)
    assert states(service) == [("waiting", 1, True)] * 2
    assert work_one(service)
    assert work_one(service)
    assert states(service) == [("done", 1, False)] * 2


@sqlite
def test_a_key_is_under_way_as_long_as_its_process_lives(client: TestClient, service: Service, lesion: bytes) -> None:
    def add() -> tuple[int, str]:
        answer = client.post("/api/v1/cases/1/images", files={"files": lesion}, headers={"Idempotency-Key": "k"})
        return answer.status_code, str(answer.json().get("detail"))

    client.post("/api/v1/cases", json={"pseudonym": "P"})
    assert add()[0] == 201
    beats(service, "elsewhere.1.x")
    for holder, said in (("elsewhere.1.x", "still under way"), ("gone.1.x", "was cut off"), (service.name, "cut off")):
        with service.store.begin() as session:
            row = session.scalars(select(Answered).where(Answered.place.endswith("images"))).one()
            row.status, row.holder = idempotency.UNDER_WAY, holder
        status, detail = add()
        assert (status, said in detail) == (409, True)
