"""What holds for every page: languages, themes, widths, the focus, axe; and what leaves on paper or as data."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest
from looks import overflow, small, violations
from playwright.sync_api import expect

from dermoscope.serve import cases, jobs
from dermoscope.serve.accounts import Person

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import FilePayload, Page

ANNA = Person("anna", "admin")
WIDTHS = (360, 390, 768, 1440, 1920)
FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const rings = [getComputedStyle(one), getComputedStyle(one, "::after")];
  for (let up = one.parentElement, step = 0; up && step < 3; up = up.parentElement, step += 1) {
    rings.push(getComputedStyle(up));
    rings.push(...[...up.children].map((child) => getComputedStyle(child)));
  }
  const ring = rings.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
  return ring ? "" : one.outerHTML.slice(0, 90);
}"""
UNFOLD = "document.querySelectorAll('details.fold, details.own, details.revise').forEach((one) => { one.open = true; })"


class House(NamedTuple):
    """A service with something on every page."""

    live: "Live"
    pages: dict[str, str]


@pytest.fixture(scope="module")
def house(place: "Live", lesion: Callable[..., "FilePayload"]) -> House:
    from dermoscope.serve.cases import NewCase
    from dermoscope.serve.readings import Said, lock
    from dermoscope.serve.uploads import clean

    def case(pseudonym: str, seed: int, said: str = "") -> int:
        with place.service.desk(ANNA) as desk:
            made = cases.create(desk, NewCase(pseudonym, body_site="posterior_torso")).id
        upload = clean(lesion(seed, "MEL")["buffer"], "lesion")
        cases.add_images(place.service, ANNA, made, [upload, upload], "dermoscopic")
        if said:
            with place.service.desk(ANNA) as desk:
                lock(desk, made, Said("low_concern" if said == "low_concern" else "refer", "NV", 0.75))
        return made

    unread, answered, closed = case("LOOK-1", 2), case("LOOK-2", 2, "low_concern"), case("LOOK-3", 5, "refer")
    with place.service.desk(ANNA) as desk:
        cases.enter_histology(desk, closed, "MEL", None)
    given = [jobs.Given(lesion(n, "NV")["buffer"] if n else b"no picture", "") for n in (0, 7)]
    batch = jobs.create(place.service, ANNA, given, "A batch")
    return House(
        place,
        {
            "enter": "/enter",
            "worklist": "/?tab=all",
            "worklist-none": "/?text=nobody",
            "new": "/cases/new",
            "case-reading": f"/cases/{unread}",
            "case-answer": f"/cases/{answered}",
            "case-closed": f"/cases/{closed}",
            "pictures": f"/cases/{unread}/images",
            "facts": f"/cases/{unread}/facts",
            "batches": "/batches",
            "batch": f"/batches/{batch}",
            "settings": "/settings",
            "silent": "/silent",
            "history": "/history",
            "model": "/model",
            "about": "/about",
            "missing": "/cases/999999",
        },
    )


NAMES = (
    *("enter", "worklist", "worklist-none", "new", "case-reading", "case-answer", "case-closed", "pictures", "facts"),
    *("batches", "batch", "settings", "silent", "history", "model", "about", "missing"),
)


@pytest.mark.parametrize(("locale", "theme"), [("en-GB", "light"), ("de-DE", "dark")])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_every_width_and_is_for_everybody(
    house: House, reader: Callable[..., "Page"], shoot: Callable[..., None], name: str, locale: str, theme: str
) -> None:
    page = reader("anna", house.live.url, expect=(404,), locale=locale, color_scheme=theme, reduced_motion="reduce")
    page.goto(house.pages[name])
    assert page.locator("html").get_attribute("lang") == locale[:2]
    shoot(page, f"{locale[:2]}-{theme}-{name}")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900 if width > 800 else 760})
        assert overflow(page) == [], f"wider than {width} px"
        if width == 390:
            shoot(page, f"{locale[:2]}-{theme}-{name}-390", whole=True)
            assert small(page) == []
    page.evaluate(UNFOLD)
    assert violations(page) == []
    if theme == "dark":
        page.set_viewport_size({"width": 390, "height": 760})
        assert overflow(page) == [], "unfolded"
        assert violations(page) == []


@pytest.mark.parametrize("name", ["new", "case-answer", "worklist", "settings"])
def test_the_focus_is_always_seen(house: House, reader: Callable[..., "Page"], name: str) -> None:
    page = reader("anna", house.live.url)
    page.goto(house.pages[name])
    hidden, stops = [], 0
    for _ in range(30):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found is None:
            break
        stops += 1
        hidden += [found] if found else []
    assert stops > 8
    assert hidden == []


def test_language_and_theme_are_chosen_and_kept(
    house: House, reader: Callable[..., "Page"], shoot: Callable[..., None]
) -> None:
    page = reader("anna", house.live.url)
    page.goto(house.pages["case-answer"])
    page.get_by_text("anna", exact=True).click()
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    assert page.url.endswith(house.pages["case-answer"])
    page.get_by_text("anna", exact=True).click()
    shoot(page, "menu")
    page.get_by_role("button", name="Dunkel").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/")
    expect(page.get_by_role("heading", name="Arbeitsliste")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 25)"


def test_a_case_leaves_on_paper_and_as_data(house: House, reader: Callable[..., "Page"]) -> None:
    page = reader("anna", house.live.url)
    page.goto(house.pages["case-answer"])
    places = [page.get_by_role("link", name=kind).get_attribute("href") or "" for kind in ("PDF", "JSON")]
    paper, data = (page.request.get(place) for place in places)
    assert paper.headers["content-type"] == "application/pdf"
    assert paper.body().startswith(b"%PDF-")
    assert len(paper.body()) > 20_000  # with its pictures
    assert json.loads(data.text())
    printed = page.pdf(format="A4")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 3
