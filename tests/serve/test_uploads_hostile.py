"""Hostile and odd files, cleaned and sent to the service: an error that names the file, or the right picture."""

import datetime
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from httpx import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from dermoscope.serve import cases
from dermoscope.serve.accounts import Person
from dermoscope.serve.cases import NewCase
from dermoscope.serve.desk import Service
from dermoscope.serve.options import MOST_FILES
from dermoscope.serve.tables import Image, JobItem
from dermoscope.serve.uploads import shown_name

from .hostile import KINDS, saved

LONGEST_S = 5
MOST_MB = 600
SAMPLE = (
    *("JPEG cut at 0.5", "PNG cut at 0.5", "TIFF cut at 0.95", "GIF cut at 0.5", "WEBP cut at 0.5", "BMP cut at 0.95"),
    *("PNG bomb", "TIFF bomb", "TIFF of a huge tile", "GIF bomb", "WebP bomb", "BMP bomb", "JPEG of 65,535 sides"),
    *("zip bomb", "PNG with a huge zTXt", "PNG of empty chunks", "JPEG of scans", "JPEG of segments", "JPEG of EXIF"),
    *("TIFF whose next image is itself", "TIFF whose EXIF is itself", "TIFF of numbers", "PNG with huge EXIF"),
    *("JPEG and zip", "JPEG and HTML", "PDF and JPEG", "PDF", "docx", "SVG", "DICOM", "HEIC", "EPS", "nothing"),
    *("PNG of 1 x 1", "CMYK JPEG", "moving WEBP", "TIFF of numbers with a point", "EXIF with a script"),
    *("taken on b'9999:12:31 23:59:59'", "profile of rubbish"),
)
NAMES = (
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows\\a.jpg",
    "a\0b.jpg",
    "a\r\nX-Evil: 1.jpg",
    "\x1b[31ma\x07.jpg",
    "\u202egpj.exe",
    "n" * 300 + ".jpg",
    "\U0001f52c\U0001f468\u200d\U0001f469.jpg",
    "",
    ".",
    "..",
    "a.jpg",
    "a.jpg",
    'a"; name="x".jpg',
    "a;b='c'.jpg",
    "<script>alert(1)</script>.jpg",
    "%2e%2e%2fa.jpg",
    "CON",
    "a.jpg.php",
)

EACH = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
from hostile import KINDS, PIXELS
import numpy as np
from dermoscope.core.errors import ImageError
from dermoscope.data.images import read_image
from dermoscope.serve.uploads import clean

for name, kind in KINDS.items():
    data = kind.make()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before, why, off = time.process_time(), "", None
    try:
        upload = clean(data, "sent.file")
        pixels = read_image(upload.data).pixels
        off = float(np.abs(pixels.astype(int) - PIXELS).mean()) if pixels.shape == PIXELS.shape else None
        done = "taken"
    except ImageError as error:
        done, why = "refused", str(error)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most
    said = {"name": name, "done": done, "why": why, "off": off, "mb": more / 1024, "s": time.process_time() - before}
    print(json.dumps(said))
"""


@pytest.fixture
def database() -> str:
    return ""


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6_000_000_000, 6_000_000_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def body_of(parts: Iterable[tuple[str, bytes]], boundary: str = "X") -> bytes:
    """A multipart body with headers as they are given, which no library writes."""
    line = b"--" + boundary.encode()
    said = (line + b"\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return b"".join(said) + line + b"--\r\n"


def field(name: str, disposition: str = "files") -> str:
    return f'Content-Disposition: form-data; name="{disposition}"; filename="{name}"'


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_every_kind_is_refused_by_name_or_is_the_right_picture(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", EACH, str(Path(__file__).parent)]
    said = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, cwd=tmp_path, check=False)
    assert said.returncode == 0, said.stderr[-2000:]
    found = {one["name"]: one for one in map(json.loads, said.stdout.splitlines())}
    assert len(found) == len(KINDS) >= 100
    assert set(SAMPLE) <= set(KINDS)
    for name, one in found.items():
        expected = {"no": ("refused",), "yes": ("taken",), "any": ("taken", "refused")}[KINDS[name].told]
        assert one["done"] in expected, one
        assert one["s"] < LONGEST_S, one
        assert one["mb"] < MOST_MB, one
        if one["done"] == "refused":
            assert one["why"].startswith("sent.file: "), one
            assert one["why"].isprintable(), one
        elif KINDS[name].told == "yes":
            assert one["off"] < 8, one
    assert not files_below(tmp_path)


@pytest.fixture
def folder(service: Service) -> Path:
    """The service's folder; whatever a test writes, it may write there alone."""
    return service.options.folder


@pytest.fixture
def sender(client: TestClient) -> TestClient:
    client.cookies.set("reader", "R7")
    client.cookies.set("language", "en")
    return client


@pytest.fixture
def case_id(service: Service) -> int:
    with service.desk(Person("R7", "admin")) as desk:
        return cases.create(desk, NewCase("P1")).id


def blobs_are_counted(service: Service, folder: Path, outside: set[Path]) -> None:
    """Every picture below `blobs` has a row or is removed by a sweep; nothing was written outside the folder."""
    service.blobs.sweep(service.store, older_than=datetime.timedelta(0))
    with service.store.read() as session:
        rows = set(session.scalars(select(Image.digest))) | set(session.scalars(select(JobItem.digest)))
    assert {path.name for path in (folder / "blobs").glob("*/*")} == rows
    assert {path for path in files_below(folder.parent) if path.parts[0] != folder.name} == outside


def test_classify_answers_each_kind(sender: TestClient, service: Service, folder: Path) -> None:
    outside = {path for path in files_below(folder.parent) if path.parts[0] != folder.name}
    for name in SAMPLE:
        before = time.monotonic()
        said = sender.post("/api/v1/classify", files=[("files", ("odd.jpg", KINDS[name].make(), "image/jpeg"))])
        assert time.monotonic() - before < LONGEST_S, name
        if said.status_code == 200:
            assert KINDS[name].told != "no", name
            assert [one["file"] for one in said.json()["results"]] == ["odd.jpg"]
        else:
            assert said.status_code == 422, (name, said.text)
            assert KINDS[name].told != "yes", (name, said.text)
            assert said.headers["content-type"] == "application/problem+json"
            assert said.json()["detail"].startswith("odd.jpg: "), name
    together = [("files", (f"{k}.jpg", KINDS[name].make())) for k, name in enumerate(SAMPLE)]
    told = sender.post("/api/v1/classify", files=together).json()
    assert sorted([one["position"] for one in told["results"] + told["errors"]]) == [*range(1, len(SAMPLE) + 1)]
    assert all(one["detail"].startswith(f"{one['position'] - 1}.jpg: ") for one in told["errors"])
    blobs_are_counted(service, folder, outside)


@pytest.mark.parametrize("address", ["/api/v1/cases/{}/images", "/cases/{}/images"])
def test_a_case_takes_pictures_and_names_the_rest(
    sender: TestClient, service: Service, folder: Path, case_id: int, address: str
) -> None:
    outside = {path for path in files_below(folder.parent) if path.parts[0] != folder.name}
    for name in SAMPLE:
        files = [("files", ("odd.jpg", KINDS[name].make(), "image/jpeg"))]
        said = sender.post(address.format(case_id), files=files, follow_redirects=False)
        taken = said.status_code in (200, 201, 303)
        assert taken or said.status_code == 422, (name, said.text)
        assert not (taken and KINDS[name].told == "no"), name
        assert taken or KINDS[name].told != "yes", (name, said.text)
        assert taken or "odd.jpg: " in said.text, name
        assert "<script>alert" not in said.text
    blobs_are_counted(service, folder, outside)


def test_names_are_harmless_wherever_they_are_told(
    sender: TestClient, service: Service, folder: Path, case_id: int
) -> None:
    outside = {path for path in files_below(folder.parent) if path.parts[0] != folder.name}
    for name in NAMES:
        for data in (saved(), b"none"):
            parts = [(field(name), data)]
            for address in ("/api/v1/classify", f"/cases/{case_id}/images", f"/api/v1/cases/{case_id}/images"):
                said = posted(sender, address, body_of(parts))
                assert said.status_code < 500, (name, address)
                assert "<script>alert" not in said.text or said.headers["content-type"] != "text/html; charset=utf-8"
                assert not {"\x1b", "\u202e", "\0"} & set(said.text), (name, address)
                assert "x-evil" not in said.headers
        assert shown_name(name).isprintable()
        assert len(shown_name(name)) <= 80
    blobs_are_counted(service, folder, outside)


def posted(sender: TestClient, address: str, body: bytes, media: str = "multipart/form-data; boundary=X") -> Response:
    return sender.post(address, content=body, headers={"Content-Type": media}, follow_redirects=False)


BODIES = {
    "wrong boundary": (body_of([(field("a.jpg"), saved())], "Y"), "multipart/form-data; boundary=X"),
    "no boundary": (body_of([(field("a.jpg"), saved())]), "multipart/form-data"),
    "empty boundary": (body_of([(field("a.jpg"), saved())], ""), "multipart/form-data; boundary="),
    "huge boundary": (body_of([(field("a.jpg"), saved())], "b" * 9000), "multipart/form-data; boundary=" + "b" * 9000),
    "no type": (body_of([(field("a.jpg"), saved())]), ""),
    "another type": (body_of([(field("a.jpg"), saved())]), "application/x-www-form-urlencoded"),
    "wrong field": (body_of([(field("a.jpg", "file"), saved())]), "multipart/form-data; boundary=X"),
    "no disposition": (body_of([("Content-Type: image/jpeg", saved())]), "multipart/form-data; boundary=X"),
    "no name": (body_of([("Content-Disposition: form-data", saved())]), "multipart/form-data; boundary=X"),
    "unknown charset": (body_of([(field("a.jpg"), b"x")]), "multipart/form-data; boundary=X; charset=none"),
    "charset of idna": (body_of([(field("\u00ff" * 99), b"x")]), "multipart/form-data; boundary=X; charset=idna"),
    "nested": (
        body_of(
            [("Content-Type: multipart/mixed; boundary=Z\r\n" + field("a"), body_of([(field("b"), saved())], "Z"))]
        ),
        "multipart/form-data; boundary=X",
    ),
    "cut off": (body_of([(field("a.jpg"), saved())])[:700], "multipart/form-data; boundary=X"),
    "nothing": (b"", "multipart/form-data; boundary=X"),
    "end alone": (b"--X--\r\n", "multipart/form-data; boundary=X"),
    "thousands of headers": (
        body_of([("X: y\r\n" * 5000 + field("a.jpg"), saved())]),
        "multipart/form-data; boundary=X",
    ),
    "a long header": (body_of([("X: " + "y" * 100_000 + "\r\n" + field("a"), b"")]), "multipart/form-data; boundary=X"),
    "101 files": (body_of([(field("a.jpg"), b"x")] * (MOST_FILES + 1)), "multipart/form-data; boundary=X"),
    "1,100 files": (body_of([(field("a.jpg"), b"x")] * 1100), "multipart/form-data; boundary=X"),
    "1,100 fields": (
        body_of([('Content-Disposition: form-data; name="files"', b"x")] * 1100),
        "multipart/form-data; boundary=X",
    ),
}


# The parser of forms leaves a file of a body without an end to the collector of rubbish.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
@pytest.mark.parametrize("kind", BODIES)
def test_no_body_breaks_the_service(sender: TestClient, case_id: int, kind: str) -> None:
    body, media = BODIES[kind]
    for address in ("/api/v1/classify", f"/api/v1/cases/{case_id}/images", f"/cases/{case_id}/images", "/batches"):
        said = posted(sender, address, body, media)
        assert said.status_code < 500, (address, said.text)
        assert said.status_code >= 400 or kind in ("nested", "empty boundary") or address == "/batches", (
            address,
            said.text,
        )
        if address.startswith("/api/") and said.status_code >= 400:
            assert said.headers["content-type"] == "application/problem+json"
            assert said.json()["detail"], said.text
