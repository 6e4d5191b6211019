"""How a process that serves ends: it takes nothing more, answers what it has accepted, and says what was left.

The first SIGTERM or SIGINT begins it. With a second one, or after `Options.drain_s`, it ends at once.
"""

import os
import socket
import sys
import threading
from types import FrameType

import uvicorn
from fastapi import FastAPI

from dermoscope.serve import logs
from dermoscope.serve.app import create_app
from dermoscope.serve.options import Options
from dermoscope.serve.server import configuration

CUT = 1
"""Exit code where something was left."""


class Server(uvicorn.Server):
    """One process that serves, with its end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_s: float) -> None:
        config.timeout_graceful_shutdown = None  # the time is kept here, and what is left is told
        super().__init__(config)
        self._app = app
        self._timer = threading.Timer(drain_s, self._cut, [f"the {drain_s:g} s for it are over"])
        self._timer.daemon = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin to end, or end at once."""
        if self.should_exit:
            self._cut("a second signal came")
        else:
            self.should_exit = True
            self._timer.start()

    def close(self) -> None:
        """The end was reached in time: nothing is cut any more."""
        self._timer.cancel()

    def _cut(self, why: str) -> None:
        print(f"dermoscope ends at once ({why}): {self.left()}", file=sys.stderr, flush=True)
        os._exit(CUT)  # threads that wait for a network cannot be told to end

    def left(self) -> str:
        """What there was to do yet."""
        service = getattr(self._app.state, "service", None)
        images = 0 if service is None else service.engine.load.busy + service.engine.load.waiting
        requests = len(self.server_state.tasks)
        return f"{requests} requests were not answered, {images} images not read; items of batches wait for the start"


def serve(options: Options, app: FastAPI, listening: socket.socket) -> None:
    """Serve until a signal comes."""
    server = Server(configuration(options, app), app, options.drain_s)
    server.run(sockets=[listening])
    server.close()


def serve_alone(options: Options, listening: socket.socket) -> None:
    """The same in a process of its own, which opens the service by itself."""
    logs.install(options)
    serve(options, create_app(options), listening)
