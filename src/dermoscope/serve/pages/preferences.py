"""Language and look of the pages: kept by the browser, no record of anything."""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from dermoscope.serve.accounts import LANGUAGES
from dermoscope.serve.pages.common import THEMES, inside

router = APIRouter(include_in_schema=False)
_YEAR = 365 * 24 * 3600


@router.post("/preferences")
def choose(
    language: Annotated[str, Form()] = "", theme: Annotated[str, Form()] = "", back: Annotated[str, Form()] = "/"
) -> RedirectResponse:
    """Remember what was chosen and lead back; a choice that there is not changes nothing."""
    answer = RedirectResponse(inside(back), 303)
    for name, value, known in (("language", language, LANGUAGES), ("theme", theme, THEMES)):
        if value in known:
            answer.set_cookie(name, value, max_age=_YEAR, httponly=True, samesite="lax")
    return answer
