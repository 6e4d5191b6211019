"""A service and a browser for as long as a test or a tool needs them."""

import asyncio
import os
import shutil
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dermoscope.serve.app import close_service, create_app, open_service
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.slow import Protocol

if TYPE_CHECKING:
    from fastapi import FastAPI
    from playwright.sync_api import Browser, Page, Playwright

T = TypeVar("T")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
START = 10.0
"""Seconds that a server may take to start."""


@dataclass(frozen=True, eq=False)
class Live:
    """A service that is served, and where."""

    url: str
    service: Service


@contextmanager
def serving(options: Options, service: Service | None = None) -> Iterator[Live]:
    """Serve on a free port of 127.0.0.1, whatever host and port `options` name, in a thread of this process.

    Without a service one is opened. Raises RuntimeError for a server that does not start or end.
    """
    service = service or open_service(options)
    try:
        with listening(create_app(options, service)) as url:
            yield Live(url, service)
    finally:
        close_service(service)


@contextmanager
def listening(app: "FastAPI") -> Iterator[str]:
    """The address at which any application is served as long as the block runs. Raises RuntimeError like `serving`."""
    import uvicorn

    with socket.socket(proto=socket.IPPROTO_TCP) as place:  # asyncio sends without delay only where it is named
        place.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", http=Protocol))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + START
            while not server.started and thread.is_alive() and time.monotonic() < until:
                time.sleep(0.01)
            if not server.started:
                raise RuntimeError(f"the server did not start within {START:.0f} s")
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
        if thread.is_alive():
            raise RuntimeError("the server did not end")


def apart(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, run in a thread of its own: Playwright keeps a loop of asyncio in the first one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def chromium(playwright: "Playwright") -> "Browser":
    """The system's Chromium, else Playwright's own. Raises playwright's Error where neither starts."""
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    plain = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=found, args=plain)


def press(page: "Page", *keys: str) -> None:
    """Press keys, one after the other, once the scripts of the page are there."""
    page.wait_for_load_state("domcontentloaded")
    for key in keys:
        page.keyboard.press(key)
