"""How many requests with pictures are under way at once: the others are told at the door when to come again.

Each of them holds a thread while it waits for the model. There are more threads than such requests, so that pages,
logins and `/ready` never wait behind pictures.
"""

import anyio.to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dermoscope.core.errors import BusyError
from dermoscope.serve.api.problems import Elsewhere, is_machine, problem_of
from dermoscope.serve.depends import entered, service_of
from dermoscope.serve.engine import MOST_BESIDE

MOST = 64
"""Requests with pictures at once, in each process."""
_OTHERS = 40
"""Threads for everything else."""


def make_room(most_waiting: int) -> int:
    """Set how many threads this process may have, in its event loop; how many requests with pictures it takes."""
    most = min(MOST, most_waiting)
    anyio.to_thread.current_default_thread_limiter().total_tokens = most + MOST_BESIDE + _OTHERS
    return most


class Doors:
    """ASGI middleware: refuses a request with files where too many are under way, before its body is read.

    Who has not entered sends no files (`limits.BodyLimit`) and is not counted.
    """

    def __init__(self, app: ASGIApp, page: Elsewhere) -> None:
        self.app, self.page, self._inside = app, page, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_files(scope) or not await entered(Request(scope)):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        if self._inside >= request.app.state.most_uploads:
            engine = service_of(request).engine
            error = BusyError(
                f"{self._inside} requests with pictures are under way, and no more are taken; try again in a moment",
                engine.again_after or 2,
            )
            told = problem_of if is_machine(request.url.path) else self.page
            answer = await run_in_threadpool(told, request, error)
            await answer(scope, receive, send)
            return
        self._inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._inside -= 1


def _has_files(scope: Scope) -> bool:
    kinds = (value for name, value in scope["headers"] if name.lower() == b"content-type")
    return any(kind.lower().startswith(b"multipart/") for kind in kinds)
