"""API keys: the own ones, and for admins everybody's."""

import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, Field

from dermoscope.serve import accounts, keys
from dermoscope.serve.accounts import SCOPES, Scope
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import shown, taken
from dermoscope.serve.api.users import own
from dermoscope.serve.api.words import MOST_NUMBER, Name, Number
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.tables import ApiKey

router, tag = routes("keys", "Keys by which programs act as a user, each within its scopes. A key is shown once.")

_KEY = {
    "id": 5,
    "user": 3,
    "name": "nightly export",
    "prefix": "9f1c02ab",
    "scopes": ["read", "export"],
    "created_at": "2026-03-31T09:30:00Z",
    "created_by": "R7",
    "until": "2027-03-31T00:00:00Z",
    "revoked_at": None,
    "used_at": None,
    "good": True,
}
OfUser = Annotated[
    int | None, Query(ge=1, le=MOST_NUMBER, description="Whose; the own ones where it is not given. Needs an admin.")
]


class KeyIn(BaseModel):
    """A key that is to be made."""

    model_config = taken({"name": "nightly export", "scopes": ["read", "export"], "until": "2027-03-31T00:00:00Z"})

    name: Name = Field(description="What it is for.")
    scopes: list[Scope] = Field(min_length=1, max_length=len(SCOPES), description="What it may do, within the role.")
    until: AwareDatetime | None = Field(None, description="When it ends; never where it is not given.")
    user: int | None = Field(None, ge=1, le=MOST_NUMBER, description="Whose it is; for another one needs an admin.")


class KeyOut(BaseModel):
    """A key, without its secret: nobody has that but who it was shown to."""

    model_config = shown(_KEY)

    id: int
    user: int
    name: str
    prefix: str = Field(description="How it begins, after `dsk_`.")
    scopes: list[Scope]
    created_at: datetime.datetime
    created_by: str
    until: datetime.datetime | None
    revoked_at: datetime.datetime | None
    used_at: datetime.datetime | None = Field(description="About its last use, to the minute.")
    good: bool

    @classmethod
    def of(cls, key: ApiKey) -> "KeyOut":
        """A row as the API tells it."""
        return cls(
            id=key.id,
            user=key.user_id,
            name=key.name,
            prefix=key.prefix,
            scopes=[scope for scope in SCOPES if scope in key.scopes],
            created_at=key.created_at,
            created_by=key.created_by,
            until=key.until,
            revoked_at=key.revoked_at,
            used_at=key.used_at,
            good=keys.is_good(key),
        )


class KeysOut(BaseModel):
    """Keys, revoked ones too, the latest first."""

    model_config = shown({"keys": [_KEY]})

    keys: list[KeyOut]


class NewKeyOut(BaseModel):
    """A key that was made: `secret` is shown this once, and goes into `Authorization: Bearer`."""

    model_config = shown({"key": _KEY, "secret": "dsk_9f1c02ab_Q2hvc2VuIGJ5IGNoYW5jZQ"})

    key: KeyOut
    secret: str


@router.get("/keys", response_model=KeysOut, responses=documented(404, 409))
def list_keys(service: Serving, person: Asking, user: OfUser = None) -> KeysOut:
    """The own keys, or those of another user for an admin."""
    if user is not None and user != person.user_id:
        person.require("admin")
    with service.looking(person) as desk:
        number = own(person) if user is None else accounts.user_of(desk.session, user).id
        return KeysOut(keys=[KeyOut.of(key) for key in keys.keys_of(desk.session, number)])


@router.post("/keys", status_code=201, response_model=NewKeyOut, responses=documented(404, 409))
def make_key(service: Serving, person: Asking, new: KeyIn) -> NewKeyOut:
    """Make a key of one's own, or as an admin one of another user. It never may more than its user's role."""
    if new.user is not None and new.user != person.user_id:
        person.require("admin")
    with service.desk(person) as desk:
        user = accounts.user_of(desk.session, own(person) if new.user is None else new.user)
        token, key = keys.make_key(desk.session, user, new.name, new.scopes, person.name, new.until)
        return NewKeyOut(key=KeyOut.of(key), secret=token)


@router.delete("/keys/{key_id}", status_code=204, responses=documented(404))
def revoke_key(service: Serving, person: Asking, key_id: Number) -> None:
    """End a key of one's own, or as an admin any key, at once."""
    with service.desk(person) as desk:
        keys.revoke(
            desk.session, keys.find_key(desk.session, key_id, None if person.may("admin") else own(person)), person.name
        )
