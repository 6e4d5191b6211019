"""Answers beside histology, for reviewers: whoever knows how often the model is right reads differently."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dermoscope.refine.decision import PRECEDENCE
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.pages.common import page
from dermoscope.serve.silent import silent_report

router = APIRouter(include_in_schema=False)
SENSITIVITIES = ("melanoma_sensitivity", "malignant_sensitivity", "sensitivity")
COUNTED = {"abstained_refer": "", "abstained_missed": "_abstained_missed", "abstained_out": "_answered"}
"""Three ways of counting a case that was not assessed, and how their figures end."""
OTHERS = ("answered", "specificity", "not_malignant_answered", "ppv", "npv")


@router.get("/silent")
def silent(request: Request, service: Serving, person: Asking) -> HTMLResponse:
    """How good the stored answers are found to be as histology comes, and how much of it is missing."""
    with service.looking(person) as desk:
        report = silent_report(desk.session) if person.may("reviewer") else None
        return page(
            request,
            "silent.html.j2",
            person,
            desk.site,
            200 if report else 403,
            report=report,
            kinds=PRECEDENCE,
            sensitivities=SENSITIVITIES,
            counted=COUNTED,
            others=OTHERS,
            served=desk.bundle.sha256,
        )
