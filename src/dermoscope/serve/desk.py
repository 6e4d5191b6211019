"""What one request works with: a transaction, who asks, and the site's settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from dermoscope.predict.bundle import Bundle
from dermoscope.predict.predictor import Predictor
from dermoscope.serve import trail
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.engine import Engine
from dermoscope.serve.options import Options
from dermoscope.serve.processes import new_name
from dermoscope.serve.site import Site, read_site
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Table

LARGEST = 2**31 - 1
"""The largest number of a row (PostgreSQL's INTEGER)."""
Row = TypeVar("Row", bound=Table)


@dataclass(frozen=True, eq=False)
class Service:
    """What lives as long as the process does; `key` signs cookies.

    `name` is the process, as it stands at what it works on; `working` holds the items of batches that it has in hand.
    """

    options: Options
    store: Store
    blobs: Blobs
    engine: Engine
    key: bytes
    name: str = field(default_factory=new_name)
    working: set[int] = field(default_factory=set)

    @contextmanager
    def desk(self, person: Person) -> Iterator["Desk"]:
        """A desk whose work is stored whole at the end, or not at all."""
        with self.store.begin() as session:
            yield Desk(session, person, self, self.engine.predictor)

    @contextmanager
    def looking(self, person: Person) -> Iterator["Desk"]:
        """A desk at which nothing is changed."""
        with self.store.read() as session:
            yield Desk(session, person, self, self.engine.predictor)


@dataclass(frozen=True, eq=False)
class Desk:
    """One transaction, who asks, the service, and the model that it serves at this moment."""

    session: Session
    person: Person
    service: Service
    predictor: Predictor

    @cached_property
    def site(self) -> Site:
        """The site's settings, read once."""
        return read_site(self.session)

    @property
    def bundle(self) -> Bundle:
        """The model's bundle."""
        return self.predictor.bundle

    def find(self, kind: type[Row], number: int, *, lock: bool = False) -> Row | None:
        """A row by its number, or None; `lock` holds it until the transaction ends.

        A number from an address may be one that no row can have, and the databases refuse each in its own way.
        """
        if not 0 < number <= LARGEST:
            return None
        return self.session.get(kind, number, with_for_update=True if lock else None)

    def record(self, what: str, subject: str, /, private: Mapping[str, Any] | None = None, **details: Any) -> None:
        """Add a line to the audit trail in this transaction; see `trail.record`."""
        trail.record(self.session, self.person.name, what, subject, private, **details)
