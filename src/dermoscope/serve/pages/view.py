"""What the screen of a case shows, as plain values: whatever this person may not see yet is not in them."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from dermoscope.serve.agreement import Disagreement, disagreements
from dermoscope.serve.answers import CaseAnswer, answer_of, together, visible
from dermoscope.serve.desk import Desk
from dermoscope.serve.readings import Readings, of
from dermoscope.serve.tables import Case, Event, Image, Reading
from dermoscope.serve.worklist import Filter, neighbours

Stage = Literal["empty", "reading", "waiting", "answered"]


@dataclass(frozen=True)
class Picture:
    """One image as the strip shows it. `number` counts within its visit, `day` is when it was taken or else added."""

    id: int
    kind: str
    visit: int
    number: int
    width: int
    height: int
    day: datetime.date
    taken: bool
    device: str | None
    polarisation: str | None


@dataclass(frozen=True)
class Visit:
    """Pictures of one date."""

    number: int
    day: datetime.date
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, eq=False)
class Earlier:
    """An earlier visit: what was read, and the answer where it may be seen."""

    visit: Visit
    readings: Readings
    answer: CaseAnswer | None


@dataclass(frozen=True, eq=False)
class CaseView:
    """The screen of a case.

    `stage` says what is to be done: nothing to read yet (`empty`), the own reading (`reading`), it is locked and no
    answer is shown (`waiting`), or the answer is there (`answered`). `answer` is None unless it may be seen;
    without it there are no `disagreements`.
    """

    case: Case
    pseudonym: str
    visits: tuple[Visit, ...]
    chosen: Picture | None
    stage: Stage
    answer: CaseAnswer | None
    disagreements: tuple[Disagreement, ...]
    readings: Readings
    earlier: tuple[Earlier, ...]
    past: tuple[Event, ...]
    before: int | None
    after: int | None
    experience: str

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures, the latest visit first."""
        return tuple(picture for visit in self.visits for picture in visit.pictures)

    @property
    def heated(self) -> tuple[int, ...]:
        """Images that a heat map may be drawn for: scored ones whose answer is in view."""
        return tuple(result.image_id for result in self.answer.results) if self.assessed and self.answer else ()

    @property
    def assessed(self) -> bool:
        """Whether the model says anything of the lesion itself."""
        return self.answer is not None and self.answer.kind != "cannot_assess"

    @property
    def together(self) -> tuple[str | None, bool]:
        """What follows from the own last reading and the answer, and whether they differ.

        Where the model could not assess nothing follows from the two: the reading stands as it is.
        """
        if self.readings.last is None or not self.assessed:
            return None, False
        return together(self.readings.last, self.answer)

    @property
    def may_read(self) -> bool:
        """Whether this person's own reading is still to come."""
        return bool(self.visits) and self.readings.first is None and self.case.closed_at is None

    @property
    def may_revise(self) -> bool:
        """Whether the reading may be made again with the answer in view."""
        first = self.readings.first
        made = first is not None and not first.aided and self.readings.revised is None
        return made and self.answer is not None and self.case.closed_at is None


def view_of(desk: Desk, case: Case, wanted: Filter, image_id: int | None = None) -> CaseView:
    """What this person sees of a case; `image_id` is the picture to begin with."""
    visits = _visits(case.images)
    shown = answer_of(desk, case) if visible(desk, case) else None
    readings = of(desk, case)
    before, after = neighbours(desk, case.id, wanted)
    pictures = [picture for visit in visits for picture in visit.pictures]
    scored = [picture for picture in pictures if picture.kind == "dermoscopic"]
    chosen = next((p for p in pictures if p.id == image_id), next(iter(scored or pictures), None))
    return CaseView(
        case,
        case.patient.pseudonym,
        visits,
        chosen,
        _stage(readings, shown, pictures),
        shown,
        disagreements(desk, case, shown) if shown is not None else (),
        readings,
        tuple(_earlier(desk, case, visit, shown is not None) for visit in visits if visit.number < case.visit),
        _past(desk, case, shown is not None),
        before,
        after,
        _experience(desk),
    )


def _stage(readings: Readings, shown: CaseAnswer | None, pictures: Sequence[Picture]) -> Stage:
    if not pictures:
        return "empty"
    if shown is not None:
        return "answered"
    return "reading" if readings.first is None else "waiting"


def _earlier(desk: Desk, case: Case, visit: Visit, answered: bool) -> Earlier:
    """While the current visit is still to be read, its reader is not reminded of earlier answers either."""
    seen = answered and visible(desk, case, visit.number)
    return Earlier(visit, of(desk, case, visit.number), answer_of(desk, case, visit.number) if seen else None)


def _past(desk: Desk, case: Case, answered: bool) -> tuple[Event, ...]:
    """What was done with a case. Until the answer is in view nobody learns that others have read it.

    Who has only looked stands in the audit trail: here it would tell of other readers, and grow with every look.
    """
    wanted = select(Event).where(Event.subject == f"case/{case.id}", Event.what != "case.viewed").order_by(Event.id)
    readers = ("reading.locked", "reading.revised", "answer.shown")
    return tuple(
        event
        for event in desk.session.scalars(wanted)
        if answered or event.who == desk.person.name or event.what not in readers
    )


def _visits(images: Sequence[Image]) -> tuple[Visit, ...]:
    """The latest first; within one, scored pictures before overviews."""
    found = []
    for number in sorted({image.visit for image in images}, reverse=True):
        own = sorted((i for i in images if i.visit == number), key=lambda i: (i.kind != "dermoscopic", i.id))
        pictures = tuple(_picture(image, position) for position, image in enumerate(own, start=1))
        found.append(Visit(number, pictures[0].day, pictures))
    return tuple(found)


def _picture(image: Image, number: int) -> Picture:
    day = image.captured_on or image.added_at.astimezone().date()
    return Picture(
        image.id,
        image.kind,
        image.visit,
        number,
        image.width,
        image.height,
        day,
        image.captured_on is not None,
        image.device,
        image.polarisation,
    )


def _experience(desk: Desk) -> str:
    """What this reader said of the own experience last, so that it is typed once."""
    last = select(Reading.experience).where(Reading.reader == desk.person.name).order_by(Reading.id.desc()).limit(1)
    return desk.session.scalar(last) or ""
