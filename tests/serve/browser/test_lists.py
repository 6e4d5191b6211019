"""The worklist by keyboard, and a batch that one leaves and comes back to."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from live import press
from playwright.sync_api import expect

from dermoscope.serve import cases
from dermoscope.serve.accounts import Person

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import FilePayload, Page

ANNA = Person("anna", "admin")


@pytest.fixture
def clinic(
    own_place: Callable[..., "Live"],
    add_case: Callable[..., int],
    say: Callable[..., None],
    lesion: Callable[..., "FilePayload"],
) -> "Live":
    """Four cases to read, one in disagreement, one closed."""
    live = own_place()
    for number, place in enumerate(("head_neck", "posterior_torso", "posterior_torso", "upper_extremity"), start=1):
        add_case(live, f"P-000{number}", [], body_site=place)
    disagreeing = add_case(live, "P-0005", [lesion(2, "MEL")], body_site="lower_extremity")
    say(live, disagreeing, "low_concern")
    closed = add_case(live, "P-0006", [lesion(3, "NV")])
    say(live, closed, "refer")
    with live.service.desk(ANNA) as desk:
        cases.enter_histology(desk, closed, "NV", None)
    return live


def rows(page: "Page") -> list[str]:
    """Pseudonyms of the list."""
    return [text.split()[0] for text in page.locator("[data-row]").all_inner_texts()]


def test_the_worklist_is_walked_with_single_keys(
    clinic: "Live", reader: Callable[..., "Page"], shoot: Callable[..., None]
) -> None:
    page = reader("anna", clinic.url)
    page.goto("/")
    counts = page.locator(".tabs .count").all_inner_texts()
    assert counts == ["4", "1", "1", "1", "6"]
    assert rows(page) == ["P-0001", "P-0002", "P-0003", "P-0004"]  # the oldest first
    press(page, "j", "j", "k", "j")
    expect(page.get_by_role("link", name="P-0002")).to_be_focused()
    shoot(page, "worklist-unread")
    press(page, "Enter")
    expect(page.get_by_role("heading", name="P-0002")).to_be_visible()
    press(page, "j")
    expect(page.get_by_role("heading", name="P-0003")).to_be_visible()
    press(page, "k")
    expect(page.get_by_role("heading", name="P-0002")).to_be_visible()
    press(page, "u")
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    press(page, "2")
    expect(page).to_have_url(re.compile("tab=disagreements"))
    assert rows(page) == ["P-0005"]
    press(page, "5")
    expect(page).to_have_url(re.compile("tab=all"))
    shoot(page, "worklist-all")
    press(page, "n")
    expect(page).to_have_url(re.compile("/cases/new"))
    page.go_back()
    expect(page).to_have_url(re.compile("tab=all"))


def test_the_worklist_is_searched_and_filtered_and_the_way_back_keeps_it(
    clinic: "Live", reader: Callable[..., "Page"], shoot: Callable[..., None]
) -> None:
    page = reader("anna", clinic.url)
    page.goto("/?tab=all")
    page.get_by_label("Body site").select_option("posterior_torso")
    expect(page).to_have_url(re.compile("body_site=posterior_torso"))
    assert rows(page) == ["P-0002", "P-0003"]
    press(page, "/")
    field = page.get_by_role("searchbox")
    expect(field).to_be_focused()
    page.keyboard.type("n3j?")  # keys do nothing while one types
    expect(field).to_have_value("n3j?")
    expect(page).to_have_url(re.compile("tab=all"))
    press(page, "Enter")
    expect(page.get_by_role("status")).to_contain_text("No case")
    shoot(page, "worklist-nothing-found")
    page.get_by_role("searchbox").fill("0003")
    press(page, "Enter")
    expect(page).to_have_url(re.compile("text=0003"))
    assert rows(page) == ["P-0003"]
    page.get_by_role("link", name="P-0003").click()
    expect(page.get_by_role("heading", name="P-0003")).to_be_visible()
    press(page, "u")
    expect(page.get_by_role("searchbox")).to_have_value("0003")


def test_a_batch_goes_on_while_nobody_looks_and_says_which_file_was_no_picture(
    own_place: Callable[..., "Live"],
    reader: Callable[..., "Page"],
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:
    page = reader("anna", own_place().url, expect=(422,))
    page.goto("/batches")
    files = [{**lesion(20 + n % 3, "NV", (300, 224)), "name": f"scan-{n:02}.jpg"} for n in range(12)]
    files.insert(5, {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"these are notes"})
    page.locator("#files").set_input_files(files)
    expect(page.locator("#chosen")).to_contain_text("13")
    page.locator("#title").fill("Monday clinic")
    shoot(page, "batch-form")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="Monday clinic")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_visible()
    shoot(page, "batch-running")
    press(page, "u")
    expect(page.get_by_role("heading", name="Batches", exact=True)).to_be_visible()
    page.get_by_role("link", name="Monday clinic").click()
    expect(page.get_by_role("status").filter(has_text="Finished")).to_be_visible(timeout=60_000)
    expect(page.locator("table.items tbody tr")).to_have_count(13)
    failed = page.locator("tr", has=page.locator(".chip.warn"))
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text("not an image of a known format")
    expect(page.locator("table.items a")).to_have_count(12)
    shoot(page, "batch-done")
    page.locator("table.items a").first.click()
    expect(page.get_by_role("heading", name="Your reading")).to_be_visible()
    expect(page.locator(".answer")).to_have_count(0)
