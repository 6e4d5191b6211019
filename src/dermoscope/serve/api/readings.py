"""Readings, locked and revised, and the model's answer once it may be seen."""

import datetime
from dataclasses import asdict
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from dermoscope.core.errors import NotFoundError
from dermoscope.refine.prevalence import of_100
from dermoscope.serve import answers, cases, readings
from dermoscope.serve.agreement import Disagreement, disagreements
from dermoscope.serve.answers import CaseAnswer
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.idempotency import Posting, at_a_desk
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import ReadingIn, ReadingOut, ReadingsOut, shown
from dermoscope.serve.api.words import Number
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Desk
from dermoscope.serve.tables import Case, Result
from dermoscope.serve.texts import Texts
from dermoscope.serve.wording import disagreement, notice, reason

router, tag = routes("readings", "What readers say of a case, and what the model says of it.")

_RESULT = {
    "id": 41,
    "image": 31,
    "answer": "refer",
    "cause": "malignancy",
    "suspected": "MEL",
    "reasons": ["melanoma cannot be ruled out: malignant or premalignant with 58 % at this site"],
    "figures": {"concern": 0.58, "refer_at": 0.12},
    "probabilities": {"MEL": 0.52, "NV": 0.31},
    "calibrated": {"MEL": 0.41, "NV": 0.44},
    "prior": {"MEL": 0.23, "NV": 0.34},
    "ood": 0.41,
    "quality": {"width": 1600.0, "height": 1200.0},
    "warnings": [],
    "intake": [],
}


class ResultOut(BaseModel):
    """What the model said of one image; a record that is never changed."""

    model_config = shown(_RESULT)

    id: int
    image: int
    answer: str
    cause: str
    suspected: str | None
    reasons: list[str]
    figures: dict[str, float]
    probabilities: dict[str, float] = Field(description="At the site's prevalence.")
    calibrated: dict[str, float] = Field(description="In the mix that the model was calibrated on.")
    prior: dict[str, float] = Field(description="The site's mix.")
    ood: float | None = Field(description="Rank of unlikeness among the images of the calibration, 0 to 1.")
    quality: dict[str, float]
    warnings: list[str]
    intake: list[str]

    @classmethod
    def of(cls, result: Result) -> "ResultOut":
        """The record as the API tells it."""
        names = [name for name in cls.model_fields if name != "image"]
        return cls.model_validate({"image": result.image_id, **{name: getattr(result, name) for name in names}})


_MEASURED = {"opposed": 0.096, "coefficient": 2.47, "beyond": 0.058, "lesions": 383}


class DisagreementOut(BaseModel):
    """Pictures of one lesion that do not agree."""

    model_config = shown(
        {
            "opposed": True,
            "images": [31, 32],
            "earlier_visit": None,
            "sentence": "Picture 1: Refer. Picture 2: No suspicious feature. The more suspicious answer counts.",
            "measured": _MEASURED,
        }
    )

    opposed: bool = Field(
        description="One is referred and another of low concern; else log-odds of melanoma are further apart than the "
        "repeatability coefficient of the model."
    )
    images: list[int] = Field(description="Those that do not agree, of the earlier visit last.")
    earlier_visit: int | None = Field(description="The visit that the current one was compared with; none for itself.")
    sentence: str = Field(description="In the language of `Accept-Language`, English or German.")
    measured: dict[str, float] | None = Field(
        description="Of this model: shares of pairs of pictures of one lesion that are opposed (`opposed`) or further "
        "apart than the `coefficient` (`beyond`), on how many `lesions`; none where nothing was measured."
    )

    @classmethod
    def of(cls, found: Disagreement, t: Texts) -> "DisagreementOut":
        """A disagreement as the API tells it."""
        return cls(
            opposed=found.opposed,
            images=list(found.images),
            earlier_visit=found.visit,
            sentence=disagreement(found, t),
            measured=None if found.measured is None else asdict(found.measured),
        )


class AnswerOut(BaseModel):
    """The model's answer to the current visit of a case."""

    model_config = shown(
        {
            "case": 12,
            "visit": 1,
            "answer": "refer",
            "cause": "malignancy",
            "suspected": "MEL",
            "reasons": _RESULT["reasons"],
            "reason": "Melanoma cannot be ruled out: …",
            "of_100": {"melanoma": 52, "malignant": 55},
            "ranked": ["MEL", "NV", "BKL"],
            "model": "3f1c…",
            "mode": "open",
            "order": "human_first",
            "prevalence": {"name": "referral_centre", "malignant": 0.49, "melanoma": 0.23},
            "made_at": "2026-03-31T09:30:00Z",
            "differ": False,
            "disagreements": [],
            "warnings": [],
            "results": [_RESULT],
            "notice": "For clinical research …",
        }
    )

    case: int
    visit: int
    answer: str = Field(description="`refer`, `low_concern` or `cannot_assess`.")
    cause: str = Field(description="What decided, as a code.")
    suspected: str | None
    reasons: list[str] = Field(description="In English, as they were recorded.")
    reason: str = Field(description="The first of them in the language of `Accept-Language`, English or German.")
    of_100: dict[str, int | str | None] = Field(
        description="Of 100 such lesions at the site's prevalence: a number, `<1` or `>99`."
    )
    ranked: list[str] = Field(description="Diagnoses, the most probable first.")
    model: str
    mode: str
    order: str
    prevalence: dict[str, Any]
    made_at: datetime.datetime
    differ: bool = Field(description="Whether the images of this visit got different answers.")
    disagreements: list[DisagreementOut] = Field(
        description="Pictures that do not agree: within this visit, and with the last one before it that you may see."
    )
    warnings: list[str]
    results: list[ResultOut] = Field(description="Of every dermoscopic image of this visit.")
    notice: str

    @classmethod
    def of(cls, desk: Desk, case: Case, found: CaseAnswer) -> "AnswerOut":
        """The answer as the API tells it."""
        t = Texts.load(desk.person.language)
        numbers = {"melanoma": found.numbers.melanoma, "malignant": found.numbers.malignant}
        return cls(
            case=case.id,
            visit=case.visit,
            answer=found.kind,
            cause=found.answer.cause,
            suspected=found.answer.suspected,
            reasons=list(found.answer.reasons),
            reason=reason(found, t),
            of_100={name: None if share is None else of_100(share) for name, share in numbers.items()},
            ranked=list(found.ranked),
            model=found.model,
            mode=found.result.mode,
            order=found.result.order,
            prevalence=dict(found.prevalence),
            made_at=found.made_at,
            differ=found.differ,
            disagreements=[DisagreementOut.of(one, t) for one in disagreements(desk, case, found)],
            warnings=list(found.warnings),
            results=[ResultOut.of(result) for result in found.results],
            notice=notice(desk.site, t),
        )


@router.get("/cases/{case_id}/readings", response_model=ReadingsOut, responses=documented(404))
def show_readings(service: Serving, person: Asking, case_id: Number) -> ReadingsOut:
    """Readings of the current visit: the own ones, and those of others once the answer may be seen."""
    with service.looking(person) as desk:
        case = cases.get(desk, case_id)
        told, held = answers.visible(desk, case), readings.of(desk, case)
        return ReadingsOut(
            case=case_id,
            visit=case.visit,
            first=None if held.first is None else ReadingOut.of(held.first, told=told),
            revised=None if held.revised is None else ReadingOut.of(held.revised, told=told),
            others=[ReadingOut.of(reading, told=told) for reading in held.others],
        )


@router.post("/cases/{case_id}/readings", status_code=201, response_model=ReadingOut, responses=documented(404, 409))
def read(post: Posting, case_id: Number, said: ReadingIn) -> Response:
    """Lock a reading, or with `phase` `revised` say what you think now that the answer is known.

    Both stay as they are. In the order `ai_first` the answer is in view from the beginning, and one reading is all.
    """
    words = readings.Said(said.decision, said.diagnosis, said.confidence, said.experience)
    store = readings.lock if said.phase == "first" else readings.revise

    def work(desk: Desk) -> ReadingOut:
        reading = store(desk, case_id, words, said.visit)
        return ReadingOut.of(reading, told=answers.visible(desk, reading.case))

    return at_a_desk(post, [said], work)


@router.get("/cases/{case_id}/result", response_model=AnswerOut, responses=documented(404))
def show_answer(service: Serving, person: Asking, case_id: Number) -> AnswerOut:
    """The model's answer to the current visit; 403 while it may not be seen. That it was shown is recorded."""
    with service.desk(person) as desk:
        case = cases.get(desk, case_id)
        answers.require_visible(desk, case)
        found = answers.answer_of(desk, case)
        if found is None:
            raise NotFoundError(f"case {case_id} has no dermoscopic image that was read; add one")
        readings.opened(desk, case)
        return AnswerOut.of(desk, case, found)
