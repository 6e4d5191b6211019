"""How many bytes a request may have, counted while they come: a header may lie, or not be there.

A form with files ends with its boundary (RFC 2046, section 5.1.1). One that does not was cut off on its way, and its
last file with it: it is refused, where a parser would pass over that file in silence.
"""

from typing import Final, TypedDict

from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermoscope.serve.depends import entered
from dermoscope.serve.options import MOST_FILES

MOST_BODY = 1_000_000_000
"""Bytes of a request with files at most: a hundred photographs of ten megabytes."""
MOST_WORDS = 1_000_000
"""Bytes of any other request at most."""


class FormLimits(TypedDict):
    """As FastAPI takes them."""

    max_files: int
    max_fields: int
    max_part_size: int


_LONGEST = 70
"""Signs of a boundary at most."""
FORM_LIMITS: Final[FormLimits] = {
    "max_files": 2 * MOST_FILES,
    "max_fields": 2 * MOST_FILES,
    "max_part_size": 100_000,
}
"""Of a form: files and fields at most, and bytes of a field. Fields are held in memory."""


class BodyLimit:
    """ASGI middleware: reading more of a body than is taken raises HTTPException 413 where it is read.

    Files are taken of those who have entered, and of others no more than words: their HTTPException is 401.
    """

    def __init__(self, app: ASGIApp, most: int = MOST_BODY, most_words: int = MOST_WORDS) -> None:
        self.app, self.most, self.most_words = app, most, most_words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        files = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        may = not files or await _entered(scope)
        most = self.most if files and may else self.most_words
        announced = headers.get(b"content-length", b"0")
        seen = int(announced) if announced.isdigit() and len(announced) < 19 else most + 1
        seen = seen if seen > most else 0

        ending = Ending(headers.get(b"content-type", b"")) if files else None

        async def counted() -> Message:
            nonlocal seen
            message = {"type": "http.request"} if seen > most else await receive()
            seen += len(message.get("body", b""))
            if message["type"] == "http.request" and seen > most:
                if not may:
                    raise HTTPException(401, "who is asking is not known; enter first, or send the code")
                raise HTTPException(413, f"a request of this kind has at most {most:,} bytes; send less at a time")
            if ending is not None and message["type"] == "http.request":
                ending.follow(message)
            return message

        await self.app(scope, counted, send)


class Ending:
    """Looks for the end of a form in what comes of it."""

    def __init__(self, content_type: bytes) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._told = 1 <= len(boundary) <= _LONGEST
        self._wanted = b"\r\n--" + boundary + b"--"
        self._last, self._found = b"\r\n", False

    def follow(self, message: Message) -> None:
        """Take the next part of the body.

        Raises HTTPException 400 where it is the last and the form has not ended, and for a boundary that is none.
        """
        if not self._told:
            raise HTTPException(400, f"the form names no boundary of 1 to {_LONGEST} signs; let a library write it")
        if self._found:
            return
        seen = self._last + message.get("body", b"")
        self._found = self._wanted in seen
        self._last = seen[-len(self._wanted) :]
        if not self._found and not message.get("more_body", False):
            raise HTTPException(400, "the request is cut off: the boundary that ends it is not there; send it again")


async def _entered(scope: Scope) -> bool:
    """Whether whoever asks is known; an application without a service asks nobody."""
    return not hasattr(scope["app"].state, "service") or await entered(Request(scope))
