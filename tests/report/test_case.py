"""A case on paper: every word arrives with the values, nothing can break out of its place, one page is enough."""

import io
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import ValueRuleError
from dermoscope.report.case import CaseSheet, SheetAnswer, SheetPicture, SheetTable, case_page, case_pdf


def picture() -> SheetPicture:
    buffer = io.BytesIO()
    Image.fromarray(np.full((60, 80, 3), 120, np.uint8)).save(buffer, "JPEG")
    return SheetPicture(buffer.getvalue(), "taken on a day", "a lesion")


SHEET = CaseSheet(
    language="de",
    title="P1, Läsion 1",
    subtitle="Fall 12",
    stamp="Gedruckt",
    notice="Forschungssoftware",
    picture_title="Bild",
    pictures=[picture(), picture()],
    facts=[("Körperstelle", "Arm")],
    answer=SheetAnswer(
        "refer", "Verdächtig", "Darum", "Überweisen", [("Melanom", "etwa 12 von 100")], ("Andere", ["Nävus"]), ["Haare"]
    ),
    answer_title="Das Modell",
    readings=SheetTable("Befunde", ["Wer", "Was"], [["anna", "Überweisen"]], "keiner", "Abweichung"),
    settings_title="Modell und Einstellungen",
    settings=[("Modell", "default")],
    withheld="nicht gezeigt",
    page='Seite {page} von "{pages}"',
)


def test_everything_stands_on_the_page() -> None:
    page = case_page(SHEET)
    for text in ("P1, Läsion 1", "Fall 12", "Forschungssoftware", "Verdächtig", "Darum", "etwa 12 von 100", "Nävus"):
        assert text in page
    for text in ("Haare", "anna", "Abweichung", "Modell und Einstellungen", 'lang="de"', "Körperstelle"):
        assert text in page
    assert 'content: "Seite " counter(page) " von " counter(pages) ""' in page
    assert page.count('src="data:image/jpeg;base64,') == 2
    assert "nicht gezeigt" not in page
    assert not re.search(r"https?://", page)


def test_without_an_answer_it_says_why() -> None:
    page = case_page(replace(SHEET, answer=None, readings=replace(SHEET.readings, rows=[])))
    assert "nicht gezeigt" in page
    assert "keiner" in page
    assert "<table>" not in page


def test_text_is_text() -> None:
    hostile = "<script>x</script>\u202e"
    page = case_page(replace(SHEET, title=hostile, page="</style>{page}", facts=[(hostile, hostile)]))
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "</style>&" not in page
    assert page.count("</style>") == 1


def test_a_picture_is_a_jpeg() -> None:
    with pytest.raises(ValueRuleError, match="the picture of 'x' is not a JPEG"):
        SheetPicture(b"\x89PNG", "", "x")


def test_the_pdf_is_one_page_with_its_pictures() -> None:
    content = case_pdf(SHEET)
    assert content.startswith(b"%PDF-")
    plain = content
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        try:
            plain += zlib.decompress(stream)
        except zlib.error:
            continue
    assert len(re.findall(rb"/Type /Page\b", plain)) == 1
    assert plain.count(b"/Subtype /Image") >= 1


def test_a_long_case_goes_on_on_the_next_page() -> None:
    rows = [[f"reader {k}", "Überweisen"] for k in range(90)]
    content = case_pdf(replace(SHEET, readings=replace(SHEET.readings, rows=rows)))
    assert len(content) > len(case_pdf(SHEET))
