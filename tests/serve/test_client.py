"""The client against a real server; the examples and the page about the API, line by line, against one, too."""

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import snippets
from live import serving
from people import People

from dermoscope.client import Client
from dermoscope.core.errors import (
    BusyError,
    ConflictError,
    DownloadError,
    ForbiddenError,
    InputError,
    NotFoundError,
)
from dermoscope.data.synthetic import draw
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LESION = ("lesion.jpg", draw(5, "MEL", (320, 240)).jpeg())
EXAMPLES = snippets.examples(service=True)
PAGE = snippets.ROOT / "docs" / "how-to" / "api.md"
ADDRESS = "http://127.0.0.1:8000"


@sqlite
def test_everything_that_a_clinic_does(live: str, tmp_path: Path) -> None:
    with Client(live, reader="R1") as client:
        assert set(client.model()["diagnoses"]) >= {"MEL", "NV"}
        (tmp_path / "own.jpg").write_bytes(LESION[1])
        said = client.classify([LESION, tmp_path / "own.jpg"], prior="site")
        assert [result["file"] for result in said["results"]] == ["lesion.jpg", "own.jpg"]
        case = client.create_case("P1", lesion="back", body_site="posterior_torso")["id"]
        images = client.add_images(case, [LESION])["image_ids"]
        client.add_images(case, [str(tmp_path / "own.jpg")], kind="overview")
        assert [image["kind"] for image in client.case(case)["images"]] == ["dermoscopic", "overview"]
        assert client.picture(images[0]) == LESION[1] or client.picture(images[0])[:2] == LESION[1][:2]
        assert len(client.picture(images[0], "thumb")) > 100
        with pytest.raises(ForbiddenError, match="appears once your own reading is locked"):
            client.result(case)
        assert client.lock(case, "refer", diagnosis="MEL", confidence=0.8, experience="6 years")["phase"] == "first"
        assert client.result(case)["case"] == case
        assert client.revise(case, "low_concern")["resolved"] in ("refer", "low_concern", "cannot_assess")
        assert client.readings(case)["revised"]["decision"] == "low_concern"
        assert client.histology(case, "MEL", "2026-02-03")["histology"] == "MEL"
        assert [row["id"] for row in client.cases(tab="closed")["cases"]] == [case]
        job = client.create_job([LESION, ("x.txt", b"x")], title="two", pseudonyms=["A", "B"])
        assert client.wait(job["id"], at_most=60, every=0.05)["failed"] == 1
        assert [row["title"] for row in client.jobs()] == ["two"]
        assert client.export("readings.csv").startswith(b"reader,case,")
        assert client.change_settings(mode="study")["mode"] == client.settings()["mode"] == "study"


@sqlite
def test_errors_are_those_of_the_service(live: str, tmp_path: Path) -> None:
    with Client(live, reader="R1") as client:
        client.create_case("P1")
        with pytest.raises(ConflictError, match="is case 1 already"):
            client.create_case("P1")
        with pytest.raises(NotFoundError, match="there is no case 9"):
            client.case(9)
        with pytest.raises(InputError, match=r"body\.mode: Input should be"):
            client.change_settings(mode="loud")
        with pytest.raises(InputError, match=r"(?s)none of the 2 files.*\n  a.txt: not an image.*\n  b.txt: not an"):
            client.classify([("a.txt", b"a"), ("b.txt", b"b")])
        with pytest.raises(InputError, match=r"nothing\.jpg: cannot be read \(No such file or directory\); correct"):
            client.classify([tmp_path / "nothing.jpg"])


class _Flaky(BaseHTTPRequestHandler):
    """Breaks the first connection, is busy at the second, and answers at the third; notes the keys it was sent."""

    seen: list[str | None] = []  # noqa: RUF012 - one server, one test

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers["Idempotency-Key"])
        if len(self.seen) == 1:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = b'{"id": 3}' if len(self.seen) > 2 else b'{"detail": "400 images wait already"}'
        self.send_response(201 if len(self.seen) > 2 else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        body = b'{"detail": "400 images wait already"}'
        self.send_response(503)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def flaky() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Flaky) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_lost_answer_is_asked_for_again_under_the_same_key(flaky: str) -> None:
    with Client(flaky, patience=0.01) as client:
        assert client.create_case("P1") == {"id": 3}
        assert len(_Flaky.seen) == 3
        assert len({*_Flaky.seen} - {None}) == 1
        with pytest.raises(BusyError, match="400 images wait already"):
            client.model()


def test_a_service_that_is_not_there_is_told(tmp_path: Path) -> None:
    with socket.socket() as held, Client(patience=0.01) as client:
        held.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{held.getsockname()[1]}/", patience=0.01)
        with pytest.raises(DownloadError, match=r"not reached \(.*\); is the service running\?"):
            client.model()
    with pytest.raises(InputError, match="cannot be read"):
        Client(patience=0.01).add_images(1, [tmp_path])


@sqlite
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run(live: str, path: Path, tmp_path: Path) -> None:
    assert run([sys.executable, str(path), live], tmp_path)


@sqlite
def test_the_page_about_the_api_is_true(live: str, tmp_path: Path) -> None:
    """Its blocks in their order, on one service: commands end well and say what is shown, Python runs."""
    if shutil.which("curl") is None:
        pytest.skip("no curl here: the commands of the page cannot be run")
    for name, seed in (("lesion.jpg", 5), ("second.jpg", 6)):
        (tmp_path / name).write_bytes(draw(seed, "MEL", (320, 240)).jpeg())
    (tmp_path / "letter.docx").write_bytes(b"no picture")
    blocks = [block for block in snippets.blocks(PAGE) if block.language in ("py", "console")]
    assert {block.language for block in blocks} == {"py", "console"}
    for block in blocks:
        if block.language == "py":
            run([sys.executable, "-c", block.text.replace(ADDRESS, live)], tmp_path)
            continue
        for command in snippets.commands(block):
            said = run(["bash", "-c", command.text.replace(ADDRESS, live)], tmp_path)
            missing = snippets.not_said(command.shown, said)
            assert missing is None, f"{block.name}: not in the output: {missing!r}\n{said}"


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_client_needs_httpx_alone() -> None:
    code = "import sys, dermoscope.client; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(run([sys.executable, "-c", code], Path.cwd()).split())
    assert "httpx" in loaded
    assert loaded & {"numpy", "pydantic", "fastapi", "starlette", "sqlalchemy", "onnxruntime", "cv2"} == set()


@sqlite
def test_a_key_says_who_asks_and_too_many_wrong_ones_are_told(options: Options, service: Service) -> None:
    asking = replace(service, options=replace(options, no_login=False))
    with serving(asking.options, asking) as served:
        token = People(asking).key("reader", "read", "write", name="Ben")["Authorization"].removeprefix("Bearer ")
        with Client(served.url, token, reader="Ada") as client:
            assert client.create_case("P-1")["created_by"] == "Ben"
            with pytest.raises(ForbiddenError, match="needs a key with the scope classify"):
                client.classify([("a.jpg", b"x")])
        with Client(served.url, "dsk_00000000_wrong", patience=0) as wrong:
            for _ in range(50):
                with pytest.raises(ForbiddenError, match="who is asking is not known"):
                    wrong.jobs()
            with pytest.raises(BusyError, match="too many keys were wrong"):
                wrong.jobs()
