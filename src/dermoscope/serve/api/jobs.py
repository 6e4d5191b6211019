"""Batches of images that are worked off in the background, a case each."""

import datetime
from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import Form, Response
from pydantic import BaseModel, Field

from dermoscope.core.errors import InputError
from dermoscope.serve import jobs
from dermoscope.serve.api.files import Files, Given, digests, given, none_readable, oversize
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.idempotency import Posting, by_itself
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import shown
from dermoscope.serve.api.words import MaybeText, Name, Number
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.options import MOST_FILES

router, tag = routes("jobs", "Batches of images that go on in the background; each image becomes a case.")

_JOB = {
    "id": 3,
    "title": "clinic of March",
    "created_at": "2026-03-31T09:30:00Z",
    "created_by": "R1",
    "state": "running",
    "total": 100,
    "done": 41,
    "failed": 1,
    "left_s": 12.5,
    "items": [{"position": 1, "pseudonym": "B3-001", "state": "done", "case": 12, "problem": None}],
}


class JobItemOut(BaseModel):
    """One image of a batch."""

    model_config = shown(_JOB["items"][0])  # type: ignore[index]

    position: int
    pseudonym: str
    state: str = Field(description="`waiting`, `done` or `failed`.")
    case: int | None
    problem: str | None = Field(description="Why it failed.")


class JobOut(BaseModel):
    """How far a batch is."""

    model_config = shown(_JOB)

    id: int
    title: str
    created_at: datetime.datetime
    created_by: str
    state: jobs.State
    total: int
    done: int
    failed: int
    left_s: float | None = Field(description="Seconds that it will take yet, where that is known.")
    items: list[JobItemOut] = Field(description="Image by image; empty in a list of batches.")

    @classmethod
    def of(cls, progress: jobs.Progress) -> "JobOut":
        """The batch as the API tells it."""
        items = [
            JobItemOut(position=i.position, pseudonym=i.pseudonym, state=i.state, case=i.case_id, problem=i.problem)
            for i in progress.items
        ]
        names = [name for name in cls.model_fields if name != "items"]
        return cls.model_validate({**{name: getattr(progress, name) for name in names}, "items": items})


class JobsOut(BaseModel):
    """Every batch, the latest first, without its items."""

    model_config = shown({"jobs": [{**_JOB, "items": []}]})

    jobs: list[JobOut]


@router.post("/jobs", status_code=201, response_model=JobOut, responses=documented(413))
def create_job(
    post: Posting,
    files: Files,
    title: Annotated[MaybeText, Form(description="What the list calls it.")] = "",
    pseudonyms: Annotated[
        list[Name],
        Form(max_length=MOST_FILES, description="One for each file, in their order; without any, `B3-001` and so on."),
    ] = [],  # noqa: B006
) -> Response:
    """Send a batch. It is stored when this is answered, and worked off in the background.

    A file that is no image becomes an item that failed, with its reason.
    """
    found, named = given(files), pseudonyms
    if named and len(named) != len(found):
        raise InputError(f"{len(named)} pseudonyms for {len(found)} files; give one for each, or none")
    large = [refused for one in found if (refused := oversize(one)) is not None]
    if large:
        raise none_readable(large)

    def work() -> JobOut:
        made = jobs.create(post.service, post.person, _read(found, named), title)
        with post.service.looking(post.person) as desk:
            return JobOut.of(jobs.progress(desk, made))

    return by_itself(post, lambda: [title, list(named), *digests(found)], work)


def _read(found: Sequence[Given], named: Sequence[str]) -> Iterator[jobs.Given]:
    """File after file, so that no more than one of them is in memory."""
    for position, one in enumerate(found):
        yield jobs.Given(one.read(), named[position] if named else "")


@router.get("/jobs", response_model=JobsOut)
def list_jobs(service: Serving, person: Asking) -> JobsOut:
    """Every batch, the latest first."""
    with service.looking(person) as desk:
        return JobsOut(jobs=[JobOut.of(progress) for progress in jobs.listed(desk)])


@router.get("/jobs/{job_id}", response_model=JobOut, responses=documented(404))
def show_job(service: Serving, person: Asking, job_id: Number) -> JobOut:
    """How far a batch is, image by image."""
    with service.looking(person) as desk:
        return JobOut.of(jobs.progress(desk, job_id))


@router.delete("/jobs/{job_id}", response_model=JobOut, responses=documented(404, 409))
def cancel_job(service: Serving, person: Asking, job_id: Number) -> JobOut:
    """Stop a batch; the cases that it has made stay."""
    with service.desk(person) as desk:
        jobs.cancel(desk, job_id)
    return show_job(service, person, job_id)
