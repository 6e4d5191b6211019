"""A report as one self-contained HTML page, made to be printed: figures are SVG, pictures JPEG, both in the page.

No script, no other host, no date of its own: the same files give the same page. Names are escaped by the template.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from dermoscope.core.estimate import Estimate
from dermoscope.evaluate.mistakes import Looked
from dermoscope.report.dossier import Measured, Provenance
from dermoscope.report.exhibits import Drawn, Gallery, Section, sections
from dermoscope.report.figures import rendered
from dermoscope.report.html import NOTICE, printable, template
from dermoscope.report.methods import methods
from dermoscope.report.tables import Cell, Table

Progress = Callable[[str, int, int], None]

_LONG = 16
"""Rows from which a table may go on on the next page."""


def report_page(measured: Measured, where: Provenance, progress: Progress | None = None) -> str:
    """The page as text (UTF-8 when written). Raises MissingDependencyError without matplotlib."""
    parts = sections(measured, where)
    numbers = {"Figure": 0, "Table": 0}
    total, shown = sum(len(part.exhibits) for part in parts), []
    for part in parts:
        exhibits = []
        for exhibit in part.exhibits:
            if progress is not None:
                progress("drawing", sum(numbers.values()), total)
            exhibits.append(_exhibit(exhibit, measured, where, numbers))
        # A long table with sections prints from the top of a page: its first heading could stand alone at the bottom.
        fresh = any(e["name"] == "groups" and e["long"] for e in exhibits)
        said = {"title": part.title, "id": _anchor(part), "paragraphs": part.paragraphs, "fresh": fresh}
        shown.append({**said, "exhibits": exhibits})
    if progress is not None:
        progress("drawing", total, total)
    return template("report.html.j2").render(
        title=where.title,
        lead=where.lead,
        notice=NOTICE,
        sections=shown,
        methods=methods(measured),
        command=where.command,
        version=where.version,
        data=where.data,
        run=where.run,
        measured=measured,
    )


def _exhibit(
    exhibit: Drawn | Gallery | Table, measured: Measured, where: Provenance, numbers: dict[str, int]
) -> dict[str, Any]:
    if isinstance(exhibit, Gallery) and not any(one.image in where.pictures for one in exhibit.images):
        exhibit = exhibit.table
    kind = "Table" if isinstance(exhibit, Table) else "Figure"
    numbers[kind] += 1
    said = {"label": f"{kind} {numbers[kind]}", "caption": exhibit.caption, "name": exhibit.name}
    if isinstance(exhibit, Table):
        long = len(list(exhibit.rows)) > _LONG
        return {**said, "kind": "table", "table": exhibit, "long": long, "cell": lambda cell: _cell(cell, exhibit)}
    if isinstance(exhibit, Gallery):
        items = [_picture(one, measured, where) for one in exhibit.images]
        return {**said, "kind": "gallery", "items": items}
    drawn = rendered(exhibit.draw, measured, where, "svg")
    assert drawn is not None, f"nothing to draw of {exhibit.name}, which has a place"
    return {**said, "kind": "figure", "source": _data("image/svg+xml", drawn), "alt": exhibit.alt}


def _cell(cell: Cell, table: Table) -> str:
    if not isinstance(cell, Estimate):
        return escape(printable(cell))
    if cell.value is None:
        return Markup('<span class="none" title="not measurable">n. m.<sup>{}</sup></span>').format(table.reason(cell))
    value, _, interval = cell.text().replace("-", "−").partition(" ")
    if not interval:
        return Markup("<b>{}</b>").format(value)
    return Markup('<b>{}</b> <span class="interval">{}</span>').format(value, interval)


def _picture(one: Looked, measured: Measured, where: Provenance) -> dict[str, Any]:
    names = {d.code: d.name for d in measured.taxonomy.diagnoses}
    picture = where.pictures.get(one.image)
    truth = one.truth or "none of these"
    said = f"{one.predicted} {one.score:.2f}, {one.second} {one.second_score:.2f}"
    return {
        "image": one.image,
        "source": None if picture is None else _data("image/jpeg", picture),
        "alt": f"Dermoscopic image {one.image}: {names.get(truth, truth)}; scores {said}",
        "truth": truth,
        "predicted": one.predicted,
        "score": f"{one.score:.2f}",
        "second": one.second,
        "second_score": f"{one.second_score:.2f}",
        "truth_score": None if one.truth_score is None else f"{one.truth_score:.2f}",
        "right": one.truth == one.predicted,
    }


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"


def _anchor(section: Section) -> str:
    return "part-" + re.sub(r"\W+", "-", section.title.lower())
