"""What can be taken along as a table, and the audit trail for admins."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import select

from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import LARGEST, Desk
from dermoscope.serve.export import history_csv, readings_csv
from dermoscope.serve.pages.common import page
from dermoscope.serve.tables import Event, now

router = APIRouter(include_in_schema=False)
LINES = 50
"""Lines of the audit trail on one page."""
UNTOLD = ("answer", "answers", "decision")
"""Details that would tell what the model or another reader said: who may see that is asked elsewhere."""
_DIGEST = re.compile("[0-9a-f]{64}")
_PLACES = {"case": "/cases/{}?tab=all", "job": "/batches/{}", "setting": "/settings#{}", "image": "/images/{}/full"}


@router.get("/history")
def history(
    request: Request,
    service: Serving,
    person: Asking,
    before: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    subject: Annotated[str, Query(max_length=80, pattern="^[^\0]*$")] = "",
) -> HTMLResponse:
    """Exports, and the last lines of the trail; `before` is the line that the page before ended with."""
    with service.looking(person) as desk:
        lines = trail(desk, before, subject) if person.role == "admin" else []
        return page(
            request,
            "history.html.j2",
            person,
            desk.site,
            lines=lines[:LINES],
            more=len(lines) > LINES,
            before=before,
            subject=subject,
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


def trail(desk: Desk, before: int | None, subject: str) -> list[Event]:
    """The lines of one page, the latest first, and one more where there are more."""
    wanted = select(Event).order_by(Event.id.desc()).limit(LINES + 1)
    if before is not None:
        wanted = wanted.where(Event.id < before)
    if subject:
        wanted = wanted.where(Event.subject == subject)
    return list(desk.session.scalars(wanted))


def place_of(subject: str) -> str | None:
    """The page of what a line is about, or None: a result has none of its own."""
    kind, _, name = subject.partition("/")
    return _PLACES[kind].format(name) if kind in _PLACES and name.isalnum() else None


def told(details: dict[str, Any]) -> str:
    """The details of a line, without what was said of a lesion; of a digest only its beginning.

    >>> told({"decision": "refer", "aided": False, "before": None, "after": {"name": "own"}})
    'aided no, before –, after {"name": "own"}'
    """
    return ", ".join(f"{name} {_value(value)}" for name, value in details.items() if name not in UNTOLD)


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:12]}…" if _DIGEST.fullmatch(text) else text


def _file(text: str, name: str) -> Response:
    called = f"dermoscope-{name}-{now().astimezone():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{called}"', "Cache-Control": "no-store"}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
