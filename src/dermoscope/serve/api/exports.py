"""What a clinic takes along: tables, a case on paper or as JSON, the model against histology."""

import json
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from dermoscope.serve import export
from dermoscope.serve.api.frame import file_content, file_response, routes
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import shown
from dermoscope.serve.api.words import Number
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.silent import silent_report

router, tag = routes("exports", "What may be taken along. Nobody gets here what may not be seen elsewhere.")

_CSV, _PDF, _JSON = "text/csv; charset=utf-8", "application/pdf", "application/json"
_READINGS = (
    "reader,case,diagnosis,decision,confidence,experience,phase,aided,…\nR1,12-1,MEL,refer,0.8,6 years,first,False,…\n"
)
_HISTORY = "case_id,pseudonym,lesion,…,answer,…,histology\n12,P-0417,left forearm,…,refer,…,MEL\n"


class SilentOut(BaseModel):
    """Stored answers against histology, as it comes; what is missing is counted."""

    model_config = shown(
        {
            "cases": 40,
            "patients": 38,
            "outcomes": 12,
            "without_outcome": 28,
            "other": 1,
            "answers": {"refer": 15, "low_concern": 20, "cannot_assess": 5},
            "missing": {"refer": 5, "low_concern": 19, "cannot_assess": 4},
            "histology": {"MEL": {"refer": 3}},
            "models": {"3f1c…": 40},
            "modes": {"silent": 40},
            "figures": {},
        }
    )

    cases: int
    patients: int
    outcomes: int
    without_outcome: int
    other: int = Field(description="Outcomes that are no diagnosis of the model.")
    answers: dict[str, int]
    missing: dict[str, int] = Field(description="Answers whose outcome is not known.")
    histology: dict[str, dict[str, int]]
    models: dict[str, int]
    modes: dict[str, int]
    figures: dict[str, dict[str, Any]] = Field(description="Rates with their intervals, and the counts behind them.")


@router.get("/exports/readings.csv", response_class=Response, responses=file_content("text/csv", example=_READINGS))
def export_readings(service: Serving, person: Asking) -> Response:
    """Every reading that may be seen, a line each: what `dermoscope`'s reader tables take, with times."""
    return file_response(export.readings_csv(service, person).encode(), _CSV, name="readings.csv")


@router.get("/exports/history.csv", response_class=Response, responses=file_content("text/csv", example=_HISTORY))
def export_history(service: Serving, person: Asking) -> Response:
    """Every picture, a line each: its case, what the model said where that may be seen, readings, histology."""
    return file_response(export.history_csv(service, person).encode(), _CSV, name="history.csv")


@router.get(
    "/exports/cases/{case_id}.json",
    response_class=Response,
    responses=documented(404) | file_content(_JSON, example={"case": {}, "visits": []}),
)
def export_case(service: Serving, person: Asking, case_id: Number) -> Response:
    """A case with all its visits, the settings, the model and the notice."""
    told = json.dumps(export.case_json(service, person, case_id), indent=1, ensure_ascii=False, allow_nan=False)
    return file_response(told.encode(), _JSON, name=f"case-{case_id}.json")


@router.get(
    "/exports/cases/{case_id}.pdf", response_class=Response, responses=documented(404, 501) | file_content(_PDF)
)
def print_case(service: Serving, person: Asking, case_id: Number) -> Response:
    """The current visit of a case on A4, in the language of `Accept-Language`."""
    return file_response(export.case_pdf(service, person, case_id), _PDF, name=f"case-{case_id}.pdf")


@router.get("/silent-report", response_model=SilentOut)
def report_silently(service: Serving, person: Asking) -> dict[str, Any]:
    """The model's stored answers against histology; only for a reviewer or an admin."""
    with service.looking(person) as desk:
        return silent_report(desk.session).as_dict()
