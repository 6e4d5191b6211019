"""Deleting a case, or everything of its patient: what goes is named first, and the pseudonym is typed to confirm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import ValueRuleError
from dermoscope.serve import cases, erase
from dermoscope.serve.depends import AdminAsking
from dermoscope.serve.pages.case import Asked, OfCase
from dermoscope.serve.pages.common import page
from dermoscope.serve.tables import Case

router = APIRouter(include_in_schema=False)
Of = Literal["case", "patient"]


@dataclass(frozen=True)
class Loss:
    """What goes with some cases; `answers` are results of the model, `histology` whether any has one."""

    cases: int
    pictures: int
    readings: int
    answers: int
    histology: bool


@dataclass(frozen=True)
class Told:
    """What a form was sent with; `wrong` is `typed` or `reason` where that cannot be."""

    of: Of = "case"
    reason: str = ""
    wrong: str = ""


def loss_of(gone: Sequence[Case]) -> Loss:
    """What goes with these cases."""
    images = [image for case in gone for image in case.images]
    return Loss(
        len(gone),
        len(images),
        sum(len(case.readings) for case in gone),
        sum(len(image.results) for image in images),
        any(case.histology for case in gone),
    )


@router.get("/cases/{case_id:int}/delete")
def ask(request: Request, of: OfCase, _: AdminAsking) -> HTMLResponse:
    """What would go, and that nobody can take it back."""
    return _form(request, of, Told())


@router.post("/cases/{case_id:int}/delete")
def delete(
    request: Request,
    of: OfCase,
    _: AdminAsking,
    what: Annotated[Of, Form(alias="of")],
    reason: Annotated[str, Form(max_length=1000)] = "",
    typed: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Delete it, where the pseudonym was typed, and lead to the worklist, which says so."""
    with of.service.looking(of.person) as desk:
        patient = cases.get(desk, of.case_id).patient
        number, pseudonym = patient.id, patient.pseudonym
    if " ".join(typed.split()) != pseudonym:
        return _form(request, of, Told(what, reason, "typed"))
    if not reason.split():
        return _form(request, of, Told(what, reason, "reason"))
    try:
        if what == "case":
            gone = erase.case(of.service, of.person, of.case_id, reason)
        else:
            gone = erase.patient(of.service, of.person, number, reason)
    except ValueRuleError:
        return _form(request, of, Told(what, reason, "reason"))
    later = "" if gone.scrubbed else "&later=1"
    return RedirectResponse(f"/?deleted={what}&gone={len(gone.cases)}{later}", 303)


def _form(request: Request, of: Asked, told: Told) -> HTMLResponse:
    with of.service.looking(of.person) as desk:
        case = cases.get(desk, of.case_id)
        return page(
            request,
            "delete.html.j2",
            of.person,
            desk.site,
            422 if told.wrong else 200,
            case=case,
            losses={"case": loss_of([case]), "patient": loss_of(case.patient.cases)},
            told=told,
            longest=erase.LONGEST,
        )
