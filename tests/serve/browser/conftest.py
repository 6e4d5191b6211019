"""A real Chromium on a real server. What every page must keep is asserted after every test, by `reader`:

no request to another host, nothing that a policy blocked, no error on the console, no file that could not be had.

    reader     opens a window of a reader: `reader("anna")`, another address, language, width, theme
    place      a service that all tests share, on loopback; it holds what other tests left there
    own_place  starts services of their own, for tests that count or change settings
    lesion     drawn pictures as files to send
    shoot      saves what is seen below out/screenshots/

Chromium is the system's, else Playwright's own; `browser` stands in tests/serve/conftest.py.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

pytest.importorskip("playwright", reason="playwright is not installed: no browser test")
pytest.importorskip("uvicorn", reason="the service is not installed: pip install 'dermoscope[serve]'")

if TYPE_CHECKING:
    from live import Live
    from playwright.sync_api import Browser, BrowserContext, FilePayload, Page

OUT = Path(__file__).parents[3] / "out" / "screenshots"


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Live"]:
    """A service on loopback, open, human first: tests use pseudonyms of their own in it and change no setting."""
    from live import serving

    from dermoscope.serve.options import Options

    with serving(
        Options(port=0, folder=tmp_path_factory.mktemp("shared") / "service", threads=1, no_login=True)
    ) as live:
        yield live


@pytest.fixture
def own_place(tmp_path: Path) -> Iterator[Callable[..., "Live"]]:
    """Start a service of the test's own; it ends with the test. Takes what `Options` takes."""
    from live import serving

    from dermoscope.serve.options import Options

    with ExitStack() as stack:
        yield lambda **given: stack.enter_context(
            serving(Options(**{"port": 0, "folder": tmp_path / "service", "threads": 1, "no_login": True, **given}))
        )


class Watch:
    """What goes wrong in a window. `expected` holds statuses that a test provokes."""

    def __init__(self, context: "BrowserContext", url: str) -> None:
        self.faults: list[str] = []
        self.expected: set[int] = set()
        self._here = urlsplit(url).netloc
        context.on("request", lambda request: self._asked(request.url))
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("blob", "data") and parts.netloc != self._here:
            self.faults.append(f"asked another host: {url}")

    def _said(self, kind: str, text: str) -> None:
        status = re.search(r"responded with a status of (\d{3})", text)
        if kind == "error" and not (status and int(status[1]) in self.expected):
            self.faults.append(f"console: {text}")


@pytest.fixture
def reader(browser: "Browser", request: pytest.FixtureRequest) -> Iterator[Callable[..., "Page"]]:
    """Open a window: `reader(name, url=..., expect=(422,), **what Playwright's new_context takes)`.

    Without `url` it is on `place`; without a name nobody has entered. The page has `url` as its base.
    """
    watches: list[Watch] = []
    with ExitStack() as stack:

        def open_window(name: str = "anna", url: str = "", expect: tuple[int, ...] = (), **given: Any) -> "Page":
            url = url or request.getfixturevalue("place").url
            settings = {"locale": "en-GB", "viewport": {"width": 1440, "height": 900}, **given}
            context = browser.new_context(base_url=url, **settings)
            stack.callback(context.close)
            context.set_default_timeout(15_000)
            watch = Watch(context, url)
            watch.expected.update(expect)
            watches.append(watch)
            if name:
                context.add_cookies([{"name": "reader", "value": quote(name), "url": url}])
            return context.new_page()

        yield open_window
    assert [fault for watch in watches for fault in watch.faults] == []


@pytest.fixture(scope="session")
def lesion() -> Callable[..., "FilePayload"]:
    """A drawn picture as a file to send: `lesion(seed, diagnosis, size)`, the same arguments the same picture."""
    from dermoscope.data.synthetic import draw

    @cache
    def drawn(seed: int, diagnosis: str = "NV", size: tuple[int, int] = (600, 450)) -> "FilePayload":
        return {"name": f"lesion-{seed}.jpg", "mimeType": "image/jpeg", "buffer": draw(seed, diagnosis, size).jpeg()}

    return drawn


@pytest.fixture
def shoot() -> Callable[..., None]:
    """Save what is seen: `shoot(page, "case-locked")`."""

    def save(page: "Page", name: str, *, whole: bool = False) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=OUT / f"{name}.png", full_page=whole)

    return save


@pytest.fixture
def add_case() -> Callable[..., int]:
    """A case with pictures, stored as the service stores one: `add_case(live, "P-1", [lesion(1)], ...)`."""

    def add(live: "Live", pseudonym: str, pictures: "list[FilePayload]", *, by: str = "anna", **fields: Any) -> int:
        from dermoscope.serve import cases
        from dermoscope.serve.accounts import Person
        from dermoscope.serve.cases import NewCase
        from dermoscope.serve.uploads import clean

        person = Person(by, "admin")
        with live.service.desk(person) as desk:
            made = cases.create(desk, NewCase(pseudonym, **fields)).id
        uploads = [clean(one["buffer"], one["name"]) for one in pictures]
        if uploads:
            cases.add_images(live.service, person, made, uploads, "dermoscopic")
        return made

    return add


@pytest.fixture
def say() -> Callable[..., None]:
    """A locked reading: `say(live, case_id, "refer", by="anna")`."""

    def lock(live: "Live", case_id: int, decision: Any, by: str = "anna", diagnosis: str | None = None) -> None:
        from dermoscope.serve import readings
        from dermoscope.serve.accounts import Person
        from dermoscope.serve.readings import Said

        with live.service.desk(Person(by, "admin")) as desk:
            readings.lock(desk, case_id, Said(decision, diagnosis))

    return lock
