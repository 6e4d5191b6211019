"""Drawn lesions to press for a first look: no photograph, no patient; each becomes a case that says so."""

from dataclasses import dataclass
from functools import cache

import cv2
from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import select

from dermoscope.core.errors import NotFoundError
from dermoscope.data.synthetic import draw, encode
from dermoscope.serve import cases
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.pages.media import FOREVER
from dermoscope.serve.tables import Case, Patient
from dermoscope.serve.uploads import clean

router = APIRouter(include_in_schema=False)
PSEUDONYM = "SAMPLE"
SIZE = (800, 600)


@dataclass(frozen=True)
class Sample:
    """What is drawn: the diagnosis that the picture imitates, its seed, and how far it is out of focus in px."""

    diagnosis: str
    seed: int
    blur: float = 0.0


SAMPLES = (
    Sample("NV", 28),
    Sample("MEL", 2),
    Sample("BCC", 3),
    Sample("BKL", 1),
    Sample("VASC", 3),
    Sample("NV", 9, blur=14.0),
)


@cache
def picture(number: int) -> bytes:
    """A sample as JPEG, its number from 1. Raises NotFoundError for another."""
    if not 1 <= number <= len(SAMPLES):
        raise NotFoundError(f"there is no sample {number}; there are {len(SAMPLES)}")
    sample = SAMPLES[number - 1]
    pixels = draw(sample.seed, sample.diagnosis, SIZE).pixels
    return encode(cv2.GaussianBlur(pixels, (0, 0), sample.blur) if sample.blur else pixels)


@router.get("/samples/{number:int}")
def show(_: Asking, number: int) -> Response:
    """The picture of a sample."""
    return Response(picture(number), media_type="image/jpeg", headers=FOREVER)


@router.post("/samples/{number:int}")
def press(service: Serving, person: Asking, number: int) -> RedirectResponse:
    """Make a case of a sample, or lead to the one that there is."""
    upload = clean(picture(number), f"sample {number}")
    held = select(Case.id).join(Patient).where(Patient.pseudonym == PSEUDONYM, Case.lesion == str(number))
    with service.looking(person) as desk:
        case_id = desk.session.scalar(held)
    if case_id is None:
        read = cases.read_uploads(service, [upload])
        with service.desk(person) as desk:
            case_id = desk.session.scalar(held)  # somebody may have pressed it meanwhile
            if case_id is None:
                case = cases.create(desk, cases.NewCase(PSEUDONYM, str(number), sample=True))
                cases.store_images(desk, case, [upload], "dermoscopic", read)
                case_id = case.id
    return RedirectResponse(f"/cases/{case_id}", 303)
