"""Who looked at what: one line for every address that shows something of a patient, as a line of the audit trail.

It is recorded after the endpoint has found what is to be shown and before any of it is sent: what cannot be recorded is
not shown. Small copies of at most `SMALL` px are no view, lists are views without their patients, and a part of a page
that htmx asks for again and again is one view with its page.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from dermoscope.serve import trail
from dermoscope.serve.accounts import Person
from dermoscope.serve.depends import maybe_person, service_of
from dermoscope.serve.rules import Place, routes_of

SMALL = 320
"""Pixels of the longer side up to which a small copy is part of a list."""


def _always(_: Request) -> bool:
    return True


def _large(request: Request) -> bool:
    side = request.query_params.get("side", "0")
    return not side.isdigit() or int(side) > SMALL


def _whole(request: Request) -> bool:
    return request.headers.get("hx-request") != "true"


@dataclass(frozen=True)
class View:
    """A verb of the trail, its subject with the numbers of the address, details, and whether this request is one."""

    what: str
    subject: str
    details: Mapping[str, str] = field(default_factory=dict)
    counts: Callable[[Request], bool] = _always


def _case(part: str = "") -> View:
    return View("case.viewed", "case/{case_id}", {"part": part} if part else {})


def _image(part: str = "", counts: Callable[[Request], bool] = _always) -> View:
    return View("image.viewed", "image/{image_id}", {"part": part} if part else {}, counts)


def _list(subject: str, counts: Callable[[Request], bool] = _always) -> View:
    return View("list.viewed", subject, {}, counts)


VIEWS: Mapping[str, View] = {
    "/": _list("cases"),
    "/batches": _list("jobs"),
    "/batches/{job_id}": _list("job/{job_id}", _whole),
    "/history": _list("audit"),
    "/silent": _list("silent"),
    "/cases/{case_id}": _case(),
    "/cases/{case_id}/facts": _case("facts"),
    "/cases/{case_id}/images": _case("images"),
    "/cases/{case_id}/delete": _case("delete"),
    "/cases/{case_id}/what-if": _case("what-if"),
    "/cases/{case_id}/result.json": _case("json"),
    "/cases/{case_id}/result.pdf": _case("pdf"),
    "/images/{image_id}/full": _image(),
    "/images/{image_id}/thumb": _image("small", _large),
    "/images/{image_id}/heat": _image("heat"),
    "/api/v1/audit": _list("audit"),
    "/api/v1/cases": _list("cases"),
    "/api/v1/cases/{case_id}": _case(),
    "/api/v1/cases/{case_id}/readings": _case("readings"),
    "/api/v1/cases/{case_id}/result": _case("result"),
    "/api/v1/exports/cases/{case_id}.json": _case("json"),
    "/api/v1/exports/cases/{case_id}.pdf": _case("pdf"),
    "/api/v1/images/{image_id}": _image("facts"),
    "/api/v1/images/{image_id}/full": _image(),
    "/api/v1/images/{image_id}/thumb": _image("small", _large),
    "/api/v1/images/{image_id}/heat": _image("heat"),
    "/api/v1/jobs": _list("jobs"),
    "/api/v1/jobs/{job_id}": _list("job/{job_id}"),
    "/api/v1/silent-report": _list("silent"),
}
"""By address; all of them are asked with GET."""

ByEndpoint = Mapping[Callable[..., Any], View]


def matched(app: FastAPI, views: Mapping[str, View] = VIEWS) -> ByEndpoint:
    """The views of an application by endpoint. Raises ValueError for one without a route, or with an unknown verb."""
    found = {place: endpoint for place, endpoint, _ in routes_of(app)}
    stray = [path for path in views if ("GET", path) not in found]
    strange = {view.what for view in views.values()} - set(trail.VERBS)
    if stray or strange:
        raise ValueError(f"views without a route: {stray}; unknown verbs: {sorted(strange)}")
    return {found[_place(path)]: view for path, view in views.items()}


async def viewed(request: Request) -> AsyncIterator[None]:
    """Record the view when the endpoint has done its work, before anything is sent."""
    yield
    view: View | None = request.app.state.views.get(request.scope["endpoint"])
    if view is not None and request.method == "GET" and view.counts(request):
        await run_in_threadpool(_record, request, view)


def _record(request: Request, view: View) -> None:
    person = maybe_person(request)
    assert isinstance(person, Person), "who may look is known"
    subject = view.subject.format(**{name: int(value) for name, value in request.path_params.items()})
    with service_of(request).store.begin() as session:
        trail.record(session, person.name, view.what, subject, None, **view.details)


def _place(path: str) -> Place:
    return "GET", path
