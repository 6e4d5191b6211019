"""How the numbers would move at another site: asked of the record, and nothing of the record changes."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from dermoscope.core.errors import NotFoundError, ValueRuleError
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Probabilities
from dermoscope.predict.bundle import Bundle
from dermoscope.refine.prevalence import OWN, SiteSetting, WhatIf, of_100, own, setting_named, what_if
from dermoscope.serve import answers, cases
from dermoscope.serve.answers import CaseAnswer
from dermoscope.serve.desk import Desk
from dermoscope.serve.pages.case import OfCase
from dermoscope.serve.pages.common import page
from dermoscope.serve.tables import Result
from dermoscope.serve.texts import Texts

router = APIRouter(include_in_schema=False)
Share = Annotated[float, Query()]


def setting_of(setting: str = OWN, melanoma: Share = 0.0, malignant: Share = 0.0) -> SiteSetting | None:
    """The site that is asked for, own shares in per cent; None for one that cannot be."""
    try:
        return own(malignant / 100, melanoma / 100) if setting == OWN else setting_named(setting)
    except ValueRuleError:
        return None


@router.get("/cases/{case_id:int}/what-if")
def ask(request: Request, of: OfCase, setting: Annotated[SiteSetting | None, Depends(setting_of)]) -> HTMLResponse:
    """The numbers of the recorded answer beside those at another site.

    Raises ForbiddenError while the answer is not shown, NotFoundError where nothing was assessed.
    """
    t = Texts.load(of.person.language)
    with of.service.looking(of.person) as desk:
        bundle = desk.bundle
        answer = _assessed(desk, of.case_id, bundle)
        if setting is None:
            return page(request, "case/what_if_wrong.html.j2", of.person, desk.site, 422)
        return page(
            request,
            "case/what_if.html.j2",
            of.person,
            desk.site,
            answer=answer,
            there=at(answer.result, setting, bundle),
            recorded=at(answer.result, _recorded(answer), bundle),
            few=lambda probability: _few(probability, t),
            share=lambda estimate: _share(estimate, t),
        )


def at(result: Result, setting: SiteSetting, bundle: Bundle) -> WhatIf:
    """What would be said of an image at a site, from its record."""
    codes = bundle.taxonomy.codes
    row = np.array([[result.calibrated[code] for code in codes]])
    calibrated = Probabilities((str(result.image_id),), bundle.taxonomy, row)
    prior = bundle.prior("calibration")
    return what_if(calibrated, answers.as_answer(result), setting, bundle.decision, prior, bundle.sample)


def _recorded(answer: CaseAnswer) -> SiteSetting:
    held = answer.prevalence
    if held["name"] == OWN:
        return own(held["malignant"], held["melanoma"])
    return SiteSetting(held["name"], held["malignant"], held["melanoma"], "")


def _assessed(desk: Desk, case_id: int, bundle: Bundle) -> CaseAnswer:
    case = cases.get(desk, case_id)
    answers.require_visible(desk, case)
    answer = answers.answer_of(desk, case)
    if answer is None or answer.kind == "cannot_assess":
        raise NotFoundError(f"case {case_id} was not assessed, so there are no numbers to move")
    if answer.model != bundle.sha256:
        raise NotFoundError(f"case {case_id} was read by another model, which is not loaded")
    return answer


def _share(estimate: Estimate | None, t: Texts) -> str:
    if estimate is None or estimate.value is None:
        return t("whatif.unknown")
    if estimate.low is None or estimate.high is None:
        return t.percent(estimate.value)
    low, high = t.percent(estimate.low), t.percent(estimate.high)
    return t("whatif.interval", value=t.percent(estimate.value), low=low, high=high)


def _few(probability: float, t: Texts) -> str:
    """`12 of 100`, for a table."""
    return t("numbers.short", count=str(of_100(probability)).replace("<", "< ").replace(">", "> "))
