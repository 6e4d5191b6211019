"""Logins under attack: cookies, forged requests, ways out, and what a wrong password tells."""

import re
from typing import TYPE_CHECKING

from people import PASSWORD

from dermoscope.serve import logins
from dermoscope.serve.rules import RULES

if TYPE_CHECKING:
    from people import People

CHANGING = sorted((method, path) for method, path in RULES if method not in ("GET", "HEAD"))
FOREIGN: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
)
"""How browsers tell of a request that another site made them send."""
OUTSIDE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "evil.example",
    "",
]


def enter(browser: "object", **others: str) -> "object":
    given = {"name": "Rita", "password": PASSWORD, **others}
    return browser.post("/enter", data=given, follow_redirects=False)  # type: ignore[attr-defined]


def test_a_cookie_that_somebody_planted_never_becomes_a_login(guarded: "People") -> None:
    guarded.user("reader", "Rita", password=PASSWORD)
    planted = "p" * 43
    browser = guarded.client()
    browser.cookies.set("session", planted, domain="127.0.0.1")
    answer = enter(browser)
    assert answer.status_code == 303
    token = answer.cookies["session"]
    assert token != planted
    first = enter(browser).cookies["session"]
    thief = guarded.client()
    for worn in (planted, token):  # the login before ended with the next in the same browser
        thief.cookies.set("session", worn, domain="127.0.0.1")
        assert thief.get("/", follow_redirects=False).headers["location"].startswith("/enter")
    thief.cookies.clear()
    thief.cookies.set("session", first, domain="127.0.0.1")
    assert thief.get("/", follow_redirects=False).status_code == 200


def test_cookies_are_for_no_script_and_no_other_site(guarded: "People") -> None:
    guarded.user("reader", "Rita", password=PASSWORD)
    browser = guarded.client()
    said = [*enter(browser).headers.get_list("set-cookie")]
    said += browser.post("/preferences", data={"language": "de"}, follow_redirects=False).headers.get_list("set-cookie")
    assert len(said) >= 2
    for line in said:
        flags = line.lower()
        assert "samesite=lax" in flags or "samesite=strict" in flags, line
        assert "domain=" not in flags, line
        if line.startswith(logins.COOKIES):
            assert "httponly" in flags


def test_no_page_of_another_site_changes_anything_at_any_address(guarded: "People") -> None:
    assert len(CHANGING) > 30
    browser = guarded.client("admin")
    del browser.headers["Sec-Fetch-Site"]
    for method, path in CHANGING:
        for headers in FOREIGN:
            answer = browser.request(method, re.sub(r"\{[^}]*\}", "1", path), headers=headers)
            assert answer.status_code == 403, f"{method} {path} {headers}"
            assert "another site" in answer.text


def test_with_a_cookie_alone_nothing_is_changed_unless_it_says_where_it_comes_from(guarded: "People") -> None:
    browser = guarded.client("admin")
    del browser.headers["Sec-Fetch-Site"]
    assert browser.put("/api/v1/settings", json={"mode": "study"}).status_code == 403
    own = {"X-Requested-With": "dermoscope"}
    assert browser.put("/api/v1/settings", json={"mode": "study"}, headers=own).status_code == 200


def test_nobody_elsewhere_is_let_read_an_answer(guarded: "People") -> None:
    browser = guarded.client("admin")
    for method, headers in (
        ("GET", {"Origin": "https://evil.example"}),
        ("OPTIONS", {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}),
    ):
        answer = browser.request(method, "/api/v1/cases", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_no_address_leads_out_of_the_service(guarded: "People") -> None:
    guarded.user("reader", "Rita", password=PASSWORD)
    browser = guarded.client()
    for back in OUTSIDE:
        said = browser.post("/preferences", data={"language": "de", "back": back}, follow_redirects=False)
        assert said.headers["location"] == "/", repr(back)
        assert 'name="back" value="/"' in browser.get("/enter", params={"back": back}).text, repr(back)
    assert enter(browser, back=OUTSIDE[0]).headers["location"] == "/"


def test_a_wrong_password_is_told_in_the_same_words_as_a_name_that_nobody_has(guarded: "People") -> None:
    guarded.user("reader", "Rita", password=PASSWORD)
    guarded.user("reader", "Paula")
    browser = guarded.client()
    told = [enter(browser, name=name, password="not the password") for name in ("Rita", "Norbert", "Paula")]
    assert {answer.status_code for answer in told} == {422}
    pages = {answer.text.replace(name, "X") for answer, name in zip(told, ("Rita", "Norbert", "Paula"), strict=True)}
    assert len(pages) == 1
