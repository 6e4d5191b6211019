"""What a start of the service is given."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from dermoscope.core.errors import InputError
from dermoscope.data.home import home

MOST_UPLOAD = 50_000_000
"""Bytes of one uploaded file at most."""
MOST_FILES = 100
"""Files of one upload at most; a batch has this many images."""

NO_DATABASE = "the database is named neither sqlite:///FILE nor postgresql://USER:PASSWORD@HOST/NAME; correct it"


@dataclass(frozen=True)
class Options:
    """`folder` holds the database (where `database` is empty) and the image files; `threads` of 0 is all cores.

    Raises InputError for a port outside 0 to 65535 (0 lets the system choose).
    """

    host: str = "127.0.0.1"
    port: int = 8000
    folder: Path = Path()
    database: str = ""
    bundle: str = "default"
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise InputError(f"port {self.port}: give 1 to 65535, or 0 for a free one")

    @property
    def url(self) -> str:
        """The database, as SQLAlchemy names it. Raises InputError for one of another kind."""
        if not self.database:
            return f"sqlite:///{self.folder / 'dermoscope.sqlite'}"
        for short in ("postgres://", "postgresql://"):
            if self.database.startswith(short):
                return "postgresql+psycopg://" + self.database.removeprefix(short)
        if not self.database.startswith(("sqlite:", "postgresql+psycopg:")):
            raise InputError(NO_DATABASE)
        return self.database

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def default_folder() -> Path:
    """`service` below `DERMOSCOPE_HOME`."""
    return home() / "service"
