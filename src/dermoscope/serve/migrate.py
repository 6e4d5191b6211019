"""Tables of this version, whatever version was there before (alembic; the steps are in `migrations/versions/`).

All steps are one transaction, the only one that writes: who comes second waits and finds the work done, and a kill
leaves the tables as they were.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from dermoscope.core.errors import InputError

SCRIPTS = Path(__file__).parent / "migrations"
"""The steps, one file each."""
UNFINISHED = "unfinished_restore"
"""The table that stands in a database as long as a backup is restored into it."""


def migrate(engine: Engine, scripts: Path = SCRIPTS, to: str = "head", *, unfinished: bool = False) -> None:
    """Bring the tables to this version (`to`: to another step; `base` is none of them).

    Raises InputError for tables of a later version of dermoscope, for those of another program, and for those of a
    restore that was cut off, unless that is what goes on (`unfinished`).
    """
    config = _config(scripts)
    steps = ScriptDirectory.from_config(config)
    known = [step.revision for step in steps.walk_revisions()]  # the latest first
    with engine.connect() as connection, _tables_may_be_remade(connection), connection.begin():
        held = MigrationContext.configure(connection).get_current_revision()
        _check(connection, held, known, unfinished)
        if held == (steps.get_current_head() if to == "head" else to):
            return
        config.attributes["connection"] = connection
        backwards = to == "base" or (held in known and to in known and known.index(to) > known.index(held))
        (command.downgrade if backwards else command.upgrade)(config, to)


def known_steps(scripts: Path = SCRIPTS) -> tuple[str, ...]:
    """The steps that this version knows, the latest first."""
    return tuple(step.revision for step in ScriptDirectory.from_config(_config(scripts)).walk_revisions())


def _config(scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


def _check(connection: Connection, held: str | None, known: list[str], unfinished: bool) -> None:
    """Refuse tables that no step leads from."""
    shown = connection.engine.url.render_as_string()
    tables = inspect(connection).get_table_names()
    if UNFINISHED in tables and not unfinished:
        raise InputError(f"database {shown}: restoring a backup into it was cut off; empty it, and restore again")
    if held is not None and held not in known:
        raise InputError(
            f"database {shown}: made by a later version of dermoscope (its tables are at step {held}, this version "
            f"knows {known[0]}); install that version, or give another database"
        )
    if held is None and "cases" in tables:
        raise InputError(f"database {shown}: holds tables of another program; give one that is empty")


@contextmanager
def _tables_may_be_remade(connection: Connection) -> Iterator[None]:
    """SQLite changes a table by making it anew: rows that speak of the old one must not go with it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute("PRAGMA foreign_keys=OFF")  # which nothing inside of a transaction can do
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")
