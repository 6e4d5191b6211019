"""Users: the own account, and for admins everybody's. Keys are in `keys`."""

import datetime
from typing import Annotated, Literal

from fastapi import Path, Request
from pydantic import BaseModel, Field

from dermoscope.core.errors import ConflictError
from dermoscope.serve import accounts, links, logins
from dermoscope.serve.accounts import Language, Person, Role, Scope, Way
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import shown, taken
from dermoscope.serve.api.words import Name, Number
from dermoscope.serve.depends import AdminAsking, Asking, Serving
from dermoscope.serve.passwords import LONGEST
from dermoscope.serve.tables import Login, User, now
from dermoscope.serve.throttle import address_of

router, tag = routes("users", "Accounts: the own one, and for admins everybody's. A name never changes.")

_AT = "2026-03-31T09:30:00Z"
_USER = {
    "id": 3,
    "name": "R7",
    "role": "reader",
    "enters": "password",
    "created_at": _AT,
    "created_by": "Ada",
    "disabled_at": None,
    "entered_at": _AT,
}
_LOGIN = {"id": 8, "by": "password", "browser": "Firefox, Linux", "made_at": _AT, "seen_at": _AT, "this": True}
_LINK = {"url": "https://skin.example/link/Q2hvc2VuIGJ5IGNoYW5jZQ", "until": "2026-04-01T09:30:00Z"}
LoginNumber = Annotated[int, Path(ge=1, le=2**31 - 1, description="The number of a login.", examples=[8])]


class MeOut(BaseModel):
    """Who is asking, and what that person may do with this login or key."""

    model_config = shown({"id": 3, "name": "R7", "role": "reader", "language": "en", "by": "key", "scopes": ["read"]})

    id: int | None = Field(description="The number of the account; none where the service runs without login.")
    name: str = Field(description="What stands in every record.")
    role: Role
    language: Language
    by: Way = Field(description="How it is known: `key`, `password`, `link`, `oidc`, or `none` without login.")
    scopes: list[Scope] | None = Field(description="What the key may do; null where that is everything the role may.")

    @classmethod
    def of(cls, person: Person) -> "MeOut":
        """The person as the API tells it."""
        scopes = None if person.scopes is None else list(person.scopes)
        role, language = person.role, person.language
        return cls(id=person.user_id, name=person.name, role=role, language=language, by=person.by, scopes=scopes)


class LoginOut(BaseModel):
    """A browser in which somebody has entered."""

    model_config = shown(_LOGIN)

    id: int
    by: Way
    browser: str
    made_at: datetime.datetime
    seen_at: datetime.datetime = Field(description="About the last request, to the minute.")
    this: bool = Field(description="Whether it is the login that asks.")

    @classmethod
    def of(cls, login: Login, person: Person) -> "LoginOut":
        """A row as the API tells it."""
        return cls(
            id=login.id,
            by=login.method,  # type: ignore[arg-type]
            browser=login.browser,
            made_at=login.made_at,
            seen_at=login.seen_at,
            this=login.id == person.login_id,
        )


class LoginsOut(BaseModel):
    """Logins that are good, the latest first."""

    model_config = shown({"logins": [_LOGIN]})

    logins: list[LoginOut]


class EndedOut(BaseModel):
    """How many logins were ended."""

    model_config = shown({"ended": 2})

    ended: int


class PasswordIn(BaseModel):
    """The own password, and the one that is to be."""

    model_config = taken({"old": "the one before this one", "new": "blue lamp under seven trees"})

    old: str = Field(max_length=2 * LONGEST)
    new: str = Field(max_length=2 * LONGEST, description="12 to 200 characters; not the name, not a common one.")


class UserIn(BaseModel):
    """A person who is to have an account."""

    model_config = taken({"name": "R7", "role": "reader"})

    name: Name = Field(description="The code name in every record: it never changes, and is never given twice.")
    role: Role = "reader"


class RoleIn(BaseModel):
    """The role that a user is to have."""

    model_config = taken({"role": "reviewer"})

    role: Role


class UserOut(BaseModel):
    """An account."""

    model_config = shown(_USER)

    id: int
    name: str
    role: Role
    enters: Literal["password", "oidc", "link"] = Field(description="`link`: no password was set yet.")
    created_at: datetime.datetime
    created_by: str
    disabled_at: datetime.datetime | None
    entered_at: datetime.datetime | None = Field(description="The last login.")

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """A row as the API tells it."""
        return cls(
            id=user.id,
            name=user.name,
            role=accounts.checked_role(user.role),
            enters="oidc" if user.issuer else "password" if user.password else "link",
            created_at=user.created_at,
            created_by=user.created_by,
            disabled_at=user.disabled_at,
            entered_at=user.entered_at,
        )


class UsersOut(BaseModel):
    """Every account, by name."""

    model_config = shown({"users": [_USER]})

    users: list[UserOut]


class LinkOut(BaseModel):
    """A link by which a user sets a password: shown this once, good once."""

    model_config = shown(_LINK)

    url: str
    until: datetime.datetime


class NewUserOut(BaseModel):
    """An account that was made, and the link to its password."""

    model_config = shown({"user": _USER, "link": _LINK})

    user: UserOut
    link: LinkOut


@router.get("/me", response_model=MeOut)
def show_me(person: Asking) -> MeOut:
    """Who is asking."""
    return MeOut.of(person)


@router.post("/me/password", status_code=204)
def change_own_password(request: Request, service: Serving, person: Asking, given: PasswordIn) -> None:
    """Change the own password, which ends all other logins. Needs a login: no key is taken here."""
    number, address = own(person), address_of(request)
    logins.change_password(service.store, number, given.old, given.new, address=address, keep=person.login_id)


@router.get("/me/logins", response_model=LoginsOut)
def show_own_logins(service: Serving, person: Asking) -> LoginsOut:
    """Where one has entered."""
    with service.looking(person) as desk:
        found = logins.own_logins(desk.session, own(person))
        return LoginsOut(logins=[LoginOut.of(login, person) for login in found])


@router.delete("/me/logins/{login_id}", status_code=204, responses=documented(404))
def end_own_login(service: Serving, person: Asking, login_id: LoginNumber) -> None:
    """End one of the own logins at once."""
    with service.desk(person) as desk:
        logins.end_login(desk.session, own(person), login_id, person.name)


@router.get("/users", response_model=UsersOut)
def list_users(service: Serving, person: AdminAsking) -> UsersOut:
    """Everybody who has or had an account."""
    with service.looking(person) as desk:
        return UsersOut(users=[UserOut.of(user) for user in accounts.users(desk.session)])


@router.post("/users", status_code=201, response_model=NewUserOut, responses=documented(409))
def create_user(request: Request, service: Serving, person: AdminAsking, new: UserIn) -> NewUserOut:
    """Make an account, and a link by which its owner sets a password within 24 hours."""
    with service.desk(person) as desk:
        user = accounts.create_user(desk.session, new.name, new.role, person.name)
        token = links.user_link(desk.session, user, person.name)
        return NewUserOut(user=UserOut.of(user), link=_link(request, service, token))


@router.get("/users/{user_id}", response_model=UserOut, responses=documented(404))
def show_user(service: Serving, person: AdminAsking, user_id: Number) -> UserOut:
    """One account."""
    with service.looking(person) as desk:
        return UserOut.of(accounts.user_of(desk.session, user_id))


@router.put("/users/{user_id}/role", response_model=UserOut, responses=documented(404, 409))
def change_role(service: Serving, person: AdminAsking, user_id: Number, wanted: RoleIn) -> UserOut:
    """Give another role, which ends the user's logins; the last active admin stays one."""
    with service.desk(person) as desk:
        user = accounts.user_of(desk.session, user_id)
        accounts.change_role(desk.session, user, wanted.role, person.name)
        return UserOut.of(user)


@router.post("/users/{user_id}/disable", response_model=UserOut, responses=documented(404, 409))
def disable_user(service: Serving, person: AdminAsking, user_id: Number) -> UserOut:
    """Let a user in no longer: logins, keys and links end at once. Not the last active admin."""
    with service.desk(person) as desk:
        user = accounts.user_of(desk.session, user_id)
        accounts.disable(desk.session, user, person.name)
        return UserOut.of(user)


@router.post("/users/{user_id}/enable", response_model=UserOut, responses=documented(404))
def enable_user(service: Serving, person: AdminAsking, user_id: Number) -> UserOut:
    """Let a disabled user in again; keys stay revoked."""
    with service.desk(person) as desk:
        user = accounts.user_of(desk.session, user_id)
        accounts.enable(desk.session, user, person.name)
        return UserOut.of(user)


@router.post("/users/{user_id}/link", status_code=201, response_model=LinkOut, responses=documented(404, 409))
def make_link(request: Request, service: Serving, person: AdminAsking, user_id: Number) -> LinkOut:
    """A new link to set a password, for who has lost it; links made before end."""
    with service.desk(person) as desk:
        user = accounts.user_of(desk.session, user_id)
        return _link(request, service, links.user_link(desk.session, user, person.name))


@router.delete("/users/{user_id}/logins", response_model=EndedOut, responses=documented(404))
def end_user_logins(service: Serving, person: AdminAsking, user_id: Number) -> EndedOut:
    """End every login of a user at once; keys stay."""
    with service.desk(person) as desk:
        user = accounts.user_of(desk.session, user_id)
        return EndedOut(ended=accounts.end_logins(desk.session, user, person.name, "admin"))


def own(person: Person) -> int:
    """The number of the own account. Raises ConflictError where the service runs without login."""
    if person.user_id is None:
        raise ConflictError("the service was started with --no-login, where nobody has an account; start it without")
    return person.user_id


def _link(request: Request, service: Serving, token: str) -> LinkOut:
    base = service.options.public_url or str(request.base_url)
    return LinkOut(url=base.rstrip("/") + links.path_of(token), until=now() + links.GOOD)
