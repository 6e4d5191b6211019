"""Against those who send slowly, or open connections and send nothing: nobody holds a connection for ever.

uvicorn ends connections that are idle between requests, and no others. Here a request's head has to come within
`HEAD_S`, its body at `LEAST` bytes a second on the whole, and there are `MOST` connections at most.
"""

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 15.0
"""Seconds from the start of a connection, or from the first byte of its next request, until its head is there."""
BODY_S, LEAST = 30.0, 10_000
"""Seconds that a body may take in any case, and the bytes a second that earn it more time."""
MOST = 800
"""Connections of one process; a process may usually open 1024 files."""
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"
    b"Content-Length: 43\r\nConnection: close\r\n\r\ntoo many connections are open; try again.\r\n"
)
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 35\r\nConnection: close\r\n\r\nthe request did not come in time.\r\n"
)


class Protocol(H11Protocol):
    """uvicorn's, with a time for heads and a number of connections."""

    _waited: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or say that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.write(_FULL)
            transport.close()
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is not whole yet has its time from its first byte."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_is_there()
        elif self._waited is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._head_is_there()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """The next request has its own time, once it begins."""
        self._head_is_there()
        super().on_response_complete()

    def _await_head(self) -> None:
        self._waited = self.loop.call_later(HEAD_S, self._late)

    def _head_is_there(self) -> None:
        if self._waited is not None:
            self._waited.cancel()
            self._waited = None

    def _late(self) -> None:
        self._waited = None
        if not self.transport.is_closing():
            self.transport.write(_LATE)
            self.transport.close()


class BodyTime:
    """ASGI middleware: a body that trickles raises HTTPException 408 where it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        waited, seen, whole = 0.0, 0, False

        async def timed() -> Message:
            nonlocal waited, seen, whole
            if whole:  # what waits now is for the end of the connection
                return await receive()
            begun = loop.time()  # only what the sender takes counts, not what is done with it
            try:
                async with asyncio.timeout(BODY_S + seen / LEAST - waited):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body did not come at {LEAST:,} bytes a second; send it again") from None
            waited += loop.time() - begun
            seen += len(message.get("body", b""))
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        await self.app(scope, timed, send)
