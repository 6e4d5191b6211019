"""Settings of the site: seen by everybody, changed by an admin, each change listed with who made it and when."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import InputError, NotFoundError
from dermoscope.refine.prevalence import OWN, SITES
from dermoscope.serve.accounts import LANGUAGES, Person
from dermoscope.serve.depends import AdminAsking, Asking, Serving
from dermoscope.serve.desk import Service
from dermoscope.serve.pages.common import page
from dermoscope.serve.site import LONGEST_NOTICE, MODES, NAMES, ORDERS, change, history
from dermoscope.serve.texts import Texts

router = APIRouter(include_in_schema=False)
Fields = Mapping[str, str]


def fields_of(
    value: Annotated[str, Form(max_length=100)] = "",
    malignant: Annotated[str, Form(max_length=20)] = "",
    melanoma: Annotated[str, Form(max_length=20)] = "",
    en: Annotated[str, Form(max_length=5000)] = "",
    de: Annotated[str, Form(max_length=5000)] = "",
) -> Fields:
    """What a form of the page may hold."""
    return {"value": value, "malignant": malignant, "melanoma": melanoma, "en": en, "de": de}


@router.get("/settings")
def settings(request: Request, service: Serving, person: Asking, saved: str = "") -> HTMLResponse:
    """What applies now, and everything that was changed before."""
    return _shown(request, service, person, saved=saved if saved in (*NAMES, "nothing") else "")


@router.post("/settings/{name}")
def set_one(
    request: Request,
    service: Serving,
    person: AdminAsking,
    name: str,
    fields: Annotated[Fields, Depends(fields_of)],
) -> Response:
    """Change one setting and lead back, or say beside it why it cannot be."""
    if name not in NAMES:
        raise NotFoundError(f"there is no setting {name!r}")
    try:
        with service.desk(person) as desk:
            made = change(desk, name, value_of(name, fields))
            saved = "nothing" if made == desk.site else name
    except InputError:
        return _shown(request, service, person, wrong=name, given=fields)
    return RedirectResponse(f"/settings?saved={saved}#{name}", 303)


def value_of(name: str, fields: Fields) -> Any:
    """The value of a setting as its form says it: per cent become shares, an empty notice is none."""
    if name == "notice":
        texts = {language: " ".join(fields[language].split()) for language in LANGUAGES}
        return {language: text for language, text in texts.items() if text}
    if name != "prevalence":
        return fields["value"]
    if fields["value"] != OWN:
        return {"name": fields["value"]}
    return {"name": OWN, **{share: _share(fields[share]) for share in ("malignant", "melanoma")}}


def _share(percent: str) -> float | None:
    """A share of a number in per cent, which in German has a comma; None for what is no number."""
    try:
        return float(percent.strip().rstrip("%").strip().replace(",", ".")) / 100
    except ValueError:
        return None


def _shown(
    request: Request,
    service: Service,
    person: Person,
    *,
    saved: str = "",
    wrong: str = "",
    given: Fields | None = None,
) -> HTMLResponse:
    with service.looking(person) as desk:
        return page(
            request,
            "settings.html.j2",
            person,
            desk.site,
            422 if wrong else 200,
            may=person.role == "admin",
            everybody_is_admin=service.options.no_login,
            saved=saved,
            wrong=wrong,
            given=given or {},
            modes=MODES,
            orders=ORDERS,
            sites=SITES,
            longest=LONGEST_NOTICE,
            defaults={language: Texts.load(language)("site.notice") for language in LANGUAGES},
            floor=desk.bundle.decision.floor,
            changes=history(desk),
        )
