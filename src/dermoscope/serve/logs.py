"""What the service writes about itself: one line for each thing, JSON or words, and nothing of a patient in it.

Of an error stands its type and where it was raised, not its text: that may repeat what a request brought (the name of a
file, a pseudonym, a password). Texts of the service's own about its files, its database and its load are kept. What
other libraries write loses its arguments.
"""

import datetime
import json
import logging
import sys
import threading
import traceback
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from dermoscope.core.errors import (
    BundleError,
    BusyError,
    DermoscopeError,
    DownloadError,
    FullError,
    MissingDependencyError,
)
from dermoscope.serve.options import Options

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The request that is being answered, as `X-Request-ID` says it."""
_SPEAKING = (BusyError, FullError, BundleError, MissingDependencyError, DownloadError)
"""Errors whose text holds nothing of a request; and so does that of a plain DermoscopeError."""
_TOLD_ELSEWHERE = "Exception in ASGI application"
"""What uvicorn writes of an error that `Watch` has told already."""
_OWN = ("dermoscope", "uvicorn")
_FRAMES = 12


def described(error: BaseException) -> str:
    """An error by its type; with its text where that is the service's own, or the system's.

    >>> described(KeyError("Maria"))
    'KeyError'
    >>> described(OSError(28, "No space left on device", "/kept/Maria.jpg"))
    'OSError: No space left on device'
    """
    kind = type(error).__name__
    if isinstance(error, _SPEAKING) or type(error) is DermoscopeError:
        return f"{kind}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {error.strerror}"
    inner = getattr(error, "orig", None)  # of SQLAlchemy: what the driver said has a code
    if isinstance(inner, BaseException):
        code = getattr(inner, "sqlstate", None) or getattr(inner, "sqlite_errorname", None)
        return f"{kind} of the database ({type(inner).__name__}{f' {code}' if code else ''})"
    return kind


def places(error: BaseException) -> list[str]:
    """Where an error was raised, the innermost last, and what it came from; without any value."""
    found: list[str] = []
    while error:
        frames = traceback.extract_tb(error.__traceback__)
        found = [f"{_short(one.filename)}:{one.lineno} {one.name}" for one in frames][-_FRAMES:] + found
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        found.insert(0, f"after {described(cause)}")
        error = cause
    return found


class Lines(logging.Formatter):
    """A record as its fields; `JsonLines` and `Words` write them."""

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Time (UTC), level, who writes, the request, the message, what else is told, and the error."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        found = {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "process": record.process,
            "logger": record.name,
            "request": getattr(record, "request", "") or REQUEST.get(),
            "message": _message(record),
            **getattr(record, "told", {}),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            found |= {"error": described(error), "at": places(error)}
        return {name: value for name, value in found.items() if value not in ("", None)}


class JsonLines(Lines):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json.dumps(self.fields(record), ensure_ascii=True)


class Words(Lines):
    """One line to be read on a terminal; an error has its places below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and those of an error."""
        found = self.fields(record)
        at = found.pop("at", [])
        first = " ".join(str(found.pop(name, "")) for name in ("time", "level", "message"))
        for name in ("process", "logger"):
            found.pop(name, None)
        rest = " ".join(f"{name}={value}" for name, value in found.items())
        return "\n".join(_printable(line) for line in (f"{first} {rest}".rstrip(), *(f"    {place}" for place in at)))


def install(options: Options, stream: TextIO | None = None) -> logging.Handler:
    """Let everything that this process logs go to one stream (standard error) in the form that the options name."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    in_words = options.log_format == "text" or (options.log_format == "auto" and stream.isatty())
    handler.setFormatter(Words() if in_words else JsonLines())
    handler.addFilter(lambda record: record.msg != _TOLD_ELSEWHERE and not str(record.msg).startswith(_TOLD_ELSEWHERE))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("dermoscope").setLevel(logging.INFO)
    logging.captureWarnings(True)
    threading.excepthook = _thread_failed
    return handler


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread else "a thread"
    logging.getLogger(__name__).error("%s ended", name, exc_info=failed.exc_value)


def _message(record: logging.LogRecord) -> str:
    """The message with errors described; another library's without its arguments, which may be anything."""
    if isinstance(record.msg, BaseException):
        return described(record.msg)
    if record.name == "py.warnings":  # its one argument is `file:line: kind: text`
        return ":".join(record.getMessage().split(":")[:3])
    if not record.name.startswith(_OWN):
        return (str(record.msg).splitlines() or [""])[0][:200]
    arguments = record.args if isinstance(record.args, tuple) else ()
    shown = tuple(described(one) if isinstance(one, BaseException) else one for one in arguments)
    return str(record.msg) % shown if shown else str(record.msg)


def _short(path: str) -> str:
    """A file of Python as it is imported: `dermoscope/serve/app.py`."""
    for folder in ("site-packages/", "src/"):
        _, found, rest = path.rpartition(folder)
        if found:
            return rest
    return "/".join(Path(path).parts[-2:])


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in line)
