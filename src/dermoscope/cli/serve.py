"""`dermoscope serve`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import socket

    from dermoscope.serve.configure import Configured
    from dermoscope.serve.desk import Service
    from dermoscope.serve.options import Options


_Host = Annotated[
    str | None, typer.Option(help="Address to listen on; anything but loopback needs HTTPS. [default: 127.0.0.1]")
]
_Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. [default: 8000]")]
_Folder = Annotated[
    Path | None, typer.Option(help="Where images and the database are kept; by default below DERMOSCOPE_HOME.")
]
_Database = Annotated[
    str | None, typer.Option(help="postgresql://USER@HOST/NAME instead of SQLite; a password: DERMOSCOPE_DATABASE.")
]
_Bundle = Annotated[str | None, typer.Option(help="Name or folder of a bundle. [default: default]")]
_Threads = Annotated[int | None, typer.Option(help="Threads of the network; 0 takes all cores. [default: 0]")]
_Workers = Annotated[int | None, typer.Option(help="Processes that serve; PostgreSQL only. [default: 1]")]
_NoLogin = Annotated[bool, typer.Option("--no-login", help="Nobody enters, everybody is admin; only on loopback.")]
_PublicUrl = Annotated[str | None, typer.Option(help="https://NAME that readers call, where a proxy stands in front.")]
_PlainHttp = Annotated[
    bool, typer.Option("--plain-http", help="Readers call it without HTTPS: passwords can be read on the way.")
]
_LogFormat = Annotated[str | None, typer.Option(help="auto, json or text; auto: text on a terminal. [default: auto]")]
_Config = Annotated[Path | None, typer.Option(help="TOML file of settings. [default: dermoscope.toml in the folder]")]
_ShowSettings = Annotated[
    bool, typer.Option("--show-settings", help="Print what applies and where it was said, and end.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")]


def serve(
    host: _Host = None,
    port: _Port = None,
    folder: _Folder = None,
    database: _Database = None,
    bundle: _Bundle = None,
    threads: _Threads = None,
    workers: _Workers = None,
    no_login: _NoLogin = False,
    public_url: _PublicUrl = None,
    plain_http: _PlainHttp = False,
    log_format: _LogFormat = None,
    config: _Config = None,
    show_settings: _ShowSettings = False,
    as_json: _Json = False,
) -> None:
    """Run the web service: a second reader for research, that knows when not to answer.

    What no option says, the environment (DERMOSCOPE_SERVE_...) and a TOML file may say. As long as there is no admin,
    each start prints a link that makes one; the first is silent: answers are stored and not shown.
    """
    said = locals()
    _require()
    from dermoscope.serve.configure import configure
    from dermoscope.serve.settings import Settings

    given = {name: said.get(name) for name in Settings.model_fields}
    flags = {name: value for name, value in given.items() if value is not None and value is not False}  # 0 is a value
    configured = configure(flags, config)
    if show_settings:
        _show(configured, as_json)
    else:
        _start(configured)


def _start(configured: "Configured") -> None:
    from dermoscope.serve.refusals import require_safe

    require_safe(configured)
    options = configured.options
    listening = _listen(options)
    address = options.public_url or f"http://{_shown(options.host)}:{listening.getsockname()[1]}"
    _run(options, listening, address)


def _show(configured: "Configured", as_json: bool) -> None:
    """Every setting with its place, then what a start would refuse."""
    import json

    from rich.console import Console
    from rich.table import Table

    from dermoscope.serve.refusals import refusals

    shown, refused = configured.shown(), refusals(configured)
    if as_json:
        print(json.dumps({"settings": shown, "refused": refused}, indent=1))
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("setting", "value", "said by"):
            table.add_column(title, overflow="fold")
        for name, one in shown.items():
            value = one["value"]
            table.add_row(name, json.dumps(value) if not isinstance(value, str) else value or "-", one["from"])
        Console(highlight=False, markup=False).print(table)
    for sentence in refused:
        print(f"would be refused: {sentence}", file=sys.stderr)
    if refused:
        raise typer.Exit(2)


_NEEDED = (
    *("alembic", "argon2", "authlib", "cryptography", "fastapi", "prometheus_client", "pydantic_settings"),
    *("sqlalchemy", "uvicorn"),
)
"""What is imported from the packages of the extra `serve`."""


def _require() -> None:
    from importlib.util import find_spec

    from dermoscope.core.errors import MissingDependencyError

    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"{missing[0]} is not installed, and the service needs it: pip install 'dermoscope[serve]'"
        )


def _listen(options: "Options") -> "socket.socket":
    """The port is taken before anything else is done: two services never share a folder by mistake of a port."""
    import errno
    import socket

    from dermoscope.core.errors import InputError

    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)  # who comes before the model is loaded waits
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        remedy = (
            "another program listens there; give another --port, or 0 for a free one" if taken else "correct --host"
        )
        raise InputError(f"{options.host}:{options.port}: cannot be listened on ({error.strerror}); {remedy}") from None
    return listening


def _run(options: "Options", listening: "socket.socket", address: str) -> None:
    from dermoscope.serve import logs
    from dermoscope.serve.app import close_service, create_app, open_service
    from dermoscope.serve.ending import serve, serve_alone

    logs.install(options)
    service = open_service(options)
    if options.workers == 1:
        app = create_app(options, service)
        _greet(service, address)
        serve(options, app, listening)
        return
    import shutil

    from dermoscope.serve.metrics import shared_folder
    from dermoscope.serve.supervise import supervise

    _greet(service, address)  # what is done once is done by now, and each process opens the service by itself
    close_service(service)
    counters = shared_folder()
    try:
        code = supervise(options, listening, serve_alone)
    finally:
        shutil.rmtree(counters, ignore_errors=True)
    if code:
        raise typer.Exit(code)


def _greet(service: "Service", address: str) -> None:
    """What a newcomer has to know, once the service can be used."""
    from dermoscope.report.html import NOTICE
    from dermoscope.serve.links import first_link, path_of
    from dermoscope.serve.site import read_site

    options = service.options
    bundle = service.engine.predictor.bundle
    with service.store.begin() as session:
        site = read_site(session)
        token = first_link(session) if options.local_users and not options.no_login else None
    print(f"dermoscope is ready: {address}")
    print(f"  model    {bundle.card.name}, {bundle.sha256[:12]}")
    print(f"  kept in  {options.folder}{' and a PostgreSQL database' if options.database else ''}")
    print(f"  mode     {site.mode}, {'the reader' if site.order == 'human_first' else 'the model'} first")
    if site.mode == "silent":
        print("           answers are stored and not shown; an admin changes that under settings")
    if options.no_login:
        print("  login    none: everybody on this machine is an admin")
    elif token is not None:
        print(f"  login    {address.rstrip('/')}{path_of(token)}")
        print("           there is no admin yet: open this link, good once and for 24 hours, to become one")
    print(NOTICE)
    print("Ctrl-C ends it.", flush=True)


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # every address of this machine
        import socket

        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
