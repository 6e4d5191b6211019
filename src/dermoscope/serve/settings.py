"""What may be set at a start, each with what it takes and what it means. `configure` reads it, `Options` carries it.

A variable of the environment is called `DERMOSCOPE_SERVE_` and the name, in capitals; those of `SHORT`, which commands
beside the service read too, `DERMOSCOPE_` and the name.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "DERMOSCOPE_SERVE_"
SHORT = ("database", "key")
SECRETS = ("database", "key", "oidc_secret")
"""Never shown, and given in files of their own too (`..._FILE`)."""
LONGEST = 400
"""Days that the audit trail is kept, where nothing else is set."""


def variable(name: str) -> str:
    """The variable of the environment that says a setting."""
    return ("DERMOSCOPE_" if name in SHORT else PREFIX) + name.upper()


def _several(value: Any) -> Any:
    """`a, b` as a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _pairs(value: Any) -> Any:
    """`a=b, c=d`, or a table, as pairs."""
    if isinstance(value, dict):
        return list(value.items())
    parts = _several(value)
    return [part.rpartition("=")[::2] for part in parts] if isinstance(value, str) else parts


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        ipaddress.ip_network(one, strict=False)
    return value


def _address(value: str) -> str:
    """An address of the web without anything behind the host and its port; none stays none."""
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("no address")
    return value.rstrip("/")


def _root(value: str) -> str:
    if urlsplit(value).path.strip("/"):
        raise ValueError("an address with a path")
    return value


def _kept_by(value: str) -> str:
    if value and not value.startswith(("sqlite:", "postgres:", "postgresql:", "postgresql+psycopg:")):
        raise ValueError("another kind of database")
    return value


Role = Literal["reader", "reviewer", "admin"]
Url = Annotated[str, AfterValidator(_address)]
Days = Annotated[int, Field(ge=0, le=36_500)]


class Settings(BaseSettings):
    """`title` is what a setting takes, `description` what it means."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", min_length=1, title="an address of this machine", description="where it listens")
    port: int = Field(8000, ge=0, le=65_535, title="1 to 65535, or 0 for a free one", description="and on which port")
    folder: Annotated[Path, AfterValidator(Path.expanduser)] | None = Field(
        None, title="a folder", description="images, keys, and the database where that is SQLite"
    )
    database: Annotated[str, AfterValidator(_kept_by)] = Field(
        "",
        validation_alias="DERMOSCOPE_DATABASE",
        title="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        description="the database; none: SQLite in the folder",
    )
    bundle: str = Field("default", min_length=1, title="the name or folder of a bundle", description="the first model")
    threads: int = Field(0, ge=0, le=1024, title="0 to 1024", description="threads of the network; 0: all cores")
    workers: int = Field(1, ge=1, le=64, title="1 to 64", description="processes that serve; PostgreSQL only")
    no_login: bool = Field(False, title="true or false", description="nobody enters, everybody is admin; loopback only")
    local_users: bool = Field(True, title="true or false", description="users of its own with passwords")
    public_url: Annotated[Url, AfterValidator(_root)] = Field(
        "", title="https://NAME or https://NAME:PORT", description="what readers call, where a proxy stands in between"
    )
    plain_http: bool = Field(
        False, title="true or false", description="readers call it without HTTPS, and it is known what that means"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_several), AfterValidator(_networks)] = Field(
        (), title="addresses or networks like 10.0.0.5, 10.1.0.0/16", description="whose X-Forwarded-For is believed"
    )
    oidc_issuer: Url = Field("", title="https://PROVIDER", description="the OpenID Connect provider")
    oidc_client: str = Field("", title="the client's id", description="what the provider calls this service")
    oidc_secret: str = Field("", title="the client's secret", description="and the secret that they share")
    oidc_claim: str = Field("groups", min_length=1, title="the name of a claim", description="the claim with roles")
    oidc_roles: Annotated[tuple[tuple[str, Role], ...], NoDecode, BeforeValidator(_pairs)] = Field(
        (), title="VALUE=reader, VALUE=reviewer, VALUE=admin", description="values of the claim and their roles"
    )
    oidc_name: str = Field(
        "preferred_username", min_length=1, title="the name of a claim", description="the claim that is the code name"
    )
    key: str = Field(
        "",
        validation_alias="DERMOSCOPE_KEY",
        title="32 bytes in base64",
        description="encrypts what is stored; without it nothing is encrypted",
    )
    retention_days: Days = Field(0, title="0 to 36500", description="days that cases are kept; 0: for ever")
    audit_days: Days = Field(LONGEST, title="0 to 36500", description="days that the audit trail is kept; 0: for ever")
    most_waiting: int = Field(400, ge=1, le=100_000, title="1 to 100000", description="images that may wait at most")
    drain_s: float = Field(60.0, ge=0, le=3600, title="0 to 3600", description="seconds for what was accepted")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", title="auto, json or text", description="auto: text on a terminal, else JSON lines"
    )
    log_names: bool = Field(False, title="true or false", description="whether logs hold code names of users")
    metrics_open: bool = Field(False, title="true or false", description="/metrics without a key; loopback only")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `configure` hands over: it asks the sources itself, to know which one said what."""
        return (init_settings,)
