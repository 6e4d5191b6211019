"""`dermoscope user`: accounts of the service from the command line, for who is locked out or has not begun."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermoscope.cli.stored import Database, Folder, caller, store_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from dermoscope.serve.options import Options
    from dermoscope.serve.tables import User

app = typer.Typer(
    name="user", no_args_is_help=True, help="The service's accounts: list them, add, disable, enable, give a link."
)
_NAME = Annotated[str, typer.Argument(metavar="NAME", help="The code name that stands in every record.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON and nothing else.")]


@app.command("list")
def list_users(folder: Folder = None, database: Database = "", as_json: _JSON = False) -> None:
    """List everybody who has or had an account."""
    import json

    from rich.console import Console
    from rich.table import Table

    from dermoscope.serve.accounts import users

    with store_of(folder, database) as (_, store), store.read() as session:
        rows = [_row(user) for user in users(session)]
    if as_json:
        print(json.dumps({"users": rows}, indent=1, ensure_ascii=False))
        return
    if not rows:
        print("Nobody has an account. `dermoscope serve` prints a link for the first admin; `user add` makes one, too.")
        return
    table = Table("name", "role", "enters by", "last login", "", box=None, pad_edge=False, header_style="dim")
    for row in rows:
        last = (row["entered_at"] or "never")[:16].replace("T", " ")
        table.add_row(row["name"], row["role"], row["enters"], last, "disabled" if row["disabled_at"] else "")
    Console(highlight=False, markup=False).print(table)


@app.command()
def add(
    name: _NAME,
    role: Annotated[str, typer.Option(help="reader, reviewer or admin.")] = "reader",
    folder: Folder = None,
    database: Database = "",
    as_json: _JSON = False,
) -> None:
    """Make an account, and print a link by which its owner sets a password within 24 hours."""
    from dermoscope.serve.accounts import create_user
    from dermoscope.serve.links import user_link

    with store_of(folder, database) as (options, store), store.begin() as session:
        user = create_user(session, name, role, caller())
        row, link = _row(user), _url(options, user_link(session, user, caller()))
    _tell(as_json, {"user": row, "link": link}, f"{row['name']} is {row['role']}. {_LINK}", link)


@app.command()
def disable(name: _NAME, folder: Folder = None, database: Database = "", as_json: _JSON = False) -> None:
    """Let a user in no longer: logins, keys and links end at once. Not the last active admin."""
    from dermoscope.serve import accounts

    row = _changed(name, folder, database, accounts.disable)
    _tell(as_json, {"user": row}, f"{row['name']} is disabled; logins and keys have ended.")


@app.command()
def enable(name: _NAME, folder: Folder = None, database: Database = "", as_json: _JSON = False) -> None:
    """Let a disabled user in again, with the password as it was; keys stay revoked."""
    from dermoscope.serve import accounts

    row = _changed(name, folder, database, accounts.enable)
    _tell(as_json, {"user": row}, f"{row['name']} is enabled.")


@app.command()
def link(name: _NAME, folder: Folder = None, database: Database = "", as_json: _JSON = False) -> None:
    """Print a new link by which a user sets a password; links made before end."""
    from dermoscope.serve.links import user_link

    with store_of(folder, database) as (options, store), store.begin() as session:
        user = _named(session, name)
        row, made = _row(user), _url(options, user_link(session, user, caller()))
    _tell(as_json, {"user": row, "link": made}, _LINK, made)


_LINK = "This link sets the password; it is good once and for 24 hours:"


def _changed(
    name: str, folder: Folder, database: str, change: "Callable[[Session, User, str], None]"
) -> dict[str, Any]:
    with store_of(folder, database) as (_, store), store.begin() as session:
        user = _named(session, name)
        change(session, user, caller())
        return _row(user)


def _named(session: "Session", name: str) -> "User":
    from dermoscope.core.errors import NotFoundError
    from dermoscope.serve.accounts import user_named

    user = user_named(session, name)
    if user is None:
        raise NotFoundError(f"there is no user {name}; `dermoscope user list` names all")
    return user


def _row(user: "User") -> dict[str, Any]:
    moments = ("created_at", "disabled_at", "entered_at")
    told = {name: None if getattr(user, name) is None else getattr(user, name).isoformat() for name in moments}
    enters = "OpenID" if user.issuer else "password" if user.password else "link"
    return {"id": user.id, "name": user.name, "role": user.role, "enters": enters, "by": user.created_by, **told}


def _url(options: "Options", token: str) -> str:
    """A link as whole as is known: a port of 0 was another one at every start."""
    from dermoscope.serve.links import path_of

    base = options.public_url or f"http://{options.host}:{options.port}"
    return base.rstrip("/") + path_of(token)


def _tell(as_json: bool, outcome: dict[str, Any], *lines: str) -> None:
    import json

    print(json.dumps(outcome, indent=1, ensure_ascii=False) if as_json else "\n".join(lines))
