"""How a page is drawn: template, texts in the reader's language, who reads, and what the site says of itself.

Templates find `t` (texts), `language`, `languages`, `theme`, `person` and `site` (either may be None), `login` (whether
there are accounts), `status`, `notice`, `path` and `address` (with its question). A text that is missing or a name that
is not given is an error, never an empty space.
"""

from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from dermoscope.report.html import printable
from dermoscope.serve.accounts import LANGUAGES, Language, Person, language_of
from dermoscope.serve.site import Site
from dermoscope.serve.texts import Texts
from dermoscope.serve.wording import notice as notice

THEMES = ("auto", "light", "dark")
VERSION_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}


def page(
    request: Request, name: str, person: Person | None, site: Site | None, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page, or a part of one that htmx puts in its place. Nothing of it is kept by browsers: answers change."""
    language: Language = (
        person.language if person else language_of(request.cookies, request.headers.get("accept-language", ""))
    )
    t = Texts.load(language)
    theme = request.cookies.get("theme", "auto")
    text = (
        _environment()
        .get_template(name)
        .render(
            t=t,
            language=language,
            languages=LANGUAGES,
            theme=theme if theme in THEMES else "auto",
            person=person,
            site=site,
            login=_has_accounts(request),
            status=status,
            notice=notice(site, t),
            path=request.url.path,
            address=back(request),
            **values,
        )
    )
    return HTMLResponse(text, status, VERSION_HEADERS)


def _has_accounts(request: Request) -> bool:
    """Whether people enter by accounts; also where the service is not open yet, or no longer."""
    service = getattr(request.app.state, "service", None)
    return service is None or not service.options.no_login


def back(request: Request) -> str:
    """This page's address with its question, for forms that lead back to it."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def inside(address: str) -> str:
    """`address` where it is one of these pages, else the first page: a form leads to no other host."""
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if plain else "/"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dermoscope.serve"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["query"] = lambda **values: urlencode(
        {name: value for name, value in values.items() if value not in (None, "")}, quote_via=quote
    )
    return environment
