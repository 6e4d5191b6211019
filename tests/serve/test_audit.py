"""Whatever is done to the trail by something else than the service, `verify` says so; a deletion leaves it whole."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, select, text, update

from dermoscope.core.errors import DermoscopeError, InputError
from dermoscope.serve import anchors, audit, trail
from dermoscope.serve.audit import verify, verify_export
from dermoscope.serve.chain import Line, hash_of, text_of
from dermoscope.serve.options import Options
from dermoscope.serve.sealing import FILE, Keyed, Keys
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Case, CaseKey, Event, Head, Patient

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LINES = 12
COLUMNS = ("at", "who", "what", "subject", "details", "sealed", "hash")


@pytest.fixture
def store(store: Store) -> Store:
    """A trail of twelve lines about one case, some of them sealed, and an anchor for the ninth."""
    with store.begin() as session:
        session.add(Patient(id=1, pseudonym="P"))
        session.flush()
        session.add(Case(id=5, patient_id=1, created_by="r"))
        session.flush()
        trail.record(session, "r", "case.created", "case/5", {"body_site": "nail"}, patient=Keyed("P"))
        for k in range(8):
            trail.record(session, f"r{k}", "case.viewed", "case/5", page=k, at="ä")
    anchors.add(store)
    with store.begin() as session:
        trail.record(session, "r", "reading.locked", "case/5", {"decision": "refer"}, aided=False)
        trail.record(session, "r", "case.viewed", "case/5")
        trail.record(session, "r", "case.closed", "case/5")
    return store


@contextmanager
def tampered(store: Store, *statements: str, **values: Any) -> Iterator[None]:
    """What whoever can write to the database does; undone at the end."""
    with store.engine.connect() as connection:
        held = {table: connection.execute(select(table)).all() for table in (Event.__table__, Head.__table__)}
    with store.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), values)
    try:
        yield
    finally:
        with store.engine.begin() as connection:
            for table, rows in held.items():
                connection.execute(table.delete())
                connection.execute(table.insert(), [row._asdict() for row in rows])


def wrong(store: Store) -> tuple[str, ...]:
    return verify(store).wrong


def test_a_trail_that_nobody_touched_verifies(store: Store, options: Options) -> None:
    found = verify(store)
    assert (found.ok, found.first, found.last, found.anchors, found.sealed) == (True, 1, LINES, 1, True)
    with store.read() as session:
        assert found.hash == session.get_one(Event, LINES).hash
        assert audit.last_verified(trail.keys_of(session)) == found.as_dict()
    assert json.loads((options.folder / audit.VERIFIED).read_text())["ok"] is True


def test_an_empty_trail_verifies(options: Options, store: Store) -> None:
    del store
    empty = Store.open(Options(folder=options.folder / "another"))
    assert verify(empty).as_dict() | {"at": ""} == {
        **{"ok": True, "lines": 0, "first": 1, "last": 0, "hash": "", "anchors": 0, "wrong": [], "at": ""},
        "sealed": True,
    }
    empty.close()


CHANGED = {
    "altered": ("UPDATE events SET who = 'x' WHERE id = 4", "line 4 was changed, or line 3 before it: its hash"),
    "of another time": ("UPDATE events SET at = '2020-01-01 00:00:00.000000' WHERE id = 4", "line 4 was changed"),
    "with a hash made anew": (
        "UPDATE events SET hash = '{new}', who = 'x' WHERE id = 4",
        "line 5 was changed, or line 4",
    ),
    "deleted": ("DELETE FROM events WHERE id = 4", "line 4 is missing: after 3 comes 5"),
    "several deleted": ("DELETE FROM events WHERE id BETWEEN 4 AND 6", "lines 4 to 6 are missing: after 3 comes 7"),
    "the first deleted": ("DELETE FROM events WHERE id < 3", "lines 1 to 2 are missing: after 0 comes 3"),
    "cut off": ("DELETE FROM events WHERE id > 10", "lines 11 to 12 are missing at the end"),
    "added": (
        "INSERT INTO events (id, at, who, what, subject, details, hash) "
        "SELECT 13, at, who, what, subject, details, '{end}' FROM events WHERE id = 12",
        "lines 13 to 13 were added by something else than the service",
    ),
    "given another number": (
        "UPDATE events SET id = 99 WHERE id = 12",
        "lines 12 to 98 are missing: after 11 comes 99",
    ),
    "exchanged": (
        "UPDATE events SET id = -id WHERE id IN (4, 5); UPDATE events SET id = 9 + id WHERE id < 0",
        "line 4 was changed, or line 3 before it",
    ),
}


@pytest.mark.parametrize(("statement", "says"), CHANGED.values(), ids=CHANGED)
def test_what_was_done_is_named(store: Store, statement: str, says: str) -> None:
    with store.read() as session:
        new = hash_of(session.get_one(Event, 3).hash, _text(session.get_one(Event, 4), who="x"))
        end = hash_of(session.get_one(Event, 12).hash, _text(session.get_one(Event, 12), number=13))
    with tampered(store, *statement.format(new=new, end=end).split("; ")):
        found = wrong(store)
        assert found[0].startswith(says)
    assert verify(store).ok


def _text(event: Event, **other: Any) -> str:
    details = json.dumps(event.details, sort_keys=True, ensure_ascii=False)
    sealed = None if event.sealed is None else event.sealed.hex()
    line = Line(event.id, trail.text_of_time(event.at), event.who, event.what, event.subject, details, sealed, "")
    return text_of(line._replace(**other))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "at": st.sampled_from(["2020-01-01 00:00:00.000000", "2030-05-05 05:05:05.000001"]),
    "who": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80),
    "what": st.sampled_from(trail.VERBS),
    "subject": st.sampled_from(["case/5 ", "case/6", "", 'case/5", "what": "x']),
    "details": st.sampled_from(["{}", '{"page":1}', '{"aided": true}', "", '{"page": 1, "page": 1}', "null"]),
    "sealed": st.none() | st.binary(max_size=300),
    "hash": st.sampled_from(["", "0" * 64, "x"]),
}


@sqlite
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), column=st.sampled_from(COLUMNS), number=st.integers(1, LINES))
def test_any_change_of_any_column_of_any_line_is_found(
    store: Store, data: st.DataObject, column: str, number: int
) -> None:
    new = data.draw(VALUES[column], label="new value")
    with store.engine.connect() as connection:
        held = connection.scalar(text(f"SELECT {column} FROM events WHERE id = {number}"))
    if new == held:
        return
    with tampered(store, f"UPDATE events SET {column} = :new WHERE id = {number}", new=new):
        assert any(f"line {number}" in said for said in wrong(store))


@sqlite
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("count = 11", "lines 12 to 12 were added by something else than the service"),
        ("count = 14", "lines 13 to 14 are missing at the end"),
        ("hash = 'x'", "line 12 is not the one that the head of the trail knows"),
        ("at = '2020-01-01 00:00:00.000000'", "the seal of the trail's head is wrong: something else"),
        ("base = 1", "line 2 was changed, or line 1 before it"),
        ("base_hash = 'x'", "line 1 was changed, or line 0 before it"),
        ("at = 'yesterday'", "the head of the trail is missing, or holds what the service never writes"),
        ("count = 'x'", "the head of the trail is missing, or holds what the service never writes"),
        ("base_hash = x'00'", "the head of the trail is missing, or holds what the service never writes"),
        ("seal = 'x'", "the seal of the trail's head is wrong"),
        ("seal = ''", "the head of the trail bears no seal"),
        ("seal = 'broken'", "the head of the trail was changed by something else than the service, which went on"),
    ],
)
def test_any_change_of_the_head_is_found(store: Store, change: str, says: str) -> None:
    with tampered(store, f"UPDATE audit_head SET {change}"):
        assert wrong(store)[0].startswith(says)


@sqlite
def test_a_head_that_is_gone_is_found(store: Store) -> None:
    with tampered(store, "DELETE FROM audit_head"):
        assert wrong(store) == ("the head of the trail is missing, or holds what the service never writes",)
    with tampered(store, "DELETE FROM audit_head", "DELETE FROM events"):  # the anchors remember
        assert wrong(store) == ("the head of the trail is missing, or holds what the service never writes",)


@sqlite
def test_a_line_of_a_case_that_cannot_be_is_found(store: Store) -> None:
    with tampered(store, "UPDATE events SET subject = 'case/99999999999999999999', sealed = 'x' WHERE id = 3"):
        assert wrong(store)[0].startswith("line 3 was changed")


@pytest.mark.parametrize("change", ["DELETE FROM case_keys", "UPDATE case_keys SET key = :other"])
def test_a_key_that_was_taken_without_its_case_is_found(store: Store, change: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text(change), {"other": bytes(32)} if ":" in change else {})
    with store.begin() as session:  # which makes another one, where there is none
        trail.record(session, "r", "case.changed", "case/5", {"body_site": "ear"})
    says = "line 1 opens no more, and case/5 was not deleted: its key was taken or changed"
    assert wrong(store) == (says,)


def made_anew(connection: Connection, keys: Keys | None, change: Callable[[Line], Line | None]) -> None:
    """The whole chain as somebody makes it who knows how, from lines that he changed or left out."""
    found = connection.execute(select(Event.__table__).order_by(Event.id)).all()
    connection.execute(delete(Event))
    before, number, at = "", 0, None
    for row in found:
        sealed = None if row.sealed is None else row.sealed.hex()
        details = json.dumps(row.details, sort_keys=True, ensure_ascii=False)
        line = change(Line(row.id, trail.text_of_time(row.at), row.who, row.what, row.subject, details, sealed, ""))
        if line is None:
            continue
        number, at = number + 1, row.at
        before = hash_of(before, text_of(line._replace(number=number)))
        values = {**row._asdict(), "who": line.who, "id": number, "hash": before}
        connection.execute(Event.__table__.insert(), values)
    head = Head(count=number, hash=before, at=at, base=0, base_hash="")
    seal = "" if keys is None else keys.seal("head", trail.text_of_head(head))
    connection.execute(update(Head).values(count=number, hash=before, at=at, **({"seal": seal} if seal else {})))


@sqlite
def test_a_chain_made_anew_without_the_key_is_found(store: Store) -> None:
    with tampered(store):
        with store.engine.begin() as connection:
            made_anew(connection, None, lambda line: line._replace(who="x") if line.number == 4 else line)
        found = wrong(store)
        assert found[0].startswith("line 9 is another one than on 20")
        assert found[1].startswith("the seal of the trail's head is wrong")


@sqlite
def test_an_older_state_of_the_whole_database_is_found(store: Store) -> None:
    """A head of that time is sealed rightly; the anchors know of more."""
    anchors.add(store)
    with tampered(store):
        with store.read() as session:
            keys = trail.keys_of(session)
        with store.engine.begin() as connection:
            made_anew(connection, keys, lambda line: line if line.number < 11 else None)
        (said,) = wrong(store)
        assert said.startswith("lines 11 to 12 are missing at the end: they were there on 20")


@sqlite
def test_anchors_that_the_service_did_not_write_are_found(store: Store, options: Options) -> None:
    path = options.folder / trail.ANCHORS
    held = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(held.replace('"number": 9', '"number": 8'))
    assert wrong(store) == ("line 1 of the file of anchors was not written by this service",)
    path.write_text("{}\n" + held)
    assert wrong(store) == ("line 1 of the file of anchors was not written by this service",)
    path.write_text(held + held[:40])  # a kill left it so
    assert verify(store).ok
    assert anchors.add(store) is not None
    assert anchors.add(store) is None
    assert verify(store).anchors == 2


def test_erasure_leaves_the_trail_verifiable_and_unreadable(store: Store, tmp_path: Path) -> None:
    with store.begin() as session:
        session.execute(delete(CaseKey))
        session.execute(delete(Case))
        trail.record(session, "r", "case.deleted", "case/5")
    assert verify(store).ok
    with store.read() as session:
        assert [trail.opened(session, line) for line in session.scalars(select(Event))] == [None] * (LINES + 1)
        text_ = "".join(audit.exported(session, said=True))
    assert "nail" not in text_
    assert '"P"' not in text_
    (tmp_path / "trail.jsonl").write_text(text_)
    assert verify_export(tmp_path / "trail.jsonl").ok


def test_an_export_verifies_by_itself_and_with_the_key(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "trail.jsonl"
    with store.read() as session:
        keys = trail.keys_of(session)
        path.write_text("".join(audit.exported(session, said=True)))
        part = "".join(audit.exported(session, after=7))
        with pytest.raises(InputError, match="there is no line 99 of the audit trail; it ends with line 12"):
            list(audit.exported(session, after=99))
    assert [json.loads(line)["said"] for line in path.read_text().splitlines() if "said" in json.loads(line)] == [
        {"body_site": "nail"},
        {"decision": "refer"},
    ]
    alone, known = verify_export(path), verify_export(path, keys)
    assert (alone.ok, alone.lines, alone.sealed) == (True, LINES, False)
    assert (known.ok, known.sealed, known.hash) == (True, True, verify(store).hash)
    (tmp_path / "part.jsonl").write_text(part)
    assert (verify_export(tmp_path / "part.jsonl", keys).ok, part.count("\n")) == (True, LINES - 7 + 1)
    lines = path.read_text().splitlines(keepends=True)
    for broken, says in {
        "".join(lines).replace('"r3"', '"r4"'): "line 5 was changed",
        "".join(lines[:-1]): "lines 12 to 12 are missing at the end",
        "".join([*lines[:5], *lines[6:]]): "line 4 is missing",
    }.items():
        path.write_text(broken)
        assert verify_export(path).wrong[0].startswith(says)
    path.write_text(lines[0].replace('"count": 12', '"count": 11') + "".join(lines[1:-1]))
    assert verify_export(path, keys).wrong[-1] == "its first line was not sealed by this service"


@sqlite
@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no export of the audit trail; make one with"),
        ("{}\n", "is no export of the audit trail"),
        ('{"trail": {"count": 1}}\n', "is no export of the audit trail"),
        ("HEAD{}\n", "line 2 is none of an export of the audit trail"),
    ],
)
def test_a_file_that_is_no_export_is_refused(store: Store, tmp_path: Path, content: str, says: str) -> None:
    with store.read() as session:
        head = next(audit.exported(session))
    path = tmp_path / "trail.jsonl"
    path.write_text(content.replace("HEAD", head))
    with pytest.raises(InputError, match=rf"trail\.jsonl: {says}"):
        verify_export(path)
    with pytest.raises(InputError, match=r"none\.jsonl: cannot be read .*name a file of `dermoscope audit export`"):
        verify_export(tmp_path / "none.jsonl")


def aged(store: Store, upto: int, days: int) -> None:
    """Make lines old: the chain is made anew with the key, as if the service had written them then."""
    import datetime

    with store.read() as session:
        keys = trail.keys_of(session)
    with store.engine.begin() as connection:
        ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
        connection.execute(update(Event).where(Event.id <= upto).values(at=ago))
        made_anew(connection, keys, lambda line: line)
    (keys.folder / trail.ANCHORS).unlink()
    anchors.add(store)


def test_old_lines_go_and_the_trail_begins_after_them(store: Store) -> None:
    aged(store, 7, 401)
    assert verify(store).ok
    assert audit.prune(store, 402) == 0
    assert audit.prune(store, 400) == 7
    found = verify(store)
    assert (found.ok, found.first, found.last) == (True, 8, LINES + 1)
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == LINES - 7 + 1
        last = session.get_one(Event, LINES + 1)
        assert (last.what, last.who) == ("audit.pruned", "service")
        assert {name: last.details[name] for name in ("lines", "upto", "days")} == {"lines": 7, "upto": 7, "days": 400}
    assert audit.prune(store, 400) == 0
    with store.begin() as session:
        session.execute(delete(Event).where(Event.id == 8))
    assert wrong(store)[0] == "line 8 is missing: after 7 comes 9"
    with pytest.raises(InputError, match="0 days; the audit trail is kept for one day at least"):
        audit.prune(store, 0)


@sqlite
def test_all_lines_may_be_old(store: Store) -> None:
    aged(store, LINES, 500)
    assert audit.prune(store, 400) == LINES
    found = verify(store)
    assert (found.ok, found.first, found.last) == (True, LINES + 1, LINES + 1)


@sqlite
def test_without_the_key_nobody_says_that_it_is_whole(store: Store, options: Options) -> None:
    store.close()
    (options.folder / FILE).unlink()
    again = Store.open(options)
    with pytest.raises(DermoscopeError, match=r"audit\.key: the key of the audit trail cannot be read"):
        verify(again)
    again.close()


CHILD = """
import sys
from pathlib import Path
from dermoscope.serve import trail
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store

store = Store.open(Options(folder=Path(sys.argv[1]), database=sys.argv[2]))
print("ready", flush=True)
for k in range(int(sys.argv[3])):
    with store.begin() as session:
        trail.record(session, sys.argv[4], "list.viewed", "cases", n=k)
        trail.record(session, sys.argv[4], "list.viewed", "cases", n=k)
    print(k, flush=True)
"""


def child(options: Options, pairs: int, name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(options.folder), options.database, str(pairs), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_processes_write_one_chain_and_a_kill_leaves_it_whole(store: Store, options: Options) -> None:
    with child(options, 30, "a") as ending, child(options, 100_000, "b") as killed:
        assert killed.stdout is not None
        said = [killed.stdout.readline() for _ in range(20)]
        killed.kill()
        said += killed.stdout.readlines()
        assert ending.communicate()[0].splitlines()[-1] == "29"
    with store.begin() as session:
        trail.record(session, "r", "started", "service")
    found = verify(store)
    assert (found.ok, found.wrong) == (True, ())
    with store.read() as session:
        who = list(session.scalars(select(Event.who).order_by(Event.id)))[LINES:]
    assert who.count("a") == 60
    acknowledged = sum(line.strip().isdigit() for line in said)
    assert 2 * acknowledged <= who.count("b") <= 2 * acknowledged + 2
