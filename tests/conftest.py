"""What several tests share: a small synthetic data set and one bundle trained on it.

Both are made once per session. The network is the smallest that timm has, so that training and export take seconds;
what the tests say of it holds for every network that the recipes can name.
"""

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from dermoscope.predict.bundle import Bundle
    from dermoscope.predict.predictor import Predictor
    from dermoscope.train.recipes import Recipe

SETTINGS = {
    "backbone": "test_efficientnet",
    "pretrained": "false",
    "size": "64",
    "phases": "120x64",
    "rate": "0.2",
    "views": "4",
}


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like HAM10000 with 160 drawn images, twenty of each diagnosis."""
    from dermoscope.data.synthetic import write_dataset

    return write_dataset(tmp_path_factory.mktemp("synthetic") / "data", 20, seed=3, size=(144, 108))


@pytest.fixture(scope="session")
def images(synthetic: Path) -> list[Path]:
    """Its image files."""
    return sorted((synthetic / "images").glob("*.jpg"))


@pytest.fixture(scope="session")
def quick_recipe() -> "Recipe":
    """The recipe `quick` on a tiny network without ImageNet weights."""
    from dermoscope.train.recipes import QUICK

    return QUICK.with_settings(SETTINGS)


@pytest.fixture(scope="session")
def run_folder(synthetic: Path, quick_recipe: "Recipe", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of that recipe on the synthetic data set; its bundle is `chosen`."""
    import torch

    from dermoscope.data.readers import read_cases
    from dermoscope.train.run import Job, train

    torch.set_num_threads(1)  # such small tensors gain nothing from more, and results do not depend on the machine
    out = tmp_path_factory.mktemp("run")
    said = {"name": "synthetic lesions", "licence": "CC0-1.0", "citation": "drawn by dermoscope"}
    train(Job(quick_recipe, read_cases(synthetic), out, tmp_path_factory.mktemp("cache"), data_use=said))
    return out


@pytest.fixture(scope="session")
def bundle_folder(run_folder: Path) -> Path:
    """The bundle of that run, to be read only."""
    return run_folder / "chosen"


@pytest.fixture(scope="session")
def bundle(bundle_folder: Path) -> "Bundle":
    """That bundle, verified and in memory."""
    from dermoscope.predict.bundle import load

    return load(bundle_folder)


@pytest.fixture(scope="session")
def predictor(bundle: "Bundle") -> "Predictor":
    """That bundle, ready to read images."""
    from dermoscope.predict.predictor import Predictor

    return Predictor.load(bundle)


class Said(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def dermoscope(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs a command as the installed script would: `dermoscope("classify", path, "--json")`."""
    from dermoscope.cli.main import main

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["dermoscope", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        said = capsys.readouterr()
        return Said(code if isinstance(code, int) else 0 if code is None else 1, said.out, said.err)

    return run


class Bucket(ThreadingHTTPServer):
    """A server of files on loopback that knows ranges and ETags; `faults` names what goes wrong, once per item.

    `files` maps paths to bytes, `asked` lists (path, Range header or "") of every request, `pause` seconds lie between
    the pieces of 64 KiB that a body is sent in.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _BucketHandler)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.faults: list[str] = []
        self.pause = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news."""


class _BucketHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, wanted = self.path.lstrip("/"), self.headers.get("Range", "")
        self.server.asked.append((path, wanted))
        fault = self.server.faults.pop(0) if self.server.faults else ""
        data = self.server.files.get(path)
        if data is None or fault.isdecimal():
            return self.answer(int(fault or 404), b"")
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        headers = {} if fault == "no validator" else {"ETag": tag}
        if fault == "web page":
            headers["Content-Type"] = "text/html"
        first = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        fresh = self.headers.get("If-Range") == tag or fault == "ignores If-Range"
        if not wanted or not fresh or fault == "ignores ranges":
            return self.answer(200, data, headers, fault)
        if first >= len(data):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return self.answer(206, data[first:], headers, fault)

    def answer(self, status: int, data: bytes, headers: Mapping[str, str] = {}, fault: str = "") -> None:
        if fault.startswith("unsaid"):
            self.answer_in_chunks(status, data, headers, fault)
            return
        lie = {"says more": 100, "says less": -100}.get(fault, 0)
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data) + lie)}.items():
            self.send_header(key, value)
        self.end_headers()
        ends = len(data) // 2 if fault == "breaks off" else len(data)
        for start in range(0, ends, 2**16):
            self.wfile.write(data[start : min(start + 2**16, ends)])
            time.sleep(self.server.pause)
        if fault in ("breaks off", "says more", "says less"):
            self.close_connection = True

    def answer_in_chunks(self, status: int, data: bytes, headers: Mapping[str, str], fault: str) -> None:
        """Without a length: `unsaid`; `unsaid, breaks off` in the middle; `unsaid, endless` far beyond the file."""
        self.send_response(status)
        for key, value in {**headers, "Transfer-Encoding": "chunked"}.items():
            self.send_header(key, value)
        self.end_headers()
        body = data[: len(data) // 2] if fault.endswith("breaks off") else data
        for start in range(0, len(body), 2**16):
            piece = body[start : start + 2**16]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        for _ in range(1000 if fault.endswith("endless") else 0):
            self.wfile.write(b"%x\r\n%b\r\n" % (2**16, bytes(2**16)))
        if fault.endswith("breaks off"):
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """A server on loopback to fetch from."""
    with Bucket() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
