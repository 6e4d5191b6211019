"""The server around the application: which proxies it believes, what it logs, how long it finishes what it accepted."""

import math

import uvicorn
from fastapi import FastAPI

from dermoscope.serve.options import Options
from dermoscope.serve.slow import Protocol

NEAR = ("127.0.0.1", "::1")
"""Proxies that are believed where none is named: those of this machine."""


BACKLOG = 1024
"""Connections that the system holds until they are taken."""


def configuration(options: Options, app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves an application. Logging is `logs.install`'s, a line for each request `watch.Watch`'s."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=Protocol,
        ws="none",
        backlog=BACKLOG,
        forwarded_allow_ips=list(options.trusted_proxies or NEAR),
        timeout_graceful_shutdown=math.ceil(options.drain_s),
    )
