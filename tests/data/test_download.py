"""The archive's client against a real server on loopback, well-behaved and otherwise."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dermoscope.core.errors import DownloadError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.download import DIAGNOSES, Archive, public_samples
from dermoscope.data.synthetic import draw

PATIENT = 60.0
"""Seconds for what should succeed, on a machine that may be busy with something else."""

PICTURES = {code: draw(number, code, (160, 120)).jpeg() for number, code in enumerate(ISIC2019.codes)}


class FakeArchive(ThreadingHTTPServer):
    """Serves pages of two records and pictures as the archive documents them; `fault` names what goes wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = ""
        self.asked: list[str] = []
        self.queries: list[str] = []
        self.per_diagnosis = 3
        self.change: Callable[[dict], dict] = lambda record: record

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/v2"


class Handler(BaseHTTPRequestHandler):
    server: FakeArchive

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        try:
            if self.path.startswith("/api/v2/images/search/"):
                self.search()
            else:
                self.picture()
        except (BrokenPipeError, ConnectionResetError):
            pass

    def reply(self, data: bytes, status: int = 200, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def search(self) -> None:
        fault = self.server.fault
        if fault == "slow search":
            time.sleep(20)
        if fault in {"500", "404"} or (fault == "500 once" and len(self.server.asked) == 1):
            return self.reply(b"no", int(fault[:3]))
        if fault == "not json":
            return self.reply(b"<html>log in to the hotel network</html>")
        asked = parse_qs(urlsplit(self.path).query)
        query = asked["query"][0]
        self.server.queries.append(query)
        code = next(c for c, names in DIAGNOSES.items() if f'"{names[0]}"' in query)
        start, total = int(asked.get("cursor", ["0"])[0]), self.server.per_diagnosis
        records = [self.record(code, number) for number in range(start, min(start + 2, total))]
        following = None
        if start + 2 < total:
            host = "http://elsewhere.invalid" if fault == "foreign page" else self.server.url
            following = f"{host}/images/search/?query={query.replace(' ', '%20')}&cursor={start + 2}"
        if fault == "endless pages":
            records, following = [], f"{self.server.url}/images/search/?query={query.replace(' ', '%20')}&cursor=0"
        return self.reply(json.dumps({"results": records, "count": 7, "next": following, "previous": None}).encode())

    def record(self, code: str, number: int) -> dict:
        size = len(PICTURES[code])
        isic_id = f"ISIC_{ISIC2019.index(code)}{number:06d}"
        address = f"{self.server.url}/files/{code}/{isic_id}"
        files = {"full": {"url": address + "/full", "size": size}, "thumbnail_256": {"url": address, "size": size}}
        record = {
            "isic_id": isic_id,
            "public": True,
            "copyright_license": "CC-0",
            "attribution": "Hospital of\nSomewhere <b>",
            "files": files,
            "metadata": {"acquisition": {"image_type": "dermoscopic"}, "clinical": {"diagnosis_3": "x"}},
        }
        return self.server.change(record)

    def picture(self) -> None:
        data, fault = PICTURES[self.path.split("/")[4]], self.server.fault
        if fault == "not an image":
            return self.reply(b"x" * len(data))
        if fault == "broken off":
            self.reply(data[: len(data) // 2], length=len(data))
            return self.connection.shutdown(socket.SHUT_RDWR)
        if fault == "longer than announced":
            return self.reply(data + b"more")
        if fault == "shorter than announced":
            return self.reply(data[:-100])
        if fault == "image 500":
            return self.reply(b"", 500)
        if fault == "trickle":
            self.send_response(200)
            self.end_headers()
            for byte in data:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
            return None
        return self.reply(data)


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArchive]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = FakeArchive()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_dozen_samples_are_spread_over_the_diagnoses_with_their_credits(archive: FakeArchive, tmp_path: Path) -> None:
    folder, samples = public_samples(12, folder=tmp_path / "a", base_url=archive.url, seconds=PATIENT)
    assert len(samples) == 12
    assert [s.diagnosis for s in samples] == [*DIAGNOSES, *list(DIAGNOSES)[:4]]
    assert samples[0].attribution == "Hospital of Somewhere <b>, ISIC Archive, ISIC_0000000, CC-0"
    assert (folder / samples[0].file).read_bytes() == PICTURES["MEL"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(["samples.json", *(s.file for s in samples)])
    for query in archive.queries:
        assert query.startswith("image_type:dermoscopic AND copyright_license:CC-0 AND (diagnosis_3:")


def test_the_second_time_nothing_is_asked(archive: FakeArchive, tmp_path: Path) -> None:
    first = public_samples(4, folder=tmp_path, base_url=archive.url, seconds=PATIENT)
    asked = len(archive.asked)
    assert public_samples(4, folder=tmp_path, base_url=archive.url, seconds=PATIENT) == first
    assert len(archive.asked) == asked


def test_a_damaged_cache_is_filled_again_and_serves_when_the_archive_is_away(
    archive: FakeArchive, tmp_path: Path
) -> None:
    _, samples = public_samples(4, folder=tmp_path, base_url=archive.url, seconds=PATIENT)
    (tmp_path / samples[0].file).write_bytes(b"damaged")
    archive.fault = "500"
    assert public_samples(4, folder=tmp_path, base_url=archive.url, seconds=PATIENT)[1] == samples[1:]
    archive.fault = ""
    assert public_samples(4, folder=tmp_path, base_url=archive.url, seconds=PATIENT)[1] == samples
    (tmp_path / "samples.json").write_text("[{")
    assert public_samples(4, folder=tmp_path, base_url=archive.url, seconds=PATIENT)[1] == samples


def test_the_environment_names_the_archive_and_the_home(
    archive: FakeArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_ARCHIVE_URL", archive.url + "/")
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    folder, samples = public_samples(2, seconds=PATIENT)
    assert folder == tmp_path / "home" / "archive"
    assert len(samples) == 2


def test_pages_are_followed_up_to_the_limit_and_never_to_another_host(archive: FakeArchive) -> None:
    archive.per_diagnosis = 7
    with Archive(archive.url, PATIENT) as client:
        assert len(list(client.search("NV", 5))) == 5
        assert len(archive.asked) == 3
        archive.fault = "foreign page"
        assert len(list(client.search("NV", 5))) == 2
        archive.fault, archive.asked = "endless pages", []
        assert list(client.search("NV", 30)) == []
        assert len(archive.asked) == 8


@pytest.mark.parametrize(
    "change",
    [
        {"public": False},
        {"copyright_license": "CC-BY-NC"},
        {"metadata": {"acquisition": {"image_type": "clinical: overview"}, "clinical": {}}},
        {"metadata": None},
        {"isic_id": "../../escape"},
        {"isic_id": 7},
        {"files": {}},
        {"files": {"full": {"url": "x", "size": "large"}, "thumbnail_256": {"url": "x", "size": 3}}},
    ],
)
def test_a_record_that_may_not_be_used_is_passed_over(archive: FakeArchive, change: dict) -> None:
    archive.change = lambda record: {**record, **change}
    with Archive(archive.url, PATIENT) as client:
        assert list(client.search("MEL", 3)) == []


def test_a_large_image_comes_as_thumbnail(archive: FakeArchive) -> None:
    with Archive(archive.url, PATIENT) as client:
        record = next(client.search("BCC", 1))
        assert client.image(record) == PICTURES["BCC"]
        assert archive.asked[-1].endswith("/full")
        client.image(record, thumbnail_above=100)
        assert not archive.asked[-1].endswith("/full")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("500", "answered 500"),
        ("404", "answered 404"),
        ("not json", "no JSON with `results`"),
        ("not an image", "not an image"),
        ("broken off", "cannot reach"),
        ("longer than announced", "more than the"),
        ("shorter than announced", "the archive announced"),
        ("image 500", "answered 500"),
    ],
)
def test_each_fault_is_one_sentence_and_leaves_no_file(
    archive: FakeArchive, tmp_path: Path, fault: str, words: str
) -> None:
    archive.fault = fault
    with pytest.raises(DownloadError, match=words):
        public_samples(2, folder=tmp_path, base_url=archive.url, seconds=PATIENT)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_the_server_is_tried_once_more_and_no_more(archive: FakeArchive) -> None:
    archive.fault = "500 once"
    with Archive(archive.url, PATIENT) as client:
        assert len(list(client.search("NV", 1))) == 1
        archive.fault, archive.asked = "500", []
        with pytest.raises(DownloadError):
            list(client.search("NV", 1))
        assert len(archive.asked) == 2
        archive.fault, archive.asked = "404", []
        with pytest.raises(DownloadError):
            list(client.search("NV", 1))
        assert len(archive.asked) == 1


@pytest.mark.parametrize("fault", ["slow search", "trickle"])
def test_a_slow_archive_is_given_up_in_time(archive: FakeArchive, tmp_path: Path, fault: str) -> None:
    archive.fault = fault
    start = time.monotonic()
    with pytest.raises(DownloadError):
        public_samples(2, folder=tmp_path, base_url=archive.url, seconds=0.6)
    assert time.monotonic() - start < 10


def test_nobody_listening_is_known_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/api/v2"
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"no public-domain image from the ISIC archive: cannot reach 127\.0\.0\.1"):
        public_samples(folder=tmp_path, base_url=url)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("url", ["not an address", "ftp://127.0.0.1/x", "http://"])
def test_an_address_that_is_none_is_an_error_in_words(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="no public-domain image"):
        public_samples(folder=tmp_path, base_url=url)


def test_a_home_that_cannot_be_written_is_named(archive: FakeArchive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="set DERMOSCOPE_HOME"):
        public_samples(2, folder=tmp_path / "file" / "archive", base_url=archive.url, seconds=PATIENT)
