"""What stands before every endpoint: whose host and origin are answered, and what browsers are told to refuse."""

from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermoscope.serve.api.problems import answer as problem
from dermoscope.serve.api.problems import is_machine
from dermoscope.serve.depends import HANDED_ON
from dermoscope.serve.logins import COOKIES

_SAFE = ("GET", "HEAD", "OPTIONS")
_LONGEST = 1000
"""Signs of an address without its question at most; a number of thousands of digits is refused by Python itself."""
OWN_HEADER = "x-requested-with"
"""What a program sends that uses the cookie of a login: no page of another site can, as no CORS answer allows it."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""No script, style or picture of another host, none written into a page."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def stand_before(app: FastAPI, hosts: Collection[str] = (), *, alone: bool = False) -> None:
    """Let every request of an application pass a guard, and every answer: that to a failure is made outside of what
    `add_middleware` adds."""
    build = app.build_middleware_stack

    def built() -> ASGIApp:
        return Guard(build(), hosts, alone=alone)

    app.build_middleware_stack = built  # type: ignore[method-assign]


class Guard:
    """ASGI application around another one. `hosts` are the names under which the service may be called; none: any.

    A page of another origin cannot make a browser change anything here. Browsers say where a request comes from
    (`Sec-Fetch-Site`, `Origin`); what says neither and has the cookie of a login must have the header
    `X-Requested-With: dermoscope`. Where only this machine is served no other name leads to it (a name that an attacker
    points at 127.0.0.1 would make his page one of the same origin). With `alone` nothing is answered that a proxy
    handed on: it may come from anywhere.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), *, alone: bool = False) -> None:
        self.app, self.hosts, self.alone = app, frozenset(host.lower() for host in hosts), alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal, status = self._refusal(scope["method"], Headers(scope=scope)), 403
        if refusal is None and len(scope["path"]) > _LONGEST:
            refusal, status = f"an address has at most {_LONGEST} signs; there is nothing at this one", 414

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self.app if refusal is None else _refused(Request(scope), refusal, status)
        await answer(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if self.hosts and _name(f"//{host}") not in self.hosts:
            return f"this service is not called {host!r}; use the address that it printed at its start"
        if self.alone and any(name in headers for name in HANDED_ON):
            return (
                "this request came through a proxy, and with --no-login whoever it lets through would be admin; "
                "start the service without --no-login"
            )
        if method in _SAFE:
            return None
        fetched, origin = headers.get("sec-fetch-site"), headers.get("origin")
        foreign = origin is not None and origin.lower().partition("://")[2] != host.lower()
        if fetched not in (None, "same-origin", "none") or (fetched is None and foreign):
            return "this request came from a page of another site; open the service itself"
        if fetched is None and origin is None and _by_cookie(headers) and headers.get(OWN_HEADER) != "dermoscope":
            return (
                "this request does not say where it comes from; with the cookie of a login it needs the header "
                "`X-Requested-With: dermoscope`, and programs had better send a key"
            )
        return None


def _by_cookie(headers: Headers) -> bool:
    """Whether it is the cookie of a login that says who asks: with a key it counts for nothing."""
    if headers.get("authorization", "").lower().startswith("bearer "):
        return False
    return any(name in COOKIES for line in headers.getlist("cookie") for name in cookie_parser(line))


def _name(address: str) -> str:
    """The host that an address names; nothing for one that is none (`[`)."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _refused(request: Request, refusal: str, status: int) -> Response:
    told = is_machine(request.url.path)
    return problem(request, status, refusal) if told else PlainTextResponse(refusal, status)
