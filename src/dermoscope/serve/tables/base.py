"""What all tables stand on: a moment with its zone, and the base that names constraints."""

import datetime
import uuid
from typing import Any

from sqlalchemy import JSON, DateTime, MetaData, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped


class UtcTime(TypeDecorator[datetime.datetime]):
    """A moment with its zone: SQLite would forget it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, _: Dialect) -> datetime.datetime | None:
        """UTC, whatever zone was given; a time without zone is a mistake of the caller."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without zone")
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value: datetime.datetime | None, _: Dialect) -> datetime.datetime | None:
        """The same with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


def now() -> datetime.datetime:
    """This moment, UTC."""
    return datetime.datetime.now(datetime.UTC)


def new_uid() -> str:
    """A name for ever, 32 hexadecimal digits: numbers come again where a backup is restored."""
    return uuid.uuid4().hex


Moment = Mapped[datetime.datetime]
MaybeMoment = Mapped[datetime.datetime | None]


NEVER_AGAIN = {"sqlite_autoincrement": True}
"""No number is given twice, also where its row was deleted: the audit trail speaks of `image/12` for ever."""


class Table(DeclarativeBase):
    """Base of all tables; constraints are named, so that migrations can name them."""

    __table_args__: Any = NEVER_AGAIN

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime.datetime: UtcTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        dict[str, float]: JSON,
    }
