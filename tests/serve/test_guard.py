"""Whose requests are answered, and what browsers are told to refuse."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from dermoscope.serve.app import create_app
from dermoscope.serve.guard import POLICY, Guard
from dermoscope.serve.options import Options


@pytest.fixture
def guarded() -> TestClient:
    app = FastAPI()

    @app.api_route("/", methods=["GET", "POST"])
    def root() -> str:
        return "here"

    app.add_middleware(Guard, hosts=("127.0.0.1", "localhost", "::1"))
    return TestClient(app, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_a_page_of_another_site_changes_nothing(guarded: TestClient, headers: dict[str, str], status: int) -> None:
    assert guarded.post("/", headers=headers).status_code == status
    assert guarded.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize("cookie", ["session=x", "__Host-session=x", "a=b; session=x"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-Reader": "R7"}, 403),
        ({"HX-Request": "true"}, 403),
        ({"Idempotency-Key": "1"}, 403),
        ({"Authorization": "Basic x"}, 403),
        ({"X-Requested-With": "XMLHttpRequest"}, 403),
        ({"X-Requested-With": "dermoscope"}, 200),
        ({"Authorization": "Bearer x"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"X-Requested-With": "dermoscope", "Origin": "https://evil.example"}, 403),
    ],
)
def test_with_the_cookie_of_a_login_a_request_says_where_it_comes_from(
    guarded: TestClient, cookie: str, headers: dict[str, str], status: int
) -> None:
    assert guarded.post("/", headers={"Cookie": cookie, **headers}).status_code == status
    assert guarded.get("/", headers={"Cookie": cookie, **headers}).status_code == 200
    assert guarded.post("/", headers={"Cookie": "reader=R7"}).status_code == 200, "no login, no cookie of one"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
def test_another_name_does_not_lead_here(guarded: TestClient, host: str, status: int) -> None:
    assert guarded.get("/", headers={"Host": host}).status_code == status


def test_every_answer_says_what_to_refuse_the_refusal_too(guarded: TestClient) -> None:
    for answer in (guarded.get("/"), guarded.get("/", headers={"Host": "x"}), guarded.get("/nothing")):
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(
    "header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"]
)
@pytest.mark.parametrize(("no_login", "status"), [(True, 403), (False, 200)])
def test_without_login_nothing_is_answered_that_a_proxy_handed_on(no_login: bool, status: int, header: str) -> None:
    app = create_app(Options(no_login=no_login))
    calling = TestClient(app, base_url="http://127.0.0.1:8000")  # not entered: nothing is opened
    assert calling.get("/health").status_code == 200
    answer = calling.get("/health", headers={header: "203.0.113.9"})
    assert answer.status_code == status
    assert ("came through a proxy" in answer.text) == no_login
