"""What there is to do: cases by what they wait for, the oldest first."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from dermoscope.core.errors import InputError
from dermoscope.serve.answers import CaseAnswer, answer_of_results, together
from dermoscope.serve.cases import BODY_SITES
from dermoscope.serve.desk import Desk
from dermoscope.serve.tables import Case, Image, Patient, Reading, Result

TABS = ("unread", "disagreements", "awaiting", "closed", "all")
"""Not read yet; reader and model differ; referred and without histology; closed by histology; everything."""
ROWS = 25
"""Cases of one page."""


@dataclass(frozen=True)
class Filter:
    """What is looked for. `text` is part of a pseudonym or lesion, or a case's number; None leaves a field open.

    `answer` finds only cases whose answer this person may see. Raises InputError for a tab or site that is not there,
    and for signs that stand in no record.
    """

    tab: str = "unread"
    text: str = ""
    body_site: str | None = None
    answer: str | None = None
    diagnosis: str | None = None

    def __post_init__(self) -> None:
        for name, given, known in (
            ("tab", self.tab, TABS),
            ("body site", self.body_site, BODY_SITES),
            ("answer", self.answer, ("refer", "low_concern", "cannot_assess")),
        ):
            if given is not None and given not in known:
                raise InputError(f"no {name} {given!r}; there are {', '.join(known)}")
        if not (self.text + (self.diagnosis or "")).isprintable():
            raise InputError("what is looked for holds signs that cannot be printed; leave them out")


@dataclass(frozen=True)
class WorkRow:
    """One line of the list. What this person may not see yet is None.

    `image_id` is the first dermoscopic image of the visit (else the first image); `decision` is of the last reading,
    `resolved` what follows from it and the model together.
    """

    case_id: int
    pseudonym: str
    lesion: str
    body_site: str | None
    created_at: datetime.datetime
    visit: int
    images: int
    image_id: int | None
    read: bool
    reader: str | None
    decision: str | None
    diagnosis: str | None
    resolved: str | None
    disagrees: bool
    answer: CaseAnswer | None
    histology: str | None
    closed_at: datetime.datetime | None
    sample: bool
    intake: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """One page of the list: `total` cases on `pages` pages, and how many each tab holds without the filter."""

    rows: tuple[WorkRow, ...]
    total: int
    page: int
    pages: int
    counts: dict[str, int]


def listed(desk: Desk, wanted: Filter, page: int = 1, rows: int = ROWS) -> Listing:
    """A page of the cases that are wanted, the oldest first; a page beyond the last is the last."""
    conditions = _conditions(desk, wanted)
    total = desk.session.scalar(select(func.count(Case.id)).join(Patient).where(*conditions)) or 0
    pages = max(1, -(-total // rows))
    page = min(max(page, 1), pages)
    found = desk.session.execute(
        select(Case, Patient.pseudonym)
        .join(Patient)
        .where(*conditions)
        .order_by(Case.id)
        .offset((page - 1) * rows)
        .limit(rows)
    ).all()
    return Listing(_rows(desk, [(c, p) for c, p in found]), total, page, pages, counts(desk))


def counts(desk: Desk) -> dict[str, int]:
    """How many cases each tab holds."""
    return {tab: desk.session.scalar(select(func.count(Case.id)).where(*_of_tab(desk, tab))) or 0 for tab in TABS}


def neighbours(desk: Desk, case_id: int, wanted: Filter) -> tuple[int | None, int | None]:
    """The cases before and after this one among those that are wanted; it need not be one of them itself."""
    conditions = _conditions(desk, wanted)
    before = select(func.max(Case.id)).join(Patient).where(Case.id < case_id, *conditions)
    after = select(func.min(Case.id)).join(Patient).where(Case.id > case_id, *conditions)
    return desk.session.scalar(before), desk.session.scalar(after)


def _conditions(desk: Desk, wanted: Filter) -> list[ColumnElement[bool]]:
    found = _of_tab(desk, wanted.tab)
    if text := wanted.text.strip():
        escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        like = [column.ilike(f"%{escaped}%", escape="\\") for column in (Patient.pseudonym, Case.lesion)]
        number = [Case.id == int(text)] if text.isascii() and text.isdigit() and len(text) < 10 else []
        found.append(or_(*like, *number))
    if wanted.body_site is not None:
        found.append(Case.body_site == wanted.body_site)
    if wanted.diagnosis is not None:
        found.append(
            or_(Case.histology == wanted.diagnosis, _last_reading(desk, Reading.diagnosis == wanted.diagnosis))
        )
    if wanted.answer is not None:
        found += [_shown(desk), _answered(wanted.answer)]
    return found


def _of_tab(desk: Desk, tab: str) -> list[ColumnElement[bool]]:
    if tab == "all":
        return []
    if tab == "closed":
        return [Case.closed_at.is_not(None)]
    waits = {
        "unread": ~_read(desk),
        "disagreements": or_(
            _last_reading(desk, Reading.disagrees.is_(True)),
            *_late(desk, ("low_concern", "refer"), ("refer", "low_concern")),
        ),
        "awaiting": or_(
            _last_reading(desk, Reading.resolved == "refer"),
            *_late(desk, ("low_concern", "refer"), ("cannot_assess", "refer")),
        ),
    }
    return [Case.closed_at.is_(None), waits[tab]]


def _late(desk: Desk, *pairs: tuple[str, str]) -> list[ColumnElement[bool]]:
    """`answers.together` for many cases: decisions that were made in silence, with answers that are shown by now."""
    if desk.site.mode == "silent":
        return []
    return [
        and_(_last_reading(desk, and_(Reading.mode == "silent", Reading.decision == said)), _answered(kind))
        for said, kind in pairs
    ]


def _mine(desk: Desk) -> list[ColumnElement[bool]]:
    """Readings that count for this person: in open mode a clinic reads together, else everybody alone."""
    current = [Reading.case_id == Case.id, Reading.visit == Case.visit]
    return current if desk.site.mode == "open" else [*current, Reading.reader == desk.person.name]


def _read(desk: Desk) -> ColumnElement[bool]:
    return exists().where(*_mine(desk))


def _last_reading(desk: Desk, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether the last reading that counts is such a one."""
    last = select(func.max(Reading.id)).where(*_mine(desk)).correlate(Case).scalar_subquery()
    return Case.id.in_(select(Reading.case_id).where(Reading.id == last, condition).correlate(Case))


def _shown(desk: Desk) -> ColumnElement[bool]:
    """The rule of `answers.visible` for many cases at once."""
    if desk.site.mode == "silent":
        return Case.id < 0
    return Case.id >= 0 if desk.site.order == "ai_first" else _read(desk)


def _answered(kind: str) -> ColumnElement[bool]:
    """Whether the answer of the current visit is of this kind, by the rule of `refine.decision.resolve`."""

    def has(answer: str) -> ColumnElement[bool]:
        last = select(func.max(Result.id)).group_by(Result.image_id)
        of_case = and_(Image.case_id == Case.id, Image.visit == Case.visit, Result.image_id == Image.id)
        return exists().where(of_case, Result.id.in_(last), Result.answer == answer)

    refer, unclear, low = has("refer"), has("cannot_assess"), has("low_concern")
    return {"refer": refer, "cannot_assess": and_(~refer, unclear), "low_concern": and_(~refer, ~unclear, low)}[kind]


def _rows(desk: Desk, found: Sequence[tuple[Case, str]]) -> tuple[WorkRow, ...]:
    ids = [case.id for case, _ in found]
    if not ids:
        return ()
    read = set(desk.session.scalars(select(Case.id).where(Case.id.in_(ids), _read(desk))))
    shown = set(desk.session.scalars(select(Case.id).where(Case.id.in_(ids), _shown(desk))))
    images = desk.session.execute(
        select(Image.case_id, Image.id, Image.visit, Image.kind).where(Image.case_id.in_(ids)).order_by(Image.id)
    ).all()
    readings = _readings_that_count(desk, ids)
    results = _results(desk, [image_id for case_id, image_id, _, _ in images if case_id in shown])
    rows = []
    for case, pseudonym in found:
        own = [(i, kind) for case_id, i, visit, kind in images if case_id == case.id and visit == case.visit]
        scored = [i for i, kind in own if kind == "dermoscopic"]
        reading = readings.get(case.id)
        answer = answer_of_results([results[i] for i in scored if i in results])
        resolved, differs = (None, False) if reading is None else together(reading, answer)
        rows.append(
            WorkRow(
                case.id,
                pseudonym,
                case.lesion,
                case.body_site,
                case.created_at,
                case.visit,
                sum(case_id == case.id for case_id, *_ in images),
                scored[0] if scored else own[0][0] if own else None,
                case.id in read,
                reading.reader if reading else None,
                reading.decision if reading else None,
                reading.diagnosis if reading else None,
                resolved,
                differs,
                answer,
                case.histology,
                case.closed_at,
                case.sample,
                tuple(case.intake),
            )
        )
    return tuple(rows)


def _readings_that_count(desk: Desk, ids: Sequence[int]) -> dict[int, Reading]:
    """The last reading of each case that this person may see: every one in open mode, else the own."""
    wanted = [Reading.case_id.in_(ids), Reading.visit == Case.visit]
    if desk.site.mode != "open":
        wanted.append(Reading.reader == desk.person.name)
    found = desk.session.scalars(
        select(Reading).join(Case, Case.id == Reading.case_id).where(*wanted).order_by(Reading.id)
    )
    return {reading.case_id: reading for reading in found}


def _results(desk: Desk, image_ids: Sequence[int]) -> dict[int, Result]:
    found = desk.session.scalars(select(Result).where(Result.image_id.in_(image_ids)).order_by(Result.id))
    return {result.image_id: result for result in found}
