"""Users, and the ways by which they enter. Of every secret only a hash is held."""

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from dermoscope.serve.tables.base import NEVER_AGAIN, MaybeMoment, Moment, Table, now


class User(Table):
    """A person with an account. `name` stands in every record: it never changes and is never given twice.

    `password` is an argon2 string, or none; `issuer` and `subject` are who that is at an OpenID provider, or none.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("issuer", "subject", name="uq_users_issuer_subject"), NEVER_AGAIN)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[str] = mapped_column(String(10))
    password: Mapped[str | None] = mapped_column(String(200))
    issuer: Mapped[str | None] = mapped_column(String(300))
    subject: Mapped[str | None] = mapped_column(String(255))
    created_at: Moment = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(80))
    disabled_at: MaybeMoment
    entered_at: MaybeMoment


class Login(Table):
    """A login of a user in one browser: `digest` is the SHA-256 of its cookie. `method`: password, oidc or link."""

    __tablename__ = "logins"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    method: Mapped[str] = mapped_column(String(10))
    browser: Mapped[str] = mapped_column(String(80), default="")
    made_at: Moment = mapped_column(default=now)
    seen_at: Moment = mapped_column(default=now)
    until: Moment
    ended_at: MaybeMoment

    user: Mapped[User] = relationship()


class ApiKey(Table):
    """A key by which a program acts as a user, within its scopes; only the SHA-256 of it is held."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(80))
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]]
    created_at: Moment = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(80))
    until: MaybeMoment
    revoked_at: MaybeMoment
    used_at: MaybeMoment

    user: Mapped[User] = relationship()


class Link(Table):
    """A link that is good once: for the first admin (no user yet), or for a user to set a password."""

    __tablename__ = "links"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    made_at: Moment = mapped_column(default=now)
    made_by: Mapped[str] = mapped_column(String(80))
    until: Moment
    used_at: MaybeMoment

    user: Mapped[User | None] = relationship()


class Attempt(Table):
    """Failures of one bucket (a hash of a name, of an address): how many, and since when they count."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    bucket: Mapped[str] = mapped_column(String(80), unique=True)
    count: Mapped[int] = mapped_column(default=0)
    since: Moment = mapped_column(default=now)
    last_at: Moment = mapped_column(default=now, index=True)
