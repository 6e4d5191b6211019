"""One file over HTTP, in as many pieces as it takes: what has arrived is kept, and the next try goes on from there.

Beside the file `NAME` stand, while it is fetched, `NAME.part` and `NAME.part.json` (the server's ETag and size, without
which no piece may be joined to another: RFC 9110, sections 13.1.5 and 14.2), and afterwards `NAME.json`, the receipt:
address, size and the SHA-256 that was seen.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from dermoscope.core.errors import DownloadError, InputError
from dermoscope.data.store import write_file

TRIES = 5
"""How often a transfer that makes no headway is tried again; one that does is tried again without end."""
PAUSE = 1.0
"""Seconds before the first new try; doubled for each one after it."""
SPARE = 64 * 2**20
"""Bytes of disk that are left alone."""

Report = Callable[[str, int, int], None]
"""What is being done, bytes done, bytes in all (0: not known)."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file elsewhere: addresses that hold the same bytes, tried in turn, and its size and checksum where known."""

    urls: tuple[str, ...]
    size: int | None = None
    digest: str = ""

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.urls[0].rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was fetched: address, size in bytes, SHA-256, when (UTC); of an unpacked archive also what it held."""

    url: str
    size: int
    sha256: str
    fetched: str
    unpacked_files: int = 0
    unpacked_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _State:
    """What the server said of the file that a `.part` belongs to."""

    url: str
    validator: str
    size: int | None


class _AgainError(Exception):
    """A try that failed in a way that may pass: `wait` seconds were asked for; `stale` parts are of no more use."""

    def __init__(self, why: str, wait: float = 0.0, stale: bool = False) -> None:
        super().__init__(why)
        self.wait = wait
        self.stale = stale


class _AbsentError(DownloadError):
    """The server does not have the file, or does not give it."""


def fetch(remote: Remote, target: Path, report: Report, *, accept_changed: bool = False) -> Receipt:
    """Fetch a file to `target`, or what of it is still missing, and write its receipt.

    Size and checksum are held against `remote` and against the receipt of an earlier transfer; with `accept_changed`
    a file that differs from them is taken. Raises DownloadError, saying what has arrived and how to go on, and
    InputError where the disk is full or cannot be written.
    """
    part = target.with_name(target.name + ".part")
    expected = replace(remote, size=None, digest="") if accept_changed else remote
    before = None if accept_changed else read_receipt(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        url = _from_any(expected, part, report)
        receipt = _received(url, part, report)
        _verify(receipt, part, expected, before, report)
        write_receipt(target, receipt)
        part.replace(target)
        forget(part)
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"{target}: cannot be written ({why}); free space or choose --root") from None
    return receipt


def receipt_path(target: Path) -> Path:
    """Where the receipt of a fetched file lies."""
    return target.with_name(target.name + ".json")


def read_receipt(target: Path) -> Receipt | None:
    """The receipt of a fetched file; None where there is none that can be read."""
    try:
        return Receipt(**json.loads(receipt_path(target).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_receipt(target: Path, receipt: Receipt) -> None:
    """Write or replace the receipt of a fetched file. Raises InputError."""
    write_file(receipt_path(target), json.dumps(asdict(receipt), indent=1).encode())


def digest_of(path: Path, kind: str, report: Callable[[int], None] | None = None) -> str:
    """Checksum (`sha256` or `md5`) of a file as hexadecimal digits; `report` is given the bytes read so far."""
    digest = hashlib.new(kind, usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(2**22):
            digest.update(chunk)
            done += len(chunk)
            if report:
                report(done)
    return digest.hexdigest()


def forget(part: Path) -> None:
    """Remove an unfinished file and what is known of it."""
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise InputError where the disk of `folder` has no room for `needed` more bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise InputError(
            f"{folder}: {what} needs {readable(needed)} and {readable(SPARE)} to spare, the disk has {readable(free)} "
            "left; free some or choose another folder with --root"
        )


def readable(size: float) -> str:
    """Bytes for readers: `492 kB`, `2.77 GB`."""
    for unit, digits in (("bytes", 0), ("kB", 0), ("MB", 0)):
        if size < 999.5:
            return f"{size:.{digits}f} {unit}"
        size /= 1000
    return f"{size:.2f} GB" if size < 99.5 else f"{size:,.0f} GB"


def _from_any(remote: Remote, part: Path, report: Report) -> str:
    """Complete the part from the first address that has the file, beginning with the one it began with."""
    begun = _read_state(part)
    urls = sorted(remote.urls, key=lambda url: not (begun and url == begun.url))
    absent: list[str] = []
    with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(60.0, connect=20.0)) as client:
        for url in urls:
            try:
                _persist(client, url, part, remote, report)
                return url
            except _AbsentError as error:
                absent.append(str(error))
    raise DownloadError(
        f"{remote.name} cannot be fetched: {'; '.join(absent)}. Check the connection and try again later"
    )


def _persist(client: httpx.Client, url: str, part: Path, remote: Remote, report: Report) -> None:
    """Try until the part is whole; gives up after TRIES tries in a row that brought nothing new."""
    best, idle = _size(part), 0
    while True:
        try:
            return _transfer(client, url, part, remote, report)
        except (httpx.TransportError, _AgainError) as error:
            unreachable = isinstance(error, httpx.ConnectError)
            idle = 0 if _size(part) > best else idle + (2 if unreachable else 1)
            best = max(best, _size(part))
            if isinstance(error, _AgainError) and error.stale:
                forget(part)
            if idle >= TRIES:
                raise _gave_up(url, part, error) from None
            asked = error.wait if isinstance(error, _AgainError) else 0.0
            time.sleep(min(max(PAUSE * 2 ** max(idle - 1, 0), asked), 2.0 if unreachable else 60.0))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(f"cannot fetch {url}: {error}") from None


def _gave_up(url: str, part: Path, error: Exception) -> DownloadError:
    state, have = _read_state(part), _size(part)
    why = f"{_host(url)}: {str(error) or type(error).__name__}"
    if not have:
        if isinstance(error, httpx.ConnectError):
            return _AbsentError(f"{_host(url)} is out of reach ({error})")
        return DownloadError(f"{why}; nothing of {_name(url)} was kept: try again later")
    of = f" of {state.size:,}" if state and state.size else ""
    return DownloadError(
        f"{why}; {have:,}{of} bytes of {_name(url)} have arrived and are kept: "
        "repeat the command and it goes on from there"
    )


def _transfer(client: httpx.Client, url: str, part: Path, remote: Remote, report: Report) -> None:
    """One request, and the body that answers it."""
    state, have = _read_state(part), _size(part)
    if state is None or not state.validator or (state.size is not None and have > state.size):
        forget(part)
        state, have = None, 0
    headers = {"Accept-Encoding": "identity", "User-Agent": "dermoscope"}
    if state and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": state.validator}
    with client.stream("GET", url, headers=headers) as response:
        _refuse(response, _name(url))
        if response.status_code == 416 and state:
            return _whole(response, state, have)
        if response.status_code == 206 and state:
            size = _continues(response, state, have)
        else:
            forget(part)
            size, have = _begin(response, url, part, remote), 0
        require_space(part.parent, (size or 0) - have, f"the rest of {_name(url)}")
        most = size if size is not None else remote.size
        have = _append(response, part, have, most, lambda done: report(_name(url), done, size or 0))
    if size is not None and have != size:
        raise _AgainError(f"sent {have:,} bytes and had announced {size:,}", stale=have > size)
    return None


def _append(response: httpx.Response, part: Path, have: int, most: int | None, report: Callable[[int], None]) -> int:
    """Add the body to the part and return its size. Bytes are written as they come: a kill loses none of them.

    A body that goes on after `most` bytes is cut there; where that is not known, the disk is looked at now and then.
    """
    looked = have
    with part.open("ab", buffering=0) as file:
        for chunk in response.iter_raw():
            file.write(chunk)
            have += len(chunk)
            report(have)
            if most is not None and have > most:
                break
            if most is None and have - looked > SPARE // 2:
                require_space(part.parent, 0, f"the rest of {part.name.removesuffix('.part')}")
                looked = have
        os.fsync(file.fileno())
    return have


def _refuse(response: httpx.Response, name: str) -> None:
    """Raise for an answer that is no file: _AgainError where it may pass, DownloadError where it will not."""
    status, host = response.status_code, response.url.netloc.decode()
    if status == 429 or status >= 500:
        asked = response.headers.get("Retry-After", "")
        raise _AgainError(f"answered {status}", float(asked) if asked.isdecimal() else 0.0)
    if status not in (200, 206, 416):
        raise _AbsentError(f"{host} answered {status}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadError(f"{host} answers with a web page instead of {name}; is there a login page in between?")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{host} sends {name} compressed although that was declined; use another mirror")


def _continues(response: httpx.Response, state: _State, have: int) -> int | None:
    """Size of the file, where it is known. Raises _AgainError unless the body goes on where the part ends."""
    found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", ""))
    total = int(found[2]) if found and found[2] != "*" else state.size
    joins = found and int(found[1]) == have and state.size in (None, total)
    if not joins or _validator(response) not in ("", state.validator):
        raise _AgainError("the file changed between two pieces", stale=True)
    return total


def _whole(response: httpx.Response, state: _State, have: int) -> None:
    """Raise _AgainError unless nothing is left to send because the part is the whole file."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total != str(have) or state.size not in (None, have):
        raise _AgainError(f"has {total or 'no'} bytes and had announced {state.size}", stale=True)


def _begin(response: httpx.Response, url: str, part: Path, remote: Remote) -> int | None:
    """Note what the server says of the file, before its first byte is kept, and return its size where that is known.

    Raises DownloadError for a wrong size.
    """
    if response.status_code != 200:
        raise _AgainError(f"answered {response.status_code} although the whole file was asked for")
    length = response.headers.get("Content-Length", "")
    size = int(length) if length.isdecimal() else None
    if remote.size is not None and size is not None and size != remote.size:
        raise DownloadError(
            f"{_host(url)} announces {size:,} bytes for {remote.name}, the catalog has {remote.size:,}: "
            "another edition or a faulty mirror; --accept-changed takes it"
        )
    state = _State(url, _validator(response), size)
    write_file(_state_path(part), json.dumps(asdict(state)).encode())
    return size


def _received(url: str, part: Path, report: Report) -> Receipt:
    size = _size(part)
    sha256 = digest_of(part, "sha256", lambda done: report(f"checking {_name(url)}", done, size))
    return Receipt(url, size, sha256, datetime.now(UTC).isoformat(timespec="seconds"))


def _verify(receipt: Receipt, part: Path, remote: Remote, before: Receipt | None, report: Report) -> None:
    """Hold what arrived against the catalog and the earlier receipt; what differs is removed. Raises DownloadError."""
    kind, _, known = remote.digest.partition(":")
    found = receipt.sha256
    if kind and kind != "sha256":
        found = digest_of(part, kind, lambda done: report(f"checking {remote.name}", done, receipt.size))
    why = ""
    if remote.size is not None and receipt.size != remote.size:
        why = f"it has {receipt.size:,} bytes, the catalog says {remote.size:,}"
    elif kind and found != known:
        why = f"its {kind} is {found}, the catalog says {known}"
    elif before and before.sha256 != receipt.sha256:
        why = f"its SHA-256 is {receipt.sha256}, on {before.fetched[:10]} it was {before.sha256}"
    if why:
        forget(part)
        raise DownloadError(
            f"{remote.name} from {_host(receipt.url)} is not the file that is known: {why}; it was removed. "
            "Repeat the command, or take the file as it is with --accept-changed"
        )


def _validator(response: httpx.Response) -> str:
    """A strong ETag, else the date of the last change; empty where the server gives neither."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_state(part: Path) -> _State | None:
    try:
        return _State(**json.loads(_state_path(part).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _host(url: str) -> str:
    return urlsplit(url).netloc or url[:80]


def _name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
