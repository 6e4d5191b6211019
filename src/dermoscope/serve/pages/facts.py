"""Body site, intake and pictures of a case, corrected before anybody has read it."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import ConflictError, InputError, NotFoundError
from dermoscope.refine.decision import INTAKE
from dermoscope.serve import cases
from dermoscope.serve.api.problems import status_of
from dermoscope.serve.cases import BODY_SITES
from dermoscope.serve.pages.case import Asked, OfCase
from dermoscope.serve.pages.common import page

router = APIRouter(include_in_schema=False)


@router.get("/cases/{case_id:int}/facts")
def facts(request: Request, of: OfCase) -> HTMLResponse:
    """The form."""
    return _form(request, of)


@router.post("/cases/{case_id:int}/facts")
def correct(
    request: Request,
    of: OfCase,
    body_site: Annotated[str, Form(max_length=40)] = "",
    intake: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Correct them; the answer is made anew where the intake changes."""
    try:
        cases.change(of.service, of.person, of.case_id, body_site=body_site or None, intake=intake or ())
    except InputError as error:
        return _form(request, of, error)
    return RedirectResponse(f"/cases/{of.case_id}", 303)


@router.post("/cases/{case_id:int}/images/{image_id:int}/remove")
def remove(request: Request, of: OfCase, image_id: int) -> Response:
    """Take a picture out that was added by mistake."""
    try:
        with of.service.desk(of.person) as desk:
            if cases.get_image(desk, image_id).case_id != of.case_id:
                raise NotFoundError(f"case {of.case_id} has no image {image_id}")
            cases.remove_image(desk, image_id)
    except ConflictError as error:
        return _form(request, of, error)
    return RedirectResponse(f"/cases/{of.case_id}/facts", 303)


def _form(request: Request, of: Asked, error: InputError | None = None) -> HTMLResponse:
    status = status_of(error) if error else 200
    with of.service.looking(of.person) as desk:
        case = cases.get(desk, of.case_id)
        read = any(reading.visit == case.visit for reading in case.readings)
        return page(
            request,
            "facts.html.j2",
            of.person,
            desk.site,
            status,
            case=case,
            pictures=[] if read else [i for i in case.images if i.visit == case.visit],
            body_sites=BODY_SITES,
            intake=INTAKE,
            wrong=str(error) if error else None,
        )
