"""One-time links: looked at without harm, used once, and told to nobody."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("argon2", reason="the service is not installed: pip install 'dermoscope[serve]'")
from people import PASSWORD, SAME_ORIGIN
from starlette.testclient import TestClient

from dermoscope.serve import accounts, links
from dermoscope.serve.app import create_app
from dermoscope.serve.tables import Event, User

if TYPE_CHECKING:
    from people import People

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SAID = {"new": PASSWORD, "again": PASSWORD}


@pytest.fixture
def first(guarded: "People") -> str:
    """The address that a first start prints."""
    with guarded.service.store.begin() as session:
        token = links.first_link(session)
    assert token is not None
    return links.path_of(token)


def link_for(guarded: "People", role: str, name: str) -> str:
    number = guarded.user(role, name)
    with guarded.service.store.begin() as session:
        return links.path_of(links.user_link(session, accounts.user_of(session, number), "chief"))


def test_the_first_link_makes_the_first_admin_and_is_then_over(
    guarded: "People", first: str, words: Callable[[str], str]
) -> None:
    nobody = guarded.client()
    assert "Nobody has an account here yet." in words(nobody.get("/enter").text)
    for _ in range(2):  # mail programs look, too
        asked = nobody.get(first)
        assert asked.status_code == 200
        assert "Set up the first admin" in words(asked.text)
    entered = nobody.post(first, data={"name": " Ada  1 ", **SAID})
    assert entered.url.path == "/"
    assert "<b>Ada 1</b>" in entered.text
    assert 'href="/users"' in entered.text
    assert "Nobody has an account here yet." not in words(guarded.client().get("/enter").text)
    for said in (guarded.client().get(first), guarded.client().post(first, data={"name": "Eve", **SAID})):
        assert said.status_code == 410
        assert "This link is good no longer" in words(said.text)
        assert "start the service again: it prints a new one" in words(said.text)
    with guarded.service.store.read() as session:
        assert [(user.name, user.role) for user in session.query(User)] == [("Ada 1", "admin")]
        assert [event.who for event in session.query(Event).filter(Event.what == "link.used")] == ["Ada 1"]


def test_where_no_passwords_are_taken_a_link_lets_nobody_in(service: "Service") -> None:
    with service.store.begin() as session:
        first = links.path_of(links.first_link(session) or "")
    options = replace(service.options, no_login=False, local_users=False)
    app = create_app(options, replace(service, options=options))
    with TestClient(app, base_url="http://127.0.0.1", headers=SAME_ORIGIN) as nobody:
        for said in (nobody.get(first), nobody.post(first, data={"name": "Ada", **SAID})):
            assert said.status_code == 403
            assert "sign in by the provider" in said.text
        assert "Open the link" not in nobody.get("/enter").text
    with service.store.read() as session:
        assert session.query(User).count() == 0


def test_a_link_ends_the_login_that_the_browser_had(guarded: "People") -> None:
    place, browser = link_for(guarded, "reader", "ben"), guarded.client("admin", "Rita")
    before = browser.cookies["session"]
    assert browser.post(place, data=SAID).status_code == 200
    other = guarded.client()
    other.cookies.set("session", before)
    assert other.get("/", follow_redirects=False).headers["location"].startswith("/enter")


def test_a_user_chooses_a_password_and_keeps_name_and_role(guarded: "People", words: Callable[[str], str]) -> None:
    place = link_for(guarded, "reader", "ben")
    browser = guarded.client()
    asked = browser.get(place)
    assert "Choose your password" in words(asked.text)
    assert 'value="ben" autocomplete="username" readonly' in asked.text
    assert browser.post(place, data={"name": "chief", **SAID}).url.path == "/"
    assert "ben (reader)" in words(browser.get("/about").text)
    again = guarded.client().post("/enter", data={"name": "ben", "password": PASSWORD}, follow_redirects=False)
    assert again.status_code == 303


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"name": "Ada", "new": PASSWORD, "again": PASSWORD[:-1]}, "Die beiden Passwörter stimmen nicht überein."),
        ({"name": "Ada", "new": "short", "again": "short"}, "Es hat weniger als 12 oder mehr als 200 Zeichen"),
        ({"name": "Ada", "new": "password1234", "again": "password1234"}, "gehört zu den zuerst geratenen"),
        ({"name": "<b>", **SAID}, "Ein Name hat 1 bis 79 Buchstaben"),
        ({"name": "terminal", **SAID}, "Ein Konto mit diesem Namen gibt oder gab es schon."),
    ],
)
def test_what_cannot_be_is_told_and_the_link_stays_good(
    guarded: "People", first: str, words: Callable[[str], str], said: dict[str, str], told: str
) -> None:
    nobody = guarded.client(language="de")
    answer = nobody.post(first, data=said)
    assert answer.status_code == 422
    assert told in words(answer.text)
    assert PASSWORD not in answer.text
    assert "session" not in nobody.cookies
    assert nobody.post(first, data={"name": "Ada", **SAID}).url.path == "/"


def test_where_a_link_leads_to_is_told_to_nobody(guarded: "People", first: str) -> None:
    nobody = guarded.client()
    for said in (nobody.get(first), nobody.post(first, data={"name": "Ada", **SAID}, follow_redirects=False)):
        assert said.headers["referrer-policy"] == "strict-origin"
        assert said.headers["cache-control"] == "no-store"
    token = first.rpartition("/")[2]
    with guarded.service.store.read() as session:
        assert not [event for event in session.query(Event) if token in str(event.details)]


def test_a_link_that_never_was_says_what_to_do(guarded: "People", words: Callable[[str], str]) -> None:
    said = guarded.client().get("/link/nonsense")
    assert said.status_code == 410
    assert "ask your admin for a new link" in words(said.text)
    assert '<a class="button main" href="/enter">' in said.text
