"""What is seen of every request from outside: its id, one line in the log, and the figures that it counts in.

Never the address as it was asked, nor its question: they hold numbers of cases and words that were searched for. The
route's pattern says enough (`/cases/{case_id}`).
"""

import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermoscope.serve.logs import REQUEST
from dermoscope.serve.options import Options
from dermoscope.serve.rules import routes_of

HEADER = "X-Request-ID"
_HARMLESS = re.compile(r"[0-9a-fA-F-]{16,64}")
"""An id of another program that is kept: digits as of a UUID or a trace, which can name nobody."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PROBES = ("/health", "/ready", "/metrics", "/static/{file}")
"""What is asked all the time: told only where it failed."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request and its answer: `status` 0 where whoever asked had gone, `seconds` it took, `size` in bytes."""

    method: str
    route: str
    status: int
    seconds: float
    size: int


class Counting(Protocol):
    """Whoever counts requests."""

    def seen(self, request: Seen) -> None:
        """Count one."""


def watch(app: FastAPI, options: Options) -> None:
    """Watch an application from outside of everything that it is made of; its routes must be there.

    Requests are counted in `app.state.metrics`, once that is there.
    """
    build = app.build_middleware_stack
    routes = {endpoint: path for (_, path), endpoint, _ in reversed(routes_of(app))}

    def built() -> ASGIApp:
        return Watch(build(), routes, names=options.log_names)

    app.build_middleware_stack = built  # type: ignore[method-assign]


class Watch:
    """ASGI application around another one; `routes` are the patterns by their endpoints."""

    def __init__(self, app: ASGIApp, routes: Mapping[Callable[..., Any], str], *, names: bool = False) -> None:
        self.app, self.routes, self.names = app, routes, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get(HEADER, "")
        number = asked if _HARMLESS.fullmatch(asked) else uuid.uuid4().hex
        token, began, status, size = REQUEST.set(number), time.perf_counter(), 0, 0

        async def told(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = number
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, told)
        except Exception as error:
            status = status or 500
            _log.error("a request failed", extra={"told": self._told(scope)}, exc_info=error)
            raise
        finally:
            self._note(scope, Seen(_method(scope), self._route(scope), status, time.perf_counter() - began, size))
            REQUEST.reset(token)

    def _note(self, scope: Scope, seen: Seen) -> None:
        counting: Counting | None = getattr(scope["app"].state, "metrics", None)
        if counting is not None:
            counting.seen(seen)
        if seen.route in _PROBES and seen.status < 400:
            return
        figures = {"status": seen.status, "ms": round(seen.seconds * 1000, 1), "bytes": seen.size}
        _log.info("answered", extra={"told": {**self._told(scope), **figures}})

    def _told(self, scope: Scope) -> dict[str, Any]:
        person = scope.get("state", {}).get("person")
        who = {"role": person.role if person else "none"}
        if self.names and person:
            who["name"] = person.name
        return {"method": _method(scope), "route": self._route(scope), **who}

    def _route(self, scope: Scope) -> str:
        found = self.routes.get(scope.get("endpoint"), "")  # type: ignore[arg-type]
        return found or ("/static/{file}" if scope["path"].startswith("/static/") else "(none)")


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "OTHER"
