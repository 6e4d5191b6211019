"""The audit trail for admins: its lines, whether it is whole, and all of it as JSON lines."""

import datetime
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from dermoscope.serve import audit
from dermoscope.serve.api.frame import file_content, routes
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import shown
from dermoscope.serve.api.words import MOST_NUMBER, TEXT
from dermoscope.serve.depends import AdminAsking, Serving
from dermoscope.serve.past import Sought, lines
from dermoscope.serve.tables import Event

router, tag = routes("audit", "Who did what, chained so that a change is found. Only for admins.")
LINES = "application/x-ndjson"

_HASH = "928e0ebfc8c1de90afd24ea05f0680afdde4f9fa8f41ee11488690e0c837113a"
_LINE = {
    "number": 7,
    "at": "2026-03-31T09:30:00Z",
    "who": "R1",
    "what": "reading.locked",
    "subject": "case/12",
    "details": {"visit": 1, "aided": False},
    "sealed": True,
    "hash": _HASH,
}
_EXPORT = (
    '{"trail": {"count": 7, "hash": "928e…", "base": 0, "base_hash": "", "seal": "ebab…", "text": "7 928e… 0  …"}}\n'
    '{"hash": "4f2c…", "line": {"at": "2026-03-31T09:30:00.000000Z", "details": {}, "number": 1, …}}\n'
)


class LineOut(BaseModel):
    """One line. What was said of a lesion is sealed and not told here."""

    model_config = shown(_LINE)

    number: int
    at: datetime.datetime
    who: str
    what: str = Field(description="A verb, such as `case.viewed`.")
    subject: str
    details: dict[str, Any]
    sealed: bool = Field(description="Whether something was said that only the key of the case opens.")
    hash: str

    @classmethod
    def of(cls, line: Event) -> "LineOut":
        """The line as the API tells it."""
        names = ("at", "who", "what", "subject", "details", "hash")
        told = {name: getattr(line, name) for name in names}
        return cls(number=line.id, sealed=line.sealed is not None, **told)


class LinesOut(BaseModel):
    """Lines, the latest first, and where the next page begins."""

    model_config = shown({"lines": [_LINE], "before": 7})

    lines: list[LineOut]
    before: int | None = Field(description="What to ask for the lines before these; null where there are none.")


class VerifiedOut(BaseModel):
    """Whether the trail is what the service wrote."""

    model_config = shown(
        {
            **{"ok": True, "lines": 7, "first": 1, "last": 7, "hash": _HASH, "anchors": 2, "wrong": []},
            **{"at": "2026-03-31T09:30:00.000000Z", "sealed": True},
        }
    )

    ok: bool
    lines: int
    first: int
    last: int
    hash: str = Field(description="Of the last line. Noted elsewhere it shows later whether the trail was made anew.")
    anchors: int = Field(description="How many times at which the end of the trail was noted agree.")
    wrong: list[str] = Field(description="What is wrong, the first of it first; at most twenty.")
    at: datetime.datetime
    sealed: bool


class Wanted(BaseModel):
    """What lines are looked for; what is left out is left open."""

    subject: str = Field("", max_length=80, pattern=TEXT, description="Such as `case/12`.")
    what: str = Field("", max_length=40, pattern=TEXT, description="A verb, such as `login.failed`.")
    who: str = Field("", max_length=80, pattern=TEXT, description="A person.")
    before: int | None = Field(None, ge=1, le=MOST_NUMBER, description="Only lines before this number.")
    most: int = Field(100, ge=1, le=1000, description="How many at most.")


@router.get("/audit", response_model=LinesOut)
def list_lines(service: Serving, person: AdminAsking, wanted: Annotated[Wanted, Query()]) -> LinesOut:
    """Lines of the audit trail, the latest first."""
    with service.looking(person) as desk:
        sought = Sought(wanted.subject, wanted.what, wanted.who)
        found = lines(desk.session, sought, wanted.before, wanted.most + 1)
    told = [LineOut.of(line) for line in found[: wanted.most]]
    return LinesOut(lines=told, before=told[-1].number if len(found) > wanted.most else None)


@router.get("/audit/verify", response_model=VerifiedOut)
def verify_trail(service: Serving, person: AdminAsking) -> dict[str, Any]:
    """Compare every line with the one before it, the end with its seal, and both with the anchors.

    A million lines take about ten seconds of a processor.
    """
    del person
    return audit.verify(service.store).as_dict()


@router.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses=documented(422) | file_content(LINES, example=_EXPORT),
)
def export_trail(
    service: Serving,
    person: AdminAsking,
    after: Annotated[int, Query(ge=0, le=MOST_NUMBER, description="Leave out the lines up to this number.")] = 0,
) -> StreamingResponse:
    """All lines as JSON, each with its hash, so that whoever has them can verify them; what was sealed stays so."""
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(audit.taken(service, person, after), media_type=LINES, headers=headers)
