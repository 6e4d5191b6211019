"""What can be taken along as a table, and the audit trail for admins."""

import datetime
import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from dermoscope.serve.audit import last_verified, taken, verify
from dermoscope.serve.depends import AdminAsking, Asking, Serving
from dermoscope.serve.desk import LARGEST
from dermoscope.serve.export import history_csv, readings_csv
from dermoscope.serve.pages.common import page
from dermoscope.serve.past import Sought
from dermoscope.serve.past import lines as found
from dermoscope.serve.tables import now
from dermoscope.serve.trail import VERBS, keys_of

router = APIRouter(include_in_schema=False)
LINES = 50
"""Lines of the audit trail on one page."""
UNTOLD = ("answer", "answers", "decision")
"""Details that would tell what the model or another reader said, as older lines may have them."""
_LONGEST = 100
"""Signs of one detail on the page at most."""
_DIGEST = re.compile("[0-9a-f]{64}")
_PLACES = {
    "case": "/cases/{}?tab=all",
    "job": "/batches/{}",
    "setting": "/settings#{}",
    "image": "/images/{}/full",
    "user": "/users/{}",
}


def sought_of(
    subject: Annotated[str, Query(max_length=80, pattern="^[^\0]*$")] = "",
    what: Annotated[str, Query(max_length=40, pattern="^[^\0]*$")] = "",
    who: Annotated[str, Query(max_length=80, pattern="^[^\0]*$")] = "",
) -> Sought:
    """Which lines are looked for, as an address says it."""
    return Sought(subject.strip(), what, who.strip())


@router.get("/history")
def history(
    request: Request,
    service: Serving,
    person: Asking,
    sought: Annotated[Sought, Depends(sought_of)],
    before: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
) -> HTMLResponse:
    """Exports, and the last lines of the trail; `before` is the line that the page before ended with."""
    with service.looking(person) as desk:
        admin = person.role == "admin"
        lines = found(desk.session, sought, before, LINES + 1) if admin else []
        return page(
            request,
            "history.html.j2",
            person,
            desk.site,
            lines=lines[:LINES],
            more=len(lines) > LINES,
            before=before,
            sought=sought,
            verbs=VERBS,
            checked=last_verified(keys_of(desk.session)) if admin else None,
            moment_of=datetime.datetime.fromisoformat,
            place_of=place_of,
            told=told,
        )


@router.get("/history/readings.csv")
def readings(service: Serving, person: Asking) -> Response:
    """All readings that this person may see."""
    return _file(readings_csv(service, person), "readings")


@router.get("/history/cases.csv")
def cases(service: Serving, person: Asking) -> Response:
    """All pictures with what this person may see of them."""
    return _file(history_csv(service, person), "cases")


@router.get("/history/trail.jsonl")
def trail(service: Serving, person: AdminAsking) -> Response:
    """The whole trail, each line with its hash; what was said of lesions stays sealed."""
    headers = {"Content-Disposition": f'attachment; filename="{_name("audit", "jsonl")}"', "Cache-Control": "no-store"}
    return StreamingResponse(taken(service, person), media_type="application/x-ndjson", headers=headers)


@router.post("/history/verify")
def check(service: Serving, person: AdminAsking) -> RedirectResponse:
    """Look whether the trail is whole; the page tells what was found."""
    del person
    verify(service.store)
    return RedirectResponse("/history#chain", 303)


def place_of(subject: str) -> str | None:
    """The page of what a line is about, or None: a result has none of its own, nor has somebody who was not let in.

    >>> place_of("user/3"), place_of("user/anna"), place_of("result/7")
    ('/users/3', None, None)
    """
    kind, _, name = subject.partition("/")
    named = name.isalnum() and (kind == "setting" or name.isdecimal())
    return _PLACES[kind].format(name) if kind in _PLACES and named else None


def told(details: dict[str, Any]) -> str:
    """The details of a line, without what was said of a lesion; of what is long only its beginning.

    >>> told({"decision": "refer", "aided": False, "before": None, "after": {"name": "own"}})
    'aided no, before –, after {"name": "own"}'
    """
    names = sorted(details, key=lambda name: (name == "after", name)) if "before" in details else list(details)
    return ", ".join(f"{name} {_value(details[name])}" for name in names if name not in UNTOLD)


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    most = 12 if _DIGEST.fullmatch(text) else _LONGEST
    return f"{text[:most]}…" if len(text) > most else text


def _name(of: str, kind: str) -> str:
    return f"dermoscope-{of}-{now().astimezone():%Y-%m-%d}.{kind}"


def _file(text: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{_name(name, "csv")}"', "Cache-Control": "no-store"}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
