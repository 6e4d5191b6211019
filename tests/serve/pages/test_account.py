"""The own account: password, logins and keys, and nobody else's."""

import datetime
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("argon2", reason="the service is not installed: pip install 'dermoscope[serve]'")
from people import PASSWORD

from dermoscope.serve.tables import ApiKey, Login

if TYPE_CHECKING:
    from people import People
    from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
OTHER = "green chair over nine lakes"


@pytest.fixture
def ben(guarded: "People") -> "TestClient":
    """A reader with a password, entered in this browser and in another."""
    guarded.user("reader", "ben", password=PASSWORD)
    guarded.token("reader", "ben")
    return guarded.client("reader", "ben")


def change(browser: "TestClient", old: str, new: str, again: str = "") -> tuple[int, str]:
    said = browser.post("/account/password", data={"old": old, "new": new, "again": again or new})
    return said.status_code, said.text


def test_a_password_is_changed_and_every_other_login_ends(
    guarded: "People", ben: "TestClient", words: Callable[[str], str]
) -> None:
    assert words(ben.get("/account").text).count("Sign out there") == 1
    status, text = change(ben, PASSWORD, OTHER)
    assert status == 200
    assert "The password is changed. Everywhere else you are signed out." in words(text)
    assert "Sign out there" not in words(text)
    for password, entered in ((PASSWORD, 422), (OTHER, 303)):
        said = guarded.client().post("/enter", data={"name": "ben", "password": password}, follow_redirects=False)
        assert said.status_code == entered


@pytest.mark.parametrize(
    ("old", "new", "again", "told"),
    [
        (OTHER, "seven quiet green hills", "", "The present password is not right. Nothing was changed."),
        (PASSWORD, OTHER, "something else again", "The two passwords are not the same."),
        (PASSWORD, "short", "", "This password is not taken"),
        (PASSWORD, PASSWORD, "", "or it is the present one"),
    ],
)
def test_a_password_that_cannot_be_changes_nothing(
    guarded: "People", ben: "TestClient", words: Callable[[str], str], old: str, new: str, again: str, told: str
) -> None:
    status, text = change(ben, old, new, again)
    assert status == 422
    assert told in words(text)
    entered = guarded.client().post("/enter", data={"name": "ben", "password": PASSWORD}, follow_redirects=False)
    assert entered.status_code == 303


def test_whoever_sits_at_an_open_browser_cannot_try_passwords(ben: "TestClient", words: Callable[[str], str]) -> None:
    said = [ben.post("/account/password", data={"old": f"guess {n}", "new": OTHER, "again": OTHER}) for n in range(6)]
    assert [one.status_code for one in said] == [422] * 5 + [429]
    assert "Too many attempts. Try again in 5 seconds." in words(said[-1].text)
    assert said[-1].headers["retry-after"] == "5"


def test_logins_are_listed_by_browser_and_ended(
    guarded: "People", ben: "TestClient", words: Callable[[str], str]
) -> None:
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Version/19.0 Safari/604.1"
    other = guarded.client()
    other.headers["User-Agent"] = phone
    assert other.post("/enter", data={"name": "ben", "password": PASSWORD}).url.path == "/"
    listed = words(ben.get("/account").text)
    assert "Safari, iPhone since" in listed
    assert "Another program this browser since" in listed
    with guarded.service.store.read() as session:
        number = session.query(Login).filter(Login.browser == "Safari, iPhone").one().id
    assert "The login has ended." in words(ben.post(f"/account/logins/{number}/end").text)
    assert other.get("/").url.path == "/enter"
    assert "All other logins have ended." in words(ben.post("/account/logins/end").text)
    assert "Sign out there" not in words(ben.get("/account").text)


def test_a_key_is_shown_once_and_works_until_it_is_revoked(
    guarded: "People", ben: "TestClient", words: Callable[[str], str]
) -> None:
    day = (datetime.date.today() + datetime.timedelta(days=2)).isoformat()
    made = ben.post("/account/keys", data={"name": "nightly", "scopes": ["read", "write"], "until": day})
    token = re.findall(r'id="secret" value="(dsk_\w+_[\w-]+)"', made.text)[0]
    assert made.headers["cache-control"] == "no-store"
    listed = ben.get("/account").text
    assert token not in listed
    assert "nightly" in words(listed)
    assert "Read cases and pictures, Enter cases, pictures and readings" in words(listed)
    program = guarded.client()
    held = {"Authorization": f"Bearer {token}"}
    assert program.get("/api/v1/cases", headers=held).status_code == 200
    with guarded.service.store.read() as session:
        number = session.query(ApiKey).one().id
    assert "The key is revoked" in words(ben.post(f"/account/keys/{number}/revoke").text)
    assert program.get("/api/v1/cases", headers=held).status_code == 401
    assert "revoked" in words(ben.get("/account").text)


@pytest.mark.parametrize(
    "said",
    [
        {"name": "", "scopes": ["read"]},
        {"name": "k", "scopes": []},
        {"name": "k", "scopes": ["admin"]},
        {"name": "k", "scopes": ["read", "all"]},
        {"name": "k", "scopes": ["read"], "until": "2001-01-01"},
        {"name": "k", "scopes": ["read"], "until": "tomorrow"},
        {"name": "k", "scopes": ["read"], "until": "9999-12-31"},
    ],
)
def test_a_key_that_cannot_be_is_not_made(
    guarded: "People", ben: "TestClient", words: Callable[[str], str], said: dict[str, object]
) -> None:
    answer = ben.post("/account/keys", data=said)
    assert answer.status_code == 422
    assert "Give a name of up to 79 characters, at least one reach that your role has" in words(answer.text)
    assert f'name="name" value="{said["name"]}"' in answer.text
    with guarded.service.store.read() as session:
        assert session.query(ApiKey).count() == 0


def test_nobody_touches_what_is_somebody_elses(guarded: "People", ben: "TestClient") -> None:
    guarded.key("admin", name="chief")
    guarded.token("admin", "chief")
    with guarded.service.store.read() as session:
        key = session.query(ApiKey).one().id
        login = session.query(Login).order_by(Login.id.desc()).limit(1).one().id
    assert ben.post(f"/account/keys/{key}/revoke").status_code == 404
    assert ben.post(f"/account/logins/{login}/end").status_code == 404
    with guarded.service.store.read() as session:
        assert session.get_one(ApiKey, key).revoked_at is None
        assert session.get_one(Login, login).ended_at is None


def test_the_menu_shows_who_one_is_and_only_what_one_may(guarded: "People") -> None:
    shown = {role: guarded.client(role).get("/").text for role in ("reader", "reviewer", "admin")}
    for role, page in shown.items():
        assert f"<b>{role}</b>" in page
        assert all(text in page for text in ('href="/account"', 'action="/leave"', "Sign out"))
        assert "Nobody is asked" not in page
        assert ('href="/history"' in page, 'href="/silent"' in page) == (role != "reader",) * 2
        assert ('href="/users"' in page) == (role == "admin")


def test_without_login_there_is_no_account_to_have(reader: "TestClient", words: Callable[[str], str]) -> None:
    said = reader.get("/account")
    assert "nobody is asked who he is" in words(said.text)
    assert "<form" not in said.text.partition("<main")[2]
    assert reader.post("/account/keys", data={"name": "k", "scopes": ["read"]}).status_code == 404
    front = reader.get("/").text
    assert "Nobody is asked who he is: the service was started with --no-login." in front
    assert 'href="/account"' not in front
    assert 'action="/leave"' not in front
