"""The first page: what there is to do, the oldest first."""

from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from dermoscope.serve.cases import BODY_SITES, OTHER
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import LARGEST
from dermoscope.serve.pages.common import page
from dermoscope.serve.readings import DECISIONS
from dermoscope.serve.worklist import TABS, Filter, listed

router = APIRouter(include_in_schema=False)


def filter_of(
    tab: str = "unread", text: str = "", body_site: str = "", answer: str = "", diagnosis: str = ""
) -> Filter:
    """What is looked for, as an address says it; an empty field is left open."""
    return Filter(tab, " ".join(text.split())[:80], body_site or None, answer or None, diagnosis or None)


def query_of(wanted: Filter, page: int = 1) -> str:
    """The address part of a filter: what stands open is left out."""
    fields = {name: getattr(wanted, name) for name in ("text", "body_site", "answer", "diagnosis")}
    told = {"tab": wanted.tab, **{name: value for name, value in fields.items() if value}}
    return urlencode(told | ({"page": str(page)} if page > 1 else {}), quote_via=quote)


Wanted = Annotated[Filter, Depends(filter_of)]


@dataclass(frozen=True)
class Deletion:
    """What was just deleted: a `case` or a `patient`, how many cases went, and whether free pages are still to do."""

    of: str
    cases: int
    later: bool


def deletion_of(
    deleted: str = "", gone: Annotated[int, Query(ge=0, le=LARGEST)] = 0, later: str = ""
) -> Deletion | None:
    """What a deletion led here with."""
    return Deletion(deleted, gone, bool(later)) if deleted in ("case", "patient") else None


@router.get("/")
def worklist(
    request: Request,
    service: Serving,
    person: Asking,
    wanted: Wanted,
    number: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
    deletion: Annotated[Deletion | None, Depends(deletion_of)] = None,
) -> HTMLResponse:
    """Cases by what they wait for, found by filters; and what was just deleted."""
    with service.looking(person) as desk:
        listing = listed(desk, wanted, number)
        codes = desk.bundle.taxonomy.codes
        return page(
            request,
            "worklist.html.j2",
            person,
            desk.site,
            listing=listing,
            wanted=wanted,
            filtered=wanted != Filter(wanted.tab),
            query=query_of(wanted, listing.page),
            tabs=[(tab, query_of(replace(wanted, tab=tab)), listing.counts[tab]) for tab in TABS],
            turned={n: query_of(wanted, n) for n in (listing.page - 1, listing.page + 1) if 1 <= n <= listing.pages},
            choices={"body_site": BODY_SITES, "answer": DECISIONS, "diagnosis": (*codes, OTHER)},
            chosen=vars(wanted),
            deletion=deletion,
        )
