"""Batches, answers that may be asked for again, and the processes that work on them."""

from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from dermoscope.serve.tables.base import NEVER_AGAIN, MaybeMoment, Moment, Table, now


class Job(Table):
    """A batch of images that is worked off in the background, a case each."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Moment = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(80))
    title: Mapped[str] = mapped_column(String(80), default="")
    finished_at: MaybeMoment
    cancelled_at: MaybeMoment
    items: Mapped[list["JobItem"]] = relationship(back_populates="job", order_by="JobItem.position")


class JobItem(Table):
    """One image of a batch: `state` is `waiting`, `done` or `failed` (with `problem`).

    `claimed_by` is the process that works on it, `attempts` how many have begun.
    """

    __tablename__ = "job_items"
    __table_args__ = (
        UniqueConstraint("job_id", "position", name="uq_job_items_position"),
        Index("ix_job_items_job_id_state", "job_id", "state"),
        NEVER_AGAIN,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    position: Mapped[int]
    pseudonym: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str | None] = mapped_column(ForeignKey("blobs.digest"))
    facts: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    problem: Mapped[str | None] = mapped_column(String(400))
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    claimed_by: Mapped[str | None] = mapped_column(String(40))
    claimed_at: MaybeMoment
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")

    job: Mapped[Job] = relationship(back_populates="items")


class Answered(Table):
    """What was answered to a request with an `Idempotency-Key`: the same key at the same place gives it again.

    `holder` is the process that works on it, as long as it is not answered.
    """

    __tablename__ = "answered"
    __table_args__ = (UniqueConstraint("key", "place", "who", name="uq_answered_once"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(200))
    place: Mapped[str] = mapped_column(String(200))
    who: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[dict[str, Any]]
    holder: Mapped[str | None] = mapped_column(String(40))
    made_at: Moment = mapped_column(default=now, index=True)


class Process(Table):
    """A process that serves; one whose `beat_at` is old lives no longer."""

    __tablename__ = "processes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    started_at: Moment = mapped_column(default=now)
    beat_at: Moment = mapped_column(default=now)
    model: Mapped[str] = mapped_column(String(64), default="")
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)
