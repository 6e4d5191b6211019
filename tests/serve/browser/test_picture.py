"""What one can do with the picture: zoom, pan, compare, heat map; and with its numbers: what if."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from live import press
from playwright.sync_api import expect
from sqlalchemy import func, select

from dermoscope.serve import cases
from dermoscope.serve.accounts import Person
from dermoscope.serve.tables import Event, Image, Reading, Result, Table
from dermoscope.serve.uploads import clean

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import FilePayload, Locator, Page

TRANSFORM = "(plate) => new DOMMatrix(getComputedStyle(plate).transform)"


def moved(plate: "Locator") -> tuple[float, float, float]:
    """Scale and shift of a picture on its stage."""
    matrix: dict[str, Any] = plate.evaluate(TRANSFORM)
    return matrix["a"], matrix["e"], matrix["f"]


def until(page: "Page", holds: str | Callable[[], bool]) -> None:
    """Wait until it holds, here or in the page, whose policy refuses the `eval` of Playwright's own way."""
    for _ in range(200):
        page.wait_for_timeout(50)
        if page.evaluate(holds) if isinstance(holds, str) else holds():
            return
    raise AssertionError(f"{holds} never held")


def settle(page: "Page") -> None:
    """Wait until pictures stand still: they glide for a fifth of a second."""
    until(page, "document.getAnimations().length === 0")


def share(text: str) -> int:
    """`< 1 of 100` is 0."""
    return 0 if "<" in text else int(text.split()[-3])


def count(live: "Live", table: type[Table]) -> int:
    """How many rows there are; of the trail, lines of what was done and not of what was looked at."""
    wanted = select(func.count()).select_from(table)
    if table is Event:
        wanted = wanted.where(Event.what.not_like("%.viewed"))
    with live.service.store.read() as session:
        return session.scalar(wanted) or 0


@pytest.fixture
def answered(
    place: "Live",
    request: pytest.FixtureRequest,
    add_case: Callable[..., int],
    say: Callable[..., None],
    lesion: Callable[..., "FilePayload"],
) -> int:
    """A case of anna's whose answer is in view: drawn melanoma of 1200 x 900."""
    made = add_case(place, f"P-{abs(hash(request.node.name)) % 10**6}", [lesion(2, "MEL", (1200, 900))])
    say(place, made, "refer")
    return made


def test_the_picture_is_whole_zooms_and_moves(
    reader: Callable[..., "Page"], answered: int, shoot: Callable[..., None]
) -> None:
    page = reader()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/cases/{answered}")
    picture, plate = page.locator("#stage .picture"), page.locator("#stage .plate")
    expect(page.locator("#stage")).to_have_class(re.compile("fitted"))
    assert [url for url in asked if url.endswith("/full")]
    assert picture.evaluate("(one) => [one.naturalWidth, one.naturalHeight]") == [1200, 900]
    assert moved(plate) == (1, 0, 0)
    press(page, "+", "+", "+")
    settle(page)
    scale, x, y = moved(plate)
    assert scale > 1.5
    shoot(page, "case-zoomed")
    page.locator("#stage").focus()
    press(page, "ArrowLeft")
    settle(page)
    assert moved(plate)[1] > x
    box = page.locator("#stage").bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0], middle[1] + 80, steps=4)
    page.mouse.up()
    settle(page)
    assert moved(plate)[2] > y
    page.mouse.wheel(0, -300)
    settle(page)
    assert moved(plate)[0] > scale
    press(page, "0")
    settle(page)
    assert moved(plate) == (1, 0, 0)
    press(page, "?")
    expect(page.get_by_role("dialog")).to_be_visible()
    shoot(page, "case-keys")
    press(page, "Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_heat_map_lies_over_what_the_model_saw_and_says_of_what_it_is(
    reader: Callable[..., "Page"], answered: int, shoot: Callable[..., None]
) -> None:
    page = reader()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/cases/{answered}")
    button = page.get_by_role("button", name="Heat map")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert not [url for url in asked if "/heat" in url]
    press(page, "h")
    heat = page.locator("#stage .heat")
    expect(heat).to_be_visible()
    until(page, "document.querySelector('.heat')?.naturalWidth > 0")
    expect(page.locator("#stage .heat-title")).to_have_text(re.compile("Heat map: Melanoma, .+"))
    shoot(page, "case-heat")
    over, whole = heat.bounding_box(), page.locator("#stage .picture").bounding_box()
    assert over
    assert whole
    assert over["width"] == pytest.approx(over["height"], abs=1)
    assert over["height"] <= whole["height"] + 1
    assert over["x"] - whole["x"] == pytest.approx((whole["width"] - over["width"]) / 2, abs=1)
    press(page, "h")
    expect(heat).to_have_count(0)
    expect(page.locator(".heat-title")).to_have_count(0)


def test_what_if_moves_the_numbers_and_no_record(
    reader: Callable[..., "Page"], place: "Live", answered: int, shoot: Callable[..., None]
) -> None:
    page = reader(expect=(422,))
    page.goto(f"/cases/{answered}")
    said = page.locator(".answer").inner_text()
    held = [count(place, table) for table in (Result, Reading, Event)]
    page.get_by_text("What if", exact=True).click()
    there = page.get_by_role("row", name="Any malignant").get_by_role("cell").last
    expect(there).to_have_text(re.compile("of 100"))
    recorded = there.inner_text()
    page.get_by_label("Setting").select_option("general_practice")
    expect(there).not_to_have_text(recorded)
    rarer = there.inner_text()
    page.get_by_label("Setting").select_option("own")
    page.get_by_label("Any malignant, %").fill("50")
    page.get_by_label("Melanoma, %").fill("40")
    page.get_by_label("Melanoma, %").press("Enter")
    assert share(rarer) < share(recorded)
    until(page, lambda: share(there.inner_text()) > share(recorded))
    shoot(page, "case-what-if")
    page.get_by_label("Melanoma, %").fill("60")
    page.get_by_label("Melanoma, %").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Give shares above 0 and below 100")
    assert page.locator(".answer").inner_text() == said
    assert [count(place, table) for table in (Result, Reading, Event)] == held


def test_two_dates_stand_side_by_side_and_an_overview_is_never_scored(
    reader: Callable[..., "Page"],
    place: "Live",
    answered: int,
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:
    anna = Person("anna", "admin")
    for kind, picture in (("dermoscopic", lesion(12, "MEL")), ("overview", lesion(13, "NV"))):
        upload = clean(picture["buffer"], picture["name"])
        cases.add_images(place.service, anna, answered, [upload], kind)  # read already: of a new visit
    page = reader()
    page.goto(f"/cases/{answered}")
    expect(page.locator("[data-does=heat]")).to_have_count(0)  # the new visit is not read yet
    expect(page.locator(".answer")).to_have_count(0)
    press(page, "2")
    press(page, "l")
    expect(page.locator("#answer-title")).to_be_visible()
    press(page, "v")
    expect(page.locator("#second")).to_be_visible()
    first, second = page.locator("#stage .picture"), page.locator("#second .picture")
    until(page, "document.querySelector('#second .picture').naturalWidth === 1200")
    assert first.evaluate("(one) => one.naturalWidth") == 600
    assert first.get_attribute("src") != second.get_attribute("src")
    press(page, "+")
    settle(page)
    assert moved(page.locator("#stage .plate"))[0] == moved(page.locator("#second .plate"))[0] > 1
    shoot(page, "case-compared")
    press(page, "v")
    expect(page.locator("#second")).to_have_count(0)
    press(page, ".")  # the next picture
    expect(page.locator("#caption")).to_contain_text("Overview, not scored")
    shoot(page, "case-overview")
    with place.service.store.read() as session:
        scored = dict(
            session.execute(
                select(Image.kind, func.count(Result.id))
                .outerjoin(Result)
                .where(Image.case_id == answered)
                .group_by(Image.kind)
            ).all()
        )
    assert scored == {"dermoscopic": 2, "overview": 0}
