"""What an error of the database means to whoever asked for something: later, not now, or a mistake of the service."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from dermoscope.core.errors import BusyError, DermoscopeError, FullError, UnavailableError

_LOCKED = ("55P03", "40001", "40P01")
"""PostgreSQL: no lock within the time, or two transactions in each other's way."""
_FULL = ("53100",)
_GONE = ("08", "53", "57", "58", "F0", "XX", "25006")
"""PostgreSQL: no connection, no resources, shut down by an operator, an error of the system, a damaged cluster."""
_MISTAKES = ("no such table", "no such column", "syntax error", "has no column")
_log = logging.getLogger(__name__)


def busy() -> BusyError:
    """What is said while others write for too long."""
    return BusyError("the database is busy with what others write; try again in a minute")


def no_room() -> FullError:
    """What is said where nothing more can be stored."""
    return FullError(
        "there is no room left on the disk of the service, so nothing was stored; whoever runs it has to make some"
    )


def disk_is_full(error: BaseException) -> bool:
    """Whether an error of the system says that there is no room, or is the cause of what is told of a form."""
    causes = (error, error.__cause__)
    return any(isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) for e in causes)


@contextmanager
def reached() -> Iterator[None]:
    """Errors of the database in here become BusyError, UnavailableError or FullError; mistakes stay what they are."""
    try:
        yield
    except NoConnectionError:
        raise busy() from None
    except DBAPIError as error:
        told = _told(error)
        if told is None:
            raise
        if not (isinstance(told, BusyError) and not isinstance(told, UnavailableError)):
            _log.error("the database: %s", " ".join(str(error.orig).split())[:300])
        raise told from error


def _told(error: DBAPIError) -> DermoscopeError | None:
    state, said = str(getattr(error.orig, "sqlstate", None) or ""), str(error.orig).lower()
    if isinstance(error, IntegrityError) or any(mistake in said for mistake in _MISTAKES):
        return None
    if state in _LOCKED or "database is locked" in said or "table is locked" in said:
        return busy()
    if state in _FULL or "disk is full" in said or "no space left" in said:
        return no_room()
    if error.connection_invalidated or state.startswith(_GONE) or (not state and _is_gone(error)):
        return UnavailableError(
            "the database cannot be used just now, and nothing was stored by this request; the service goes on by "
            "itself once it is back"
        )
    return None


def _is_gone(error: DBAPIError) -> bool:
    """Of SQLite every error of its file, of PostgreSQL a connection that broke or was not made."""
    kind = type(error.orig).__name__
    return kind in ("OperationalError", "InterfaceError", "InternalError", "DatabaseError")
