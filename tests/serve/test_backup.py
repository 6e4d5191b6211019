"""A backup of a running service becomes the same service again, whole or not at all, without what was deleted since."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from typer.testing import CliRunner

from dermoscope.cli.main import app
from dermoscope.core.errors import BusyError, DermoscopeError, InputError
from dermoscope.data.store import PART, sole
from dermoscope.data.synthetic import draw
from dermoscope.serve import audit, cases, erase, readings, trail
from dermoscope.serve import backup as making
from dermoscope.serve.accounts import Person
from dermoscope.serve.backup import DATABASE, MANIFEST, Made, backup
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.cases import NewCase
from dermoscope.serve.deletions import FILE, remembered
from dermoscope.serve.desk import Service
from dermoscope.serve.envelope import MAGIC, PIECE, Sealing, Unsealing
from dermoscope.serve.options import Options
from dermoscope.serve.restore import Extra, check, restore
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Blob, Case, Event, Image, Link, Login, Patient, Table, User, now
from dermoscope.serve.uploads import Upload, clean
from dermoscope.serve.vault import Vault

ADMIN = Person("anna", "admin")
KEY, OTHER = bytes(range(32)), bytes(32)
sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def drawn() -> list[Upload]:
    return [clean(draw(seed, "NV").jpeg(), f"{seed}.jpg") for seed in (1, 2)]


def make(store: Store, blobs: Blobs, pseudonym: str, picture: Upload) -> str:
    """A case with a picture, as short as may be; its name for ever."""
    digest = blobs.put(picture.data)
    with store.begin() as session:
        patient = Patient(pseudonym=pseudonym)
        session.add(patient)
        session.flush()
        case = Case(patient_id=patient.id, created_by="anna")
        session.add(case)
        session.flush()
        blobs.use(session, digest, picture.media, len(picture.data))
        session.add(Image(case_id=case.id, kind="overview", digest=digest, width=9, height=9, added_by="anna"))
        trail.record(session, "anna", "case.created", f"case/{case.id}", private={"lesion": "left"})
        return case.uid


def held(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but those that a restore has to change."""
    left_out = {"events", "audit_head", "logins", "links"}
    with store.read() as session:
        return {
            name: [tuple(row) for row in session.execute(select(table).order_by(*table.primary_key.columns))]
            for name, table in Table.metadata.tables.items()
            if name not in left_out
        }


@pytest.fixture
def emptied(database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database beside that of the test; none for SQLite."""
    if not database:
        yield ""
        return
    import psycopg

    address, name = request.getfixturevalue("postgres"), database.rsplit("/", 1)[1].split("?")[0] + "_new"
    with psycopg.connect(address.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield address.format(name)
    with psycopg.connect(address.format("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def new(options: Options, tmp_path: Path, emptied: str) -> Options:
    """Where a backup is restored."""
    return replace(options, folder=tmp_path / "new", database=emptied)


def test_what_was_backed_up_comes_back_as_it_was(
    service: Service, options: Options, new: Options, tmp_path: Path, drawn: list[Upload]
) -> None:
    with service.desk(ADMIN) as desk:
        made = cases.create(desk, NewCase("P1\t'\\N\"ä 猫".replace("\t", " "), "left")).id
    cases.add_images(service, ADMIN, made, drawn, "dermoscopic")
    with service.desk(ADMIN) as desk:
        readings.lock(desk, made, readings.Said("refer", "MEL", 0.9))
        desk.session.add(User(id=1, name="anna", role="admin", created_by="x"))
        desk.session.flush()
        desk.session.add(Login(digest="d", user_id=1, method="link", until=now()))
        desk.session.add(Link(digest="d", made_by="x", until=now()))
        desk.session.add(Patient(pseudonym="P3"))
        desk.session.flush()
        desk.session.execute(text("DELETE FROM patients WHERE pseudonym = 'P3'"))
    before = held(service.store)
    done = backup(options, tmp_path / "one.tar")
    assert (done.cases, done.pictures, done.missing) == (1, 2, ())
    restored = restore(tmp_path / "one.tar", new)
    assert (restored.pictures, restored.deleted, restored.wrong) == (2, 0, ())
    store = Store.open(new)
    try:
        assert held(store) == before
        with store.begin() as session:
            assert session.scalar(select(func.count(Login.id)).where(Login.ended_at.is_(None))) == 0
            assert session.scalar(select(func.count(Link.id)).where(Link.until > now())) == 0
            event = session.scalars(select(Event).where(Event.what == "reading.locked")).one()
            assert trail.opened(session, event)
            last = session.scalars(select(Event).order_by(Event.id.desc())).first()
            assert last is not None
            assert last.what == "backup.restored"
            patient = Patient(pseudonym="P4")
            session.add(patient)
            session.flush()
            assert patient.id == 3  # no number is given twice, also not after a restore
        assert audit.verify(store).ok
        blobs = Blobs(new.folder, Vault.of(new))
        assert [blobs.read(Blobs.digest(one.data)) for one in drawn] == [one.data for one in drawn]
    finally:
        store.close()
    with service.looking(ADMIN) as desk:
        noted = desk.session.scalars(select(Event).where(Event.what == "backup.made")).one()
        assert noted.details == {"cases": 1, "missing": 0, "pictures": 2, "sha256": done.sha256}
    assert not [path for path in tmp_path.rglob("*") if PART in path.name or path.name.endswith(".part")]
    assert (tmp_path / "one.tar").stat().st_mode & 0o777 == 0o600
    assert new.folder.stat().st_mode & 0o777 == 0o700


def test_what_was_deleted_since_is_deleted_again(
    options: Options, store: Store, new: Options, tmp_path: Path, drawn: list[Upload]
) -> None:
    blobs = Blobs(options.folder)
    uids = [make(store, blobs, f"P-quitte-{k}", drawn[k % 2]) for k in range(4)]
    backup(options, tmp_path / "one.tar")
    erase.erase(store, blobs, uids[:1], "anna", "")
    backup(options, tmp_path / "two.tar")  # beside which the first deletion is noted now
    assert list(remembered(tmp_path / FILE)) == uids[:1]
    erase.erase(store, blobs, uids[1:2], "anna", "")
    restored = restore(tmp_path / "one.tar", new, Extra((options.folder / FILE,)))
    assert (restored.deleted, restored.wrong) == (2, ())
    again = Store.open(new)
    try:
        with again.read() as session:
            assert session.scalars(select(Case.uid).order_by(Case.id)).all() == uids[2:]
            gone = session.scalars(select(Event).where(Event.what == "case.deleted").order_by(Event.id)).all()
        assert [(e.who, e.details["uid"]) for e in gone] == [("anna", uids[0]), ("anna", uids[1])]
        assert audit.verify(again).ok
    finally:
        again.close()
    assert set(remembered(new.folder / FILE)) == set(uids[:2])
    if not new.database:
        raw = b"".join(path.read_bytes() for path in new.folder.rglob("*") if path.is_file())
        assert b"P-quitte-2" in raw
        assert b"P-quitte-0" not in raw


@sqlite_only
@pytest.mark.parametrize(
    ("old", "young"),
    [(KEY, KEY), (KEY, OTHER), (KEY, b""), (b"", KEY)],
    ids=["same", "another", "taken off", "put on"],
)
def test_keys_may_change_on_the_way(
    options: Options, tmp_path: Path, drawn: list[Upload], old: bytes, young: bytes
) -> None:
    pytest.importorskip("sqlcipher3", reason="sqlcipher3 is not installed: no encrypted SQLite")
    first = replace(options, folder=tmp_path / "first", key=old)
    store = Store.open(first)
    make(store, Blobs(first.folder, Vault.of(first)), "P-quitte", drawn[0])
    rows = held(store)
    store.close()
    made = backup(first, tmp_path / "one.tar")
    content = made.path.read_bytes()
    assert content.startswith(MAGIC) == bool(old)
    for mark in (b"P-quitte", b"ustar", b"SQLite", drawn[0].data[9000:9100]):
        assert (mark in content) == (not old)
    second = replace(options, folder=tmp_path / "second", key=young)
    if old and old != young:
        with pytest.raises(InputError, match=r"encrypted; give its key|of another key, or damaged"):
            restore(made.path, second)
        assert not second.folder.exists()
    assert restore(made.path, second, Extra(key=old)).wrong == ()
    store = Store.open(second)
    try:
        after = held(store)
        assert (after.pop("case_keys") == rows.pop("case_keys")) == (old == young)
        assert after == rows
        with store.read() as session:
            line = session.scalars(select(Event).where(Event.what == "case.created")).one()
            assert trail.opened(session, line) == {"lesion": "left"}
            assert session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'patients'")) == 1
        assert Blobs(second.folder, Vault.of(second)).read(Blobs.digest(drawn[0].data)) == drawn[0].data
    finally:
        store.close()
    raw = b"".join(path.read_bytes() for path in second.folder.rglob("*") if path.is_file())
    assert (b"P-quitte" in raw) == (not young)


@sqlite_only
def test_pictures_that_go_meanwhile_and_damaged_ones_are_told_apart(
    options: Options, store: Store, new: Options, tmp_path: Path, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(options.folder)
    make(store, blobs, "P1", drawn[0])
    going = make(store, blobs, "P2", drawn[1])
    blobs.path(Blobs.digest(drawn[0].data)).write_bytes(b"damaged")
    copied = making._sqlite

    def then_delete(*given: object) -> object:
        found = copied(*given)
        erase.erase(store, blobs, [going], "anna", "")
        return found

    monkeypatch.setattr(making, "_sqlite", then_delete)
    made = backup(options, tmp_path / "one.tar")
    assert made.missing == (Blobs.digest(drawn[0].data),)
    (tmp_path / FILE).unlink()  # as if the deletion had been of the picture alone
    restored = restore(made.path, new)
    assert (restored.missing, restored.pictures) == (made.missing, 0)
    again = Store.open(new)
    with again.read() as session:
        assert session.scalars(select(Image.case_id)).all() == [1]
        assert session.scalars(select(Blob.digest)).all() == list(made.missing)
    again.close()


def packed(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                tar.addfile(one)
            else:
                member = tarfile.TarInfo(one[0])
                member.size = len(one[1])
                tar.addfile(member, io.BytesIO(one[1]))
    return out.getvalue()


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


GOOD = {"format": 1, "version": "1", "made_at": "", "kind": "sqlite", "step": "0002", "counts": {}, "files": {}}
MANY = json.dumps({**GOOD, "missing": [], "gone": [], "given": {}}).encode()
HOSTILE = {
    "a path upwards": packed(("../../etc/cron.d/x", b"x")),
    "an absolute path": packed(("/etc/passwd", b"x")),
    "a link": packed(link(DATABASE, tarfile.SYMTYPE)),
    "a hard link": packed(link("blobs/" + "a" * 64, tarfile.LNKTYPE)),
    "a device": packed(link(MANIFEST, tarfile.CHRTYPE)),
    "a folder": packed(link("blobs", tarfile.DIRTYPE)),
    "a name twice": packed((DATABASE, b"x"), (DATABASE, b"y")),
    "something after the end": packed((MANIFEST, MANY), (DATABASE, b"x")),
    "a stranger": packed(("blobs/" + "a" * 64 + ".exe", b"x")),
    "no manifest": packed((DATABASE, b"x")),
    "what no manifest names": packed((DATABASE, b"x"), (MANIFEST, MANY)),
    "a manifest that is none": packed((MANIFEST, b"[]")),
    "a manifest of a later version": packed((MANIFEST, MANY.replace(b'"format": 1', b'"format": 2'))),
    "no tar": b"PK\x03\x04" + bytes(2000),
    "nothing": b"",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_backup_is_refused_and_writes_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"bad.tar: "):
        restore(tmp_path / "bad.tar", Options(folder=tmp_path / "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


@sqlite_only
def test_a_backup_that_was_changed_or_cut_off_is_refused(
    options: Options, store: Store, new: Options, tmp_path: Path, drawn: list[Upload]
) -> None:
    make(store, Blobs(options.folder), "P1", drawn[0])
    for key in (b"", KEY):
        first = options if not key else replace(options, folder=tmp_path / "locked", key=key)
        if key:
            pytest.importorskip("sqlcipher3", reason="sqlcipher3 is not installed: no encrypted SQLite")
            Store.open(first).close()
        whole = backup(first, tmp_path / f"{bool(key)}.tar").path.read_bytes()
        end = whole.rindex(b"manifest.json") if not key else len(whole)
        bad = tmp_path / "bad.tar"
        for cut in (10, 700, len(whole) // 2, end - 1):
            bad.write_bytes(whole[:cut])
            with pytest.raises(InputError, match=r"bad.tar: "):
                restore(bad, replace(new, key=key))
        for place in (520, 5000, len(whole) // 2, len(whole) // 3):
            bad.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(InputError, match=r"bad.tar: "):
                restore(bad, replace(new, key=key))
        assert not new.folder.exists()


@sqlite_only
@pytest.mark.usefixtures("store")
def test_places_in_use_are_left_alone(
    options: Options, new: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(options, tmp_path / "one.tar")
    with pytest.raises(InputError, match=r"one.tar: is there already; name a file that is not"):
        backup(options, made.path)
    with pytest.raises(InputError, match=r"none: is no folder; make it first"):
        backup(options, tmp_path / "none" / "x.tar")
    with pytest.raises(InputError, match=r"service: is not empty; name a --folder that is not there yet"):
        restore(made.path, options)
    with pytest.raises(InputError, match=r"of sqlite, and is restored into that alone; leave --database out"):
        restore(made.path, replace(new, database="postgresql://u@127.0.0.1:9/x"))
    with (
        sole(options.folder / "backup.lock", BusyError("held"), ""),
        pytest.raises(BusyError, match="another backup of it is being made"),
    ):
        backup(options, tmp_path / "two.tar")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(DermoscopeError, match=r"two.tar: cannot be written \(No space left on device\); nothing"):
            backup(options, tmp_path / "two.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "service"]
    new.folder.mkdir()  # an empty one will do
    restore(made.path, new)


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("store")
def test_a_database_in_use_is_left_alone(options: Options, new: Options, tmp_path: Path) -> None:
    if not options.database:
        pytest.skip("SQLite has none beside its folder")
    made = backup(options, tmp_path / "one.tar")
    with pytest.raises(InputError, match=r"database postgresql.*: is not empty; name one that is"):
        restore(made.path, replace(new, database=options.database))
    with pytest.raises(InputError, match=r"of postgresql, and is restored into that alone; name an empty --database"):
        restore(made.path, replace(new, database=""))
    assert not new.folder.exists()


CHILD = """
import os, signal, sys
from pathlib import Path
from dermoscope.serve import backup, restore
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.options import Options

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def do(place, file, options):
    if place == "copy":
        backup._pictures = die
    elif place == "name":
        backup.remember = die
    elif place == "unpack":
        Blobs.put = die
    elif place == "mend":
        restore._mend = die
    else:
        Path.rename = die
    (backup.backup(options, file) if place in ("copy", "name") else restore.restore(file, options))

for place in sys.argv[4].split():
    number = os.fork()
    if number == 0:
        folder = Path(sys.argv[2].replace("PLACE", place))
        do(place, Path(sys.argv[1]), Options(folder=folder, database=sys.argv[3]))
        os._exit(1)
    assert os.waitpid(number, 0)[1] == signal.SIGKILL, place
"""


def killed(places: str, file: Path, options: Options) -> None:
    command = [sys.executable, "-c", CHILD, str(file), str(options.folder), options.database, places]
    subprocess.run(command, check=True)


def test_a_kill_while_a_backup_is_made_leaves_none(
    options: Options, store: Store, tmp_path: Path, drawn: list[Upload]
) -> None:
    make(store, Blobs(options.folder), "P1", drawn[0])
    killed("copy name", tmp_path / "one.tar", options)
    assert not (tmp_path / "one.tar").exists()
    assert any(path.name.startswith(PART) for path in tmp_path.iterdir())
    making.tidy(options.folder)
    assert not (options.folder / "backup.part").exists()
    made = backup(options, tmp_path / "one.tar")
    assert check(made.path, Vault()).counts["cases"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"one.tar", "service"}


def test_a_kill_while_a_backup_is_restored_leaves_nothing_that_is_believed(
    options: Options, store: Store, new: Options, tmp_path: Path, drawn: list[Upload]
) -> None:
    make(store, Blobs(options.folder), "P1", drawn[0])
    made = backup(options, tmp_path / "one.tar")
    killed("unpack" if new.database else "unpack mend rename", made.path, replace(new, folder=tmp_path / "new-PLACE"))
    assert not list(tmp_path.glob("new-*"))
    assert len(list(tmp_path.glob(f"{PART}restore-*"))) == (1 if new.database else 3)
    if new.database:
        with pytest.raises(InputError, match="restoring a backup into it was cut off; empty it, and restore again"):
            Store.open(new)
        return
    for left, place in ((2, "unpack"), (1, "mend"), (0, "rename")):
        assert restore(made.path, replace(new, folder=tmp_path / f"new-{place}")).counts["cases"] == 1
        assert len(list(tmp_path.glob(f"{PART}restore-*"))) == left


@pytest.mark.usefixtures("store")
def test_a_backup_of_a_later_version_is_refused(
    options: Options, new: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = making._sqlite if not options.database else making._postgresql

    def of_later(*given: object) -> object:
        kind, _, *others = copied(*given)
        return kind, "9999", *others

    monkeypatch.setattr(making, copied.__name__, of_later)
    made = backup(options, tmp_path / "one.tar")
    with pytest.raises(InputError, match=r"one.tar: was made by a later version of dermoscope \(.*\); install that"):
        restore(made.path, new)
    assert not new.folder.exists()


def test_a_long_file_is_sealed_in_pieces() -> None:
    vault = Vault(KEY)
    for size in (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE):
        data = os.urandom(size)
        out = io.BytesIO()
        with Sealing(out, vault) as sealing:
            for start in range(0, size, 300_000):
                sealing.write(data[start : start + 300_000])
        sealed = out.getvalue()
        read: Callable[[bytes], bytes] = lambda given: Unsealing(io.BytesIO(given), vault, "x").read()  # noqa: E731
        assert read(sealed) == data
        pieces = Unsealing(io.BytesIO(sealed), vault, "x")
        assert b"".join(iter(lambda pieces=pieces: pieces.read(70_001), b"")) == data
        for bad in (sealed[:-1], sealed[: -PIECE - 16], sealed[:60]):
            if bad != sealed and len(bad) > len(MAGIC):
                with pytest.raises(InputError, match=r"^x: is"):
                    read(bad)


@sqlite_only
def test_the_commands_say_what_they_did(
    options: Options, store: Store, tmp_path: Path, drawn: list[Upload], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DERMOSCOPE_KEY", raising=False)
    uid = make(store, Blobs(options.folder), "P1", drawn[0])
    make(store, Blobs(options.folder), "P2", drawn[1])

    def run(*given: str) -> str:
        ran = CliRunner().invoke(app, [*given])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    file, folder = str(tmp_path / "one.tar"), str(tmp_path / "new")
    said = run("backup", file, "--folder", str(options.folder)).splitlines()
    assert said[0].startswith(f"{file}: 2 cases, 2 pictures, ")
    assert said[2] == "  not encrypted: keep it where nobody else reads it"
    erase.erase(store, Blobs(options.folder), [uid], "anna", "")
    made: Made | dict[str, object] = json.loads(
        run("backup", str(tmp_path / "two.tar"), "--folder", str(options.folder), "--json")
    )
    assert made["cases"] == 1
    said = run("restore", file, "--folder", folder).splitlines()
    assert said[0].startswith(f"{folder}: 2 cases and 2 pictures of 20")
    assert said[1:3] == ["  1 cases were deleted since, and were deleted again", "  the audit trail verifies"]
    found = json.loads(run("restore", str(tmp_path / "two.tar"), "--folder", str(tmp_path / "other"), "--json"))
    assert (found["deleted"], found["wrong"], found["counts"]["patients"]) == (0, [], 1)
