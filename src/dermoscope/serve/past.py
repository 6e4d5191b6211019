"""Lines of the audit trail as somebody looks for them, the latest first."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.serve.tables import Event


@dataclass(frozen=True, slots=True)
class Sought:
    """What lines are looked for: of a subject (`case/12`), a verb, a person; what is empty is left open."""

    subject: str = ""
    what: str = ""
    who: str = ""


def lines(session: Session, sought: Sought, before: int | None, most: int) -> list[Event]:
    """At most so many lines with a number below `before`, the latest first."""
    wanted = select(Event).order_by(Event.id.desc()).limit(most)
    if before is not None:
        wanted = wanted.where(Event.id < before)
    for column, value in ((Event.subject, sought.subject), (Event.what, sought.what), (Event.who, sought.who)):
        if value:
            wanted = wanted.where(column == value)
    return list(session.scalars(wanted))
