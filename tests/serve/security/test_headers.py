"""What every answer tells a browser to refuse, and to forget: each page, each address of the API, each error."""

import re
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from dermoscope.serve.guard import HEADERS, POLICY
from dermoscope.serve.rules import RULES

if TYPE_CHECKING:
    from httpx import Response
    from people import People

OPEN = ("/health", "/ready", "/openapi.json", "/model-info", "/api/v1/problems", "/favicon.ico")
"""What tells nothing of anybody, and may be kept."""
ADDRESSES = sorted(path for method, path in RULES if method == "GET")
ERRORS = {
    "/nowhere": 404,
    "/api/v1/nowhere": 404,
    "/cases/999999": 404,
    "/api/v1/cases/999999": 404,
    "/?page=0": 422,
    "/api/v1/cases?page=0": 422,
    "/static/nothing.js": 404,
    "/static/../app.py": 404,
    "/" + "x" * 2000: 414,
}


@pytest.fixture
def clinic(guarded: "People") -> "People":
    """A service with a case, so that addresses with a number lead somewhere."""
    admin = guarded.client("admin")
    assert admin.post("/samples/1", follow_redirects=False).status_code == 303
    return guarded


def asked(browser: TestClient, path: str) -> "Response":
    address = re.sub(r"\{[^}]*\}", "1", path)
    return browser.get(f"{address}?diagnosis=MEL" if path.endswith("/heat") else address, follow_redirects=False)


def check(answer: "Response", path: str) -> None:
    for name, value in HEADERS.items():
        allowed = (value, "strict-origin", "no-referrer") if name == "Referrer-Policy" else (value,)
        assert answer.headers.get(name) in allowed, f"{path} ({answer.status_code}): {name}"
    if answer.headers.get("content-type", "").startswith("text/html"):
        check_page(answer.text, path)


def check_page(page: str, path: str) -> None:
    assert not re.search(r"\sstyle=|<style|\son[a-z]+\s*=\s*[\"']|javascript:", page), f"{path}: written into the page"
    assert all(re.match(r' [^>]*src="/static/', script) for script in re.findall(r"<script([^>]*)>", page)), path
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page), f"{path}: another host"


def test_the_policy_takes_nothing_that_is_written_into_a_page_and_nothing_from_elsewhere() -> None:
    said = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert said["default-src"] == said["base-uri"] == said["frame-ancestors"] == "'none'"
    assert said["script-src"] == said["style-src"] == said["form-action"] == "'self'"
    assert "unsafe" not in POLICY
    assert "*" not in POLICY
    assert HEADERS["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("role", ["", "admin"])
def test_every_address_tells_browsers_what_to_refuse_and_proxies_to_keep_nothing(clinic: "People", role: str) -> None:
    browser = clinic.client(role)
    found = {path: asked(browser, path) for path in ADDRESSES}
    for path, answer in found.items():
        assert answer.status_code < 500, f"{path}: {answer.text[:200]}"
        check(answer, path)
        kept = answer.headers.get("cache-control", "")
        assert path.startswith(OPEN) or "no-store" in kept or "private" in kept, f"{path}: {kept!r}"
    if role == "admin":
        assert sum(answer.status_code == 200 for answer in found.values()) > len(found) // 2


def test_every_error_tells_them_too(clinic: "People") -> None:
    browser = clinic.client("admin")
    for path, status in ERRORS.items():
        answer = browser.get(path)
        assert answer.status_code == status, path
        check(answer, path)
    for answer in (
        browser.post("/settings/mode", headers={"Sec-Fetch-Site": "cross-site"}),
        browser.put("/"),
        browser.post("/cases/new", content=b"--x", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        browser.get("/", headers={"Host": "evil.example"}),
    ):
        assert 400 <= answer.status_code < 500
        check(answer, str(answer.request.url))


@pytest.mark.parametrize("path", ["/", "/api/v1/cases"])
def test_a_failure_of_the_service_tells_them_too(clinic: "People", path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a mistake, and secret")

    monkeypatch.setattr("dermoscope.serve.desk.read_site", fails)
    assert clinic.app is not None
    browser = TestClient(clinic.app, base_url=clinic.url, raise_server_exceptions=False)
    browser.cookies.set("session", clinic.token("reader"))
    answer = browser.get(path)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    check(answer, path)
