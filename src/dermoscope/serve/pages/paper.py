"""A case to take along: PDF to print, JSON to compute with."""

import json
from collections.abc import Mapping

from fastapi import APIRouter, Response

from dermoscope.serve import answers, cases
from dermoscope.serve.export import case_json, case_pdf
from dermoscope.serve.pages.case import Asked, OfCase

router = APIRouter(include_in_schema=False)


@router.get("/cases/{case_id:int}/result.pdf")
def pdf(of: OfCase) -> Response:
    """The current visit on A4."""
    _require(of)
    return Response(case_pdf(of.service, of.person, of.case_id), 200, _headers(of, "pdf"), "application/pdf")


@router.get("/cases/{case_id:int}/result.json")
def data(of: OfCase) -> Response:
    """All visits, as far as they may be seen."""
    _require(of)
    text = json.dumps(case_json(of.service, of.person, of.case_id), ensure_ascii=False, indent=2)
    return Response(text, 200, _headers(of, "json"), "application/json")


def _require(of: Asked) -> None:
    """Whoever has not read yet takes nothing along either."""
    with of.service.looking(of.person) as desk:
        answers.require_visible(desk, cases.get(desk, of.case_id))


def _headers(of: Asked, kind: str) -> Mapping[str, str]:
    name = f"dermoscope-case-{of.case_id}.{kind}"
    return {"Cache-Control": "no-store", "Content-Disposition": f'inline; filename="{name}"'}
