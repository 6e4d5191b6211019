"""From the address to a closed case, as somebody does it who has never seen the pages."""

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from live import press
from playwright.sync_api import expect
from sqlalchemy import select

from dermoscope.serve.tables import Case, Opening, Reading, Result

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import FilePayload, Page

HAND_OVER = """
([kind, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true })
    : new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(event);
}
"""


def hand_over(page: "Page", kind: str, picture: "FilePayload") -> None:
    """Drop or paste a picture onto the page."""
    page.evaluate(HAND_OVER, [kind, picture["name"], base64.b64encode(picture["buffer"]).decode()])


def fill(page: "Page", pseudonym: str, *flags: str) -> None:
    """What the form of a new case asks for."""
    page.get_by_label("Pseudonym").fill(pseudonym)
    page.get_by_label("Body site").select_option("posterior_torso")
    for flag in flags:
        page.get_by_label(flag).check()


def test_a_newcomer_reads_a_case_from_its_pictures_to_its_histology(
    own_place: Callable[..., "Live"],
    reader: Callable[..., "Page"],
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
) -> None:
    live = own_place()
    page = reader("", live.url, expect=(403,))
    seen: list[str] = []
    page.on("response", lambda answer: seen.append(answer.text()) if _is_text(answer.headers) else None)

    page.goto("/")
    expect(page).to_have_url(re.compile("/enter"))
    shoot(page, "enter")
    page.keyboard.type("anna")
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    shoot(page, "worklist-empty")

    press(page, "n")
    expect(page).to_have_url(re.compile("/cases/new$"))
    shoot(page, "new-empty")
    fill(page, "P-0042")
    page.locator("#files").set_input_files([lesion(2, "MEL"), lesion(3, "NV")])
    hand_over(page, "drop", lesion(4, "BCC"))
    hand_over(page, "paste", lesion(5, "BKL"))
    expect(page.locator(".preview")).to_have_count(4)
    page.locator(".preview").nth(3).get_by_role("button").click()
    page.locator(".preview").nth(2).locator("select").select_option("overview")
    shoot(page, "new-filled")
    page.get_by_role("button", name="Create the case").click()

    expect(page.get_by_role("heading", name="P-0042")).to_be_visible()
    expect(page.locator(".pick[data-image]")).to_have_count(3)
    expect(page.locator(".answer, .heat, [data-does=heat], #what-if-fold, .exports")).to_have_count(0)
    case_id = int(page.url.rpartition("/")[2].partition("?")[0])
    for place in ("result.pdf", "result.json"):
        assert page.request.get(f"/cases/{case_id}/{place}").status == 403
    assert page.request.get(f"/api/v1/cases/{case_id}/result").status == 403
    shoot(page, "case-reading")
    before, kept = list(seen), page.content()

    press(page, "2", "d", "D", "Escape", "l")  # decision, to the diagnosis, Dermatofibroma, out of the field, lock
    expect(page.locator("#answer-title")).to_be_focused()
    shoot(page, "case-answer")
    told = [page.locator(place).inner_text() for place in ("#answer-title", ".answer .why")]
    assert all(told)
    for text in [*before, kept]:
        assert not [sentence for sentence in told if sentence in text]
    with live.service.store.read() as session:
        results = session.scalars(select(Result)).all()
        figures = {f"{share:.6f}" for result in results for share in result.probabilities.values()}
    assert len(results) == 2  # the overview photo was not scored
    assert not [figure for figure in figures for text in before if figure in text]

    press(page, "e")
    shoot(page, "case-revise")
    press(page, "1")
    press(page, "l")
    expect(page.locator(".readings dt")).to_have_text(["Before the answer", "With the answer"])
    press(page, "y")
    page.locator("select[name=code]").select_option("MEL")
    page.get_by_label("Date of the report").fill("2026-03-05")
    shoot(page, "case-histology")
    page.get_by_role("button", name="Enter histology").click()
    expect(page.get_by_role("heading", name="Histology: Melanoma")).to_be_visible()
    shoot(page, "case-closed")
    page.goto("/?tab=closed")
    expect(page.get_by_role("link", name=re.compile("P-0042"))).to_be_visible()

    with live.service.store.read() as session:
        first, revised = session.scalars(select(Reading).order_by(Reading.id)).all()
        opening = session.scalars(select(Opening)).one()
        case = session.get_one(Case, case_id)
    shown = [str(result.id) for result in results]
    assert (first.phase, first.aided, first.shown, first.decision, first.diagnosis) == (
        "first",
        False,
        [],
        "low_concern",
        "DF",
    )
    assert (revised.phase, revised.aided, revised.shown, revised.decision) == ("revised", True, shown, "refer")
    assert first.opened_at is not None
    assert opening.answered_at is not None
    assert first.opened_at == opening.opened_at <= first.made_at <= opening.answered_at <= revised.made_at
    assert {first.reader, revised.reader} == {"anna"}
    assert (case.histology, case.histology_by, str(case.histology_on)) == ("MEL", "anna", "2026-03-05")
    assert case.closed_at is not None


def _is_text(headers: dict[str, str]) -> bool:
    return headers.get("content-type", "").startswith(("text/html", "application/json"))


def test_a_sample_is_one_press_away(reader: Callable[..., "Page"], shoot: Callable[..., None]) -> None:
    page = reader("sam")
    page.goto("/cases/new")
    page.get_by_role("button", name="Sample 6").click()
    expect(page.get_by_text("Drawn sample")).to_be_visible()
    page.get_by_label("Refer").check()
    page.get_by_role("button", name="Lock my reading").click()
    expect(page.locator("#answer-title")).to_be_visible()
    shoot(page, "sample-blurred")
    page.goto("/cases/new")
    page.get_by_role("button", name="Sample 6").click()
    expect(page.locator("#answer-title")).to_be_visible()  # the same case again, read already


def test_what_is_no_picture_is_refused_with_its_reason_and_nothing_typed_is_lost(
    reader: Callable[..., "Page"], lesion: Callable[..., "FilePayload"], shoot: Callable[..., None]
) -> None:
    page = reader("ben", expect=(422,))
    page.goto("/cases/new")
    fill(page, "P-WRONG", "Tattoo")
    letter: FilePayload = {"name": "letter.jpg", "mimeType": "image/jpeg", "buffer": b"Dear colleague, no picture."}
    tiny = {**lesion(6, "NV", (64, 64)), "name": "tiny.jpg"}
    page.locator("#files").set_input_files([lesion(7), letter])
    page.get_by_role("button", name="Create the case").click()
    told = page.get_by_role("alert")
    expect(told).to_contain_text("letter.jpg")
    expect(told).to_contain_text("Nothing was stored")
    shoot(page, "new-refused")
    expect(page.get_by_label("Pseudonym")).to_have_value("P-WRONG")
    expect(page.get_by_label("Tattoo")).to_be_checked()
    expect(page.locator(".preview")).to_have_count(2)

    for name in ("letter.jpg", "lesion-7.jpg"):
        page.locator(".preview", has_text=name).get_by_role("button").click()
    page.locator("#files").set_input_files([tiny])
    page.get_by_label("Tattoo").uncheck()
    page.get_by_role("button", name="Create the case").click()
    expect(page.get_by_role("heading", name="P-WRONG")).to_be_visible()
    press(page, "3")
    press(page, "l")
    expect(page.locator("#answer-title")).to_have_text("Cannot assess")
    expect(page.locator(".answer .why")).to_contain_text("The image is too small: 64 px")


def test_a_lesion_outside_the_training_data_is_not_assessed(
    reader: Callable[..., "Page"], lesion: Callable[..., "FilePayload"], shoot: Callable[..., None]
) -> None:
    page = reader("cleo")
    page.goto("/cases/new")
    fill(page, "P-NAIL", "Nail")
    page.locator("#files").set_input_files(lesion(8, "MEL"))
    page.get_by_role("button", name="Create the case").click()
    page.get_by_label("Low concern").check()
    page.get_by_role("button", name="Lock my reading").click()
    expect(page.locator("#answer-title")).to_have_text("Cannot assess")
    expect(page.locator(".answer .then")).to_have_text("Your assessment stands.")
    expect(page.locator(".answer .why")).to_contain_text("not in the training data")
    expect(page.locator("[data-does=heat], #what-if-fold")).to_have_count(0)
    shoot(page, "case-cannot-assess")


def test_without_scripts_a_case_is_entered_and_read_all_the_same(
    reader: Callable[..., "Page"], lesion: Callable[..., "FilePayload"], shoot: Callable[..., None]
) -> None:
    page = reader("dora", java_script_enabled=False, expect=(422,))
    page.goto("/cases/new")
    fill(page, "P-PLAIN")
    page.locator("#files").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    page.get_by_role("button", name="Create the case").click()
    expect(page.get_by_role("alert")).to_contain_text("a.txt")
    expect(page.get_by_label("Pseudonym")).to_have_value("P-PLAIN")
    page.locator("#files").set_input_files(lesion(9, "BCC"))
    page.get_by_role("button", name="Create the case").click()
    expect(page.locator(".answer")).to_have_count(0)
    page.get_by_label("Refer").check()
    page.get_by_role("button", name="Lock my reading").click()
    expect(page.locator("#answer-title")).to_be_visible()
    shoot(page, "case-without-scripts")
    page.get_by_text("What if").click()
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("cell", name=re.compile("of 100")).first).to_be_visible()
