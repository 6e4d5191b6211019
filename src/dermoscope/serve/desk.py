"""What one request works with: a transaction, who asks, and the site's settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from dermoscope.serve import trail
from dermoscope.serve.accounts import Person
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.engine import Engine
from dermoscope.serve.options import Options
from dermoscope.serve.site import Site, read_site
from dermoscope.serve.store import Store


@dataclass(frozen=True, eq=False)
class Service:
    """What lives as long as the process does; `key` signs cookies."""

    options: Options
    store: Store
    blobs: Blobs
    engine: Engine
    key: bytes

    @contextmanager
    def desk(self, person: Person) -> Iterator["Desk"]:
        """A desk whose work is stored whole at the end, or not at all."""
        with self.store.begin() as session:
            yield Desk(session, person, read_site(session), self)

    @contextmanager
    def looking(self, person: Person) -> Iterator["Desk"]:
        """A desk at which nothing is changed."""
        with self.store.read() as session:
            yield Desk(session, person, read_site(session), self)


@dataclass(frozen=True, eq=False)
class Desk:
    """One transaction, who asks, the site's settings, and the service."""

    session: Session
    person: Person
    site: Site
    service: Service

    def record(self, what: str, subject: str, **details: Any) -> None:
        """Add a line to the audit trail in this transaction."""
        trail.record(self.session, self.person.name, what, subject, **details)
