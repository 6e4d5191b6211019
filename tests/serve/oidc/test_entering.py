"""Entering by the provider of the institution: a real one, a real server, and browsers that keep cookies."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from live import serving
from people import PASSWORD, People
from sqlalchemy import select

from dermoscope.serve import accounts
from dermoscope.serve.tables import Event, User

if TYPE_CHECKING:
    from conftest import Running
    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@dataclass(frozen=True)
class Clinic:
    """A service that is served, and the provider whose people may enter."""

    url: str
    service: "Service"
    provider: "Running"

    @property
    def people(self) -> People:
        return People(self.service)

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30)

    def enter(self, name: str, browser: httpx.Client | None = None, back: str = "/about") -> httpx.Response:
        """Go out, sign in as somebody, and come back: the last answer."""
        if browser is None:
            with self.browser() as own:
                return self.enter(name, own, back)
        came = self.provider.lead(browser, f"{self.url}/enter/oidc?back={back}", name)
        return browser.get(came, follow_redirects=False)

    def user(self, name: str) -> User | None:
        with self.service.store.read() as session:
            return session.scalar(select(User).where(User.name == name))

    def events(self) -> list[tuple[str, str, str]]:
        with self.service.store.read() as session:
            return [(e.who, e.what, e.details.get("why", "")) for e in session.scalars(select(Event))]


@pytest.fixture
def opened(service: "Service", provider: "Running") -> Any:
    @contextmanager
    def open_it(**others: Any) -> Iterator[Clinic]:
        options = replace(service.options, **{"no_login": False, **provider.settings(), **others})
        with serving(options, replace(service, options=options)) as served:
            yield Clinic(served.url, served.service, provider)

    return open_it


@pytest.fixture
def clinic(opened: Any) -> Iterator[Clinic]:
    with opened() as found:
        yield found


def session_of(browser: httpx.Client) -> str | None:
    return browser.cookies.get("session")


def refused(answer: httpx.Response, status: int, said: str) -> None:
    assert answer.status_code == status
    assert said in answer.text
    assert "You were not signed in" in answer.text
    assert "session" not in answer.headers.get("set-cookie", "")


def test_who_comes_first_gets_an_account_and_a_login_that_ends_here(clinic: Clinic) -> None:
    with clinic.browser() as browser:
        answer = clinic.enter("anna", browser, "/settings?saved=mode")
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings?saved=mode")
        cookie = next(line for line in answer.headers.get_list("set-cookie") if line.startswith("session="))
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()
        assert browser.cookies.get("oidc") is None
        page = browser.get("/account")
        assert "anna" in page.text
        user = clinic.user("anna")
        assert user is not None
        assert (user.role, user.issuer, user.subject, user.password) == ("reader", clinic.provider.issuer, "1", None)
        left = browser.post("/leave")
        assert left.status_code == 303
        assert browser.get("/", follow_redirects=False).headers["location"].startswith("/enter")
    told = [(who, what) for who, what, _ in clinic.events()]
    assert ("openid connect", "user.created") in told
    assert ("anna", "login.succeeded") in told


def test_the_role_is_the_claims_at_every_login(opened: Any) -> None:
    with opened() as clinic:
        for name, role in (("boris", "reviewer"), ("clara", "admin")):
            assert clinic.enter(name).status_code == 303
            assert clinic.user(name).role == role
    promoted = (("clinic-reviewers", "admin"), ("clinic-admins", "admin"))
    with opened(oidc_roles=promoted) as clinic, clinic.browser() as browser:
        assert clinic.enter("boris", browser).status_code == 303
        assert clinic.user("boris").role == "admin"
        assert browser.get("/account").status_code == 200
        with opened(oidc_roles=(("clinic-reviewers", "reader"),)) as later:
            assert later.enter("boris").status_code == 303
            assert later.user("boris").role == "reader"
            # what the admin's browser could do is over
            assert browser.get("/account", follow_redirects=False).headers["location"].startswith("/enter")


def test_whom_the_provider_gives_no_role_stays_out_and_is_logged_out(opened: Any) -> None:
    with opened() as clinic, clinic.browser() as browser:
        for name in ("dora", "egon"):
            refused(clinic.enter(name), 403, "gives you no role here")
            assert clinic.user(name) is None
        assert clinic.enter("anna", browser).status_code == 303
        with opened(oidc_roles=(("clinic-admins", "admin"),)) as later:
            refused(later.enter("anna"), 403, "gives you no role here")
            assert browser.get("/account", follow_redirects=False).headers["location"].startswith("/enter")
            assert ("anna", "login.failed", "role") in later.events()


def test_the_last_admin_is_not_made_less_by_a_login(opened: Any) -> None:
    with opened() as clinic:
        assert clinic.enter("clara").status_code == 303
    with opened(oidc_roles=(("clinic-admins", "reader"),)) as clinic:
        refused(clinic.enter("clara"), 403, "you are the last admin here")
        clinic.people.user("admin", "another")
        assert clinic.enter("clara").status_code == 303
        assert clinic.user("clara").role == "reader"


def test_who_was_disabled_here_stays_out(clinic: Clinic) -> None:
    assert clinic.enter("anna").status_code == 303
    with clinic.service.store.begin() as session:
        accounts.disable(session, accounts.user_named(session, "anna"), "terminal")
    refused(clinic.enter("anna"), 403, "Your account was disabled here")
    assert ("anna", "login.failed", "disabled") in clinic.events()


def test_the_name_alone_makes_nobody_the_same_person(clinic: Clinic) -> None:
    number = clinic.people.user("admin", "Anna", password=PASSWORD)
    refused(clinic.enter("anna"), 403, "Another account here has your name already")
    with clinic.service.store.read() as session:
        user = accounts.user_of(session, number)
        assert (user.role, user.issuer) == ("admin", None)


def test_an_answer_is_only_taken_from_the_browser_that_set_out(clinic: Clinic) -> None:
    with clinic.browser() as mine, clinic.browser() as theirs:
        came = clinic.provider.lead(mine, f"{clinic.url}/enter/oidc", "anna")
        # an attacker leads somebody to his own answer, to have him work under his name
        refused(theirs.get(came), 400, "begun in another browser")
        theirs.get("/enter/oidc")
        refused(theirs.get(came), 400, "begun in another browser")
        assert session_of(theirs) is None
        assert mine.get(came).status_code == 303


def test_an_answer_is_taken_once(clinic: Clinic) -> None:
    with clinic.browser() as browser:
        came = clinic.provider.lead(browser, f"{clinic.url}/enter/oidc", "anna")
        kept = browser.cookies["oidc"]
        assert browser.get(came).status_code == 303
        refused(browser.get(came), 400, "used already")
        browser.cookies.set("oidc", kept, domain="127.0.0.1", path="/enter/oidc")
        refused(browser.get(came), 403, "could not be trusted")


def test_every_login_is_a_new_one_and_ends_that_before(clinic: Clinic) -> None:
    with clinic.browser() as browser:
        browser.cookies.set("session", "planted", domain="127.0.0.1")
        clinic.enter("anna", browser)
        first = browser.cookies.get("session", domain="127.0.0.1")
        assert first != "planted"
        clinic.enter("anna", browser)
        assert browser.cookies.get("session", domain="127.0.0.1") not in ("planted", first)
    with clinic.browser() as thief:
        thief.cookies.set("session", first)
        assert thief.get("/account", follow_redirects=False).headers["location"].startswith("/enter")


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/%0d%0aX: y"]
)
def test_the_way_back_leads_nowhere_else(clinic: Clinic, back: str) -> None:
    assert clinic.enter("anna", back=back).headers["location"] == "/"


def test_a_provider_that_is_down_keeps_nobody_with_a_password_out(opened: Any) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with opened(oidc_issuer=away) as clinic, clinic.browser() as browser:
            answer = browser.get("/enter/oidc")
            refused(answer, 503, "does not answer")
            assert 'href="/enter?back=%2F"' in answer.text
            clinic.people.user("reader", "Rita", password=PASSWORD)
            assert browser.post("/enter", data={"name": "Rita", "password": PASSWORD}).status_code == 303
        with opened(oidc_issuer=away, local_users=False) as clinic, clinic.browser() as browser:
            answer = browser.get("/enter/oidc")
            refused(answer, 503, "does not answer")
            assert 'href="/enter?' not in answer.text


def test_without_a_provider_there_is_no_such_way(opened: Any) -> None:
    with opened(oidc_issuer="") as clinic, clinic.browser() as browser:
        assert browser.get("/enter/oidc").status_code == 404
        assert browser.get("/enter/oidc/back?code=x&state=y").status_code == 404


def test_behind_a_proxy_the_address_is_the_operators_and_cookies_are_for_https(opened: Any) -> None:
    with opened(public_url="https://skin.example") as clinic, clinic.browser() as browser:
        answer = browser.get("/enter/oidc", headers={"Host": "localhost:1"})
        assert "redirect_uri=https%3A%2F%2Fskin.example%2Fenter%2Foidc%2Fback" in answer.headers["location"]
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-oidc="), "a neighbour under the same domain can plant any other"
        assert {"secure", "path=/", "httponly"} <= set(cookie.lower().split("; "))
        planted = {"Cookie": cookie.replace("__Host-oidc", "oidc").partition(";")[0]}
        state = answer.headers["location"].partition("state=")[2].partition("&")[0]
        refused(browser.get(f"/enter/oidc/back?code=x&state={state}", headers=planted), 400, "begun in another browser")


def test_words_of_the_address_are_not_shown(clinic: Clinic) -> None:
    with clinic.browser() as browser:
        browser.get("/enter/oidc")
        answer = browser.get("/enter/oidc/back?error=x&error_description=Call+0800+and+tell+your+password")
        refused(answer, 400, "begun in another browser")
        assert "0800" not in answer.text
