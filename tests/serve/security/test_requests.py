"""What reaches a real server byte by byte: no client stands in between that would mend it."""

import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from people import PASSWORD, People

from dermoscope.serve.guard import HEADERS

if TYPE_CHECKING:
    from dermoscope.serve.desk import Service


@pytest.fixture
def clinic(service: "Service") -> Iterator[People]:
    """People of a service that is really served, with accounts."""
    from live import serving

    options = replace(service.options, no_login=False)
    with serving(options, replace(service, options=options)) as served:
        yield People(served.service, url=served.url)


def say(url: str, *lines: str, body: bytes = b"") -> bytes:
    """Send a request as it stands here; everything that comes back."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as line:
        line.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        line.settimeout(10)
        found = b""
        while part := line.recv(65536):
            found += part
        return found


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def browser_of(clinic: People, role: str) -> httpx.Client:
    cookies = {"session": clinic.token(role), "language": "en"}
    return httpx.Client(base_url=clinic.url, cookies=cookies, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30)


def test_no_path_leads_out_of_the_files_of_the_package(clinic: People) -> None:
    cookie = f"Cookie: session={clinic.token('admin')}"
    for path in (
        "/static/../options.py",
        "/static/..%2foptions.py",
        "/static/%2e%2e/options.py",
        "/static/....//options.py",
        "/static//etc/passwd",
        "/static/%00",
        "/static/..\\options.py",
        "/../../../../etc/passwd",
        "/api/v1/images/..%2f..%2fcookie.key/full",
        "/images/../../cookie.key/thumb",
        "/samples/..%2f1",
        "/link/..%2f..%2fcookie.key",
    ):
        answer = say(clinic.url, f"GET {path} HTTP/1.1", "Host: 127.0.0.1", cookie)
        assert 400 <= status_of(answer) < 500, path
        for content in (b"root:", b"class Options", (clinic.service.options.folder / "cookie.key").read_bytes()):
            assert content not in answer, path


def test_no_word_of_a_request_becomes_a_header_of_the_answer(clinic: People) -> None:
    with browser_of(clinic, "reader") as browser:
        for answer in (
            browser.get("/enter?back=/%0d%0aX-Planted:%201"),
            browser.post("/preferences", data={"language": "de\r\nX-Planted: 1", "back": "/a\r\nX-Planted: 1"}),
            browser.get("/", headers={"X-Request-ID": "x-planted"}),
            browser.get("/cases/1%0d%0aX-Planted:1"),
            browser.get("/enter/oidc?back=/%0aX-Planted:1"),
        ):
            assert answer.status_code < 500
            assert "x-planted" not in answer.headers
            assert "planted" not in str(answer.headers).lower().replace("x-planted:%201", "")


def test_a_name_that_is_not_the_services_leads_nowhere(clinic: People) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "", "["):
        answer = say(clinic.url, "GET /enter HTTP/1.1", f"Host: {host}")
        assert status_of(answer) in (400, 403), host
        assert b"evil.example/" not in answer
    # nothing that is answered holds the name by which it was called
    with browser_of(clinic, "reader") as browser:
        page = browser.get("/", headers={"Host": "localhost:1", "X-Forwarded-Host": "evil.example"})
    assert page.status_code == 200
    assert not re.search(r"localhost:1|evil\.example", page.text + str(page.headers))


def test_a_slash_too_many_leads_nowhere(clinic: People) -> None:
    with browser_of(clinic, "reader") as browser:
        for path in ("/cases/new/", "/api/v1/cases/", "//evil.example/"):
            answer = browser.get(f"{clinic.url}{path}", headers={"Host": "localhost:1"})
            assert answer.status_code == 404, path
            assert "localhost:1" not in str(answer.headers)


def test_two_readings_of_one_request_are_refused(clinic: People) -> None:
    begin = ("POST /enter HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/x-www-form-urlencoded")
    smuggled = b"0\r\n\r\nGET /users HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for headers in (
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Content-Length: -1",),
        ("Content-Length: 5 6",),
        ("Transfer-Encoding : chunked",),
    ):
        answer = say(clinic.url, *begin, *headers, body=smuggled)
        assert status_of(answer) == 400, headers
        assert answer.count(b"HTTP/1.1 ") == 1, headers
    both = say(clinic.url, *begin, f"Content-Length: {len(smuggled)}", "Transfer-Encoding: chunked", body=smuggled)
    assert both.count(b"HTTP/1.1 ") == 1


def test_headers_without_end_are_cut_off_and_the_next_is_answered(clinic: People) -> None:
    for lines in (["X: " + "x" * 200_000], [f"X-{number}: " + "x" * 100 for number in range(2000)]):
        with suppress(ConnectionError, IndexError):  # the server may close while it is still being talked to
            assert status_of(say(clinic.url, "GET /enter HTTP/1.1", "Host: 127.0.0.1", *lines)) in (400, 431)
    assert httpx.get(f"{clinic.url}/health").status_code == 200
    cookie = "Cookie: " + "; ".join(f"session={number}" for number in range(3000))
    assert status_of(say(clinic.url, "GET / HTTP/1.1", "Host: 127.0.0.1", cookie)) in (303, 400, 431)


def test_even_the_errors_of_a_real_server_tell_browsers_what_to_refuse(clinic: People) -> None:
    for path in ("/nowhere", "/api/v1/nowhere", "/static/nothing"):
        answer = httpx.get(clinic.url + path)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert "server" not in answer.headers or "python" not in answer.headers["server"].lower()


def test_nothing_that_a_user_says_makes_the_service_call_another_address(clinic: People) -> None:
    called: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as ear, browser_of(clinic, "admin") as browser:
        ear.settimeout(0.2)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    line, _ = ear.accept()
                except TimeoutError:
                    continue
                with line:
                    called.append(line.recv(1000))

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            away = f"http://127.0.0.1:{ear.getsockname()[1]}/x"
            ask_everything(browser, away)
        finally:
            over.set()
            listener.join()
    assert called == []


def ask_everything(browser: httpx.Client, away: str) -> None:
    """Say an address wherever a user may say anything; draw what was said as page, JSON and PDF."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{away}"/></svg>'.encode()
    assert browser.post("/samples/1").status_code == 303
    markup = f'<img src="{away}">'[:78]
    for answer in (
        browser.put("/api/v1/settings", json={"notice": {"en": f'<link rel="stylesheet" href="{away}">', "de": away}}),
        browser.get("/cases/1"),
        browser.get("/cases/1/result.pdf"),
        browser.get("/cases/1/result.json"),
        browser.get("/", params={"search": away}),
        browser.get("/enter", params={"back": away}),
        browser.get("/enter/oidc", params={"back": away, "issuer": away, "iss": away}),
        browser.get("/enter/oidc/back", params={"code": "x", "state": "y", "iss": away}),
        browser.post("/api/v1/classify", files={"files": ("x.svg", svg, "image/svg+xml")}),
        browser.post("/api/v1/cases", data={"pseudonym": markup}, files={"files": (away, svg)}),
        browser.post("/api/v1/jobs", data={"title": markup}, files={"files": (markup, svg)}),
        browser.post("/api/v1/users", json={"name": away, "role": "reader"}),
        browser.get("/nowhere", headers={"Referer": away, "X-Forwarded-For": away, "Forwarded": f"for={away}"}),
    ):
        assert answer.status_code < 500, (str(answer.request.url), answer.text[:300])


def test_no_secret_is_written_to_the_log_or_shown_among_the_figures(
    clinic: People, caplog: pytest.LogCaptureFixture
) -> None:
    clinic.user("admin", "Rita", password=PASSWORD)
    key = clinic.key("admin")["Authorization"].removeprefix("Bearer ")
    wrong, token, pseudonym = "another one that is wrong", clinic.token("admin"), "Maria Musterfrau 1948"
    own = {"Sec-Fetch-Site": "same-origin"}
    with caplog.at_level(logging.DEBUG), httpx.Client(base_url=clinic.url, timeout=30) as browser:
        browser.post("/enter", data={"name": "Rita", "password": wrong}, headers=own)
        entered = browser.post("/enter", data={"name": "Rita", "password": PASSWORD}, headers=own)
        session = entered.cookies["session"]
        browser.get("/", params={"search": pseudonym})
        browser.get(f"/link/{token}")
        browser.get("/enter/oidc/back?code=acodethatissecret&state=x")
        browser.cookies.clear()
        bearer = {"Authorization": f"Bearer {key}"}
        browser.get("/api/v1/cases", params={"search": pseudonym}, headers=bearer)
        browser.post("/api/v1/cases", data={"pseudonym": pseudonym}, headers=bearer)
        browser.get("/api/v1/cases", headers={"Authorization": f"Bearer {key}x"})
        figures = browser.get("/metrics", headers=bearer)
    assert figures.status_code == 200
    own_lines = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]  # the client's, not ours
    written = "\n".join(f"{r.getMessage()} {json.dumps(r.__dict__, default=str)}" for r in own_lines) + figures.text
    for secret in (PASSWORD, wrong, key, token, session, pseudonym, "acodethatissecret"):
        assert secret not in written, secret
    assert clinic.service.key.hex() not in written
