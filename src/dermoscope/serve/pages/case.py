"""The screen of a case: the picture, the own reading, then the answer; everything else folded."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import InputError, NotFoundError
from dermoscope.core.readings import Decision
from dermoscope.refine.prevalence import SITES
from dermoscope.serve import cases, readings
from dermoscope.serve.accounts import Person
from dermoscope.serve.agreement import untold
from dermoscope.serve.answers import CaseAnswer
from dermoscope.serve.api.problems import status_of
from dermoscope.serve.cases import OTHER
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.pages import view
from dermoscope.serve.pages.common import page
from dermoscope.serve.pages.quality import lines_of
from dermoscope.serve.pages.worklist import Wanted, query_of
from dermoscope.serve.readings import DECISIONS, Said
from dermoscope.serve.tables import now
from dermoscope.serve.texts import Texts
from dermoscope.serve.wording import about_of_100, disagreement, heading, others_ranked, reason, worries_of
from dermoscope.serve.worklist import Filter

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=200)]


@dataclass(frozen=True)
class Asked:
    """Who asks for which case, from which list; `fold` is the part that is open where it fails."""

    service: Service
    person: Person
    case_id: int
    wanted: Filter
    fold: str = ""


def asked(service: Serving, person: Asking, case_id: int, wanted: Wanted) -> Asked:
    """What every address of a case has in common."""
    return Asked(service, person, case_id, wanted)


def spoken(
    decision: Text = "", diagnosis: Text = "", confidence: Text = "", experience: Text = "", visit: Text = ""
) -> dict[str, str]:
    """A reading as a form sends it."""
    return {
        "visit": visit,
        "decision": decision,
        "diagnosis": diagnosis,
        "confidence": confidence,
        "experience": " ".join(experience.split()),
    }


OfCase = Annotated[Asked, Depends(asked)]
Spoken = Annotated[dict[str, str], Depends(spoken)]


@router.get("/cases/{case_id:int}")
def show(request: Request, of: OfCase, image: Annotated[int | None, Query(ge=1)] = None) -> HTMLResponse:
    """A case; that it was opened, and when its answer first appeared, is noted before it is shown."""
    with of.service.looking(of.person) as desk:
        case = cases.get(desk, of.case_id)
        if not case.images or case.closed_at is not None or not readings.to_note(desk, case):
            return screen(request, desk, of, image=image)
    with of.service.desk(of.person) as desk:
        readings.opened(desk, cases.get(desk, of.case_id))
    with of.service.looking(of.person) as desk:
        return screen(request, desk, of, image=image)


@router.post("/cases/{case_id:int}/reading")
def lock(request: Request, of: OfCase, spoken: Spoken) -> Response:
    """Lock the own reading; then the answer appears, where it may."""
    return _done(request, of, lambda desk: readings.lock(desk, of.case_id, _said(spoken), _visit(spoken)))


@router.post("/cases/{case_id:int}/revision")
def revise(request: Request, of: OfCase, spoken: Spoken) -> Response:
    """Read again with the answer in view; the first reading stays as it is."""
    return _done(request, of, lambda desk: readings.revise(desk, of.case_id, _said(spoken), _visit(spoken)))


@router.post("/cases/{case_id:int}/histology")
def histology(request: Request, of: OfCase, code: Text = "", on: Text = "") -> Response:
    """Enter what histology found, which closes the case."""
    return _done(request, of, lambda desk: cases.enter_histology(desk, of.case_id, code, _day(on)), "histology")


@router.post("/cases/{case_id:int}/reopen")
def reopen(request: Request, of: OfCase) -> Response:
    """Open a closed case again."""
    return _done(request, of, lambda desk: cases.reopen(desk, of.case_id))


def screen(request: Request, desk: Desk, of: Asked, **told: Any) -> HTMLResponse:
    """The whole screen. `told` may hold `image` (the picture to begin with), `problem` (status and message), `fold`."""
    seen = view.view_of(desk, cases.get(desk, of.case_id), of.wanted, told.get("image"))
    status, problem = told.get("problem", (200, None))
    bundle = desk.bundle
    return page(
        request,
        "case.html.j2",
        desk.person,
        desk.site,
        status,
        view=seen,
        query=query_of(of.wanted),
        problem=problem,
        fold=told.get("fold", ""),
        notices=_notices(request.query_params.getlist("notice")),
        decisions=DECISIONS,
        diagnoses=(*bundle.taxonomy.codes, OTHER),
        today=now().astimezone().date().isoformat(),
        **(_of_answer(desk, seen, seen.answer) if seen.answer else {}),
    )


def _of_answer(desk: Desk, seen: view.CaseView, answer: CaseAnswer) -> Mapping[str, Any]:
    """What only a page with the answer on it holds."""
    t, bundle = Texts.load(desk.person.language), desk.bundle
    return {
        "heading": heading(answer, t),
        "reason": reason(answer, t),
        "disagreements": [disagreement(one, t) for one in seen.disagreements],
        "differs_untold": untold(answer, seen.disagreements),
        "of_100": lambda probability: about_of_100(probability, t),
        "ranked": others_ranked(answer),
        "groups": {d.code: d.group for d in bundle.taxonomy.diagnoses},
        "heat_class": answer.answer.suspected or answer.ranked[0],
        "model_name": bundle.manifest.name if bundle.sha256 == answer.model else answer.model[:12],
        "settings": tuple(SITES),
        "worries": worries_of(answer, bundle, t),
        "quality": lines_of(answer, t),
    }


def _done(request: Request, of: Asked, act: Callable[[Desk], object], fold: str = "") -> Response:
    """Do it in one transaction and lead back to the case; what cannot be done is told there."""
    try:
        with of.service.desk(of.person) as desk:
            act(desk)
    except NotFoundError:
        raise
    except InputError as error:
        with of.service.looking(of.person) as desk:
            return screen(request, desk, of, problem=(status_of(error), str(error)), fold=fold)
    return RedirectResponse(f"/cases/{of.case_id}?{query_of(of.wanted)}", 303)


def _said(spoken: Mapping[str, str]) -> Said:
    """Raises InputError for a confidence that is no number."""
    try:
        confidence = float(spoken["confidence"]) if spoken["confidence"] else None
    except ValueError:
        raise InputError(f"a confidence of {spoken['confidence']!r}; choose one, or none") from None
    return Said(_decision(spoken["decision"]), spoken["diagnosis"] or None, confidence, spoken["experience"] or None)


def _visit(spoken: Mapping[str, str]) -> int | None:
    """The visit that the form was drawn for; None where it does not say."""
    text = spoken["visit"]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _decision(text: str) -> Decision:
    found = next((decision for decision in DECISIONS if decision == text), None)
    if found is None:
        raise InputError(f"no decision {text!r}; choose one of {', '.join(DECISIONS)}")
    return found


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text) if text else None
    except ValueError:
        raise InputError(f"{text!r} is no day; write it as 2026-03-05") from None


def _notices(told: list[str]) -> list[tuple[str, int]]:
    """What an upload led here with: `CODE:CASE`; anything else is not said."""
    found = [(code, case) for code, _, case in (one.partition(":") for one in told)]
    return [
        (code, int(case))
        for code, case in found
        if code in cases.TWINS and case.isascii() and case.isdigit() and len(case) < 11
    ]
