"""PDF of a page: paper, fonts, and that nothing is fetched."""

import re
import sys
import zlib

import pytest

from dermoscope.core.errors import MissingDependencyError
from dermoscope.report.page import report_page
from dermoscope.report.pdf import as_pdf, require

pytest.importorskip("weasyprint", reason="WeasyPrint is not installed: no PDF can be made")


def streams(pdf: bytes) -> bytes:
    """All compressed parts, unpacked."""
    found = []
    for raw in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            found.append(zlib.decompress(raw))
        except zlib.error:
            continue
    return b"\n".join(found)


def boxes(pdf: bytes) -> set[tuple[int, int]]:
    """Page sizes in points."""
    text = pdf + streams(pdf)
    found = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", text)
    return {(round(float(width)), round(float(height))) for width, height in found}


def test_a_report_prints_on_several_pages_with_its_fonts(measured, provenance):
    pdf = as_pdf(report_page(measured, provenance))
    assert pdf.startswith(b"%PDF")
    assert boxes(pdf) == {(595, 842)}
    text = pdf + streams(pdf)
    assert 4 < len(re.findall(rb"/Type\s*/Page\b", text)) < 20
    assert b"/FontFile" in text
    assert b"CreationDate" not in text


def test_letter_is_letter():
    assert boxes(as_pdf("<p>short</p>", "letter")) == {(612, 792)}


def test_nothing_is_fetched(tmp_path, caplog):
    (tmp_path / "secret.txt").write_text("secret")
    page = f'<img src="http://127.0.0.1:9/x.png"><img src="{(tmp_path / "secret.txt").as_uri()}"><p>rest</p>'
    assert as_pdf(page).startswith(b"%PDF")
    assert len([record for record in caplog.records if "Failed to load image" in record.getMessage()]) == 2


def test_without_weasyprint_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    message = r"^PDF needs WeasyPrint 68 or later: pip install -c constraints.txt -e '\.\[report\]' in the clone$"
    with pytest.raises(MissingDependencyError, match=message):
        require()
