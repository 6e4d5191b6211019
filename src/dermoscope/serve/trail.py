"""The audit trail: who did what to which subject. Lines are only ever added."""

from typing import Any

from sqlalchemy.orm import Session

from dermoscope.serve.tables import Event


def record(session: Session, who: str, what: str, subject: str, **details: Any) -> None:
    """Add one line. `what` is a verb of `VERBS`, `subject` like `case/12`; `details` hold no text of a patient.

    Raises ValueError for an unknown verb: a misspelt one would never be found again.
    """
    if what not in VERBS:
        raise ValueError(f"no verb {what!r} of the audit trail")
    session.add(Event(who=who, what=what, subject=subject, details=details))


VERBS = (
    "started",
    "entered",
    "case.created",
    "case.changed",
    "case.closed",
    "case.reopened",
    "image.added",
    "image.removed",
    "result.made",
    "answer.shown",
    "reading.locked",
    "reading.revised",
    "histology.entered",
    "setting.changed",
    "job.created",
    "job.cancelled",
    "classified",
    "exported",
    "stopped",
    "login.succeeded",
    "login.failed",
    "login.ended",
    "user.created",
    "user.changed",
    "user.disabled",
    "key.created",
    "key.revoked",
    "link.used",
    "case.viewed",
    "image.viewed",
    "list.viewed",
    "case.deleted",
    "patient.deleted",
    "retention.applied",
    "audit.pruned",
    "audit.exported",
    "backup.made",
    "backup.restored",
    "model.changed",
    "clock.back",
)
