"""A client of the web service (`dermoscope serve`), for scripts and other programs. It needs httpx alone.

>>> from dermoscope.client import Client
>>> with Client("http://127.0.0.1:8000", reader="R1") as client:         # doctest: +SKIP
...     case = client.create_case("P-0417", lesion="left forearm")
...     client.add_images(case["id"], ["lesion.jpg"])
...     client.lock(case["id"], "refer", diagnosis="MEL", confidence=0.8)
...     print(client.result(case["id"])["reason"])
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from dermoscope.core.errors import (
    BusyError,
    ConflictError,
    DermoscopeError,
    DownloadError,
    ForbiddenError,
    InputError,
    NotFoundError,
)

Given = str | Path | tuple[str, bytes]
"""A file by its path, or its name and bytes."""

_ERRORS: Mapping[int, type[DermoscopeError]] = {
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: BusyError,
    503: BusyError,
}
_TRIES = 4
"""Times that a request is sent which was not answered, or for which the service was too busy."""


class Client:
    """One service, and who asks: `token` is an API key (`dsk_…`), as whose user everything stands in the records.

    Where the service was started with `--no-login` none is needed, and `reader` is the name in the records.
    Answers are what the service sends as JSON, as dictionaries. Every request that stores something carries an
    `Idempotency-Key`, so that it is done once even where it has to be sent again. Errors are those of
    `core/errors.py`, as the service raised them: NotFoundError, ConflictError, ForbiddenError, BusyError, InputError
    for anything else that can be mended, DownloadError where the service cannot be reached or fails.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        token: str | None = None,
        *,
        reader: str | None = None,
        wait: float = 60,
        patience: float = 0.5,
    ) -> None:
        """`wait` are the seconds until an answer is given up, `patience` those before it is asked for again.

        Patience doubles with every try, of which there are four.
        """
        headers = {"X-Reader": reader} if reader is not None else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self.url = url.rstrip("/")
        self._patience = patience
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=wait)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def model(self) -> dict[str, Any]:
        """The model that is served."""
        return self._json("GET", "/model-info")

    def settings(self) -> dict[str, Any]:
        """How the site works."""
        return self._json("GET", "/api/v1/settings")

    def change_settings(self, **changed: Any) -> dict[str, Any]:
        """Change `mode`, `order`, `prevalence` or `notice`; an admin's key is needed."""
        return self._json("PUT", "/api/v1/settings", json=changed)

    def classify(self, files: Sequence[Given], prior: str | None = None) -> dict[str, Any]:
        """`results` of the images that can be read, `errors` of the others; nothing is stored.

        Raises InputError where none can be read.
        """
        asked = {} if prior is None else {"prior": prior}
        return self._json("POST", "/api/v1/classify", params=asked, files=_parts(files))

    def create_case(
        self, pseudonym: str, *, lesion: str = "1", body_site: str | None = None, intake: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Enter a lesion. Raises ConflictError, naming it, where that lesion of the patient has a case."""
        new = {"pseudonym": pseudonym, "lesion": lesion, "body_site": body_site, "intake": list(intake)}
        return self._stored("/api/v1/cases", json=new)

    def cases(self, **wanted: Any) -> dict[str, Any]:
        """A page of the worklist: `tab`, `text`, `body_site`, `answer`, `diagnosis`, `page`."""
        return self._json("GET", "/api/v1/cases", params={k: v for k, v in wanted.items() if v is not None})

    def case(self, case: int) -> dict[str, Any]:
        """A case with its images."""
        return self._json("GET", f"/api/v1/cases/{case}")

    def add_images(self, case: int, files: Sequence[Given], *, kind: str = "dermoscopic") -> dict[str, Any]:
        """Add images to a case: `image_ids`, `notices`, and `errors` of files that cannot be read."""
        return self._stored(f"/api/v1/cases/{case}/images", data={"kind": kind}, files=_parts(files))

    def lock(self, case: int, decision: str, **said: Any) -> dict[str, Any]:
        """Lock the own reading: `refer`, `low_concern` or `cannot_assess`; `diagnosis`, `confidence`, `experience`."""
        return self._stored(f"/api/v1/cases/{case}/readings", json={"decision": decision, **said})

    def revise(self, case: int, decision: str, **said: Any) -> dict[str, Any]:
        """The same again, with the model's answer in view."""
        revised = {"phase": "revised", "decision": decision, **said}
        return self._stored(f"/api/v1/cases/{case}/readings", json=revised)

    def readings(self, case: int) -> dict[str, Any]:
        """The own readings of a case, and those of others where they may be seen."""
        return self._json("GET", f"/api/v1/cases/{case}/readings")

    def result(self, case: int) -> dict[str, Any]:
        """The model's answer. Raises ForbiddenError while it may not be seen."""
        return self._json("GET", f"/api/v1/cases/{case}/result")

    def histology(self, case: int, diagnosis: str, on: str | None = None) -> dict[str, Any]:
        """Enter what histology found, which closes the case; `on` is a day like 2026-03-31."""
        return self._stored(f"/api/v1/cases/{case}/histology", json={"diagnosis": diagnosis, "on": on})

    def create_job(self, files: Sequence[Given], *, title: str = "", pseudonyms: Sequence[str] = ()) -> dict[str, Any]:
        """Send a batch, which goes on in the background."""
        said = {"title": title, "pseudonyms": list(pseudonyms)}
        return self._stored("/api/v1/jobs", data=said, files=_parts(files))

    def job(self, job: int) -> dict[str, Any]:
        """How far a batch is."""
        return self._json("GET", f"/api/v1/jobs/{job}")

    def jobs(self) -> list[dict[str, Any]]:
        """Every batch, the latest first."""
        found: list[dict[str, Any]] = self._json("GET", "/api/v1/jobs")["jobs"]
        return found

    def wait(self, job: int, *, at_most: float = 600, every: float = 0.5) -> dict[str, Any]:
        """Wait until a batch has ended. Raises BusyError where it has not after `at_most` seconds."""
        ends = time.monotonic() + at_most
        while (found := self.job(job))["state"] == "running":
            if time.monotonic() > ends:
                raise BusyError(f"batch {job} is not done after {at_most:g} s: {found['done']} of {found['total']}")
            time.sleep(every)
        return found

    def export(self, what: str) -> bytes:
        """`readings.csv`, `history.csv`, `cases/12.json` or `cases/12.pdf`."""
        return self._send("GET", f"/api/v1/exports/{what}").content

    def picture(self, image: int, size: str = "full") -> bytes:
        """A picture of a case as it is stored (`full`), or a small copy (`thumb`)."""
        return self._send("GET", f"/api/v1/images/{image}/{size}").content

    def _stored(self, place: str, **sent: Any) -> dict[str, Any]:
        return self._json("POST", place, headers={"Idempotency-Key": str(uuid.uuid4())}, **sent)

    def _json(self, method: str, place: str, **sent: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._send(method, place, **sent).json()
        return found

    def _send(self, method: str, place: str, **sent: Any) -> httpx.Response:
        """The answer to a request; what can be sent again without harm is, where nothing came back."""
        again = method != "POST" or "headers" in sent or place.endswith("/classify")
        for left in range(_TRIES - 1 if again else 0, -1, -1):
            try:
                response = self._http.request(method, place, **sent)
            except httpx.TransportError as error:
                if not left:
                    why = str(error) or type(error).__name__
                    raise DownloadError(f"{self.url}: not reached ({why}); is the service running?") from None
            else:
                if response.status_code != 503 or not left:
                    return _checked(response)
            time.sleep(self._patience * 2 ** (_TRIES - 1 - left))
        raise AssertionError("unreachable")


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_success:
        return response
    said = response.json() if "json" in response.headers.get("content-type", "") else {}
    status, detail = response.status_code, said.get("detail") or response.reason_phrase
    lines = "".join(f"\n  {fault['what']}" for fault in said.get("errors", ())[:20] if len(said["errors"]) > 1)
    fallback: type[DermoscopeError] = InputError if status < 500 else DownloadError
    raise _ERRORS.get(status, fallback)(f"{detail}{lines}")


def _parts(files: Sequence[Given]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", one if isinstance(one, tuple) else (Path(one).name, _bytes(Path(one)))) for one in files]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); correct the path") from None
