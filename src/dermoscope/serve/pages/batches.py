"""Batches: up to a hundred images at once, worked off in the background; one can leave and come back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import InputError
from dermoscope.serve import jobs
from dermoscope.serve.accounts import Person
from dermoscope.serve.api.files import Given, given, oversize
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Service
from dermoscope.serve.options import MOST_FILES, MOST_UPLOAD
from dermoscope.serve.pages.common import page

router = APIRouter(include_in_schema=False)
NAMING = ("numbered", "by_name", "own")
"""How lesions of a batch get their pseudonyms: by their place, by the names of the files, or from a list."""


@dataclass(frozen=True)
class Names:
    """What the form says besides the files: the batch's title, and how its lesions are named."""

    title: str = ""
    naming: str = "numbered"
    listed: str = ""

    @property
    def lines(self) -> list[str]:
        """Pseudonyms of the list."""
        return [line.strip() for line in self.listed.splitlines() if line.strip()]


@dataclass(frozen=True)
class Wrong:
    """Why a batch was not taken: a key of the catalogue and its figures, or the service's own words."""

    key: str = ""
    figures: tuple[tuple[str, int], ...] = ()
    said: str = ""


def names_of(
    title: Annotated[str, Form(max_length=200)] = "",
    naming: Annotated[str, Form()] = "numbered",
    pseudonyms: Annotated[str, Form()] = "",
) -> Names:
    """The form's fields; a naming that there is not is the first one."""
    return Names(title, naming if naming in NAMING else NAMING[0], pseudonyms)


@router.get("/batches")
def batches(request: Request, service: Serving, person: Asking) -> HTMLResponse:
    """All batches, and the form for another one."""
    return _overview(request, service, person, Names())


@router.post("/batches")
def start(
    request: Request,
    service: Serving,
    person: Asking,
    names: Annotated[Names, Depends(names_of)],
    files: Annotated[list[UploadFile] | None, File()] = None,
) -> Response:
    """Store a batch and lead to its progress, or say what is wrong with it; htmx puts that into the form."""
    part = request.headers.get("hx-request") == "true"
    sent = [file for file in files or () if file.filename or file.size]
    wrong = _wrong(sent, names)
    if wrong is None:
        try:
            made = jobs.create(service, person, _given(given(sent), names), names.title)
        except InputError as error:
            wrong = Wrong(said=str(error))
    if wrong is not None:
        if part:
            return page(request, "batch_wrong.html.j2", person, None, 422, wrong=wrong)
        return _overview(request, service, person, names, wrong)
    place = f"/batches/{made}"
    return Response(status_code=204, headers={"HX-Redirect": place}) if part else RedirectResponse(place, 303)


@router.get("/batches/{job_id:int}")
def batch(request: Request, service: Serving, person: Asking, job_id: int) -> HTMLResponse:
    """How far a batch is, image by image. htmx asks for the part that changes."""
    part = request.headers.get("hx-request") == "true"
    with service.looking(person) as desk:
        job = jobs.progress(desk, job_id)
        return page(request, "batch_part.html.j2" if part else "batch.html.j2", person, desk.site, job=job)


@router.post("/batches/{job_id:int}/cancel")
def cancel(service: Serving, person: Asking, job_id: int) -> RedirectResponse:
    """Stop a batch; what is done stays."""
    with service.desk(person) as desk:
        jobs.cancel(desk, job_id)
    return RedirectResponse(f"/batches/{job_id}", 303)


def _wrong(sent: Sequence[UploadFile], names: Names) -> Wrong | None:
    """What can be told before a file is read."""
    if not sent:
        return Wrong("no_files")
    if len(sent) > MOST_FILES:
        return Wrong("too_many", (("n", len(sent)), ("most", MOST_FILES), ("over", len(sent) - MOST_FILES)))
    if names.naming == "own" and len(names.lines) != len(sent):
        return Wrong("own_count", (("lines", len(names.lines)), ("files", len(sent))))
    return None


def _given(files: Sequence[Given], names: Names) -> Iterator[jobs.Given]:
    """Each file with its pseudonym, read when its turn comes; one that is too large is not."""
    for place, one in enumerate(files):
        pseudonym = {"by_name": one.image[:80], "own": names.lines[place] if names.naming == "own" else ""}
        called, large = pseudonym.get(names.naming, ""), oversize(one)
        if large is None:
            yield jobs.Given(one.read(), called)
        else:
            size = f"{one.upload.size or 0:,} bytes; at most {MOST_UPLOAD:,} are taken"
            yield jobs.Given(b"", called, refused=f"image {place + 1}: {size}")


def _overview(
    request: Request, service: Service, person: Person, names: Names, wrong: Wrong | None = None
) -> HTMLResponse:
    with service.looking(person) as desk:
        return page(
            request,
            "batches.html.j2",
            person,
            desk.site,
            422 if wrong else 200,
            batches=jobs.listed(desk),
            names=names,
            wrong=wrong,
            most=MOST_FILES,
            naming=NAMING,
            size=MOST_UPLOAD // 1_000_000,
        )
