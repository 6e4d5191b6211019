"""The drawn figures: the same bytes every time, real text, no date, and what they say."""

import re
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from dermoscope.core.errors import MissingDependencyError
from dermoscope.report import figures

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figures can be drawn")

ALL = (
    figures.class_balance,
    figures.roc,
    figures.precision_recall,
    figures.confusion,
    figures.reliability,
    figures.training,
)


def words(svg: bytes) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg.decode()))


@pytest.mark.parametrize("draw", ALL, ids=lambda draw: draw.__name__)
def test_every_figure_is_small_svg_without_date_or_prolog(draw, measured, provenance):
    # That it is the same bytes every time, the test of the page says of all figures at once.
    svg = figures.rendered(draw, measured, provenance, "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"DOCTYPE" not in svg
    assert b"<metadata" not in svg
    assert b"DejaVu" not in svg
    assert len(svg) < 200_000


def test_a_pdf_has_no_date_either(measured, provenance):
    pdf = figures.rendered(figures.class_balance, measured, provenance, "pdf")
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert pdf == figures.rendered(figures.class_balance, measured, provenance, "pdf")


def test_curves_carry_their_figures(measured, provenance):
    said = words(figures.rendered(figures.roc, measured, provenance, "svg"))
    for code in measured.taxonomy.codes:
        assert f"AUC {measured.served[f'{code}.auc'].text()}" in said
    assert f"{measured.units['MEL']} of 160" in said
    said = words(figures.rendered(figures.precision_recall, measured, provenance, "svg"))
    assert f"AP {measured.served['NV.ap'].text()}" in said
    assert "prevalence" in said


def test_matrix_and_reliability_carry_their_figures(measured, provenance):
    said = words(figures.rendered(figures.confusion, measured, provenance, "svg")).split()
    assert str(measured.confusion.counts[1, 1]) in said
    said = words(figures.rendered(figures.reliability, measured, provenance, "svg"))
    assert f"ECE {measured.calibrated['ece'].text()}" in said
    assert f"{measured.calibrated['ece_if_perfect'].value:.3f} if true" in said


def test_a_run_without_log_has_no_curve(measured, provenance):
    assert figures.rendered(figures.training, measured, replace(provenance, log=()), "svg") is None
    only_loss = replace(provenance, log=[{"loss": 1.0}])
    assert "training loss 1.000" in words(figures.rendered(figures.training, measured, only_loss, "svg"))


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = r"^figures need matplotlib: pip install -c constraints.txt -e '\.\[report\]' in the clone$"
    with pytest.raises(MissingDependencyError, match=said):
        figures.require()
