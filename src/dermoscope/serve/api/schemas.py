"""What the API takes and gives of cases, images and readings, each with an example."""

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dermoscope.core.readings import Decision
from dermoscope.refine.decision import INTAKE, IntakeFlag
from dermoscope.serve.answers import visible
from dermoscope.serve.api.words import MOST_NUMBER, Code, Day, MaybeText, Name, Share, ShortName
from dermoscope.serve.cases import BODY_SITES
from dermoscope.serve.desk import Desk
from dermoscope.serve.tables import Case, Image, Reading

_AT = "2026-03-31T09:30:00Z"


def shown(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that is given, with its example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def taken(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that is taken: no field that is not known, no number that is none."""
    return ConfigDict(extra="forbid", allow_inf_nan=False, json_schema_extra={"examples": [example]})


BodySite = Annotated[str, Field(json_schema_extra={"enum": list(BODY_SITES)})]


class NewCaseIn(BaseModel):
    """A lesion of a pseudonymous patient."""

    model_config = taken({"pseudonym": "P-0417", "lesion": "left forearm", "body_site": "upper_extremity"})

    pseudonym: Name = Field(description="What the clinic calls the patient; never a name.")
    lesion: ShortName = Field("1", description="Which lesion of the patient.")
    body_site: BodySite | None = None
    intake: list[IntakeFlag] = Field(
        default=[], max_length=len(INTAKE), description="What applies of it gives `cannot_assess`."
    )


class ImageOut(BaseModel):
    """One picture of a case."""

    model_config = shown(
        {
            "id": 31,
            "kind": "dermoscopic",
            "visit": 1,
            "width": 1600,
            "height": 1200,
            "media": "image/jpeg",
            "captured_on": "2026-03-30",
            "device": "Canon EOS 80D",
            "polarisation": "polarised",
            "added_at": _AT,
            "added_by": "R1",
            "full": "/api/v1/images/31/full",
            "thumb": "/api/v1/images/31/thumb",
        }
    )

    id: int
    kind: Literal["dermoscopic", "overview"] = Field(description="Dermoscopic ones are scored, overviews never.")
    visit: int
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    media: str
    captured_on: datetime.date | None
    device: str | None
    polarisation: str | None
    added_at: datetime.datetime
    added_by: str
    full: str = Field(description="Where the picture is, as it is stored: without EXIF, GPS and names.")
    thumb: str = Field(description="Where a small copy is.")

    @classmethod
    def of(cls, image: Image) -> "ImageOut":
        """The picture as the API tells it."""
        place = f"/api/v1/images/{image.id}"
        return cls(
            id=image.id,
            kind="overview" if image.kind == "overview" else "dermoscopic",
            visit=image.visit,
            width=image.width,
            height=image.height,
            media=image.blob.media,
            captured_on=image.captured_on,
            device=image.device,
            polarisation=image.polarisation,
            added_at=image.added_at,
            added_by=image.added_by,
            full=f"{place}/full",
            thumb=f"{place}/thumb",
        )


class CaseOut(BaseModel):
    """One lesion over time; its answer and readings have addresses of their own."""

    model_config = shown(
        {
            "id": 12,
            "patient": 7,
            "pseudonym": "P-0417",
            "lesion": "left forearm",
            "body_site": "upper_extremity",
            "intake": [],
            "visit": 1,
            "sample": False,
            "job": None,
            "created_at": _AT,
            "created_by": "R1",
            "images": [],
            "answer_visible": False,
            "histology": None,
            "histology_on": None,
            "histology_by": None,
            "closed_at": None,
        }
    )

    id: int
    patient: int = Field(description="The number of the patient, whose cases share it.")
    pseudonym: str
    lesion: str
    body_site: str | None
    intake: list[str]
    visit: int = Field(description="Grows when images come after a reading.")
    sample: bool = Field(description="A drawn sample, no lesion of a person.")
    job: int | None = Field(description="The batch that it came with.")
    created_at: datetime.datetime
    created_by: str
    images: list[ImageOut]
    answer_visible: bool = Field(description="Whether whoever asks may see the model's answer now.")
    histology: str | None
    histology_on: datetime.date | None
    histology_by: str | None
    closed_at: datetime.datetime | None

    @classmethod
    def of(cls, desk: Desk, case: Case) -> "CaseOut":
        """The case as the API tells it to whoever asks."""
        return cls(
            id=case.id,
            patient=case.patient_id,
            pseudonym=case.patient.pseudonym,
            lesion=case.lesion,
            body_site=case.body_site,
            intake=case.intake,
            visit=case.visit,
            sample=case.sample,
            job=case.job_id,
            created_at=case.created_at,
            created_by=case.created_by,
            images=[ImageOut.of(image) for image in case.images],
            answer_visible=visible(desk, case),
            histology=case.histology,
            histology_on=case.histology_on,
            histology_by=case.histology_by,
            closed_at=case.closed_at,
        )


class PlaceIn(BaseModel):
    """Body site and intake of a case, corrected."""

    model_config = taken({"body_site": "upper_extremity", "intake": ["scar"]})

    body_site: BodySite | None
    intake: list[IntakeFlag] = Field(max_length=len(INTAKE))


class HistologyIn(BaseModel):
    """What histology found."""

    model_config = taken({"diagnosis": "MEL", "on": "2026-03-31"})

    diagnosis: Code = Field(description="A diagnosis of the model's taxonomy, or `other`.")
    on: Day = Field(None, description="The day of the finding.")


class ReadingIn(BaseModel):
    """What a reader says of a case."""

    model_config = taken({"decision": "refer", "diagnosis": "MEL", "confidence": 0.8})

    decision: Decision
    diagnosis: Code | None = Field(None, description="A diagnosis of the model's taxonomy, or `other`.")
    confidence: Share | None = None
    experience: MaybeText | None = Field(None, description="The reader's own words, or years.")
    visit: Annotated[int, Field(ge=1, le=MOST_NUMBER, strict=True)] | None = Field(
        None, description="The visit that was looked at; a conflict where pictures have begun another one meanwhile."
    )
    phase: Literal["first", "revised"] = Field(
        "first", description="`first` locks the reading, `revised` is said with the model's answer in view."
    )


class ReadingOut(BaseModel):
    """A reading as it was stored; it is never changed."""

    model_config = shown(
        {
            "id": 7,
            "reader": "R1",
            "visit": 1,
            "phase": "first",
            "aided": False,
            "diagnosis": "MEL",
            "decision": "refer",
            "confidence": 0.8,
            "experience": "6 years",
            "mode": "open",
            "order": "human_first",
            "resolved": "refer",
            "disagrees": False,
            "opened_at": None,
            "made_at": _AT,
        }
    )

    id: int
    reader: str
    visit: int
    phase: str
    aided: bool = Field(description="Whether the model's answer was in view.")
    diagnosis: str | None
    decision: str
    confidence: float | None
    experience: str | None
    mode: str
    order: str
    resolved: str | None = Field(description="What follows from reader and model together; none while it is hidden.")
    disagrees: bool | None = Field(description="Whether the two differ; none while the answer is hidden.")
    opened_at: datetime.datetime | None
    made_at: datetime.datetime

    @classmethod
    def of(cls, reading: Reading, *, told: bool) -> "ReadingOut":
        """The reading; what tells the model's answer only where that may be seen."""
        names = [n for n in cls.model_fields if n not in ("resolved", "disagrees")]
        together = (reading.resolved, reading.disagrees) if told else (None, None)
        held = {name: getattr(reading, name) for name in names}
        return cls.model_validate({**held, "resolved": together[0], "disagrees": together[1]})


class ReadingsOut(BaseModel):
    """Readings of the current visit that whoever asks may see."""

    model_config = shown({"case": 12, "visit": 1, "first": None, "revised": None, "others": []})

    case: int
    visit: int
    first: ReadingOut | None = Field(description="The own one, locked.")
    revised: ReadingOut | None = Field(description="The own one after the answer.")
    others: list[ReadingOut] = Field(description="Those of others, once the answer may be seen.")
