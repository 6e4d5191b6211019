"""The page and the summary of an audit."""

from pathlib import Path

import pytest

from dermoscope.core.audit import Audit, Finding, Member, Share, Shortcut
from dermoscope.core.estimate import Estimate
from dermoscope.data.synthetic import draw
from dermoscope.report.audit import audit_markdown, audit_page, verdict

EVIL = "<script>alert(1)</script>\u202e"


@pytest.fixture
def whole() -> Audit:
    members = (Member(EVIL, Path("a.jpg"), "MEL"), Member("b", Path("b.jpg"), "NV"))
    findings = (
        Finding("duplicate in two roles", "grave", "1 picture stands twice", "Split it.", ("a = b",), (members,)),
        Finding("broken file", "warning", "2 files", "", tuple(f"file {n}" for n in range(250))),
        Finding("copies", "note", "5 images have copies"),
    )
    loud = Shortcut("all", "source", "MEL", Estimate(0.731, 0.717, 0.746, "clustered", "lesion", 700))
    none = Shortcut("all", "source", "DF", Estimate.not_measurable("too few", "lesion", 3))
    share = Share("all", "copies", "2", "MEL", Estimate(0.44, 0.41, 0.47, "wilson", "lesion", 614))
    counts = {"set": {"clinic": {"MEL": 1000, "DF": 2}, "other": {"MEL": 1}}}
    return Audit(
        ("set",), {"images": 1003, "patients": 0}, counts, {"test": {"MEL": 5}}, findings, (loud, none), (share,)
    )


def test_the_page_stands_alone_and_escapes_names(whole: Audit) -> None:
    page = audit_page(whole, {Path("a.jpg"): draw(1, size=(64, 64)).jpeg()})
    assert "<script" not in page
    assert "\u202e" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/jpeg;base64,") == 1
    assert page.index("To be mended first") < page.index("To be looked at") < page.index("To be known")
    assert "and 50 more" in page
    assert '<td class="loud">.731 <small>[.717, .746]</small></td>' in page
    assert "44.0 [41.0, 47.0]" in page
    assert "not a medical device" in page


def test_the_summary_has_figures_with_intervals_and_names_no_image(whole: Audit) -> None:
    text = audit_markdown(whole, "dermoscope data audit set")
    assert "    dermoscope data audit set" in text
    assert "| source | **.731 [.717, .746]** | - |" in text
    assert "| clinic | 1,000 | 2 |" in text
    assert "| all | 1,001 | 2 |" in text
    assert "| MEL (614) | 44.0 [41.0, 47.0] |" in text
    assert "a = b" not in text


def test_the_verdict_counts(whole: Audit) -> None:
    assert verdict(whole) == "1 grave finding, 1 warning, 1 diagnosis with a shortcut."
