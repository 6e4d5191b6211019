"""What the service is, what it stores, and how it is set."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dermoscope import __version__
from dermoscope.serve.depends import Serving, maybe_person
from dermoscope.serve.pages.common import page
from dermoscope.serve.site import read_site

router = APIRouter(include_in_schema=False)


@router.get("/about")
def about(request: Request, service: Serving) -> HTMLResponse:
    """To be read by anybody who reaches the service; how it is set only by those who have entered."""
    person = maybe_person(request)
    with service.store.read() as session:
        site = read_site(session)
    bundle = service.engine.predictor.bundle
    return page(request, "about.html.j2", person, site, version=__version__, bundle=bundle)
