"""What was deleted leaves the files of the database, too.

SQLite: the file is written anew (VACUUM) and its log emptied. `secure_delete` alone overwrites rows, but pages that
were rearranged before may keep a copy in their unused middle. PostgreSQL: tables are written anew (VACUUM FULL); what
their log (`pg_wal`), archives of it, and snapshots of the disk hold is the clinic's to limit.
"""

import threading

from sqlalchemy.exc import DBAPIError

from dermoscope.serve.store import Store

TABLES = (
    "answered",
    "job_items",
    "jobs",
    "results",
    "images",
    "blobs",
    "readings",
    "openings",
    "case_keys",
    "cases",
    "patients",
)
"""Whose rows go with a case."""
_WAIT = 10
"""Seconds that it waits for those who read or write; they wait no longer either."""
_LATER = ("55P03", "40P01", "53100")
"""PostgreSQL: no lock within the time, two in each other's way, and no room to write a table anew."""
_one = threading.Lock()


def scrub(store: Store) -> bool:
    """Leave nothing of deleted rows in the files. False where others use them for too long, or the disk is full."""
    with _one:
        return _scrub_sqlite(store) if store.engine.dialect.name == "sqlite" else _scrub_postgresql(store)


def _scrub_sqlite(store: Store) -> bool:
    held = store.engine.raw_connection()
    try:
        raw = held.driver_connection
        assert raw is not None
        (usual,) = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute(f"PRAGMA busy_timeout={_WAIT * 1000}")
        try:
            with store.turn:
                raw.execute("VACUUM")
                busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except store.engine.dialect.loaded_dbapi.OperationalError as error:
            if "locked" not in str(error) and "full" not in str(error):
                raise
            return False
        finally:
            raw.execute(f"PRAGMA busy_timeout={usual}")
        return not busy
    finally:
        held.close()


def _scrub_postgresql(store: Store) -> bool:
    # one that only looks takes no part in the queue of writers; outside of transactions nothing else is VACUUMed
    alone = store.engine.execution_options(looks=True, isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        connection.exec_driver_sql(f"SET lock_timeout = {_WAIT * 1000}")
        try:
            for table in TABLES:
                connection.exec_driver_sql(f"VACUUM (FULL) {table}")
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in _LATER:
                raise
            return False
        finally:
            connection.exec_driver_sql("RESET lock_timeout")
    return True
