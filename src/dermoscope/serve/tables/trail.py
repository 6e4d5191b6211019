"""Settings with their history, the audit trail, and what is remembered of deletions."""

from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from dermoscope.serve.tables.base import MaybeMoment, Moment, Table, now


class Change(Table):
    """One change of a setting; the last one of a name counts."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), index=True)
    value: Mapped[dict[str, Any]]
    made_at: Moment = mapped_column(default=now)
    made_by: Mapped[str] = mapped_column(String(80))


class Event(Table):
    """One line of the audit trail: who did what to which subject. Never changed; numbers have no gap.

    `hash` chains it to the line before. `sealed` is what was said of a lesion, under the key of its case.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Moment = mapped_column(default=now, index=True)
    who: Mapped[str] = mapped_column(String(80), index=True)
    what: Mapped[str] = mapped_column(String(40), index=True)
    subject: Mapped[str] = mapped_column(String(80), index=True)
    details: Mapped[dict[str, Any]]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    hash: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))


class Head(Table):
    """Where the audit trail ends (`count`, `hash`, `at`) and begins (`base`, `base_hash`: the last line pruned).

    One row, number 1. `seal` is an HMAC of the others under a key that the database does not hold.
    """

    __tablename__ = "audit_head"
    __table_args__ = {}  # noqa: RUF012 - as SQLAlchemy wants it

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(default=0)
    hash: Mapped[str] = mapped_column(String(64), default="")
    at: MaybeMoment
    base: Mapped[int] = mapped_column(default=0)
    base_hash: Mapped[str] = mapped_column(String(64), default="")
    seal: Mapped[str] = mapped_column(String(64), default="")


class CaseKey(Table):
    """The key that lines of the audit trail about a case are sealed with; destroyed with the case."""

    __tablename__ = "case_keys"
    __table_args__ = {}  # noqa: RUF012 - as SQLAlchemy wants it

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, autoincrement=False)
    key: Mapped[bytes] = mapped_column(LargeBinary(200))


class Deletion(Table):
    """A case that is to be deleted, or was: noted before, so that a deletion that was cut off is finished."""

    __tablename__ = "deletions"
    __table_args__ = {}  # noqa: RUF012 - as SQLAlchemy wants it

    uid: Mapped[str] = mapped_column(String(32), primary_key=True)
    begun_at: Moment = mapped_column(default=now)
    by: Mapped[str] = mapped_column(String(80))
    reason: Mapped[str] = mapped_column(String(200), default="")
    ended_at: MaybeMoment
