"""Patients, cases, pictures, and what model and readers said of them."""

import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from dermoscope.serve.tables.base import NEVER_AGAIN, MaybeMoment, Moment, Table, new_uid, now


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
    closed. By `uid` deletions are remembered.
    """

    __tablename__ = "cases"
    __table_args__ = (UniqueConstraint("patient_id", "lesion", name="uq_cases_patient_lesion"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), default=new_uid, server_default=text("''"), index=True, unique=True)
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
    __table_args__ = (UniqueConstraint("case_id", "visit", "reader", "phase", name="uq_readings_once"), NEVER_AGAIN)

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
    __table_args__ = (UniqueConstraint("case_id", "visit", "reader", name="uq_openings_once"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    visit: Mapped[int]
    reader: Mapped[str] = mapped_column(String(80))
    opened_at: Moment = mapped_column(default=now)
    answered_at: MaybeMoment
