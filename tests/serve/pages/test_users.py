"""Accounts of everybody: seen and changed by admins alone, and never without one."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("argon2", reason="the service is not installed: pip install 'dermoscope[serve]'")
from people import PASSWORD

from dermoscope.serve.tables import ApiKey, User

if TYPE_CHECKING:
    from people import People
    from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def chief(guarded: "People") -> "TestClient":
    """An admin."""
    return guarded.client("admin", "chief")


def secret_of(page: str) -> str:
    return re.findall(r'id="secret" value="http://127\.0\.0\.1(/link/[\w-]+)"', page)[0]


def test_a_user_is_added_gets_a_link_and_enters(
    guarded: "People", chief: "TestClient", words: Callable[[str], str]
) -> None:
    made = chief.post("/users", data={"name": " ben  7 ", "role": "reviewer"})
    assert "The link for ben 7" in words(made.text)
    assert made.headers["cache-control"] == "no-store"
    place = secret_of(made.text)
    listed = chief.get("/users").text
    assert place not in listed
    assert "ben 7 Reviewer no password yet never" in words(listed)
    ben = guarded.client()
    assert ben.post(place, data={"new": PASSWORD, "again": PASSWORD}).url.path == "/"
    assert "ben 7 (reviewer)" in words(ben.get("/about").text)
    assert re.search(r"ben 7 Reviewer active \d", words(chief.get("/users").text))


@pytest.mark.parametrize(
    ("name", "told"),
    [("", "A name has 1 to 79 letters"), ("Chief", "There is or was an account of this name already.")],
)
def test_a_user_that_cannot_be_is_not_added(
    guarded: "People", chief: "TestClient", words: Callable[[str], str], name: str, told: str
) -> None:
    said = chief.post("/users", data={"name": name, "role": "admin"})
    assert said.status_code == 422
    assert told in words(said.text)
    assert re.search(r'value="admin" required checked', said.text)
    with guarded.service.store.read() as session:
        assert session.query(User).count() == 1


def test_role_link_logins_and_keys_of_a_user(
    guarded: "People", chief: "TestClient", words: Callable[[str], str]
) -> None:
    ben = guarded.client("reader", "ben")
    number = guarded.user("reader", "ben", password=PASSWORD)
    place = f"/users/{number}"
    assert "The role is changed" in words(chief.post(f"{place}/role", data={"role": "reviewer"}).text)
    assert "Nothing was changed." in words(chief.post(f"{place}/role", data={"role": "reviewer"}).text)
    assert ben.get("/").url.path == "/enter", "another role, another login"
    old, new = (secret_of(chief.post(f"{place}/link").text) for _ in range(2))
    assert [guarded.client().get(link).status_code for link in (old, new)] == [410, 200]

    held = guarded.key("reviewer", "read", name="ben")
    ben = guarded.client("reviewer", "ben")
    shown = words(chief.get(place).text)
    assert "Sign out there" in shown
    assert "made here dsk_" in shown
    assert held["Authorization"].removeprefix("Bearer ") not in shown
    assert "Signed out everywhere." in words(chief.post(f"{place}/logins/end").text)
    assert ben.get("/").url.path == "/enter"
    with guarded.service.store.read() as session:
        key = session.query(ApiKey).one().id
    assert "The key is revoked." in words(chief.post(f"{place}/keys/{key}/revoke").text)
    assert guarded.client().get("/api/v1/cases", headers=held).status_code == 401


def test_a_disabled_account_is_out_at_once_and_can_be_enabled(
    guarded: "People", chief: "TestClient", words: Callable[[str], str]
) -> None:
    number = guarded.user("reader", "ben", password=PASSWORD)
    ben = guarded.client("reader", "ben")
    assert ben.get("/").url.path == "/"
    said = words(chief.post(f"/users/{number}/disable").text)
    assert "The account is disabled, and every login has ended." in said
    assert "New link" not in said
    assert ben.get("/").url.path == "/enter"
    entering = {"name": "ben", "password": PASSWORD}
    refused = guarded.client().post("/enter", data=entering)
    assert "or the account is disabled." in words(refused.text)
    assert "The account is enabled again." in words(chief.post(f"/users/{number}/enable").text)
    assert guarded.client().post("/enter", data=entering, follow_redirects=False).status_code == 303


def test_the_last_admin_stays(guarded: "People", chief: "TestClient", words: Callable[[str], str]) -> None:
    number = guarded.user("admin", "chief")
    for act, data in (("role", {"role": "reader"}), ("disable", {})):
        said = chief.post(f"/users/{number}/{act}", data=data)
        assert said.status_code == 409
        assert "This is the last admin who can enter." in words(said.text)
    guarded.user("admin", "second")
    assert chief.post(f"/users/{number}/role", data={"role": "reader"}).url.path == "/enter"


@pytest.mark.parametrize("role", ["reader", "reviewer"])
def test_nobody_else_sees_or_changes_them(guarded: "People", role: str) -> None:
    number = guarded.user("admin", "chief")
    eve = guarded.client(role, "eve")
    assert eve.get("/users").status_code == 403
    assert eve.get(f"/users/{number}").status_code == 403
    for act in ("", f"/{number}/role", f"/{number}/link", f"/{number}/disable", f"/{number}/logins/end"):
        assert eve.post(f"/users{act}", data={"name": "mallory", "role": "admin"}).status_code == 403
    with guarded.service.store.read() as session:
        assert sorted(user.name for user in session.query(User)) == ["chief", "eve"]
        assert all(user.disabled_at is None for user in session.query(User))


def test_an_unknown_user_is_not_there(chief: "TestClient") -> None:
    for place in ("/users/77", "/users/99999999999999999999"):
        assert chief.get(place).status_code == 404
        assert chief.post(f"{place}/role", data={"role": "admin"}).status_code == 404
