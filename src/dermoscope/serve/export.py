"""What a clinic takes along: readings and history as CSV, a case as JSON and on paper.

Nobody learns from an export what the pages would not show: answers, and readings of others, stand in it where
`answers.visible` says so for whoever asks, admins included.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from dermoscope import __version__
from dermoscope.report.case import case_pdf as printed
from dermoscope.serve.accounts import LANGUAGES, Person
from dermoscope.serve.answers import answer_of, answer_of_results, last_results, visible
from dermoscope.serve.cases import get
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.readings import of
from dermoscope.serve.records import (
    Row,
    answer_row,
    case_row,
    full_result,
    outcome_row,
    picture_row,
    read_row,
    reading_row,
    result_row,
    time_text,
)
from dermoscope.serve.sheet import sheet_of
from dermoscope.serve.tables import Case, Image, Reading, Result, now
from dermoscope.serve.texts import Texts
from dermoscope.serve.wording import notice

Sees = Callable[[int, int], bool]
"""Whether this person may see the answer to a visit (case, visit)."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_READING = (
    *("reader", "case", "diagnosis", "decision", "confidence", "experience", "phase", "aided"),
    *("case_id", "visit", "pseudonym", "lesion", "mode", "order", "opened_at", "made_at", "seconds"),
    *("resolved", "disagrees", "results_shown", "histology"),
)
_PICTURE = (
    *("case_id", "pseudonym", "lesion", "body_site", "intake", "sample", "batch", "created_at", "created_by"),
    *("visit", "image_id", "kind", "sha256", "width", "height", "captured_on", "device", "polarisation"),
    *("added_at", "added_by"),
)
_RESULT = (
    *("model", "read_at", "mode", "order", "prevalence", "prevalence_malignant", "prevalence_melanoma"),
    *("answer", "cause", "suspected", "ood", "warnings"),
)
_CASE = (
    *("case_answer", "readings", "last_reader", "last_decision", "last_diagnosis", "resolved", "disagrees"),
    *("histology", "histology_on", "histology_by", "closed_at"),
)


def readings_csv(service: Service, person: Person) -> str:
    """One line a reading: the columns of `core.readings.Reading` first, then times and what followed.

    `case` names case and visit (`12-1`), so that a reader has one reading of it in each phase; `seconds` lie between
    opening and locking.
    """
    with service.looking(person) as desk:
        sees = _sees(desk)
        wanted = select(Reading).options(selectinload(Reading.case).selectinload(Case.patient)).order_by(Reading.id)
        rows = [
            reading_row(r, sees(r.case_id, r.visit))
            for r in desk.session.scalars(wanted)
            if r.reader == person.name or sees(r.case_id, r.visit)
        ]
    _note(service, person, "readings.csv", rows=len(rows))
    return _csv(_READING, rows)


def history_csv(service: Service, person: Person) -> str:
    """One line a picture: its case, what the model said of it under which settings, readings and histology.

    `p_CODE` are probabilities under the prior of the site at that time.
    """
    with service.looking(person) as desk:
        rows = list(_history(desk, _sees(desk)))
        known = [f"p_{code}" for code in desk.bundle.taxonomy.codes]
    codes = dict.fromkeys([*known, *(name for row in rows for name in row if name.startswith("p_"))])
    _note(service, person, "history.csv", rows=len(rows))
    return _csv((*_PICTURE, *_RESULT, *codes, *_CASE), rows)


def case_json(service: Service, person: Person, case_id: int) -> Row:
    """A case with all its visits, as far as this person may see them. Raises NotFoundError."""
    with service.looking(person) as desk:
        case = get(desk, case_id)
        bundle = desk.bundle
        told = {
            "case": _picked(case_row(case), _PICTURE[:9]),
            "visits": [_visit(desk, case, visit) for visit in range(1, case.visit + 1)],
            "histology": None if case.histology is None else _picked(outcome_row(case), _CASE[-4:]),
            "site": {"mode": desk.site.mode, "order": desk.site.order, "prevalence": dict(desk.site.prevalence)},
            "model": {"name": bundle.manifest.name, "sha256": bundle.sha256},
            "notice": {language: notice(desk.site, Texts.load(language)) for language in LANGUAGES},
            "software": f"dermoscope {__version__}",
            "exported_at": time_text(now()),
        }
    _note(service, person, f"case/{case_id}", format="json")
    return told


def case_pdf(service: Service, person: Person, case_id: int) -> bytes:
    """The current visit of a case on A4, in this person's language.

    Raises NotFoundError, MissingDependencyError without WeasyPrint.
    """
    with service.looking(person) as desk:
        sheet = sheet_of(desk, case_id)
    content = printed(sheet)
    _note(service, person, f"case/{case_id}", format="pdf")
    return content


def _sees(desk: Desk) -> Sees:
    """`answers.visible`, asked once for each visit."""
    return cache(lambda case_id, visit: visible(desk, get(desk, case_id), visit))


def _history(desk: Desk, sees: Sees) -> Iterator[Row]:
    own = selectinload(Case.images).selectinload(Image.results)
    wanted = select(Case).options(selectinload(Case.patient), own, selectinload(Case.readings)).order_by(Case.id)
    for case in desk.session.scalars(wanted):
        for image in case.images:
            seen = sees(case.id, image.visit)
            readings = [r for r in case.readings if r.visit == image.visit and (seen or r.reader == desk.person.name)]
            answer = answer_of_results(_last(case, image.visit)) if seen else None
            yield {
                **case_row(case),
                **picture_row(image),
                **(result_row(image.results[-1]) if seen and image.results else {}),
                **read_row(readings, seen),
                "case_answer": None if answer is None else answer.kind,
                **outcome_row(case),
            }


def _last(case: Case, visit: int) -> list[Result]:
    return [image.results[-1] for image in case.images if image.visit == visit and image.results]


def _visit(desk: Desk, case: Case, visit: int) -> Row:
    seen = visible(desk, case, visit)
    answer = answer_of(desk, case, visit) if seen else None
    last = {result.image_id: result for result in last_results(desk, case, visit)} if seen else {}
    images = []
    for image in (image for image in case.images if image.visit == visit):
        said = last.get(image.id)
        images.append({**picture_row(image), "result": None if said is None else full_result(said)})
    held = of(desk, case, visit)
    readings = [r for r in (held.first, held.revised, *held.others) if r is not None]
    return {
        "visit": visit,
        "images": images,
        "answer": None if answer is None else answer_row(answer),
        "readings": [reading_row(r, seen) for r in sorted(readings, key=lambda r: r.id)],
    }


def _note(service: Service, person: Person, subject: str, **details: Any) -> None:
    with service.desk(person) as desk:
        desk.record("exported", subject, **details)


def _picked(row: Row, names: Iterable[str]) -> Row:
    return {name: row[name] for name in names}


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    """A value as text: nothing for None, lists with semicolons, and no text that a spreadsheet would calculate."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = ";".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
