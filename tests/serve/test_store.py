"""The database, on SQLite and on PostgreSQL: the same values come back, and writers do not disturb each other."""

import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import IntegrityError, StatementError

from dermoscope.core.errors import BusyError, InputError
from dermoscope.serve import store as module
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Answered, Case, Change, Event, Patient, Table, now

sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def change(value: dict[str, object], **more: object) -> Change:
    return Change(name="n", value=value, made_by="r", **more)


def count(store: Store, table: type[Table]) -> int:
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_moment_comes_back_as_it_was_in_utc(store: Store) -> None:
    east = datetime.timezone(datetime.timedelta(hours=5, minutes=45))
    moment = datetime.datetime(2026, 3, 29, 2, 30, 1, 234567, tzinfo=east)
    with store.begin() as session:
        session.add_all([change({}, made_at=moment), change({})])
    with store.read() as session:
        kept, by_itself = session.scalars(select(Change.made_at).order_by(Change.id)).all()
        assert session.scalar(select(func.count()).where(Change.made_at == moment)) == 1
        assert session.scalar(select(func.count()).where(Change.made_at < moment)) == 0
    assert kept == moment
    assert kept.tzinfo is datetime.UTC
    assert kept.isoformat() == "2026-03-28T20:45:01.234567+00:00"
    assert abs(now() - by_itself) < datetime.timedelta(seconds=60)


def test_a_time_without_zone_is_refused(store: Store) -> None:
    with pytest.raises(StatementError, match="a time without zone"), store.begin() as session:
        session.add(change({}, made_at=datetime.datetime(2026, 1, 1)))


def test_json_comes_back_with_its_order_and_every_digit(store: Store) -> None:
    value = {"NV": 0.1 + 0.2, "AK": 1e-300, "b": [None, True, "Ä 猫 \u2028 '\""], "a": {}}
    with store.begin() as session:
        session.add(change(value))
    with store.read() as session:
        kept = session.scalars(select(Change.value)).one()
    assert kept == value
    assert list(kept) == list(value)


def test_no_database_takes_what_is_no_json(store: Store) -> None:
    with pytest.raises((StatementError, ValueError), match="not JSON compliant"), store.begin() as session:
        session.add(change({"x": float("nan")}))


ONE_ROW = "audit_head"
NUMBERED = sorted(t.name for t in Table.metadata.tables.values() if "id" in t.columns and t.name != ONE_ROW)


@pytest.mark.parametrize("table", NUMBERED)
def test_a_number_is_never_given_twice(store: Store, table: str) -> None:
    # the audit trail speaks of `image/12` for ever
    if store.engine.dialect.name == "sqlite":
        with store.read() as session:
            made = session.scalar(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table})
        assert "AUTOINCREMENT" in made
    else:
        (column,) = (c for c in inspect(store.engine).get_columns(table) if c["name"] == "id")
        assert column["default"].startswith("nextval(")


def test_the_number_of_what_was_deleted_stays_its_own(store: Store) -> None:
    numbers = []
    for turn in range(3):
        with store.begin() as session:
            patient = Patient(pseudonym=f"P{turn}")
            session.add(patient)
            session.flush()
            numbers.append(patient.id)
            session.delete(patient)
    assert len(set(numbers)) == 3


def test_every_rule_of_a_table_has_its_name(store: Store) -> None:
    found = inspect(store.engine)
    for name, table in Table.metadata.tables.items():
        rules = [*found.get_unique_constraints(name), *found.get_foreign_keys(name)]
        named = {rule["name"] for rule in rules} | {index["name"] for index in found.get_indexes(name)}
        meant = {rule.name for rule in table.constraints if rule is not table.primary_key}
        assert meant | {index.name for index in table.indexes} == named


def test_a_case_needs_its_patient_and_a_pseudonym_stands_once(store: Store) -> None:
    with pytest.raises(IntegrityError), store.begin() as session:
        session.add(Case(patient_id=77, created_by="r"))
    for wanted in (1, 1):
        with store.begin() as session:
            if session.scalar(select(Patient).where(Patient.pseudonym == "P")) is None:
                session.add(Patient(pseudonym="P"))
        assert count(store, Patient) == wanted
    with pytest.raises(IntegrityError), store.begin() as session:
        session.add(Patient(pseudonym="P"))


def test_a_failure_leaves_nothing_of_its_transaction(store: Store) -> None:
    with pytest.raises(KeyError), store.begin() as session:  # noqa: PT012
        session.add(Patient(pseudonym="P"))
        session.flush()
        raise KeyError
    assert count(store, Patient) == 0


def test_what_only_looks_changes_nothing(store: Store) -> None:
    with store.read() as session:
        session.add(Patient(pseudonym="P"))
        session.flush()
    assert count(store, Patient) == 0


def test_who_looks_sees_one_moment_and_holds_nobody_up(store: Store) -> None:
    with store.read() as session:
        counted = select(func.count()).select_from(Patient)
        assert session.scalar(counted) == 0
        with store.begin() as other:
            other.add(Patient(pseudonym="P"))
        assert session.scalar(counted) == 0
    assert count(store, Patient) == 1


def test_twenty_writers_disturb_nobody(store: Store) -> None:
    """Each reads the last line of all and adds its successor: two at a time would add the same one twice."""

    def write(_: int) -> None:
        with store.begin() as session:
            last = session.scalar(select(func.max(Event.subject))) or "0000"
            session.add(Event(who="r", what="entered", subject=f"{int(last) + 1:04d}", details={}))

    def look(_: int) -> int:
        return count(store, Event)

    with ThreadPoolExecutor(30) as pool:
        writes = [pool.submit(write, k) for k in range(200)]
        looks = [pool.submit(look, k) for k in range(100)]
        for future in [*writes, *looks]:
            future.result()
    with store.read() as session:
        assert session.scalars(select(Event.subject).order_by(Event.id)).all() == [f"{k:04d}" for k in range(1, 201)]


def test_a_transaction_holds_the_others_off_from_its_beginning(store: Store) -> None:
    entered = threading.Event()

    def other() -> None:
        with store.begin():
            entered.set()

    with store.begin():  # nothing was read or written yet
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.2)
    thread.join()
    assert entered.is_set()


@pytest.mark.parametrize("in_one_process", [True, False])
def test_whoever_waits_too_long_is_told(
    options: Options, monkeypatch: pytest.MonkeyPatch, in_one_process: bool
) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.3 if not options.database else 1)
    store, other = Store.open(options), Store.open(options)
    asking = store if in_one_process else other
    try:
        with (
            store.begin(),
            pytest.raises(BusyError, match="the database is busy with what others write; try again in a minute"),
            asking.begin(),
        ):
            pass
        with asking.begin() as session:
            session.add(Patient(pseudonym="P"))
    finally:
        store.close()
        other.close()


@sqlite_only
def test_sqlite_keeps_what_was_committed_and_lies_where_nobody_else_looks(options: Options, tmp_path: Path) -> None:
    store = Store.open(replace(options, folder=tmp_path / "a" / "new"))
    with store.read() as session:
        for name, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2)):
            assert session.scalar(text(f"PRAGMA {name}")) == value
    store.close()
    assert (tmp_path / "a" / "new").stat().st_mode & 0o777 == 0o700


@sqlite_only
def test_sqlite_looks_for_letters_of_every_alphabet(store: Store) -> None:
    with store.begin() as session:
        session.add_all([Patient(pseudonym="ÄRZTIN"), Patient(pseudonym="Ωmega"), Case(created_by="r", patient_id=1)])
    with store.read() as session:
        for part, found in (("ärz", 1), ("ωM", 1), ("x", 0)):
            assert session.scalar(select(func.count()).where(Patient.pseudonym.ilike(f"%{part}%"))) == found
        assert session.scalar(select(func.count()).where(Case.body_site.ilike("%a%"))) == 0


@sqlite_only
def test_a_database_that_cannot_be_opened_is_named(options: Options, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file/below: cannot be made \(Not a directory\); give another --folder"):
        Store.open(replace(options, folder=tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="neither sqlite:///FILE nor postgresql"):
        Store.open(replace(options, database="mongodb://x/y"))
    (options.folder / "dermoscope.sqlite").write_bytes(b"this is no database " * 100)
    with pytest.raises(InputError, match=r"cannot be opened \(file is not a database\); check the address"):
        Store.open(options)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be opened") as raised:
        Store.open(Options(folder=tmp_path, database="postgresql://u:secret@127.0.0.1:9/none"))
    assert "secret" not in str(raised.value)


CHILD = """
import sys
from pathlib import Path
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Answered, Patient

store = Store.open(Options(folder=Path(sys.argv[1]), database=sys.argv[2]))
number = 0
while True:
    number += 1
    with store.begin() as session:
        session.add(Patient(pseudonym=f"{sys.argv[3]}-{number}"))
        session.flush()
        session.add(Answered(key=f"{sys.argv[3]}-{number}", place="p", who="r", digest="d", status=200, body={}))
    print(f"{sys.argv[3]}-{number}", flush=True)  # acknowledged
"""


def test_a_kill_takes_nothing_that_was_acknowledged_and_leaves_no_half(options: Options) -> None:
    said: list[str] = []
    for turn, delay in enumerate((0.0, 0.011, 0.027)):
        command = [sys.executable, "-c", CHILD, str(options.folder), options.database, str(turn)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said.append(child.stdout.readline().strip())
            time.sleep(delay)
            os.kill(child.pid, signal.SIGKILL)
            said += child.stdout.read().split()
    store = Store.open(options)
    try:
        with store.read() as session:
            first = set(session.scalars(select(Patient.pseudonym)))
            second = set(session.scalars(select(Answered.key)))
        assert len(said) >= 3
        assert set(said) <= first
        assert first == second
    finally:
        store.close()


def test_who_comes_first_makes_the_tables_and_the_others_wait(options: Options) -> None:
    """Threads here; another process is no different to either database."""
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: Store.open(options), range(4)))
    done: list[Callable[[], None]] = [store.close for store in opened]
    assert [count(store, Patient) for store in opened] == [0] * 4
    for close in done:
        close()
