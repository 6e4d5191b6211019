"""What a start of the service is given."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dermoscope.core.errors import InputError
from dermoscope.data.home import home

MOST_UPLOAD = 50_000_000
"""Bytes of one uploaded file at most."""
MOST_FILES = 100
"""Files of one upload at most; a batch has this many images."""

NO_DATABASE = "the database is named neither sqlite:///FILE nor postgresql://USER:PASSWORD@HOST/NAME; correct it"


@dataclass(frozen=True)
class Options:
    """What one start is told. `serve/configure.py` reads it from flags, environment and file.

    `folder` holds the database (where `database` is empty) and the image files; `threads` of 0 is all cores.
    Without `no_login` everybody needs an account; `local_users` says whether passwords are taken beside OpenID Connect.
    `oidc_roles` maps values of the claim `oidc_claim` to roles, the last that fits counts. `public_url` is the address
    that readers call, where a proxy stands in between; with `plain_http` they are known to call without HTTPS. `key`
    (32 bytes) encrypts what is stored. `retention_days` of 0 keeps cases for ever, `log_names` lets logs hold code
    names of users.

    Raises InputError for a port outside 0 to 65535 (0 lets the system choose).
    """

    host: str = "127.0.0.1"
    port: int = 8000
    folder: Path = Path()
    database: str = field(default="", repr=False)
    bundle: str = "default"
    threads: int = 0
    workers: int = 1
    no_login: bool = False
    local_users: bool = True
    public_url: str = ""
    plain_http: bool = False
    trusted_proxies: tuple[str, ...] = ()
    oidc_issuer: str = ""
    oidc_client: str = ""
    oidc_secret: str = field(default="", repr=False)
    oidc_claim: str = "groups"
    oidc_roles: tuple[tuple[str, str], ...] = ()
    oidc_name: str = "preferred_username"
    key: bytes = field(default=b"", repr=False)
    retention_days: int = 0
    audit_days: int = 400
    most_waiting: int = 400
    drain_s: float = 60.0
    log_format: Literal["auto", "json", "text"] = "auto"
    log_names: bool = False
    metrics_open: bool = False

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
