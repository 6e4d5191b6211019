"""Steps from any version of the tables to this one, with what is in them; never half, and never backwards unasked."""

import datetime
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Engine, MetaData, inspect, select, text
from sqlalchemy.exc import DBAPIError

from dermoscope.core.errors import InputError
from dermoscope.serve import store as module
from dermoscope.serve import trail
from dermoscope.serve.audit import verify
from dermoscope.serve.migrate import SCRIPTS, migrate
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Blob, Case, Event, Image, Patient, Table
from dermoscope.serve.vault import Vault

FURTHER = '''"""A further step, as a later version might have it."""
import time
from pathlib import Path
import sqlalchemy as sa
from alembic import op
revision, down_revision = "0003", "0002"

def upgrade() -> None:
    op.create_table("rooms", sa.Column("id", sa.Integer(), primary_key=True))
    with op.batch_alter_table("cases", recreate="auto") as batch:
        batch.add_column(sa.Column("colour", sa.String(length=20), nullable=False, server_default="brown"))
        batch.alter_column("body_site", existing_type=sa.String(length=40), type_=sa.String(length=60))
    {then}

def downgrade() -> None:
    with op.batch_alter_table("cases") as batch:
        batch.drop_column("colour")
        batch.alter_column("body_site", existing_type=sa.String(length=60), type_=sa.String(length=40))
    op.drop_table("rooms")
'''


@pytest.fixture
def tables_made() -> bool:
    return False


@pytest.fixture
def engine(options: Options) -> Iterator[Engine]:
    """A database without tables."""
    made = module.engine_of(options, Vault())
    yield made
    made.dispose()


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The steps of a version that has one more."""
    return with_further(tmp_path, "pass")


def with_further(folder: Path, then: str) -> Path:
    scripts = folder / "100% later"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "0003_third.py").write_text(FURTHER.format(then=then))
    return scripts


def fill(options: Options) -> None:
    """A patient, a case and its image."""
    store = Store.open(options)
    with store.begin() as session:
        session.add(Patient(id=1, pseudonym="P"))
        session.add(Blob(digest="d" * 64, media="image/png", size=1, references=1))
        session.flush()
        session.add(Case(id=1, patient_id=1, body_site="head_neck", intake=["nail"], created_by="r"))
        session.flush()
        session.add(Image(case_id=1, kind="overview", digest="d" * 64, width=9, height=9, added_by="r"))
    store.close()


def step(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return compare_metadata(context, Table.metadata)


def test_the_steps_lead_to_the_tables_of_the_code(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        assert differences(connection) == [], 'write the step: python tools/migration.py "what changes"'
    assert step(engine) == "0002"
    migrate(engine)
    assert step(engine) == "0002"


def test_tables_of_an_older_version_are_brought_up_with_what_is_in_them(
    engine: Engine, options: Options, later: Path
) -> None:
    fill(options)
    migrate(engine, later)
    assert step(engine) == "0003"
    with engine.begin() as connection:
        found = connection.execute(text("SELECT colour, body_site, intake FROM cases")).one()
        assert found.colour == "brown"
        assert found.body_site == "head_neck"
        assert connection.scalar(text("SELECT case_id FROM images")) == 1
        with pytest.raises(DBAPIError):  # the rule survived that the table it speaks of was made anew
            connection.execute(text("UPDATE images SET case_id = 77"))
    migrate(engine, later, "0002")
    with engine.connect() as connection:
        assert differences(connection) == []
        assert connection.scalar(text("SELECT body_site FROM cases")) == "head_neck"
        assert connection.scalar(text("SELECT count(*) FROM images")) == 1


OLD_LINES = """
INSERT INTO events (id, at, who, what, subject, details) VALUES
(1, '2026-03-05 09:00:00.000000+00', 'r', 'case.created', 'case/1', '{"sample": false}'),
(2, '2026-03-05 09:00:00.250000+00', 'r', 'image.removed', 'image/3',
 '{"results": [1], "answers": ["refer"], "digest": "d", "case": 1}'),
(5, '2026-03-05 09:00:01.000001+00', 'r', 'reading.locked', 'case/1',
 '{"visit": 1, "decision": "refer", "aided": false}'),
(6, '2026-03-05 09:00:02.000000+00', 'ä', 'setting.changed', 'setting/notice',
 '{"before": 1e-7, "after": {"b": 1, "a": "ä"}}')
"""


def test_old_lines_of_the_trail_are_chained_without_what_they_said(engine: Engine, options: Options) -> None:
    migrate(engine, to="0001")
    with engine.begin() as connection:
        sqlite = engine.dialect.name == "sqlite"
        connection.execute(text((OLD_LINES.replace("+00'", "'") if sqlite else OLD_LINES).replace(":", r"\:")))
    store = Store.open(options)
    found = verify(store)
    assert (found.wrong, found.lines) == ((), 4)
    with store.begin() as session:
        trail.record(session, "r", "started", "service")
    with store.read() as session:
        lines = list(session.scalars(select(Event).order_by(Event.id)))
    assert [line.id for line in lines] == [1, 2, 3, 4, 5]
    assert [line.details for line in lines[1:4]] == [
        {"case": 1, "results": [1]},
        {"aided": False, "visit": 1},
        {"after": {"a": "ä", "b": 1}, "before": 1e-07},
    ]
    assert verify(store).ok
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE events SET who = 'x' WHERE id = 3"))
    assert verify(store).wrong[0].startswith("line 3 was changed")
    store.close()
    migrate(engine, to="0001")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM events")) == 5


def filled_everywhere(connection: Connection, numbers: range) -> None:
    """A row in every table for each number, whatever its columns are; rows speak of those with their own number."""
    held = MetaData()
    held.reflect(connection)
    for table in held.sorted_tables:
        if table.name == "alembic_version":
            continue
        referred = {column.name for one in table.foreign_key_constraints for column in one.columns}
        for number in numbers:
            row = {column.name: number for column in table.columns if column.name in {"id", *referred}}
            row |= {c.name: some_value(c, number) for c in table.columns if c.name not in row or "digest" in c.name}
            connection.execute(table.insert().values(row))
        if connection.dialect.name == "postgresql" and "id" in table.columns:
            given = f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {numbers[-1]})"
            connection.execute(text(given))


def some_value(column: Column[object], number: int) -> object:
    kinds: tuple[tuple[type, object], ...] = (
        (sqlalchemy.JSON, {"number": number, "ä": [None, 0.1]}),
        (sqlalchemy.DateTime, datetime.datetime(2026, 3, number, 9, 30, 1, 250000, tzinfo=datetime.UTC)),
        (sqlalchemy.Date, datetime.date(2026, 3, number)),
        (sqlalchemy.Boolean, bool(number % 2)),
        (sqlalchemy.LargeBinary, bytes([number, 0, 255])),
        (sqlalchemy.Float, number / 10),
        (sqlalchemy.Integer, number),
    )
    return next((value for kind, value in kinds if isinstance(column.type, kind)), f"ä{number}")


def rows(connection: Connection, columns: dict[str, list[str]]) -> dict[str, list[tuple[object, ...]]]:
    """What stands in the given columns of tables."""
    held = MetaData()
    held.reflect(connection)
    found = {}
    for name, named in columns.items():
        table = held.tables[name]
        asked = select(*[table.c[column] for column in named]).order_by(*table.primary_key.columns)
        found[name] = [tuple(row) for row in connection.execute(asked)]
    return found


def test_every_table_keeps_its_rows_up_and_down_and_up_again(engine: Engine) -> None:
    migrate(engine, to="0001")
    with engine.begin() as connection:
        filled_everywhere(connection, range(1, 4))
        held = MetaData()
        held.reflect(connection)
        columns = {
            name: [column.name for column in table.columns if (name, column.name) != ("events", "details")]
            for name, table in held.tables.items()
            if name != "alembic_version"
        }
        before = rows(connection, columns)
    assert all(len(found) == 3 for found in before.values())
    for to in ("head", "0001", "head"):
        migrate(engine, to=to)
        with engine.begin() as connection:
            there = set(inspect(connection).get_table_names())
            kept = {name: found for name, found in columns.items() if name != "entries"}
            assert set(kept) <= there
            # codes of roles, which accounts took the place of: an older service makes new ones
            assert "entries" not in there or not rows(connection, {"entries": columns["entries"]})["entries"]
            assert rows(connection, kept) == {name: before[name] for name in kept}
            if to == "head":
                assert differences(connection) == []
                uids = set(connection.scalars(text("SELECT uid FROM cases")))
                assert {len(uid) for uid in uids} == {32}
                assert len(uids) == 3
                connection.execute(text("INSERT INTO deletions VALUES ('u', '2026-03-05', 'r', '', NULL)"))
                connection.execute(text("INSERT INTO case_keys VALUES (1, :key)"), {"key": b"key"})
    with engine.begin() as connection:
        made = "INSERT INTO patients (pseudonym, created_at) VALUES ('new', '2026-03-05') RETURNING id"
        connection.execute(text("DELETE FROM patients WHERE id NOT IN (SELECT patient_id FROM cases)"))
        assert connection.scalar(text(made)) == 4  # no number is given twice


def test_back_to_nothing_and_up_again(engine: Engine, options: Options) -> None:
    fill(options)
    migrate(engine, to="base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    fill(options)


def test_tables_of_a_later_version_are_left_alone(engine: Engine, options: Options, later: Path) -> None:
    migrate(engine, later)
    told = r"made by a later version of dermoscope \(its tables are at step 0003, this version knows 0002\); install"
    with pytest.raises(InputError, match=told) as raised:
        Store.open(options)
    assert str(raised.value).startswith(f"database {engine.url.render_as_string()}: ")
    assert step(engine) == "0003"


def test_tables_of_another_program_are_left_alone(engine: Engine, options: Options) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE cases (of_wine INTEGER)"))
    with pytest.raises(InputError, match="holds tables of another program; give one that is empty"):
        Store.open(options)
    assert inspect(engine).get_table_names() == ["cases"]


def test_a_step_that_fails_leaves_the_tables_as_they_were(engine: Engine, options: Options, tmp_path: Path) -> None:
    fill(options)
    with pytest.raises(ZeroDivisionError):
        migrate(engine, with_further(tmp_path, "1 / 0"))
    with engine.connect() as connection:
        assert differences(connection) == []
    fill_one_more(options)


def fill_one_more(options: Options) -> None:
    store = Store.open(options)
    with store.begin() as session:
        session.add(Event(who="r", what="entered", subject="s", details={}))
    with store.read() as session:
        assert session.get_one(Case, 1).images[0].width == 9
    store.close()


CHILD = """
import sys
from pathlib import Path
from dermoscope.serve import store
from dermoscope.serve.migrate import migrate
from dermoscope.serve.options import Options
from dermoscope.serve.vault import Vault

options = Options(folder=Path(sys.argv[1]), database=sys.argv[2])
migrate(store.engine_of(options, Vault()), Path(sys.argv[3]))
"""


def child(options: Options, scripts: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(options.folder), options.database, str(scripts)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_processes_that_start_at_once_wait_for_each_other(engine: Engine, options: Options) -> None:
    children = [child(options, SCRIPTS) for _ in range(3)]
    said = [one.communicate()[1] for one in children]
    assert [(one.returncode, text) for one, text in zip(children, said, strict=True)] == [(0, "")] * 3
    with engine.connect() as connection:
        assert differences(connection) == []


def test_a_kill_in_the_middle_of_a_step_leaves_the_tables_as_they_were(
    engine: Engine, options: Options, tmp_path: Path
) -> None:
    fill(options)
    reached = tmp_path / "reached"
    with child(options, with_further(tmp_path, f"Path({str(reached)!r}).touch(); time.sleep(60)")) as running:
        for _ in range(2000):
            if reached.exists() or running.poll() is not None:
                break
            time.sleep(0.01)
        running.kill()
    assert reached.exists()
    fill_one_more(options)
    with engine.connect() as connection:
        assert differences(connection) == []
