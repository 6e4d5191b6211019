"""Cases: entered, listed, corrected, closed by histology; and their images."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Form, Query, Response
from pydantic import BaseModel, Field

from dermoscope.core.readings import Decision
from dermoscope.serve import cases, worklist
from dermoscope.serve.accounts import Person
from dermoscope.serve.api.classify import RefusedOut
from dermoscope.serve.api.files import Files, digests, given, pictures
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.idempotency import Posting, at_a_desk, by_itself
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import BodySite, CaseOut, HistologyIn, NewCaseIn, PlaceIn, shown
from dermoscope.serve.api.words import MOST_NUMBER, TEXT, Code, FormDay, Number
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Desk
from dermoscope.serve.texts import Texts

router, tag = routes("cases", "Lesions of pseudonymous patients, their images and their histology.")


class CaseRow(BaseModel):
    """One line of the worklist; what whoever asks may not see yet is none."""

    model_config = shown(
        {
            "id": 12,
            "pseudonym": "P-0417",
            "lesion": "left forearm",
            "body_site": "upper_extremity",
            "created_at": "2026-03-31T09:30:00Z",
            "visit": 1,
            "images": 2,
            "read": False,
            "decision": None,
            "diagnosis": None,
            "resolved": None,
            "disagrees": False,
            "answer": None,
            "histology": None,
            "closed": False,
            "sample": False,
        }
    )

    id: int
    pseudonym: str
    lesion: str
    body_site: str | None
    created_at: str
    visit: int
    images: int
    read: bool
    decision: str | None
    diagnosis: str | None
    resolved: str | None
    disagrees: bool
    answer: str | None
    histology: str | None
    closed: bool
    sample: bool

    @classmethod
    def of(cls, row: worklist.WorkRow) -> "CaseRow":
        """A row as the API tells it."""
        same = ("pseudonym", "lesion", "body_site", "visit", "images", "read", "decision", "diagnosis", "resolved")
        return cls(
            id=row.case_id,
            created_at=row.created_at.isoformat(),
            disagrees=row.disagrees,
            answer=None if row.answer is None else row.answer.kind,
            histology=row.histology,
            closed=row.closed_at is not None,
            sample=row.sample,
            **{name: getattr(row, name) for name in same},
        )


class CaseRows(BaseModel):
    """One page of the worklist."""

    model_config = shown(
        {"cases": [], "total": 0, "page": 1, "pages": 1, "counts": {"unread": 3, "awaiting": 1, "all": 9}}
    )

    cases: list[CaseRow]
    total: int
    page: int
    pages: int
    counts: dict[str, int] = Field(description="How many cases each tab holds.")


class NoticeOut(BaseModel):
    """Something that whoever adds an image should know."""

    model_config = shown(
        {
            "code": "same_image_other_patient",
            "figures": {"case": 9},
            "text": "The very same image stands in case 9, of another patient.",
        }
    )

    code: str
    figures: dict[str, int]
    text: str


class ImagesOut(BaseModel):
    """Images that were stored, and what is to be said of them and of those that were not."""

    model_config = shown({"case": 12, "image_ids": [31, 32], "notices": [], "errors": []})

    case: int
    image_ids: list[int]
    notices: list[NoticeOut]
    errors: list[RefusedOut] = Field(description="The files that could not be read.")


class Wanted(BaseModel):
    """What is looked for in the worklist."""

    tab: Literal["unread", "disagreements", "awaiting", "closed", "all"] = "all"
    text: str = Field("", max_length=80, pattern=TEXT, description="Part of a pseudonym or lesion, or a number.")
    body_site: BodySite | None = None
    answer: Decision | None = Field(None, description="The model's answer, where whoever asks may see it.")
    diagnosis: Code | None = Field(None, description="By the last reading, or by histology.")
    page: int = Field(1, ge=1, le=MOST_NUMBER)


@router.post("/cases", status_code=201, response_model=CaseOut, responses=documented(409))
def create_case(post: Posting, new: NewCaseIn) -> Response:
    """Enter a lesion. One lesion of one patient is one case: a second one is a conflict that names the first."""
    entered = cases.NewCase(new.pseudonym, new.lesion, new.body_site, tuple(new.intake))
    return at_a_desk(post, [new], lambda desk: CaseOut.of(desk, cases.create(desk, entered)))


@router.get("/cases", response_model=CaseRows)
def list_cases(service: Serving, person: Asking, wanted: Annotated[Wanted, Query()]) -> CaseRows:
    """The worklist: cases by what they wait for, the oldest first."""
    looked_for = worklist.Filter(wanted.tab, wanted.text, wanted.body_site, wanted.answer, wanted.diagnosis)
    with service.looking(person) as desk:
        found = worklist.listed(desk, looked_for, wanted.page)
        rows = [CaseRow.of(row) for row in found.rows]
    return CaseRows(cases=rows, total=found.total, page=found.page, pages=found.pages, counts=found.counts)


@router.get("/cases/{case_id}", response_model=CaseOut, responses=documented(404))
def show_case(service: Serving, person: Asking, case_id: Number) -> CaseOut:
    """A case with its images."""
    with service.looking(person) as desk:
        return CaseOut.of(desk, cases.get(desk, case_id))


@router.put("/cases/{case_id}", response_model=CaseOut, responses=documented(404, 409))
def change_case(service: Serving, person: Asking, case_id: Number, place: PlaceIn) -> CaseOut:
    """Correct body site and intake, until somebody has read the case. The images get new results where it matters."""
    cases.change(service, person, case_id, body_site=place.body_site, intake=place.intake)
    return show_case(service, person, case_id)


@router.post("/cases/{case_id}/histology", status_code=201, response_model=CaseOut, responses=documented(404, 409))
def enter_histology(post: Posting, case_id: Number, found: HistologyIn) -> Response:
    """Enter what histology found; it closes the case."""

    def work(desk: Desk) -> CaseOut:
        return CaseOut.of(desk, cases.enter_histology(desk, case_id, found.diagnosis, found.on))

    return at_a_desk(post, [found], work)


@router.delete("/cases/{case_id}/histology", response_model=CaseOut, responses=documented(404, 409))
def reopen(service: Serving, person: Asking, case_id: Number) -> CaseOut:
    """Open a closed case again; what its histology was stays in the audit trail."""
    with service.desk(person) as desk:
        return CaseOut.of(desk, cases.reopen(desk, case_id))


@router.post("/cases/{case_id}/images", status_code=201, response_model=ImagesOut, responses=documented(404, 409, 413))
def add_images(
    post: Posting,
    case_id: Number,
    files: Files,
    kind: Annotated[cases.Kind, Form(description="Dermoscopic ones are scored, overviews only shown.")] = "dermoscopic",
    captured_on: Annotated[FormDay, Form(description="When they were taken, where the files do not say.")] = None,
    polarisation: Annotated[Literal["polarised", "unpolarised", ""], Form(description="How, if it is known.")] = "",
) -> Response:
    """Add images to a case. Dermoscopic ones are read by the model, overviews are only shown.

    Files that cannot be read are told in `errors`; without any readable file nothing is stored.
    """
    found = given(files)
    said = {"captured_on": captured_on, "polarisation": polarisation}
    known: dict[str, Any] = {name: value for name, value in said.items() if value}

    def work() -> ImagesOut:
        good, bad = pictures(found)
        uploads = [replace(upload, **known) for _, upload in good]
        added = cases.add_images(post.service, post.person, case_id, uploads, kind)
        notices = [_notice(notice, post.person) for notice in added.notices]
        errors = [RefusedOut.of(one) for one in bad]
        return ImagesOut(case=case_id, image_ids=list(added.image_ids), notices=notices, errors=errors)

    return by_itself(post, lambda: [kind, str(captured_on), polarisation, *digests(found)], work)


def _notice(notice: cases.Notice, person: Person) -> NoticeOut:
    text = Texts.load(person.language)(f"notice.{notice.code}", **notice.figures)
    return NoticeOut(code=notice.code, figures=notice.figures, text=text)
