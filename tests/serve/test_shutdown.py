"""Real processes that are asked to end: what was accepted is answered, and what hangs is told and left."""

import contextlib
import os
import re
import select as polling
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from dermoscope.data.synthetic import draw
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Event, JobItem, Process

READY = re.compile(r"dermoscope is ready: (\S+)")


@pytest.fixture(scope="module")
def lesion() -> bytes:
    return draw(1, "NV", size=(320, 240)).jpeg()


@contextlib.contextmanager
def running(folder: Path, *options: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service in a process of its own, and its address."""
    main = "from dermoscope.cli.main import main; main()"
    command = [sys.executable, "-c", main, "serve", "--no-login", "--port", "0", "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, "--threads", "1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {f"DERMOSCOPE_{name.upper()}": said for name, said in settings.items()},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := READY.match(line):
                break
        else:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read())
        url = found[1]
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            time.sleep(0.05)
        yield process, url
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_what_was_accepted_is_answered_and_then_it_ends(tmp_path: Path, lesion: bytes) -> None:
    answers: list[int] = []
    ended = threading.Event()

    def ask(_: int) -> None:
        while not ended.is_set():
            try:
                answer = httpx.post(f"{url}/api/v1/classify", files={"files": lesion}, timeout=60)
            except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError):
                return  # nobody takes connections any more
            answers.append(answer.status_code)
            assert answer.json()["model"]

    with running(tmp_path / "service") as (process, url):
        batch = httpx.post(f"{url}/api/v1/jobs", files=[("files", ("a.jpg", lesion))] * 40, timeout=60)
        assert batch.status_code == 201
        with ThreadPoolExecutor(6) as pool:
            asking = [pool.submit(ask, number) for number in range(6)]
            while len(answers) < 8:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(60) == 0
            finally:
                ended.set()
            for one in asking:
                one.result(60)
    store = Store.open(Options(folder=tmp_path / "service", no_login=True))
    with store.read() as session:
        done = session.scalar(select(func.count(Event.id)).where(Event.what == "classified"))
        assert answers == [200] * int(done or 0)  # each that was worked on has come to who asked
        held = session.scalars(select(JobItem.state).where(JobItem.claimed_by.is_not(None))).all()
        assert held == []  # items of the batch are done or untouched
        assert session.scalars(select(Process)).all() == []
        assert session.scalars(select(Event.what).order_by(Event.id.desc())).first() == "stopped"
    store.close()


def test_when_the_time_is_over_it_ends_at_once_and_says_what_was_left(tmp_path: Path) -> None:
    head = b"POST /api/v1/cases HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 9\r\n\r\n{"
    with running(tmp_path / "service", serve_drain_s="1") as (process, url):
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as hanging:
            hanging.sendall(head)
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 1
        assert process.stderr is not None
        assert (
            "dermoscope ends at once (the 1 s for it are over): 1 requests were not answered, 0 images not read; items "
            "of batches wait for the start" in process.stderr.read()
        )


def test_a_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import uvicorn
    from fastapi import FastAPI

    from dermoscope.serve.ending import Server

    ended: list[int] = []
    monkeypatch.setattr("dermoscope.serve.ending.os._exit", ended.append)
    app = FastAPI()
    server = Server(uvicorn.Config(app), app, 60)
    server.handle_exit(signal.SIGTERM, None)
    assert (server.should_exit, ended) == (True, [])
    server.handle_exit(signal.SIGINT, None)
    server.close()
    assert ended == [1]
    assert "dermoscope ends at once (a second signal came): 0 requests" in capsys.readouterr().err


def test_an_end_in_time_is_not_cut_later(monkeypatch: pytest.MonkeyPatch) -> None:
    import uvicorn
    from fastapi import FastAPI

    from dermoscope.serve.ending import Server

    ended: list[int] = []
    monkeypatch.setattr("dermoscope.serve.ending.os._exit", ended.append)
    server = Server(uvicorn.Config(FastAPI()), FastAPI(), 0.2)
    server.handle_exit(signal.SIGTERM, None)
    server.close()
    time.sleep(0.4)
    assert ended == []


RESET = b"(reset)"


def test_who_sends_slowly_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from live import serving

    from dermoscope.serve import slow

    for name, value in (("HEAD_S", 0.5), ("BODY_S", 0.5), ("MOST", 3)):
        monkeypatch.setattr(slow, name, value)
    with serving(Options(folder=tmp_path / "service", threads=1, no_login=True)) as live:
        place = ("127.0.0.1", int(live.url.rpartition(":")[2]))

        def told(sent: bytes, trickle: bytes = b"") -> bytes:
            with socket.create_connection(place) as held:
                held.sendall(sent)
                got, until = b"", time.monotonic() + 10
                while time.monotonic() < until:
                    readable, _, _ = polling.select([held], [], [], 0.1)
                    if readable:
                        try:
                            part = held.recv(4096)
                        except ConnectionResetError:  # what was sent meanwhile crossed the answer
                            return got + RESET
                        got += part
                        if not part:
                            break
                    elif trickle:
                        with contextlib.suppress(OSError):
                            held.sendall(trickle)
                return got

        json = b"Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
        for sent, trickle in ((b"", b""), (b"GET / HTTP/1.1\r\n", b"X"), (b"POST /x HTTP/1.1\r\nHost: h\r\n", b"")):
            late = b"HTTP/1.1 408 Request Timeout"
            assert told(sent, trickle).startswith((late, RESET) if trickle else late)
        got = told(b"POST /api/v1/cases HTTP/1.1\r\nHost: 127.0.0.1\r\n" + json, b" ")
        assert got.startswith(b"HTTP/1.1 408")
        assert b"the body did not come at 10,000 bytes a second" in got
        again = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        assert b"\r\n\r\n{" in (got := told(again, b"G"))
        assert b"HTTP/1.1 408 Request Timeout" in got or got.endswith(RESET)
        with contextlib.ExitStack() as many:
            for _ in range(3):
                many.enter_context(socket.create_connection(place))
            time.sleep(0.1)
            assert told(b"").startswith(b"HTTP/1.1 503 Service Unavailable")
        time.sleep(0.2)
        assert httpx.get(f"{live.url}/health").status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_several_processes_serve_and_one_that_dies_is_replaced(options: Options, lesion: bytes) -> None:
    def names() -> set[str]:
        with store.read() as session:
            return set(session.scalars(select(Process.name)))

    store = Store.open(options)
    with running(options.folder, "--workers", "2", database=options.database) as (process, url):
        while len(names()) < 2:
            time.sleep(0.1)
        first = sorted(names())[0]
        os.kill(int(first.split(".")[1]), signal.SIGKILL)
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: answered(url, lesion), range(12)))
        assert set(made) == {200}
        for _ in range(300):
            if len(names() - {first}) == 2:
                break
            time.sleep(0.1)
        assert len(names() - {first}) == 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert names() <= {first}
    with store.read() as session:
        done = session.scalars(select(Event.id).where(Event.what == "classified")).all()
        numbers = session.scalars(select(Event.id).order_by(Event.id)).all()
    assert len(done) == 12
    assert numbers == list(range(1, len(numbers) + 1))
    store.close()


def answered(url: str, lesion: bytes) -> int:
    """A process that is killed takes its connections with it; who asks asks again."""
    for _ in range(20):
        with contextlib.suppress(httpx.TransportError):
            return httpx.post(f"{url}/api/v1/classify", files={"files": lesion}, timeout=60).status_code
        time.sleep(0.05)
    raise AssertionError("not answered")
