"""Accounts in a browser: from the first link to a reading, by keyboard; and their pages for everybody."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import pytest

pytest.importorskip("argon2", reason="the service is not installed: pip install 'dermoscope[serve]'")
from live import press, serving
from looks import overflow, small, violations
from people import PASSWORD, People
from playwright.sync_api import expect
from sqlalchemy import select

from dermoscope.serve import links
from dermoscope.serve.options import Options
from dermoscope.serve.tables import Event, Reading

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import FilePayload, Page


def type_in(page: "Page", *texts: str) -> None:
    """Type into the field that has the focus and into those after it, then send the form."""
    for number, text in enumerate(texts):
        if number:
            page.keyboard.press("Tab")
        page.keyboard.type(text)
    press(page, "Enter")


def test_from_the_first_link_to_a_reading_by_keyboard(
    own_place: Callable[..., "Live"],
    reader: Callable[..., "Page"],
    add_case: Callable[..., int],
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:
    live = own_place(no_login=False)
    case = add_case(live, "P-1", [lesion(2, "MEL")])
    with live.service.store.begin() as session:
        token = links.first_link(session)
    assert token is not None

    chief = reader("", live.url)
    chief.goto(links.path_of(token))
    type_in(chief, "Ada", PASSWORD, PASSWORD)
    expect(chief.get_by_role("heading", name="Worklist")).to_be_visible()
    shoot(chief, "accounts-menu-before")
    chief.goto("/users")
    press(chief, "n")
    type_in(chief, "ben")
    expect(chief.get_by_role("heading", name="The link for ben")).to_be_visible()
    secret = chief.get_by_label("The link for ben").input_value()
    assert secret.startswith(f"{live.url}/link/")
    chief.get_by_role("button", name="Copy").press("Enter")
    expect(chief.get_by_role("status")).to_have_text("Copied")

    ben = reader("", live.url, expect=(410, 422))
    asked = []
    ben.on("request", lambda request: asked.append(request.headers.get("referer", "")))
    ben.goto(secret)
    ben.get_by_label("Password").focus()
    type_in(ben, PASSWORD, "something else")
    expect(ben.get_by_role("alert")).to_contain_text("The two passwords are not the same.")
    ben.get_by_label("Password").focus()
    type_in(ben, PASSWORD, PASSWORD)
    expect(ben.get_by_role("heading", name="Worklist")).to_be_visible()
    assert not [address for address in asked if "/link/" in address], "a link was told as where one came from"
    ben.locator(".menu.right summary").press("Enter")
    ben.get_by_role("button", name="Sign out").press("Enter")
    expect(ben.get_by_role("heading", name="Sign in")).to_be_visible()
    ben.goto(secret)
    expect(ben.get_by_role("heading", name="This link is good no longer")).to_be_visible()

    ben.goto(f"/cases/{case}")
    expect(ben).to_have_url(re.compile("/enter"))
    type_in(ben, "ben", "guess")
    expect(ben.get_by_role("alert")).to_contain_text("Name and password do not belong together")
    expect(ben.get_by_label("Password")).to_be_focused()
    type_in(ben, PASSWORD)
    expect(ben).to_have_url(re.compile(f"/cases/{case}"))
    press(ben, "1", "l")
    expect(ben.get_by_role("heading", name="Your reading is locked")).to_be_visible()  # the first start is silent
    ben.locator(".menu.right summary").click()
    shoot(ben, "accounts-menu-reader")
    ben.get_by_role("button", name="Sign out").click()
    expect(ben.get_by_role("heading", name="Sign in")).to_be_visible()
    with live.service.store.read() as session:
        assert session.scalars(select(Reading.reader)).all() == ["ben"]
        ended = session.scalars(select(Event.who).where(Event.what == "login.ended")).all()
    assert ended == ["ben", "ben"]


class Clinic(NamedTuple):
    """A service with accounts, and something on every page of theirs."""

    live: "Live"
    people: People
    pages: dict[str, str]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    from dermoscope.serve import accounts, cases
    from dermoscope.serve.accounts import Person
    from dermoscope.serve.cases import NewCase

    with serving(Options(port=0, folder=tmp_path_factory.mktemp("clinic") / "service", threads=1)) as live:
        people = People(live.service, url=live.url)
        people.user("admin", "chief", password=PASSWORD)
        number = people.user("reader", "ben")
        for name, role in (("ben", "reader"), ("chief", "admin"), ("Dr. Friederike Müller-Lüdenscheidt", "reviewer")):
            people.token(role, name)
            people.key(role, "read", "write", name=name)
        with live.service.store.begin() as session:
            token = links.user_link(session, accounts.user_of(session, number), "chief")
        with live.service.desk(Person("chief", "admin")) as desk:
            case = cases.create(desk, NewCase("P-0042", "left shoulder", body_site="head_neck")).id
        pages = {"link": links.path_of(token), "link-over": "/link/none", "enter": "/enter"}
        signed = {"account": "/account", "users": "/users", "user": f"/users/{number}"}
        yield Clinic(live, people, pages | signed | {"delete": f"/cases/{case}/delete"})


@pytest.mark.parametrize(("locale", "theme"), [("en-GB", "light"), ("de-DE", "dark")])
def test_every_page_fits_and_is_for_everybody(
    clinic: Clinic, reader: Callable[..., "Page"], shoot: Callable[..., None], locale: str, theme: str
) -> None:
    given = {"locale": locale, "color_scheme": theme, "reduced_motion": "reduce"}
    page = reader("", clinic.live.url, expect=(410, 422), **given)
    for name, place in clinic.pages.items():
        if name == "account":
            page.context.add_cookies(
                [{"name": "session", "value": clinic.people.token("admin", "chief"), "url": clinic.live.url}]
            )
        page.goto(place)
        assert page.locator("html").get_attribute("lang") == locale[:2]
        look_at(page, shoot, f"accounts-{locale[:2]}-{name}")
    page.goto("/users")
    page.locator("#name").fill(f"new {locale[:2]}")
    page.locator("form[action='/users'] button").click()
    look_at(page, shoot, f"accounts-{locale[:2]}-once")


def look_at(page: "Page", shoot: Callable[..., None], name: str) -> None:
    """Unfold everything, and ask on a wide screen and on a phone; English is kept wide, German narrow."""
    page.evaluate("document.querySelectorAll('details:not(.menu)').forEach((one) => { one.open = true; })")
    for width, kept in ((1440, "-en-"), (360, "-de-")):
        page.set_viewport_size({"width": width, "height": 800})
        assert overflow(page) == [], f"{name}: wider than {width} px"
        if kept in name:
            shoot(page, name, whole=True)
    assert small(page) == [], name
    assert violations(page) == [], name


def test_deleting_asks_first_and_the_worklist_says_so(
    clinic: Clinic, reader: Callable[..., "Page"], add_case: Callable[..., int], lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:  # fmt: skip
    case = add_case(clinic.live, "P-GONE", [lesion(3)])
    page = reader("", clinic.live.url, expect=(404, 422))
    cookie = {"name": "session", "value": clinic.people.token("admin", "chief"), "url": clinic.live.url}
    page.context.add_cookies([cookie])
    page.goto(f"/cases/{case}")
    page.get_by_text("Case, model and settings").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("radio", name="Everything of this patient").check()
    page.get_by_label("Why").fill("consent withdrawn")
    page.get_by_label("Type the pseudonym").fill("P-GON")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was deleted.")
    expect(page.get_by_role("radio", name="Everything of this patient")).to_be_checked()
    page.get_by_label("Type the pseudonym").fill("P-GONE")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("status").first).to_contain_text("Everything of the patient is deleted: one case is gone.")
    shoot(page, "accounts-deleted")
    page.goto(f"/cases/{case}")
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
