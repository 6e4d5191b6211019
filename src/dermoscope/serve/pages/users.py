"""Accounts of everybody, for admins: made, given a role or a link, disabled and enabled again."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from dermoscope.core.errors import ConflictError, InputError
from dermoscope.serve import accounts, keys, links, logins
from dermoscope.serve.accounts import ROLES, Person, user_of
from dermoscope.serve.depends import AdminAsking, Serving
from dermoscope.serve.desk import Service
from dermoscope.serve.pages.account import once, shown_keys, shown_logins
from dermoscope.serve.pages.common import page
from dermoscope.serve.site import read_site
from dermoscope.serve.tables import User, now

router = APIRouter(include_in_schema=False)
SAVED = ("role", "disabled", "enabled", "ended", "revoked", "nothing")


def state_of(user: User) -> str:
    """`disabled`, `invited` (nothing to enter with yet) or `active`."""
    if user.disabled_at is not None:
        return "disabled"
    return "active" if user.password or user.issuer else "invited"


@router.get("/users")
def listed(request: Request, service: Serving, person: AdminAsking) -> HTMLResponse:
    """Everybody, and a form for one more."""
    return _list(request, service, person)


@router.post("/users")
def add(
    request: Request,
    service: Serving,
    person: AdminAsking,
    name: Annotated[str, Form(max_length=200)] = "",
    role: Annotated[str, Form(max_length=20)] = "reader",
) -> Response:
    """Add a user and show the link for a password, this once."""
    try:
        with service.store.begin() as session:
            made = accounts.create_user(session, name, role, person.name)
            name, token = made.name, links.user_link(session, made, person.name)
    except ConflictError:
        return _list(request, service, person, wrong="taken", given={"name": name, "role": role})
    except InputError:
        return _list(request, service, person, wrong="name", given={"name": name, "role": role})
    return _link(request, service, person, name, token)


@router.get("/users/{user_id:int}")
def one(request: Request, service: Serving, person: AdminAsking, user_id: int, saved: str = "") -> HTMLResponse:
    """One account, and what can be done with it."""
    return _one(request, service, person, user_id, saved=saved if saved in SAVED else "")


@router.post("/users/{user_id:int}/role")
def role(
    request: Request, service: Serving, person: AdminAsking, user_id: int, role: Annotated[str, Form(max_length=20)]
) -> Response:
    """Give another role."""
    try:
        with service.store.begin() as session:
            user = user_of(session, user_id)
            same = user.role == role
            accounts.change_role(session, user, role, person.name)
    except ConflictError:
        return _one(request, service, person, user_id, wrong="last")
    return _back(user_id, "nothing" if same else "role")


@router.post("/users/{user_id:int}/link")
def link(request: Request, service: Serving, person: AdminAsking, user_id: int) -> Response:
    """Make a link for a new password and show it, this once; links made before end."""
    with service.store.begin() as session:
        user = user_of(session, user_id)
        name, token = user.name, links.user_link(session, user, person.name)
    return _link(request, service, person, name, token, onward=f"/users/{user_id}")


@router.post("/users/{user_id:int}/disable")
def disable(request: Request, service: Serving, person: AdminAsking, user_id: int) -> Response:
    """Let the user in no longer."""
    try:
        with service.store.begin() as session:
            accounts.disable(session, user_of(session, user_id), person.name)
    except ConflictError:
        return _one(request, service, person, user_id, wrong="last")
    return _back(user_id, "disabled")


@router.post("/users/{user_id:int}/enable")
def enable(service: Serving, person: AdminAsking, user_id: int) -> Response:
    """Let the user in again."""
    with service.store.begin() as session:
        accounts.enable(session, user_of(session, user_id), person.name)
    return _back(user_id, "enabled")


@router.post("/users/{user_id:int}/logins/end")
def end_all(service: Serving, person: AdminAsking, user_id: int) -> Response:
    """End every login of the user."""
    with service.store.begin() as session:
        accounts.end_logins(session, user_of(session, user_id), person.name, "admin")
    return _back(user_id, "ended")


@router.post("/users/{user_id:int}/logins/{login_id:int}/end")
def end_one(service: Serving, person: AdminAsking, user_id: int, login_id: int) -> Response:
    """End one login of the user."""
    with service.store.begin() as session:
        logins.end_login(session, user_id, login_id, person.name)
    return _back(user_id, "ended")


@router.post("/users/{user_id:int}/keys/{key_id:int}/revoke")
def revoke(service: Serving, person: AdminAsking, user_id: int, key_id: int) -> Response:
    """End a key of the user."""
    with service.store.begin() as session:
        keys.revoke(session, keys.find_key(session, key_id, user_id), person.name)
    return _back(user_id, "revoked")


def _back(user_id: int, saved: str) -> RedirectResponse:
    return RedirectResponse(f"/users/{user_id}?saved={saved}", 303)


def _link(
    request: Request, service: Service, person: Person, name: str, token: str, onward: str = "/users"
) -> HTMLResponse:
    here = (service.options.public_url or str(request.base_url)).rstrip("/")
    until, secret = now() + links.GOOD, here + links.path_of(token)
    return once(request, service, person, kind="link", whose=name, secret=secret, until=until, onward=onward)


def _list(
    request: Request, service: Service, person: Person, *, wrong: str = "", given: dict[str, str] | None = None
) -> HTMLResponse:
    with service.store.read() as session:
        return page(
            request,
            "users.html.j2",
            person,
            read_site(session),
            422 if wrong else 200,
            users=[(user, state_of(user)) for user in accounts.users(session)],
            all_roles=ROLES,
            wrong=wrong,
            given=given or {"name": "", "role": "reader"},
        )


def _one(
    request: Request, service: Service, person: Person, user_id: int, *, saved: str = "", wrong: str = ""
) -> HTMLResponse:
    with service.store.read() as session:
        user = user_of(session, user_id)
        return page(
            request,
            "user.html.j2",
            person,
            read_site(session),
            409 if wrong else 200,
            user=user,
            state=state_of(user),
            logins=shown_logins(session, user_id, person),
            keys=shown_keys(session, user_id),
            mark=keys.MARK,
            all_roles=ROLES,
            saved=saved,
            wrong=wrong,
        )
