"""What readers say of cases: locked before the model's answer appears, revised after, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, select

from dermoscope.core.errors import ConflictError, ForbiddenError, ValueRuleError
from dermoscope.core.readings import Decision
from dermoscope.refine.decision import with_reader
from dermoscope.serve.answers import CaseAnswer, answer_of, visible
from dermoscope.serve.cases import OTHER, get
from dermoscope.serve.desk import Desk
from dermoscope.serve.tables import Case, Image, Opening, Reading, now

DECISIONS: tuple[Decision, ...] = ("refer", "low_concern", "cannot_assess")


@dataclass(frozen=True)
class Said:
    """A reader's judgement. `diagnosis` is a code of the taxonomy, `other`, or None; `confidence` in [0, 1] or None.

    Raises ValueRuleError for a decision, confidence or experience that cannot be.
    """

    decision: Decision
    diagnosis: str | None = None
    confidence: float | None = None
    experience: str | None = None

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            raise ValueRuleError(f"no decision {self.decision!r}; there are {', '.join(DECISIONS)}")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueRuleError(f"a confidence of {self.confidence}; it must be 0 to 1")
        if self.experience is not None and len(self.experience) > 80:
            raise ValueRuleError("experience in more than 80 characters; say it shorter")
        if self.experience is not None and not self.experience.isprintable():
            raise ValueRuleError("experience holds signs that cannot be printed; leave them out")


@dataclass(frozen=True)
class Readings:
    """Readings of one visit that this person may see: the own ones, and those of others."""

    first: Reading | None
    revised: Reading | None
    others: tuple[Reading, ...]

    @property
    def last(self) -> Reading | None:
        """The own reading that counts."""
        return self.revised or self.first


def opened(desk: Desk, case: Case) -> Opening:
    """Note when this person first opened this visit, and when the answer to it was first shown."""
    opening = _opening(desk, case)
    if opening is None:
        opening = Opening(case_id=case.id, visit=case.visit, reader=desk.person.name, opened_at=now())
        desk.session.add(opening)
    if opening.answered_at is None and visible(desk, case) and answer_of(desk, case) is not None:
        opening.answered_at = now()
        desk.record("answer.shown", f"case/{case.id}", visit=case.visit, order=desk.site.order)
    desk.session.flush()
    return opening


def to_note(desk: Desk, case: Case) -> bool:
    """Whether `opened` would note anything: nobody waits for the one who writes where it would not."""
    opening = _opening(desk, case)
    return opening is None or (opening.answered_at is None and visible(desk, case))


def lock(desk: Desk, case_id: int, said: Said, visit: int | None = None) -> Reading:
    """Store the first reading of this visit by this person; it is never changed.

    `visit` is the one that was looked at, None for whichever is the current one. It is aided where the answer is in
    view, and where this person saw it before the order or the mode was changed, or saw that to one of its pictures in
    another case.
    Raises ConflictError for a closed case, a second first reading, or pictures that came meanwhile, ValueRuleError for
    an unknown diagnosis.
    """
    case = _readable(desk, case_id, said, visit)
    if of(desk, case).first is not None:
        raise ConflictError(f"your reading of case {case_id} is locked already; revise it once the answer is shown")
    return _store(desk, case, said, "first", aided=_saw(desk, case) or visible(desk, case))


def revise(desk: Desk, case_id: int, said: Said, visit: int | None = None) -> Reading:
    """Store what this person says now that the answer is known; the first reading stays beside it.

    Raises ConflictError without a first reading, after one that was made with the answer in view, after a revision, or
    for pictures that came meanwhile, ForbiddenError where the answer is not shown, ValueRuleError for an unknown
    diagnosis.
    """
    case = _readable(desk, case_id, said, visit)
    own = of(desk, case)
    if own.first is None:
        raise ConflictError(f"lock your own reading of case {case_id} first")
    if own.first.aided:
        raise ConflictError(f"your reading of case {case_id} was made with the answer in view; one reading is all")
    if own.revised is not None:
        raise ConflictError(f"your reading of case {case_id} has been revised already; a record is never changed")
    if not visible(desk, case):
        raise ForbiddenError("the answer is not shown, so there is nothing to revise a reading by")
    return _store(desk, case, said, "revised", aided=True)


def of(desk: Desk, case: Case, visit: int | None = None) -> Readings:
    """Readings of a visit (default: the current one). Those of others appear when the answer does."""
    chosen = visit or case.visit
    found = desk.session.scalars(
        select(Reading).where(Reading.case_id == case.id, Reading.visit == chosen).order_by(Reading.id)
    ).all()
    own = {r.phase: r for r in found if r.reader == desk.person.name}
    shown = visible(desk, case, chosen)
    others = tuple(r for r in found if r.reader != desk.person.name and shown)
    return Readings(own.get("first"), own.get("revised"), others)


def _readable(desk: Desk, case_id: int, said: Said, visit: int | None) -> Case:
    case = get(desk, case_id)
    if case.closed_at is not None:
        raise ConflictError(f"case {case_id} is closed; reopen it to read it again")
    if visit not in (None, case.visit):
        raise ConflictError(
            f"case {case_id} is at visit {case.visit} by now, and visit {visit} was read; look at its new pictures"
        )
    codes = (*desk.bundle.taxonomy.codes, OTHER)
    if said.diagnosis is not None and said.diagnosis not in codes:
        raise ValueRuleError(f"no diagnosis {said.diagnosis!r}; there are {', '.join(codes)}")
    return case


def _store(desk: Desk, case: Case, said: Said, phase: str, *, aided: bool) -> Reading:
    opening, answer = _opening(desk, case), answer_of(desk, case)
    resolved, disagrees = resolution(desk, said.decision, answer)
    reading = Reading(
        case_id=case.id,
        visit=case.visit,
        reader=desk.person.name,
        phase=phase,
        aided=aided,
        diagnosis=said.diagnosis,
        decision=said.decision,
        confidence=said.confidence,
        experience=said.experience,
        mode=desk.site.mode,
        order=desk.site.order,
        shown=_shown(answer.results) if aided and answer is not None else [],
        resolved=resolved,
        disagrees=disagrees,
        opened_at=None if opening is None else opening.opened_at,
        made_at=now(),
    )
    desk.session.add(reading)
    desk.session.flush()
    verb = "reading.locked" if phase == "first" else "reading.revised"
    desk.record(verb, f"case/{case.id}", vars(said), visit=case.visit, aided=aided, results=reading.shown)
    return reading


def resolution(desk: Desk, decision: Decision, answer: CaseAnswer | None) -> tuple[Decision, bool]:
    """What follows from reader and model together, and whether they differ; in silent mode the reader alone counts."""
    if answer is None or desk.site.mode == "silent":
        return decision, False
    together = with_reader(answer.kind, decision)
    return together.decision, together.disagrees


def _opening(desk: Desk, case: Case) -> Opening | None:
    wanted = (Opening.case_id == case.id, Opening.visit == case.visit, Opening.reader == desk.person.name)
    return desk.session.scalar(select(Opening).where(*wanted))


def _saw(desk: Desk, case: Case) -> bool:
    """Whether this person saw the answer to this visit, or to one of its pictures wherever else that is stored."""
    opening = _opening(desk, case)
    if opening is not None and opening.answered_at is not None:
        return True
    digests = [image.digest for image in case.images if image.visit == case.visit and image.kind == "dermoscopic"]
    elsewhere = (
        select(Opening.id)
        .join(Image, and_(Image.case_id == Opening.case_id, Image.visit == Opening.visit))
        .where(Opening.reader == desk.person.name, Opening.answered_at.is_not(None), Image.digest.in_(digests))
    )
    return desk.session.scalar(elsewhere.limit(1)) is not None


def _shown(results: Sequence[object]) -> list[str]:
    return [str(result.id) for result in results]  # type: ignore[attr-defined]
