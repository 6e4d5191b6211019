"""A new case, and pictures for one that there is: dropped, chosen or pasted, several at once."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import select

from dermoscope.core.errors import ConflictError, InputError
from dermoscope.refine.decision import INTAKE
from dermoscope.serve import cases
from dermoscope.serve.api.files import given, none_readable, pictures
from dermoscope.serve.api.problems import RefusedError, status_of
from dermoscope.serve.cases import BODY_SITES, KINDS, Added, Kind, NewCase, Notice
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.engine import Predicted
from dermoscope.serve.options import MOST_FILES, MOST_UPLOAD
from dermoscope.serve.pages.case import OfCase
from dermoscope.serve.pages.common import page
from dermoscope.serve.pages.samples import SAMPLES
from dermoscope.serve.tables import Case, Patient, now
from dermoscope.serve.uploads import Upload

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=200)]
Texts = Annotated[list[str], Form()]
LIGHTS = ("polarised", "unpolarised")


@dataclass(frozen=True)
class Entered:
    """What the form says of the lesion."""

    pseudonym: str = ""
    lesion: str = "1"
    body_site: str = ""
    intake: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sent:
    """Pictures as they were sent: files, the kind of each, and what is stated of those that do not say it."""

    files: tuple[UploadFile, ...] = ()
    kinds: tuple[str, ...] = ()
    taken: str = ""
    light: str = ""


@dataclass(frozen=True)
class Wrong:
    """Why nothing was stored: a status, what the service said, the files that are no pictures, a case in the way."""

    status: int
    said: str
    files: tuple[str, ...] = ()
    case_id: int | None = None


def entered_of(
    pseudonym: Text = "",
    lesion: Text = "1",
    body_site: Text = "",
    intake: Texts = [],  # noqa: B006 - FastAPI copies it
) -> Entered:
    """The form's fields."""
    return Entered(pseudonym, lesion, body_site, tuple(intake))


def sent_of(
    files: Annotated[list[UploadFile] | None, File()] = None,
    kinds: Texts = [],  # noqa: B006
    taken: Text = "",
    light: Text = "",
) -> Sent:
    """The pictures; an empty field of a form is none."""
    return Sent(tuple(f for f in files or () if f.filename or f.size), tuple(kinds), taken, light)


OfLesion = Annotated[Entered, Depends(entered_of)]
OfPictures = Annotated[Sent, Depends(sent_of)]


@router.get("/cases/new")
def form(request: Request, service: Serving, person: Asking) -> HTMLResponse:
    """The form of a new case."""
    with service.looking(person) as desk:
        return _form(request, desk, Entered())


@router.post("/cases/new")
def create(request: Request, service: Serving, person: Asking, entered: OfLesion, sent: OfPictures) -> Response:
    """Store a case with its pictures whole, or say what is wrong with them and store nothing."""
    try:
        new = NewCase(entered.pseudonym, entered.lesion, entered.body_site or None, entered.intake)
        scored, shown = _by_kind(sent)
        read = _read(service, scored, shown)
        with service.desk(person) as desk:
            case = cases.create(desk, new)
            added = _store(desk, case, scored, shown, read)
            case_id = case.id
    except InputError as error:
        with service.looking(person) as desk:
            held = _held(desk, entered) if isinstance(error, ConflictError) else None
            return _refused(request, desk, entered, _wrong(error, held))
    return _onward(request, case_id, added)


@router.get("/cases/{case_id:int}/images")
def more(request: Request, of: OfCase) -> HTMLResponse:
    """The form for further pictures of a case."""
    with of.service.looking(of.person) as desk:
        return _form(request, desk, Entered(), cases.get(desk, of.case_id))


@router.post("/cases/{case_id:int}/images")
def add(request: Request, of: OfCase, sent: OfPictures) -> Response:
    """Store further pictures: of a new visit, once this one has been read."""
    try:
        scored, shown = _by_kind(sent)
        read = _read(of.service, scored, shown)
        with of.service.desk(of.person) as desk:
            added = _store(desk, cases.get(desk, of.case_id), scored, shown, read)
    except InputError as error:
        with of.service.looking(of.person) as desk:
            return _refused(request, desk, Entered(), _wrong(error, None), cases.get(desk, of.case_id))
    return _onward(request, of.case_id, added)


def _read(service: Service, scored: Sequence[Upload], shown: Sequence[Upload]) -> Predicted | None:
    """What the model says of pictures, and their files on the disk: nobody waits for either in a transaction."""
    read = cases.read_uploads(service, scored) if scored else None
    for upload in (*scored, *shown):
        service.blobs.put(upload.data)
    return read


def _by_kind(sent: Sent) -> tuple[list[Upload], list[Upload]]:
    """Clean pictures: those to be scored and those that are only shown.

    Raises RefusedError, with a line for each file that is no picture; then none is stored.
    """
    kinds = (*sent.kinds, *[KINDS[0]] * len(sent.files))[: len(sent.files)]
    good, bad = pictures(given(sent.files))
    if bad:
        raise none_readable(bad)
    by_kind: dict[str, list[Upload]] = {kind: [] for kind in KINDS}
    for one, upload in good:
        by_kind[kinds[one.position - 1] if kinds[one.position - 1] in KINDS else KINDS[0]].append(_stated(upload, sent))
    return by_kind["dermoscopic"], by_kind["overview"]


def _stated(upload: Upload, sent: Sent) -> Upload:
    """What the form states fills in what the file does not say. Raises InputError for a day that cannot be."""
    if upload.captured_on is None and sent.taken:
        try:
            day = datetime.date.fromisoformat(sent.taken)
        except ValueError:
            raise InputError(f"{sent.taken!r} is no day; write it as 2026-03-05") from None
        if day > now().date() + datetime.timedelta(days=1):
            raise InputError(f"taken on {day}: that day is still to come")
        upload = replace(upload, captured_on=day)
    if upload.polarisation is None and sent.light in LIGHTS:
        upload = replace(upload, polarisation=sent.light)
    return upload


def _store(desk: Desk, case: Case, scored: Sequence[Upload], shown: Sequence[Upload], read: Predicted | None) -> Added:
    """Both kinds in one transaction."""
    ids: list[int] = []
    notices: list[Notice] = []
    both: tuple[tuple[Sequence[Upload], Kind, Predicted | None], ...]
    both = ((scored, "dermoscopic", read), (shown, "overview", None))
    for uploads, kind, said in both:
        if uploads:
            added = cases.store_images(desk, case, uploads, kind, said)
            ids += added.image_ids
            notices += added.notices
    return Added(tuple(ids), tuple(notices))


def _held(desk: Desk, entered: Entered) -> int | None:
    """The case that this lesion of this patient has already."""
    pseudonym, lesion = " ".join(entered.pseudonym.split()), " ".join(entered.lesion.split())
    wanted = select(Case.id).join(Patient).where(Patient.pseudonym == pseudonym, Case.lesion == lesion)
    return desk.session.scalar(wanted)


def _wrong(error: InputError, held: int | None) -> Wrong:
    faults = tuple(fault.what for fault in error.faults) if isinstance(error, RefusedError) else ()
    return Wrong(status_of(error), str(error), faults, held)


def _refused(request: Request, desk: Desk, entered: Entered, wrong: Wrong, case: Case | None = None) -> HTMLResponse:
    """What is wrong: into the form, which keeps everything, or where there is no script the form with its words."""
    if request.headers.get("hx-request") == "true":
        return page(request, "new_wrong.html.j2", desk.person, desk.site, wrong.status, wrong=wrong)
    return _form(request, desk, entered, case, wrong)


def _form(
    request: Request, desk: Desk, entered: Entered, case: Case | None = None, wrong: Wrong | None = None
) -> HTMLResponse:
    return page(
        request,
        "new.html.j2",
        desk.person,
        desk.site,
        wrong.status if wrong else 200,
        entered=entered,
        case=case,
        wrong=wrong,
        body_sites=BODY_SITES,
        intake=INTAKE,
        lights=LIGHTS,
        samples=range(1, len(SAMPLES) + 1),
        most=MOST_FILES,
        most_bytes=MOST_UPLOAD,
        today=now().astimezone().date().isoformat(),
    )


def _onward(request: Request, case_id: int, added: Added) -> Response:
    """To the case, with what is to be said of its pictures."""
    notices = dict.fromkeys(f"{n.code}:{n.figures['case']}" for n in added.notices)
    told = urlencode([("notice", one) for one in notices])
    place = f"/cases/{case_id}" + (f"?{told}" if told else "")
    if request.headers.get("hx-request") == "true":
        return Response(status_code=204, headers={"HX-Redirect": place})
    return RedirectResponse(place, 303)
