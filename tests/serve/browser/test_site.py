"""How a site works: settings, silent mode, a study of two readers, the answer first, and who may change settings."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from live import press
from people import SAME_ORIGIN, People
from playwright.sync_api import expect
from sqlalchemy import select

from dermoscope.serve.accounts import Person
from dermoscope.serve.site import change
from dermoscope.serve.tables import Change, Event, Reading

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import FilePayload, Page

ADMIN = Person("root", "admin")


def set_site(live: "Live", **values: object) -> None:
    """Settings as an admin would set them."""
    with live.service.desk(ADMIN) as desk:
        for name, value in values.items():
            change(desk, name, value)


def read(page: "Page", case_id: int, decision: str) -> None:
    """Open a case and lock a reading by mouse."""
    page.goto(f"/cases/{case_id}")
    page.get_by_role("radio", name=decision).check()
    page.get_by_role("button", name="Lock my reading").click()
    expect(page.get_by_role("button", name="Lock my reading")).to_have_count(0)


def test_an_admin_changes_how_the_site_works_and_every_change_is_listed(
    own_place: Callable[..., "Live"], reader: Callable[..., "Page"], shoot: Callable[..., None]
) -> None:
    live = own_place()
    page = reader("anna", live.url, expect=(422,))
    page.goto("/settings")
    shoot(page, "settings", whole=True)

    def save(part: str) -> None:
        page.locator(f"form[action='/settings/{part}']").get_by_role("button", name="Save").click()

    page.get_by_role("radio", name="Study").check()
    save("mode")
    expect(page.get_by_role("status")).to_contain_text("Saved")
    page.get_by_role("radio", name="Answer first").check()
    save("order")
    expect(page).to_have_url(re.compile("saved=order"))
    page.get_by_role("radio", name="Own numbers").check()
    page.get_by_label("Any malignant lesion, %").fill("2")
    page.get_by_label("Melanoma, %").fill("30")
    save("prevalence")
    expect(page.get_by_role("alert")).to_contain_text("Give both shares")
    shoot(page, "settings-refused")
    page.get_by_label("Any malignant lesion, %").fill("40")
    save("prevalence")
    expect(page).to_have_url(re.compile("saved=prevalence"))
    page.get_by_label("English").fill("Study 7, ethics vote 12/2026. Not for care.")
    save("notice")
    expect(page).to_have_url(re.compile("saved=notice"))
    expect(page.locator(".foot")).to_have_text("Study 7, ethics vote 12/2026. Not for care.")
    changes = page.locator("section[aria-labelledby=changes] tbody tr")
    expect(changes).to_have_count(5)  # with the first start's
    expect(changes.first).to_contain_text("anna")
    shoot(page, "settings-changed", whole=True)
    with live.service.store.read() as session:
        names = session.scalars(select(Change.name).order_by(Change.id)).all()
        events = session.scalars(select(Event.subject).where(Event.what == "setting.changed").order_by(Event.id)).all()
    assert names == ["mode", "mode", "order", "prevalence", "notice"]
    assert events == [f"setting/{name}" for name in names]


def test_in_silent_mode_nobody_is_shown_anything_and_the_answers_are_kept(
    own_place: Callable[..., "Live"],
    reader: Callable[..., "Page"],
    add_case: Callable[..., int],
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:
    live = own_place()
    set_site(live, mode="silent")
    made = add_case(live, "P-1", [lesion(2, "MEL")])
    page = reader("anna", live.url, expect=(403,))
    read(page, made, "Low concern")
    expect(page.get_by_role("heading", name="Your reading is locked")).to_be_visible()
    expect(page.locator(".answer, .exports, #what-if-fold, [data-does=heat]")).to_have_count(0)
    expect(page.get_by_text("Suspicious")).to_have_count(0)
    shoot(page, "case-silent")
    assert page.request.get(f"/cases/{made}/result.json").status == 403
    page.goto("/?tab=all")
    expect(page.locator("tbody tr")).to_contain_text("silent mode")
    expect(page.get_by_label("Answer")).to_have_count(0)
    page.goto(f"/cases/{made}")
    press(page, "y")
    page.locator("select[name=code]").select_option("MEL")
    page.get_by_role("button", name="Enter histology").click()
    expect(page.get_by_role("heading", name="Histology: Melanoma")).to_be_visible()
    expect(page.locator(".answer")).to_have_count(0)
    page.goto("/silent")
    expect(page.get_by_text("1 of 1").first).to_be_visible()
    shoot(page, "silent-report", whole=True)


def test_two_readers_of_a_study_read_for_themselves(
    own_place: Callable[..., "Live"],
    reader: Callable[..., "Page"],
    add_case: Callable[..., int],
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:
    live = own_place()
    set_site(live, mode="study")
    made = add_case(live, "P-1", [lesion(2, "MEL")])
    anna, ben = reader("anna", live.url), reader("ben", live.url)
    ben.goto(f"/cases/{made}")
    read(anna, made, "Refer")
    expect(anna.locator("#answer-title")).to_be_visible()
    ben.reload()
    expect(ben.locator(".answer")).to_have_count(0)
    expect(ben.get_by_text("Other readers")).to_have_count(0)
    read(ben, made, "Low concern")
    expect(ben.locator("#answer-title")).to_be_visible()
    ben.get_by_text("Other readers").click()
    expect(ben.get_by_role("listitem").filter(has_text="anna")).to_contain_text("Before the answer")
    shoot(ben, "case-two-readers")
    with live.service.store.read() as session:
        held = session.execute(select(Reading.reader, Reading.aided, Reading.mode).order_by(Reading.id)).all()
    assert [tuple(row) for row in held] == [("anna", False, "study"), ("ben", False, "study")]


def test_where_the_answer_comes_first_every_reading_says_so(
    own_place: Callable[..., "Live"],
    reader: Callable[..., "Page"],
    add_case: Callable[..., int],
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:
    live = own_place()
    set_site(live, order="ai_first")
    made = add_case(live, "P-1", [lesion(2, "MEL")])
    page = reader("anna", live.url)
    page.goto(f"/cases/{made}")
    expect(page.locator("#answer-title")).to_be_visible()
    shoot(page, "case-answer-first")
    read(page, made, "Refer")
    expect(page.locator(".readings dt")).to_have_text(["With the answer"])
    with live.service.store.read() as session:
        held = session.scalars(select(Reading)).one()
    assert (held.aided, held.order, held.phase) == (True, "ai_first", "first")
    assert held.shown


def test_only_an_admin_changes_settings(
    own_place: Callable[..., "Live"], reader: Callable[..., "Page"], shoot: Callable[..., None]
) -> None:
    live = own_place(host="0.0.0.0", no_login=False)
    people = People(live.service, url=live.url)

    def entered(role: str, name: str) -> "Page":
        page = reader("", live.url, expect=(403,))
        cookie = {"name": "session", "value": people.token(role, name), "url": live.url}
        page.context.add_cookies([cookie])
        page.goto("/settings")
        return page

    page = entered("reader", "ben")
    expect(page.get_by_text("Only an admin can change these settings")).to_be_visible()
    expect(page.get_by_role("radio", name="Silent")).to_be_checked()  # the first start
    expect(page.get_by_role("radio", name="Open")).to_be_disabled()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    shoot(page, "settings-reader")
    assert page.request.post("/settings/mode", form={"value": "open"}, headers=SAME_ORIGIN).status == 403

    page = entered("admin", "chief")
    page.get_by_role("radio", name="Open").check()
    page.locator("form[action='/settings/mode']").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    with live.service.store.read() as session:
        last = session.scalars(select(Change).order_by(Change.id.desc()).limit(1)).one()
    assert (last.value["is"], last.made_by) == ("open", "chief")
