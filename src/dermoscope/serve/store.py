"""The database: SQLite by default, PostgreSQL by URL; one transaction for each thing that is done."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from dermoscope.core.errors import InputError, MissingDependencyError
from dermoscope.serve.options import Options

_WAIT = 30
"""Seconds that a writer of SQLite waits for another one."""


@dataclass(frozen=True, eq=False)
class Store:
    """A database whose tables are there. `begin` is one transaction, written whole or not at all; `read` only looks."""

    engine: Engine
    writers: "sessionmaker[Session]"
    readers: "sessionmaker[Session]"

    @classmethod
    def open(cls, options: Options) -> "Store":
        """Connect, and bring the tables to this version.

        Raises InputError where the database cannot be reached or is of a later version, MissingDependencyError
        without its driver.
        """
        from dermoscope.serve.migrate import migrate

        engine = _engine(options)
        try:
            migrate(engine)
        except OperationalError as error:
            why = str(error.orig).strip().splitlines()[0]
            shown = engine.url.render_as_string()
            engine.dispose()
            raise InputError(f"database {shown}: cannot be opened ({why}); check the address and its rights") from None
        looking = engine.execution_options(looks=True)
        return cls(engine, sessionmaker(engine, expire_on_commit=False), sessionmaker(looking, expire_on_commit=False))

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back by any exception."""
        with self.writers.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent look that holds nobody up; what is changed in it is forgotten."""
        with self.readers() as session:
            yield session

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def _engine(options: Options) -> Engine:
    try:
        if not options.url.startswith("sqlite"):
            return create_engine(options.url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        options.folder.mkdir(parents=True, exist_ok=True)
        engine = create_engine(options.url, connect_args={"timeout": _WAIT, "check_same_thread": False})
    except (ArgumentError, NoSuchModuleError):
        raise InputError(
            "the database is named neither sqlite:///FILE nor postgresql://USER:PASSWORD@HOST/NAME; correct it"
        ) from None
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is not installed, and PostgreSQL needs it: pip install 'dermoscope[postgres]'"
        ) from None
    except OSError as error:
        raise InputError(f"{options.folder}: cannot be made ({error.strerror}); give another --folder") from None
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection, _) -> None:  # type: ignore[no-untyped-def]
    """Write-ahead log, real foreign keys, and durable commits; transactions are begun by `_begin`."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL", f"busy_timeout={_WAIT * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection) -> None:  # type: ignore[no-untyped-def]
    """Take the write lock at once: what reads first and writes later could not wait for another writer."""
    looks = connection.get_execution_options().get("looks", False)
    connection.exec_driver_sql("BEGIN" if looks else "BEGIN IMMEDIATE")
