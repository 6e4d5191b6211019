"""What `dermoscope doctor` says of the service: its settings, and whether one that runs is ready."""

from collections.abc import Iterator
from importlib.util import find_spec

from dermoscope.core.errors import DermoscopeError
from dermoscope.predict.installed import Check

_SECONDS = 8.0
"""How long a service may take to answer."""


def settings() -> Iterator[Check]:
    """Whether a start would take what environment and file say, and is safe; nothing where the service is not here."""
    if find_spec("pydantic_settings") is None or find_spec("cryptography") is None:
        return
    from dermoscope.serve.configure import configure
    from dermoscope.serve.refusals import refusals

    try:
        configured = configure()
    except DermoscopeError as error:
        yield Check("service", "settings", "warn", f"would be refused: {error}", "dermoscope serve --show-settings")
        return
    for sentence in refusals(configured):
        yield Check("service", "settings", "warn", f"would be refused: {sentence}", "dermoscope serve --show-settings")
    said = ", ".join(sorted(configured.said)) or "none, all are defaults"
    yield Check("service", "settings", "ok", f"said by environment or file: {said}")


def running(address: str) -> Iterator[Check]:
    """The parts of a service that runs at an address, as its `/ready` tells them."""
    import httpx

    mend = "look into the log of the service"
    try:
        answer = httpx.get(f"{address.rstrip('/')}/ready", timeout=_SECONDS, trust_env=False)
        checks = dict(answer.json()["checks"])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield Check("service", "answer", "fail", f"{address}: {type(error).__name__}, no answer", f"start it; {mend}")
        return
    except (ValueError, KeyError, TypeError):
        yield Check(
            "service", "answer", "fail", f"{address}: what answers there is no dermoscope", "correct the address"
        )
        return
    yield Check("service", "answer", "ok", f"{address}: status {answer.status_code}")
    for part, said in checks.items():
        yield Check("service", part, "ok" if said == "ok" else "fail", str(said), "" if said == "ok" else mend)
