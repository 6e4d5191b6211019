"""What the service stores. Times are UTC; JSON columns hold what `classify --json` would say or plain lists.

Nothing here names a patient: a pseudonym is what the clinic keeps the key of. Records of what was said or decided
(`Result`, `Reading`, `Event`, `Change`) are written once and never changed.
"""

import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, LargeBinary, MetaData, String, TypeDecorator, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class UtcTime(TypeDecorator[datetime.datetime]):
    """A moment with its zone: SQLite would forget it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, _: Dialect) -> datetime.datetime | None:
        """UTC, whatever zone was given; a time without zone is a mistake of the caller."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without zone")
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value: datetime.datetime | None, _: Dialect) -> datetime.datetime | None:
        """The same with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


def now() -> datetime.datetime:
    """This moment, UTC."""
    return datetime.datetime.now(datetime.UTC)


Moment = Mapped[datetime.datetime]
MaybeMoment = Mapped[datetime.datetime | None]


_NEVER_AGAIN = {"sqlite_autoincrement": True}
"""No number is given twice, also where its row was deleted: the audit trail speaks of `image/12` for ever."""


class Table(DeclarativeBase):
    """Base of all tables; constraints are named, so that migrations can name them."""

    __table_args__: Any = _NEVER_AGAIN

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime.datetime: UtcTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        dict[str, float]: JSON,
    }


class Patient(Table):
    """A person under a pseudonym."""

    __tablename__ = "patients"

    id: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(80), unique=True)
    created_at: Moment = mapped_column(default=now)
    cases: Mapped[list["Case"]] = relationship(back_populates="patient")


class Case(Table):
    """One lesion of a patient, over time.

    `visit` counts from 1 and grows when images come after a reading was locked. `intake` holds codes of
    `refine.decision.INTAKE` that apply. `histology` is a diagnosis of the taxonomy, or `other`; with it the case is
    closed.
    """

    __tablename__ = "cases"
    __table_args__ = (UniqueConstraint("patient_id", "lesion", name="uq_cases_patient_lesion"), _NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    lesion: Mapped[str] = mapped_column(String(40), default="1")
    body_site: Mapped[str | None] = mapped_column(String(40))
    intake: Mapped[list[str]] = mapped_column(default=list)
    visit: Mapped[int] = mapped_column(default=1)
    created_at: Moment = mapped_column(default=now, index=True)
    created_by: Mapped[str] = mapped_column(String(80))
    sample: Mapped[bool] = mapped_column(default=False)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"), index=True)
    histology: Mapped[str | None] = mapped_column(String(10))
    histology_on: Mapped[datetime.date | None]
    histology_by: Mapped[str | None] = mapped_column(String(80))
    closed_at: MaybeMoment = mapped_column(index=True)

    patient: Mapped[Patient] = relationship(back_populates="cases")
    images: Mapped[list["Image"]] = relationship(back_populates="case", order_by="Image.id")
    readings: Mapped[list["Reading"]] = relationship(back_populates="case", order_by="Reading.id")


class Blob(Table):
    """A file below `blobs/`, by the SHA-256 of its content; `references` images use it, at 0 it may be removed."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    media: Mapped[str] = mapped_column(String(40))
    size: Mapped[int]
    references: Mapped[int] = mapped_column(default=0, index=True)
    created_at: Moment = mapped_column(default=now)


class Image(Table):
    """One picture of a case: `dermoscopic` (scored) or `overview` (shown, never scored).

    `captured_on`, `device` and `polarisation` (`polarised`, `unpolarised` or none) are all that is kept of EXIF.
    """

    __tablename__ = "images"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    visit: Mapped[int] = mapped_column(default=1)
    kind: Mapped[str] = mapped_column(String(12))
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"), index=True)
    width: Mapped[int]
    height: Mapped[int]
    captured_on: Mapped[datetime.date | None]
    device: Mapped[str | None] = mapped_column(String(80))
    polarisation: Mapped[str | None] = mapped_column(String(12))
    added_at: Moment = mapped_column(default=now)
    added_by: Mapped[str] = mapped_column(String(80))

    case: Mapped[Case] = relationship(back_populates="images")
    blob: Mapped[Blob] = relationship()
    results: Mapped[list["Result"]] = relationship(back_populates="image", order_by="Result.id")


class Result(Table):
    """What a model said of one image, when, and under which settings of the site. Never changed.

    `probabilities` are under the site's prior, `calibrated` under the prior that the model was calibrated at; `prior`
    is the site's. `answer`, `cause`, `suspected`, `reasons` and `figures` are those of `core.prediction.Answer`.
    """

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    model: Mapped[str] = mapped_column(String(64))
    made_at: Moment = mapped_column(default=now)
    mode: Mapped[str] = mapped_column(String(10))
    order: Mapped[str] = mapped_column(String(12))
    prevalence: Mapped[dict[str, Any]]
    prior: Mapped[dict[str, float]]
    answer: Mapped[str] = mapped_column(String(16))
    cause: Mapped[str] = mapped_column(String(40))
    suspected: Mapped[str | None] = mapped_column(String(10))
    reasons: Mapped[list[str]]
    figures: Mapped[dict[str, float]]
    probabilities: Mapped[dict[str, float]]
    calibrated: Mapped[dict[str, float]]
    ood: Mapped[float | None]
    quality: Mapped[dict[str, float]]
    warnings: Mapped[list[str]]
    intake: Mapped[list[str]]

    image: Mapped[Image] = relationship(back_populates="results")


class Reading(Table):
    """What a reader said of a case at a visit, before the model's answer appeared or after. Never changed.

    `phase` is `first` or `revised`; `aided` says whether the answer was visible. `shown` holds the ids of the results
    that were. `resolved` is what follows from reader and model together; `disagrees` that they differ.
    """

    __tablename__ = "readings"
    __table_args__ = (UniqueConstraint("case_id", "visit", "reader", "phase", name="uq_readings_once"), _NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    visit: Mapped[int]
    reader: Mapped[str] = mapped_column(String(80), index=True)
    phase: Mapped[str] = mapped_column(String(8))
    aided: Mapped[bool]
    diagnosis: Mapped[str | None] = mapped_column(String(10))
    decision: Mapped[str] = mapped_column(String(16))
    confidence: Mapped[float | None]
    experience: Mapped[str | None] = mapped_column(String(80))
    mode: Mapped[str] = mapped_column(String(10))
    order: Mapped[str] = mapped_column(String(12))
    shown: Mapped[list[str]]
    resolved: Mapped[str | None] = mapped_column(String(16))
    disagrees: Mapped[bool] = mapped_column(default=False)
    opened_at: MaybeMoment
    made_at: Moment = mapped_column(default=now, index=True)

    case: Mapped[Case] = relationship(back_populates="readings")


class Opening(Table):
    """When a reader first opened a visit of a case, and first saw the model's answer to it."""

    __tablename__ = "openings"
    __table_args__ = (UniqueConstraint("case_id", "visit", "reader", name="uq_openings_once"), _NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    visit: Mapped[int]
    reader: Mapped[str] = mapped_column(String(80))
    opened_at: Moment = mapped_column(default=now)
    answered_at: MaybeMoment


class Change(Table):
    """One change of a setting; the last one of a name counts."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), index=True)
    value: Mapped[dict[str, Any]]
    made_at: Moment = mapped_column(default=now)
    made_by: Mapped[str] = mapped_column(String(80))


class Event(Table):
    """One line of the audit trail: who did what to which subject, append only."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Moment = mapped_column(default=now, index=True)
    who: Mapped[str] = mapped_column(String(80))
    what: Mapped[str] = mapped_column(String(40), index=True)
    subject: Mapped[str] = mapped_column(String(80), index=True)
    details: Mapped[dict[str, Any]]


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
    """One image of a batch: `state` is `waiting`, `done` or `failed` (with `problem`)."""

    __tablename__ = "job_items"
    __table_args__ = (
        UniqueConstraint("job_id", "position", name="uq_job_items_position"),
        Index("ix_job_items_job_id_state", "job_id", "state"),
        _NEVER_AGAIN,
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

    job: Mapped[Job] = relationship(back_populates="items")


class Answered(Table):
    """What was answered to a request with an `Idempotency-Key`: the same key at the same place gives it again."""

    __tablename__ = "answered"
    __table_args__ = (UniqueConstraint("key", "place", "who", name="uq_answered_once"), _NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(200))
    place: Mapped[str] = mapped_column(String(200))
    who: Mapped[str] = mapped_column(String(80))
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[dict[str, Any]]
    made_at: Moment = mapped_column(default=now, index=True)


class Entry(Table):
    """A code by which a role enters where the service is reached from elsewhere; only its hash is held."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(10), unique=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary(16))
    hash: Mapped[bytes] = mapped_column(LargeBinary(64))
    made_at: Moment = mapped_column(default=now)
