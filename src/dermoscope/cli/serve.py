"""`dermoscope serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import socket

    from dermoscope.serve.desk import Service
    from dermoscope.serve.options import Options


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; anything but loopback asks for entry codes.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    folder: Annotated[
        Path | None, typer.Option(help="Where images and the database are kept; by default below DERMOSCOPE_HOME.")
    ] = None,
    database: Annotated[
        str, typer.Option(envvar="DERMOSCOPE_DATABASE", help="postgresql://USER:PASSWORD@HOST/NAME instead of SQLite.")
    ] = "",
    bundle: Annotated[str, typer.Option(help="Name or folder of a bundle.")] = "default",
    threads: Annotated[int, typer.Option(min=0, help="Threads of the network; 0 takes all cores.")] = 0,
    codes: Annotated[bool, typer.Option("--new-codes", help="Make new entry codes; those before end.")] = False,
) -> None:
    """Run the web service: a second reader for research, that knows when not to answer.

    Where only this machine reaches it there is no login. On any other address the first start is silent (answers are
    stored and not shown), and entry codes are printed once.
    """
    _require()
    from dermoscope.serve.options import Options, default_folder

    options = Options(host, port, folder or default_folder(), database, bundle, threads)
    listening = _listen(options)
    address = f"http://{_shown(host)}:{listening.getsockname()[1]}"
    _run(options, listening, address, codes)


def _require() -> None:
    from dermoscope.core.errors import MissingDependencyError

    try:
        import alembic  # noqa: F401
        import fastapi  # noqa: F401
        import sqlalchemy  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"{error.name} is not installed, and the service needs it: pip install 'dermoscope[serve]'"
        ) from None


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


def _run(options: "Options", listening: "socket.socket", address: str, codes: bool) -> None:
    import uvicorn

    from dermoscope.serve.app import create_app, open_service

    service = open_service(options)
    _greet(service, address, codes)
    config = uvicorn.Config(
        create_app(options, service), log_level="warning", access_log=False, server_header=False, ws="none"
    )
    uvicorn.Server(config).run(sockets=[listening])


def _greet(service: "Service", address: str, codes: bool) -> None:
    """What a newcomer has to know, once the service can be used."""
    from dermoscope.report.html import NOTICE
    from dermoscope.serve.accounts import new_codes
    from dermoscope.serve.site import read_site

    options = service.options
    bundle = service.engine.predictor.bundle
    with service.store.begin() as session:
        site = read_site(session)
        made = {} if options.on_loopback else new_codes(session, again=codes)
    print(f"dermoscope is ready: {address}")
    print(f"  model    {bundle.card.name}, {bundle.sha256[:12]}")
    print(f"  kept in  {options.folder}{' and a PostgreSQL database' if options.database else ''}")
    print(f"  mode     {site.mode}, {'the reader' if site.order == 'human_first' else 'the model'} first")
    if site.mode == "silent":
        print("           answers are stored and not shown; an admin changes that under settings")
    for role, code in made.items():
        print(f"  code     {role}: {code}")
    if made:
        print("           shown this once; `--new-codes` makes others. Put HTTPS in front of the service")
    print(NOTICE)
    print("Ctrl-C ends it.", flush=True)


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # every address of this machine
        import socket

        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
