"""Image files: written once, counted, never half, and gone only when nothing uses them."""

import datetime
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image as Pillow
from sqlalchemy import select

from dermoscope.core.errors import DermoscopeError
from dermoscope.data.synthetic import draw
from dermoscope.serve.blobs import Blobs, Swept
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Blob, Case, Image, Patient
from dermoscope.serve.worker import Worker

AT_ONCE = datetime.timedelta(0)


@pytest.fixture
def blobs(options: Options) -> Blobs:
    return Blobs(options.folder)


def picture() -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(draw(1, "NV", size=(640, 480)).pixels).save(out, "JPEG")
    return out.getvalue()


def age(path: Path, hours: float = 2) -> None:
    then = time.time() - 3600 * hours
    os.utime(path, (then, then))


def use(store: Store, blobs: Blobs, data: bytes) -> str:
    digest = blobs.put(data)
    with store.begin() as session:
        blobs.use(session, digest, "image/png", len(data))
    return digest


def release(store: Store, blobs: Blobs, digest: str) -> None:
    with store.begin() as session:
        blobs.release(session, digest)


def references(store: Store, digest: str) -> int | None:
    with store.read() as session:
        return session.scalar(select(Blob.references).where(Blob.digest == digest))


def everything(blobs: Blobs) -> list[str]:
    return sorted(path.name for kind in ("blobs", "thumbs") for path in (blobs.folder / kind).glob("*/*"))


def test_a_content_is_written_once_and_read_as_it_was(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(b"content")
    assert digest == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert blobs.path(digest) == tmp_path / "blobs" / "ed" / digest
    assert blobs.put(b"content") == digest
    assert blobs.read(digest) == b"content"
    assert everything(blobs) == [digest]


def test_a_damaged_file_is_not_believed_and_mended_by_the_next_upload(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(b"content")
    blobs.path(digest).write_bytes(b"cOntent")
    with pytest.raises(DermoscopeError, match=r"damaged \(its SHA-256 is another one\); restore it from a backup"):
        blobs.read(digest)
    blobs.put(b"content")
    assert blobs.read(digest) == b"content"
    blobs.remove(digest)
    with pytest.raises(DermoscopeError, match=r"cannot be read \(No such file or directory\); restore it from a"):
        blobs.read(digest)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no digest"):
        Blobs(tmp_path).path(name)


def test_a_disk_that_takes_nothing_is_the_fault_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"")
    with pytest.raises(DermoscopeError, match="the service needs room on its disk, and the right to write") as raised:
        Blobs(tmp_path).put(b"content")
    assert raised.value.exit_code == 1


def test_small_copies_are_kept_and_go_with_their_picture(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(picture())
    small = blobs.thumbnail(digest, 300)
    assert Pillow.open(io.BytesIO(small)).size == (320, 240)
    kept = tmp_path / "thumbs" / digest[:2] / f"{digest}-320.jpg"
    assert kept.read_bytes() == small
    blobs.path(digest).unlink()
    assert blobs.thumbnail(digest, 320) == small  # from the copy
    assert blobs.remove(digest) == 0
    assert everything(blobs) == []


def test_no_copy_is_larger_than_the_largest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digest = blobs.put(picture())
    assert Pillow.open(io.BytesIO(blobs.thumbnail(digest, 10**9))).size == (640, 480)
    assert everything(blobs) == [digest, f"{digest}-1280.jpg"]


def test_uses_are_counted_and_a_file_goes_with_the_last(store: Store, blobs: Blobs) -> None:
    digest = use(store, blobs, b"one")
    assert use(store, blobs, b"one") == digest
    assert references(store, digest) == 2
    release(store, blobs, digest)
    age(blobs.path(digest))
    assert blobs.sweep(store) == Swept(0, 0, 0)
    release(store, blobs, digest)
    assert blobs.read(digest) == b"one"
    assert blobs.sweep(store) == Swept(1, 3, 0)
    assert references(store, digest) is None
    assert everything(blobs) == []
    with pytest.raises(ValueError, match="nothing uses"):
        release(store, blobs, digest)


def test_a_use_that_is_rolled_back_was_none(store: Store, blobs: Blobs) -> None:
    digest = blobs.put(b"one")
    with pytest.raises(KeyError), store.begin() as session:  # noqa: PT012
        blobs.use(session, digest, "image/png", 3)
        raise KeyError
    assert references(store, digest) is None


def test_a_file_that_is_not_there_cannot_be_used(store: Store, blobs: Blobs) -> None:
    with pytest.raises(DermoscopeError, match="is not there; send the image again"), store.begin() as session:
        blobs.use(session, blobs.digest(b"never put"), "image/png", 9)


def test_leftovers_go_and_what_is_young_stays(store: Store, blobs: Blobs) -> None:
    unused, young, used = blobs.put(picture()), blobs.put(b"young"), use(store, blobs, b"used")
    blobs.thumbnail(unused)
    unfinished = blobs.path(used).parent / ".part-abc"
    lone = blobs.folder / "thumbs" / "ab" / f"{'ab' * 32}-320.jpg"
    lone.parent.mkdir(parents=True, exist_ok=True)
    for path in (unfinished, lone):
        path.write_bytes(b"half")
        age(path)
    age(blobs.path(unused))
    age(blobs.path(used))
    assert blobs.sweep(store) == Swept(1, len(picture()), 2)
    assert everything(blobs) == sorted([young, used])
    assert blobs.sweep(store, AT_ONCE) == Swept(1, 5, 0)
    assert everything(blobs) == [used]


def test_what_is_asked_for_again_is_young(store: Store, blobs: Blobs) -> None:
    digest = blobs.put(b"one")
    age(blobs.path(digest))
    blobs.put(b"one")
    assert blobs.sweep(store) == Swept(0, 0, 0)


def test_a_wrong_count_costs_no_picture(store: Store, blobs: Blobs) -> None:
    digest = use(store, blobs, b"one")
    with store.begin() as session:
        session.add(Patient(id=1, pseudonym="P"))
        session.flush()
        session.add(Case(id=1, patient_id=1, created_by="r"))
        session.flush()
        session.add(Image(case_id=1, kind="overview", digest=digest, width=9, height=9, added_by="r"))
        session.get_one(Blob, digest).references = 0
    assert blobs.sweep(store, AT_ONCE) == Swept(0, 0, 0)
    assert blobs.read(digest) == b"one"


def test_sweeping_beside_uploads_takes_nothing_that_is_used(store: Store, blobs: Blobs) -> None:
    # no age protects anything here: only what is put inside of the transaction that uses it is safe
    ended = threading.Event()
    failed: list[BaseException] = []

    def sweeping() -> None:
        try:
            while not ended.is_set():
                blobs.sweep(store, AT_ONCE)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=sweeping)
    thread.start()
    try:
        for turn in range(40):
            data = str(turn % 4).encode()
            with store.begin() as session:
                digest = blobs.put(data)
                blobs.use(session, digest, "image/png", 1)
            assert blobs.read(digest) == data
            release(store, blobs, digest)
    finally:
        ended.set()
        thread.join()
    assert failed == []
    assert blobs.sweep(store, AT_ONCE).leftovers == 0
    assert everything(blobs) == []


def test_a_service_with_nothing_to_do_sweeps(service: Service) -> None:
    digest = service.blobs.put(b"of no image")
    age(service.blobs.path(digest))
    with Worker(service):
        for _ in range(500):
            if not service.blobs.path(digest).exists():
                break
            time.sleep(0.01)
    assert everything(service.blobs) == []


CHILD = """
import os, sys
from pathlib import Path
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Patient

folder, database = Path(sys.argv[1]), sys.argv[2]
store, blobs = Store.open(Options(folder=folder, database=database)), Blobs(folder)
number = 0
while True:
    number += 1
    data = os.urandom(1_000_000)
    digest = blobs.put(data)
    with store.begin() as session:
        blobs.use(session, digest, "image/png", len(data))
        session.add(Patient(pseudonym=digest))
    print(digest, flush=True)  # acknowledged
"""


def test_a_kill_leaves_only_whole_pictures_and_all_that_were_acknowledged(options: Options) -> None:
    said: list[str] = []
    for delay in (0.0, 0.013, 0.031):
        command = [sys.executable, "-c", CHILD, str(options.folder), options.database]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said.append(child.stdout.readline().strip())
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
            said += child.stdout.read().split()
    store, blobs = Store.open(options), Blobs(options.folder)
    try:
        with store.read() as session:
            held = {blob.digest: blob for blob in session.scalars(select(Blob))}
            named = set(session.scalars(select(Patient.pseudonym)))
        assert set(said) - {""} <= set(held)
        assert set(held) == named  # both rows of a transaction or none
        for digest, blob in held.items():
            assert len(blobs.read(digest)) == blob.size == 1_000_000
            assert blob.references == 1
        blobs.sweep(store, AT_ONCE)
        assert everything(blobs) == sorted(held)
    finally:
        store.close()
