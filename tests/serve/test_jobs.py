"""Batches: stored before they are acknowledged, each item done once whatever happens, and one can stop them."""

import datetime
import signal
import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy import func, select

from dermoscope.core.errors import BusyError, ConflictError, InputError, NotFoundError, ValueRuleError
from dermoscope.data.synthetic import draw
from dermoscope.serve import cases, jobs
from dermoscope.serve.accounts import Person
from dermoscope.serve.desk import Service
from dermoscope.serve.jobs import Given, Progress
from dermoscope.serve.options import MOST_FILES, Options
from dermoscope.serve.tables import Blob, Case, Event, Image, Job, JobItem, Result, now
from dermoscope.serve.worker import Worker, work_one

READER = Person("anna", "reader")
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def drawn() -> list[bytes]:
    return [draw(seed, "NV", size=(320, 240)).jpeg() for seed in range(4)]


def progress(service: Service, job_id: int) -> Progress:
    with service.looking(READER) as desk:
        return jobs.progress(desk, job_id)


def wait_for(service: Service, job_id: int) -> Progress:
    for _ in range(1200):
        found = progress(service, job_id)
        if found.state != "running":
            return found
        time.sleep(0.025)
    raise AssertionError(f"not finished: {found}")


def count(service: Service, table: type) -> int:
    with service.store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def references(service: Service) -> dict[str, int]:
    with service.store.read() as session:
        return {blob.digest: blob.references for blob in session.scalars(select(Blob))}


def test_a_batch_becomes_cases(service: Service, drawn: list[bytes]) -> None:
    given = [Given(drawn[0]), Given(drawn[1], "P-7", "left arm"), Given(b"no image"), Given(drawn[2], "P-7")]
    with Worker(service):
        made = jobs.create(service, READER, given, "  First\n batch ")
        found = wait_for(service, made)
    assert (found.title, found.created_by, found.state, found.left_s) == ("First batch", "anna", "finished", None)
    assert (found.total, found.done, found.failed) == (4, 3, 1)
    assert [(i.position, i.pseudonym, i.state) for i in found.items] == [
        (1, f"B{made}-001", "done"), (2, "P-7", "done"), (3, f"B{made}-003", "failed"), (4, "P-7", "done")
    ]  # fmt: skip
    assert (found.items[2].problem or "").startswith("image 3: ")
    with service.looking(READER) as desk:
        case = cases.get(desk, found.items[1].case_id or 0)
        assert (case.patient.pseudonym, case.lesion, case.job_id, case.created_by) == ("P-7", "left arm", made, "anna")
        assert [len(image.results) for image in case.images] == [1]
        assert case.images[0].digest == service.blobs.digest(service.blobs.read(case.images[0].digest))
        assert [listed.done for listed in jobs.listed(desk)] == [3]
        assert [e.subject for e in desk.session.scalars(select(Event).where(Event.what == "job.created"))] == [
            f"job/{made}"
        ]
    assert set(references(service).values()) == {1}


@on_sqlite
def test_what_is_acknowledged_is_stored(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[0]), Given(drawn[0])])
    found = progress(service, made)
    assert (found.state, found.total, found.done, found.left_s) == ("running", 2, 0, None)
    assert list(references(service).values()) == [2]
    assert all(service.blobs.path(digest).exists() for digest in references(service))


@on_sqlite
def test_equal_bytes_under_two_pseudonyms_are_two_records(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[0], "P"), Given(drawn[0], "Q")])
    while work_one(service):
        pass
    assert progress(service, made).done == 2
    assert (count(service, Case), count(service, Image), count(service, Result)) == (2, 2, 2)
    assert list(references(service).values()) == [2]


@on_sqlite
def test_a_lesion_that_has_a_case_already_is_a_failed_item(service: Service, drawn: list[bytes]) -> None:
    with service.desk(READER) as desk:
        held = cases.create(desk, cases.NewCase("P")).id
    made = jobs.create(service, READER, [Given(drawn[0], "P"), Given(drawn[1])])
    while work_one(service):
        pass
    found = progress(service, made)
    assert (found.done, found.failed, found.state) == (1, 1, "finished")
    assert found.items[0].problem == (
        f"lesion '1' of 'P' is case {held} already; add images there, or give this lesion another name"
    )
    assert sorted(references(service).values()) == [0, 1]


@on_sqlite
@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ([], InputError, "no image was given; choose at least one"),
        ([Given(b"x")] * (MOST_FILES + 1), InputError, f"a batch has at most {MOST_FILES} images"),
        ([Given(b"x", "P"), Given(b"x", " P ")], InputError, r"more than once in the batch: P \(1\); each image is"),
        ([Given(b"x", "a" * 81)], ValueRuleError, "give 1 to 80 printable characters"),
    ],
)
def test_what_can_be_no_batch_is_refused_whole(
    service: Service, given: list[Given], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        jobs.create(service, READER, given)
    assert count(service, Job) == 0


@on_sqlite
def test_a_batch_of_no_images_at_all_ends_at_once(service: Service) -> None:
    found = progress(service, jobs.create(service, READER, [Given(b"no image"), Given(b"")]))
    assert (found.state, found.failed, found.done) == ("finished", 2, 0)


def test_a_batch_can_be_stopped(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(data) for data in drawn[:3]])
    assert work_one(service)
    with service.desk(READER) as desk:
        jobs.cancel(desk, made)
    assert not work_one(service)
    found = progress(service, made)
    assert (found.state, found.done, found.failed, found.total) == ("cancelled", 1, 0, 3)
    assert sorted(references(service).values()) == [0, 0, 1]
    with service.desk(READER) as desk, pytest.raises(ConflictError, match=f"batch {made} has ended already"):
        jobs.cancel(desk, made)


@on_sqlite
def test_an_item_that_is_stopped_while_it_is_read_leaves_no_case(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[0])])
    each = service.engine.each

    def slow(*given: object, **how: object) -> object:
        with service.desk(READER) as desk:
            jobs.cancel(desk, made)
        return each(*given, **how)  # type: ignore[arg-type]

    service.engine.each = slow  # type: ignore[method-assign, assignment]
    assert work_one(service)
    assert (count(service, Case), progress(service, made).done) == (0, 0)
    assert not work_one(service)


@on_sqlite
def test_an_item_waits_while_the_service_is_busy(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[0])])
    service.engine.close()
    with pytest.raises(BusyError):
        work_one(service)
    assert progress(service, made).state == "running"


@on_sqlite
def test_a_file_that_is_lost_fails_its_item_alone(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[0]), Given(drawn[1])])
    with service.store.read() as session:
        first = session.scalars(select(JobItem).order_by(JobItem.position)).first()
    assert first is not None
    service.blobs.path(first.digest or "").unlink()
    while work_one(service):
        pass
    found = progress(service, made)
    assert [item.state for item in found.items] == ["failed", "done"]
    assert "restore it from a backup" in (found.items[0].problem or "")


def test_two_workers_do_an_item_once(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[k % 4]) for k in range(8)])
    with Worker(service), Worker(service):
        found = wait_for(service, made)
    assert (found.done, found.failed) == (8, 0)
    assert (count(service, Case), count(service, Image), count(service, Result)) == (8, 8, 8)
    assert sum(references(service).values()) == 8


@on_sqlite
def test_time_left_is_reckoned_by_the_last_items(service: Service, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[0]) for _ in range(5)])
    start = now()
    for k in range(3):
        assert work_one(service)
        with service.store.begin() as session:
            newest = session.scalars(select(Case).order_by(Case.id.desc())).first()
            assert newest is not None
            newest.created_at = start + datetime.timedelta(seconds=2 * k)
    assert progress(service, made).left_s == pytest.approx(4)


@on_sqlite
def test_a_new_batch_wakes_the_worker(service: Service, drawn: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermoscope.serve.worker._PAUSE", 60)
    with Worker(service):
        threading.Event().wait(0.3)
        assert wait_for(service, jobs.create(service, READER, [Given(drawn[0])])).done == 1


@on_sqlite
def test_no_such_batch(service: Service) -> None:
    with service.looking(READER) as desk, pytest.raises(NotFoundError, match=r"^there is no batch 7$"):
        jobs.progress(desk, 7)


WORKING = """
import sys, time
from pathlib import Path
from dermoscope.serve.app import open_service
from dermoscope.serve.options import Options
from dermoscope.serve.worker import work_one
service = open_service(Options(folder=Path(sys.argv[1]), database=sys.argv[2], threads=1))
while work_one(service):
    print("one", flush=True)
"""


def test_a_killed_process_does_no_item_twice(service: Service, options: Options, drawn: list[bytes]) -> None:
    made = jobs.create(service, READER, [Given(drawn[k % 4]) for k in range(10)])
    command = [sys.executable, "-c", WORKING, str(options.folder), options.database]
    for _ in range(2):
        working = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert working.stdout is not None
        for _ in range(3):
            assert working.stdout.readline() == "one\n"
        time.sleep(0.02)
        working.send_signal(signal.SIGKILL)
        working.wait()
        working.stdout.close()
    left = progress(service, made)
    assert 6 <= left.done < 10
    assert count(service, Case) == count(service, Result) == left.done
    with Worker(service):
        found = wait_for(service, made)
    assert (found.done, found.failed) == (10, 0)
    assert (count(service, Case), count(service, Image), count(service, Result)) == (10, 10, 10)
    assert sum(references(service).values()) == 10
