"""Pictures of one lesion that do not agree, as a reader sees it: beside the answer, and after the own reading only."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from dermoscope.refine.agreement import Repeatability
from dermoscope.serve import agreement
from dermoscope.serve.tables import Image, Result

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import FilePayload, Page

TITLE = "Pictures of this lesion do not agree"


def opposite(live: "Live", case: int) -> None:
    """As if the model had found nothing in the first picture and melanoma in the second."""
    wanted = select(Result).join(Image).where(Image.case_id == case).order_by(Result.id)
    with live.service.store.begin() as session:
        quiet, suspicious = session.scalars(wanted)
        quiet.answer, quiet.cause, quiet.suspected = "low_concern", "none", None
        suspicious.answer, suspicious.cause, suspicious.suspected = "refer", "malignancy", "MEL"
        suspicious.figures = {**suspicious.figures, "at_site": 0.9, "concern": 0.9}


def test_a_reader_is_told_after_the_own_reading(
    place: "Live",
    reader: Callable[..., "Page"],
    add_case: Callable[..., int],
    say: Callable[..., None],
    lesion: Callable[..., "FilePayload"],
    shoot: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agreement, "repeatability_of", lambda _: Repeatability(0.12, 2.5, 0.05, 383))
    case = add_case(place, "P-agree", [lesion(2, "NV", (900, 675)), lesion(3, "MEL", (900, 675))])
    opposite(place, case)
    page = reader()
    page.goto(f"/cases/{case}")
    expect(page.get_by_role("button", name="Lock my reading")).to_be_visible()
    expect(page.get_by_text(TITLE)).to_have_count(0)
    say(place, case, "low_concern")
    page.goto(f"/cases/{case}")
    remark = page.get_by_role("region", name=TITLE)
    expect(remark).to_be_visible()
    expect(remark).to_contain_text("Picture 1: No suspicious feature. Picture 2: Refer.")
    expect(remark).to_contain_text("12 % of the pairs")
    shoot(page, "case-disagree")
    narrow = reader(viewport={"width": 400, "height": 900}, locale="de-DE")
    narrow.goto(f"/cases/{case}")
    told = narrow.get_by_role("region", name="Bilder dieser Läsion stimmen nicht überein")
    told.scroll_into_view_if_needed()
    expect(told).to_be_visible()
    shoot(narrow, "case-disagree-narrow")
