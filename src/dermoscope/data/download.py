"""A client of the ISIC Archive's public API, for a first look at real images.

Written from the archive's own documentation and source:
- https://api.isic-archive.com/api/docs/swagger/ : `GET /api/v2/images/search/` takes `query`, `limit` and `cursor`; the
  query language and its fields (`diagnosis_3`, `image_type` ...) are described there with examples.
- https://github.com/ImageMarkup/isic : `core/api/image.py` (a record is `isic_id, public, copyright_license,
  attribution, files: {full, thumbnail_256}: {url, size}, metadata: {acquisition, clinical}`), `core/pagination.py`
  (a page is `results, count, next, previous`, at most 100 records), `core/dsl.py` (`copyright_license` is a field of
  the query language although the documentation does not list it).
- https://github.com/ImageMarkup/isic-metadata : `diagnosis_hierarchical.py` (the names of `diagnosis_3`) and
  `fields.py` (`dermoscopic` is an `image_type`).

What a record says of itself is checked again here: only public, dermoscopic, CC-0 images are taken.
"""

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain, zip_longest
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from dermoscope.core.errors import DownloadError, ImageError, InputError, some
from dermoscope.data.home import home
from dermoscope.data.images import read_image
from dermoscope.data.store import write_file

ARCHIVE_URL = "https://api.isic-archive.com/api/v2"
PUBLIC_DOMAIN = "CC-0"
MAX_PAGE_BYTES = 5 * 2**20
MAX_IMAGE_BYTES = 20 * 2**20
THUMBNAIL_ABOVE = 600_000
MAX_PAGES = 8
TRIES = 2

DIAGNOSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "MEL": ("Melanoma Invasive", "Melanoma in situ", "Melanoma, NOS"),
        "NV": ("Nevus",),
        "BCC": ("Basal cell carcinoma",),
        "AK": ("Solar or actinic keratosis",),
        "BKL": ("Seborrheic keratosis", "Pigmented benign keratosis", "Lichen planus like keratosis"),
        "DF": ("Dermatofibroma",),
        "VASC": ("Hemangioma", "Angiokeratoma", "Pyogenic granuloma"),
        "SCC": ("Squamous cell carcinoma in situ", "Squamous cell carcinoma, Invasive", "Squamous cell carcinoma, NOS"),
    }
)
"""The archive's names (`diagnosis_3`) for the diagnoses of ISIC 2019."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Remote:
    """One file of the archive: address and size in bytes."""

    url: str
    size: int


@dataclass(frozen=True, slots=True)
class Record:
    """One image of the archive. `diagnosis` is a code of ISIC 2019, known from the query that found the image."""

    isic_id: str
    diagnosis: str
    attribution: str
    full: Remote
    thumbnail: Remote


@dataclass(frozen=True, slots=True)
class Sample:
    """A downloaded image in the cache: file name, how to credit it, its diagnosis (ISIC 2019), and its SHA-256."""

    file: str
    attribution: str
    diagnosis: str
    sha256: str


class Archive:
    """A connection to the archive. Nothing waits longer than `seconds` in all, counted from the making of it.

    `base_url` defaults to DERMOSCOPE_ARCHIVE_URL in the environment, else to the public archive.
    """

    def __init__(self, base_url: str | None = None, seconds: float = 5.0) -> None:
        self.base_url = (base_url or os.environ.get("DERMOSCOPE_ARCHIVE_URL") or ARCHIVE_URL).rstrip("/")
        self.deadline = time.monotonic() + seconds
        self._client = httpx.Client(follow_redirects=True, timeout=seconds, headers={"User-Agent": "dermoscope"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def search(self, diagnosis: str, limit: int) -> Iterator[Record]:
        """Public-domain dermoscopic images of one diagnosis (a key of DIAGNOSES), newest first, over several pages.

        Raises DownloadError when the archive does not answer, or not as documented.
        """
        names = " OR ".join(f'diagnosis_3:"{name}"' for name in DIAGNOSES[diagnosis])
        query = f"image_type:dermoscopic AND copyright_license:{PUBLIC_DOMAIN} AND ({names})"
        url = str(httpx.URL(f"{self.base_url}/images/search/", params={"query": query, "limit": min(limit, 100)}))
        found = 0
        for _ in range(MAX_PAGES):
            page = _parse_page(url, self._get(url, MAX_PAGE_BYTES))
            for item in page["results"]:
                record = _parse_record(item, diagnosis)
                if record is not None:
                    yield record
                    found += 1
                if found == limit:
                    return
            following = page.get("next")
            if not isinstance(following, str) or _host(following) != _host(self.base_url):
                return
            url = following

    def image(self, record: Record, thumbnail_above: int = THUMBNAIL_ABOVE) -> bytes:
        """The image as it was uploaded, or its thumbnail (256 px) where it is larger than `thumbnail_above` bytes.

        Raises DownloadError when it does not arrive, has another size than announced, or is not an image.
        """
        remote = record.full if record.full.size <= thumbnail_above else record.thumbnail
        data = self._get(remote.url, min(MAX_IMAGE_BYTES, remote.size))
        if len(data) != remote.size:
            raise DownloadError(f"{record.isic_id}: {len(data):,} bytes arrived, the archive announced {remote.size:,}")
        try:
            read_image(data, at_least=64, name=record.isic_id)
        except ImageError as error:
            raise DownloadError(f"what the archive sent is not an image: {error}") from None
        return data

    def _get(self, url: str, most: int) -> bytes:
        """Bytes of an address; a broken connection or a fault of the server is tried once more."""
        for left in reversed(range(TRIES)):
            try:
                return self._stream(url, most)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if not left or status < 500:
                    raise DownloadError(f"{_host(url)} answered {status}") from None
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                if not left or time.monotonic() > self.deadline:
                    why = str(error) or type(error).__name__
                    raise DownloadError(f"cannot reach {_host(url)}: {why}") from None
            time.sleep(0.1)
        raise AssertionError("unreachable")

    def _stream(self, url: str, most: int) -> bytes:
        data = bytearray()
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise httpx.ReadTimeout("no time left")
        with self._client.stream("GET", url, timeout=left) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > most:
                    raise DownloadError(f"{_host(url)} sends more than the {most:,} bytes that it may")
                if time.monotonic() > self.deadline:
                    raise httpx.ReadTimeout("too slow")
        return bytes(data)


def public_samples(
    count: int = 12, *, folder: Path | None = None, base_url: str | None = None, seconds: float = 5.0
) -> tuple[Path, list[Sample]]:
    """A few public-domain dermoscopic images, spread over the diagnoses: their folder and one `Sample` each.

    They are kept in `folder` (default: `archive` under DERMOSCOPE_HOME) and come from there the next time. The search
    takes at most `seconds`, and so does the download; what has arrived by then is enough, if it is anything. Without
    an answer from the archive the ones that were kept are used, even if they are fewer than `count`.
    Raises DownloadError when the archive cannot be reached or nothing usable arrived.
    """
    folder = folder or home() / "archive"
    kept = _read_cache(folder)
    if len(kept) >= count:
        return folder, kept[:count]
    try:
        with Archive(base_url, seconds) as archive:
            records = _find(archive, count, seconds)
    except DownloadError:
        if kept:
            return folder, kept
        raise
    with Archive(base_url, seconds) as archive:
        jobs = [lambda r=record: _fetch(archive, r, folder) for record in records]
        samples, problems = _at_once(jobs, seconds)
    if not samples:
        raise DownloadError(f"no image arrived from {_host(archive.base_url)}: {some(problems, 2) or 'too slow'}")
    _write(folder / "samples.json", json.dumps([asdict(s) for s in samples], indent=1).encode())
    return folder, samples


def _find(archive: Archive, count: int, seconds: float) -> list[Record]:
    """`count` records, taking the diagnoses in turn."""
    jobs = [lambda code=code: list(archive.search(code, count)) for code in DIAGNOSES]
    found, problems = _at_once(jobs, seconds)
    mixed = chain.from_iterable(zip_longest(*found))
    records = list({record.isic_id: record for record in mixed if record is not None}.values())[:count]
    if not records:
        why = some(dict.fromkeys(problems), 1) or f"no answer within {seconds:g} s"
        raise DownloadError(f"no public-domain image from the ISIC archive: {why}")
    return records


def _fetch(archive: Archive, record: Record, folder: Path) -> Sample:
    data = archive.image(record)
    file = f"{record.isic_id}.jpg"
    _write(folder / file, data)
    credit = f"{record.attribution}, ISIC Archive, {record.isic_id}, {PUBLIC_DOMAIN}"
    return Sample(file, credit, record.diagnosis, sha256(data).hexdigest())


def _at_once(jobs: Sequence[Callable[[], T]], seconds: float) -> tuple[list[T], list[str]]:
    """Results, in the order of the jobs, of those that ended within `seconds`, and what the others said.

    Daemon threads, because the look-up of a host name cannot be interrupted and must not hold up the end of a program.
    """
    done: SimpleQueue[tuple[int, T | None, str]] = SimpleQueue()

    def run(number: int, job: Callable[[], T]) -> None:
        try:
            done.put((number, job(), ""))
        except (DownloadError, OSError, RuntimeError) as error:
            done.put((number, None, str(error)))

    for number, job in enumerate(jobs):
        threading.Thread(target=run, args=(number, job), daemon=True).start()
    results: dict[int, T] = {}
    problems: list[str] = []
    deadline = time.monotonic() + seconds
    for _ in jobs:
        try:
            number, result, problem = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        if result is None:
            problems.append(problem)
        else:
            results[number] = result
    return [results[number] for number in sorted(results)], problems


def _parse_page(url: str, data: bytes) -> dict[str, Any]:
    try:
        page = json.loads(data)
    except ValueError:
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("results"), list):
        raise DownloadError(f"{_host(url)} does not answer as the ISIC archive does: no JSON with `results`")
    return page


def _parse_record(item: Any, diagnosis: str) -> Record | None:
    """A record that may be used, or None: not public, not CC-0, not dermoscopic, or not as documented."""
    try:
        usable = item["public"] is True and item["copyright_license"] == PUBLIC_DOMAIN
        usable &= item["metadata"]["acquisition"].get("image_type", "dermoscopic") == "dermoscopic"
        usable &= re.fullmatch(r"ISIC_\d{7}", item["isic_id"]) is not None
        files = [Remote(str(f["url"]), int(f["size"])) for f in (item["files"]["full"], item["files"]["thumbnail_256"])]
        credit = " ".join(str(item["attribution"] or "Anonymous").split())[:200]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return Record(item["isic_id"], diagnosis, credit, *files) if usable else None


def _host(url: str) -> str:
    return urlsplit(url).netloc or url[:80]


def _read_cache(folder: Path) -> list[Sample]:
    """Samples whose file is there and unchanged; none where the list is missing or damaged."""
    try:
        samples = [Sample(**fields) for fields in json.loads((folder / "samples.json").read_bytes())]
        return [s for s in samples if sha256((folder / s.file).read_bytes()).hexdigest() == s.sha256]
    except (OSError, ValueError, TypeError):
        return []


def _write(path: Path, data: bytes) -> None:
    try:
        write_file(path, data)
    except InputError as error:
        raise DownloadError(f"{error}; set DERMOSCOPE_HOME") from None
