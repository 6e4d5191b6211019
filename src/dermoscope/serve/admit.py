"""Who of those that the provider lets in has an account here, and who gets one."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermoscope.core.errors import ConflictError, InputError
from dermoscope.serve.accounts import PROVIDER, change_role, create_user, end_logins
from dermoscope.serve.oidc import Identity, NotLetInError
from dermoscope.serve.tables import User
from dermoscope.serve.trail import record


def admit(session: Session, identity: Identity, role: str) -> User:
    """The account of an identity, with the role that its claim gives now; made where it comes for the first time.

    Issuer and subject say who somebody is, never the name: the provider may give that to somebody else one day.
    Raises NotLetInError for an account that was disabled here, for a name that cannot be had, and for the last admin
    where the provider says that he is none.
    """
    user = account_of(session, identity)
    if user is None:
        return _made(session, identity, role)
    if user.disabled_at is not None:
        raise NotLetInError("disabled", "the account was disabled here", identity)
    try:
        change_role(session, user, role, PROVIDER)
    except ConflictError:
        raise NotLetInError("last", "the last admin is no admin for the provider", identity) from None
    return user


def account_of(session: Session, identity: Identity) -> User | None:
    """The account of an identity, or None."""
    return session.scalar(select(User).where(User.issuer == identity.issuer, User.subject == identity.subject))


def refuse(session: Session, identity: Identity, why: str) -> None:
    """Record that an identity was not let in; where it has an account, that is logged out everywhere."""
    user = account_of(session, identity)
    if user is None:
        record(session, "nobody", "login.failed", "user", by="oidc", why=why)
        return
    record(session, user.name, "login.failed", f"user/{user.id}", by="oidc", why=why)
    end_logins(session, user, PROVIDER, why)


def _made(session: Session, identity: Identity, role: str) -> User:
    try:
        user = create_user(session, identity.name, role, PROVIDER)
    except ConflictError:
        raise NotLetInError("taken", "another account has that name", identity) from None
    except InputError:
        raise NotLetInError("name", "the provider gives no name that could stand in a record", identity) from None
    user.issuer, user.subject = identity.issuer, identity.subject
    return user
