"""Settings that are not safe together: each is refused by a sentence that says what would happen, and the remedy."""

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from dermoscope.core.errors import InputError
from dermoscope.serve.configure import Configured, password_in
from dermoscope.serve.options import Options

_OTHERS = 0o007
_BEGUN = ("dermoscope.sqlite", "cookie.key", "audit.key", "blobs", "dermoscope.toml")
"""What shows that a folder is the service's own."""


def refusals(configured: Configured) -> tuple[str, ...]:
    """A sentence for each thing that is not safe; none where the service may start."""
    return tuple(f"{configured.where(name)}: {said}" for rule in RULES for name, said in rule(configured))


def require_safe(configured: Configured) -> None:
    """Keep others of this machine out of the folder. Raises InputError with every sentence of `refusals`."""
    found = refusals(configured)
    if found:
        raise InputError("\n".join(found))
    keep_for_itself(configured.options.folder)


def keep_for_itself(folder: Path) -> None:
    """Take the rights of others from a folder of the service. Raises InputError where that cannot be done.

    One that holds something else, and not the service's own, is left as it is: it may be somebody's home.
    """
    if not folder.is_dir() or not folder.stat().st_mode & _OTHERS:
        return
    inside = {path.name for path in folder.iterdir()}
    said = f"{folder}: everybody on this machine may look into it"
    if inside and not inside & set(_BEGUN):
        raise InputError(f"{said}, and it holds more than the service's files; give a --folder below it")
    try:
        folder.chmod(folder.stat().st_mode & 0o7770)
    except OSError as error:
        raise InputError(f"{said}, and that cannot be changed ({error.strerror}); give a --folder below it") from None


Refused = Iterator[tuple[str, str]]


def _no_login(configured: Configured) -> Refused:
    options = configured.options
    if options.no_login and not options.on_loopback:
        yield (
            "no_login",
            f"without login everybody who reaches {options.host} is admin; leave no_login away, or listen on 127.0.0.1",
        )
    elif options.no_login and options.public_url and not _own(options.public_url):
        yield (
            "no_login",
            f"without login everybody who reaches {options.public_url} is admin; leave no_login or public_url away",
        )


def _https(configured: Configured) -> Refused:
    options = configured.options
    if options.plain_http or options.no_login:
        return
    remedy = "put HTTPS in front of the service and say --public-url https://NAME, or say --plain-http"
    if options.public_url.startswith("http:") and not _own(options.public_url):
        yield "public_url", f"passwords and pictures would be read on the way to {options.public_url}; {remedy}"
    elif not options.public_url and not options.on_loopback:
        yield (
            "host",
            f"nothing says that {options.host} is behind HTTPS: passwords could be read there; {remedy}",
        )


def _provider(configured: Configured) -> Refused:
    options = configured.options
    if not options.oidc_issuer:
        if options.oidc_client or options.oidc_secret:
            yield "oidc_client", "a client without its provider lets nobody in; give oidc_issuer too"
        if not options.local_users and not options.no_login:
            yield "local_users", "without users of its own and without a provider nobody can enter; give oidc_issuer"
        return
    if not options.oidc_client:
        yield "oidc_issuer", "the provider knows this service by an id; give oidc_client"
    if options.oidc_issuer.startswith("http:") and not _own(options.oidc_issuer):
        yield "oidc_issuer", f"logins at {options.oidc_issuer} could be forged on the way; give one with https://"
    if not options.on_loopback and not options.public_url.startswith("https:"):
        yield "oidc_issuer", "the provider sends readers back to where HTTPS has to be; say --public-url https://NAME"


def _database(configured: Configured) -> Refused:
    options, where = configured.options, configured.where("database")
    if options.workers > 1 and options.url.startswith("sqlite"):
        yield "workers", f"{options.workers} processes cannot share SQLite; give a PostgreSQL database, or workers = 1"
    if where.startswith("flag") and password_in(options.database):
        yield (
            "database",
            "everybody on this machine sees the password in the list of processes; say it by DERMOSCOPE_DATABASE or "
            "DERMOSCOPE_DATABASE_FILE",
        )


def _figures(configured: Configured) -> Refused:
    options = configured.options
    if options.metrics_open and (not options.on_loopback or (options.public_url and not _own(options.public_url))):
        yield "metrics_open", "everybody who reaches the service could read /metrics; use a key with the scope metrics"


def _proxies(configured: Configured) -> Refused:
    for one in configured.options.trusted_proxies:
        if ipaddress.ip_network(one, strict=False).prefixlen == 0:
            yield (
                "trusted_proxies",
                f"{one} is everybody, who could then pretend to be at any address; name yours",
            )


RULES: tuple[Callable[[Configured], Refused], ...] = (_no_login, _https, _provider, _database, _figures, _proxies)


def _own(address: str) -> bool:
    """Whether an address of the web leads to this machine alone."""
    return Options(host=urlsplit(address).hostname or "").on_loopback
