"""`dermoscope serve` as a process: what it prints, whom it lets in, how it ends."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install 'dermoscope[serve]'")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dermoscope.cli.main", "serve", *arguments]


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str], str]]:
    """A running service, the lines that it printed, and its address on this machine."""
    full = command("--folder", str(folder), "--port", "0", "--threads", "1", *arguments)
    process = subprocess.Popen(full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines.append(line.rstrip("\n"))
        port = int(re.findall(r":(\d+)$", lines[0])[0])
        yield process, lines, f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def test_a_newcomer_is_told_where_to_go_and_what_it_is_not(tmp_path: Path) -> None:
    with serving(tmp_path / "kept", "--no-login") as (process, lines, address):
        assert lines[0] == f"dermoscope is ready: {address}"
        assert any("mode     open, the reader first" in line for line in lines)
        assert any("not a medical device" in line for line in lines)
        assert any("login    none: everybody on this machine is an admin" in line for line in lines)
        assert httpx.get(f"{address}/health").status_code == 200
        assert httpx.get(f"{address}/ready").status_code == 200
        assert httpx.get(address, follow_redirects=True).status_code == 200
        assert httpx.get(f"{address}/health", headers={"Host": "evil.example"}).status_code == 403
    assert process.returncode == 0
    assert (tmp_path / "kept" / "dermoscope.sqlite").is_file()


def test_the_first_start_prints_a_link_that_makes_an_admin_once(tmp_path: Path) -> None:
    links = []
    for _ in range(2):  # a new start makes a new link, and the one before ends
        with serving(tmp_path / "kept", "--host", "0.0.0.0", "--plain-http") as (_, lines, address):
            assert any("mode     silent" in line for line in lines)
            (link,) = re.findall(r"login    http://\S+(/link/\S+)$", "\n".join(lines), re.MULTILINE)
            links.append(link)
            settings = f"{address}/api/v1/settings"
            for headers in ({}, {"X-Reader": "anna"}, {"Authorization": "Bearer wrong"}):
                assert httpx.get(settings, headers=headers).status_code == 401
            assert httpx.get(address).headers["location"].startswith("/enter")
            if len(links) < 2:
                continue
            said = {"name": "Ada", "new": "blue lamp under seven trees", "again": "blue lamp under seven trees"}
            assert httpx.post(address + links[0], data=said).status_code == 410
            with httpx.Client() as browser:
                assert browser.post(address + link, data=said).status_code == 303
                assert browser.get(settings).status_code == 200
            assert httpx.post(address + link, data=said).status_code == 410
    with serving(tmp_path / "kept", "--host", "0.0.0.0", "--plain-http") as (_, lines, _):
        assert not any("link" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "flag --port: 70000 is not taken; give 1 to 65535, or 0 for a free one"),
        (["--host", "999.1.1.1", "--plain-http", "--port", "0"], "cannot be listened on"),
        (["--bundle", "nowhere", "--port", "0"], "nowhere"),
        (["--database", "mysql://x/y", "--port", "0"], "(hidden) is not taken; give sqlite:///FILE or postgresql://"),
        (["--database", "postgresql://u@127.0.0.1:1/x", "--port", "0"], "cannot be opened"),
        (["--database", "postgresql://u:secret@127.0.0.1:1/x", "--port", "0"], "in the list of processes"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = subprocess.run(
        command("--folder", str(tmp_path / "kept"), *arguments), capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert "secret" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        arguments = command("--folder", str(tmp_path), "--port", str(port))
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}: cannot be listened on" in ended.stderr
    assert "another program listens there; give another --port" in ended.stderr


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = command("--folder", str(tmp_path / "file"), "--port", "0")
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"{tmp_path / 'file'}: cannot be made" in ended.stderr


def test_settings_are_shown_with_their_places_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_DATABASE", "postgresql://u:s3cr3t@h/d")
    arguments = command("--folder", str(tmp_path), "--show-settings")
    ended = subprocess.run([*arguments, "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = json.loads(ended.stdout)
    assert found["refused"] == []
    assert found["settings"]["folder"] == {"value": str(tmp_path), "from": "flag --folder"}
    assert found["settings"]["database"] == {"value": "(hidden)", "from": "variable DERMOSCOPE_DATABASE"}
    ended = subprocess.run([*arguments, "--host", "0.0.0.0"], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("would be refused: flag --host: nothing says that 0.0.0.0 is behind HTTPS")
    assert re.search(r"^port +8000 +default *$", ended.stdout, re.MULTILINE)
    assert "s3cr3t" not in ended.stdout + ended.stderr


def test_what_is_logged_is_json_away_from_a_terminal(tmp_path: Path) -> None:
    with serving(tmp_path / "kept", "--no-login") as (process, _, address):
        answer = httpx.get(f"{address}/api/v1/cases/77?text=Erika", headers={"X-Reader": "anna"})
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        lines = process.stderr.read().splitlines()
        (line,) = [json.loads(line) for line in lines]
    told = {name: line[name] for name in ("level", "request", "route", "status", "role")}
    assert told == {
        "level": "info",
        "request": answer.headers["x-request-id"],
        "route": "/api/v1/cases/{case_id}",
        "status": 404,
        "role": "admin",
    }
    assert "Erika" not in str(line)
    assert "anna" not in str(line)
