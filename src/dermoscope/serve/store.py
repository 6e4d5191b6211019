"""The database: SQLite by default, PostgreSQL by URL; one transaction for each thing that is done.

On both of them one transaction writes at a time, from its first moment: what it has read still holds when it writes,
and a file that nothing uses can be removed beside it. Transactions take milliseconds; those that only look never wait.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError
from sqlalchemy.orm import Session, sessionmaker

from dermoscope.core.errors import InputError, MissingDependencyError
from dermoscope.serve.gone import busy, reached
from dermoscope.serve.options import NO_DATABASE, Options
from dermoscope.serve.sealing import Keys
from dermoscope.serve.trail import with_keys
from dermoscope.serve.vault import Vault

_WAIT = 30
"""Seconds that a writer waits for another one."""
_WRITERS = 0x6465726D
"""The advisory lock of PostgreSQL that a writer holds; nothing else asks for it."""
_CONNECTIONS = 60
"""More than the threads that ask for one at the same time; of PostgreSQL all processes together have `_SHARED`."""
_SHARED = 80
"""PostgreSQL takes 100 by default, and others want some."""


@dataclass(frozen=True, eq=False)
class Store:
    """A database whose tables are there. `begin` is one transaction, written whole or not at all; `read` only looks."""

    engine: Engine
    writers: "sessionmaker[Session]"
    readers: "sessionmaker[Session]"
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the writer of this process: waiting for SQLite's own lock is polling, and some would starve."""

    @classmethod
    def open(cls, options: Options, *, unfinished: bool = False) -> "Store":
        """Connect, and bring the tables to this version; `unfinished` opens what is being restored.

        Raises InputError where the database cannot be reached, is of a later version, or the folder was begun with
        another key, MissingDependencyError without its driver.
        """
        from dermoscope.serve.migrate import migrate

        keys = Keys(options.folder, Vault.of(options))
        engine = engine_of(options, keys.vault)
        try:
            migrate(engine, unfinished=unfinished)
        except DatabaseError as error:
            why = str(error.orig).strip().splitlines()[0]
            shown = engine.url.render_as_string()
            engine.dispose()
            raise InputError(f"database {shown}: cannot be opened ({why}); check the address and its rights") from None
        except Exception:
            engine.dispose()
            raise
        looking = engine.execution_options(looks=True, **_moment(engine))
        given: dict[str, Any] = {"expire_on_commit": False, "info": with_keys(keys)}
        return cls(engine, sessionmaker(engine, **given), sessionmaker(looking, **given))

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction, the only one that writes: committed at the end, rolled back by any exception.

        Raises BusyError where others write for longer than half a minute, UnavailableError where the database cannot
        be reached, FullError where its disk is full.
        """
        if not self.turn.acquire(timeout=_WAIT):
            raise busy()
        try:
            with reached(), self.writers.begin() as session:
                session.connection()  # now and not at the first statement: files may be looked at before it
                yield session
        finally:
            self.turn.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent look that holds nobody up; what is changed in it is forgotten. Raises like `begin`."""
        with reached(), self.readers() as session:
            yield session

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def engine_of(options: Options, vault: Vault) -> Engine:
    """Connections to a database, whatever it holds. Raises like `Store.open`."""
    most = min(_CONNECTIONS, max(10, _SHARED // options.workers))
    given: dict[str, Any] = {
        "pool_size": 10,
        "max_overflow": most - 10,
        "pool_timeout": _WAIT,
        "json_serializer": _as_json,
        "hide_parameters": True,  # they would stand in the text of an error
    }
    try:
        if not options.url.startswith("sqlite"):
            engine = create_engine(options.url, pool_pre_ping=True, connect_args={"connect_timeout": 10}, **given)
            event.listen(engine, "begin", _begin_postgresql)
            return engine
        options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is in it is for nobody else
        connect = {"timeout": _WAIT, "check_same_thread": False}
        engine = create_engine(options.url, connect_args=connect, **given, **_driver(vault))
    except (ArgumentError, NoSuchModuleError):
        raise InputError(NO_DATABASE) from None
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is not installed, and PostgreSQL needs it: pip install 'dermoscope[postgres]'"
        ) from None
    except OSError as error:
        raise InputError(f"{options.folder}: cannot be made ({error.strerror}); give another --folder") from None
    event.listen(engine, "connect", partial(_prepare_sqlite, key=sqlite_key(vault)))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _driver(vault: Vault) -> dict[str, Any]:
    """SQLite that encrypts its files, where there is a key. Raises MissingDependencyError without it."""
    if not vault.key:
        return {}
    try:
        from sqlcipher3 import dbapi2
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "sqlcipher3 is not installed, and an encrypted SQLite database needs it: pip install "
            "'dermoscope[encryption]', or name a PostgreSQL --database on an encrypted disk"
        ) from None
    return {"module": dbapi2}


def sqlite_key(vault: Vault) -> str:
    """The key of an SQLite file as SQLCipher takes it, 64 hexadecimal digits; empty without one."""
    return vault.derived("sqlite").hex() if vault.key else ""


def _as_json(value: object) -> str:
    """JSON as the standard has it: `NaN` would be accepted by SQLite and refused by PostgreSQL."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _moment(engine: Engine) -> dict[str, Any]:
    """What makes several statements see one moment; SQLite does so by itself."""
    return {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}


def _prepare_sqlite(connection, _, key: str = "") -> None:  # type: ignore[no-untyped-def]
    """Write-ahead log, real foreign keys, and durable commits; transactions are begun by `_begin_sqlite`.

    What is deleted is overwritten, and nothing is written to files beside the database (see `serve/scrub.py`).
    """
    connection.isolation_level = None
    if key:
        connection.execute(f"PRAGMA key = \"x'{key}'\"")  # before anything else is said
    # its own knows A to Z only: `ä` would not find `Ä`
    connection.create_function("lower", 1, lambda text: text and str(text).lower(), deterministic=True)
    for pragma in (
        f"busy_timeout={_WAIT * 1000}",
        "journal_mode=WAL",
        "foreign_keys=ON",
        "synchronous=FULL",
        "secure_delete=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: what reads first and writes later could not wait for another writer."""
    looks = connection.get_execution_options().get("looks", False)
    connection.exec_driver_sql("BEGIN" if looks else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    """The same there, for writers of this service alone."""
    if not connection.get_execution_options().get("looks", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_WAIT * 1000}; SELECT pg_advisory_xact_lock({_WRITERS})")
