"""`dermoscope doctor`."""

import json
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dermoscope import __version__
from dermoscope.predict import bundle as bundles

Cli = Callable[..., Any]


class _Point:
    """An entry point as a weights package declares it."""

    name = "default"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> Callable[[], Path]:
        return lambda: self.folder


@pytest.fixture
def weights(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny bundle installed as the default one, in an environment of its own."""
    folder = Path(shutil.copytree(bundle_folder, tmp_path / "weights"))
    monkeypatch.setattr(bundles, "entry_points", lambda group: [_Point(folder)] if "dermoscope" in group else [])
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DERMOSCOPE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_whole_installation(dermoscope: Cli, weights: Path, tmp_path: Path) -> None:
    said = dermoscope("doctor", "--json")
    assert said.code == 0
    found = {c["what"]: c for c in json.loads(said.out)}
    checks = {what: (c["state"], c["detail"]) for what, c in found.items()}
    assert checks["dermoscope"][1].startswith(f"{__version__}, Python 3.")
    assert checks["plain"][0] == "ok"
    assert "onnxruntime" in checks["plain"][1]
    assert checks["bundle"] == ("ok", f"quick {bundles.load(weights).sha256[:12]}, every file verified")
    assert checks["data ham10000"][0] == "absent"
    assert found["data ham10000"]["mend"] == "dermoscope data get ham10000"
    assert checks["state"][0] in {"ok", "warn"}
    assert checks["state"][1].startswith(str(tmp_path / "home"))


def test_in_words(dermoscope: Cli, weights: Path) -> None:
    said = dermoscope("doctor")
    assert said.code == 0
    assert f"{weights}" not in said.out
    lines = said.out.splitlines()
    assert lines[0].split()[:2] == ["ok", "dermoscope"]
    where = next(n for n, line in enumerate(lines) if line.split()[:3] == ["absent", "data", "ham10000"])
    assert lines[where + 1].strip() == "-> dermoscope data get ham10000"
    assert "licence" in said.out
    assert "All that is needed is here." in said.out
    assert "no diagnosis without a physician" in said.out


def test_a_damaged_bundle_ends_with_1(dermoscope: Cli, weights: Path) -> None:
    (weights / "arrays.npz").write_bytes(b"")
    said = dermoscope("doctor")
    assert said.code == 1
    assert "its SHA-256 is not the one in bundle.json" in " ".join(said.out.split())
    assert "--no-deps ./weights" in " ".join(said.out.split())
    assert "Missing or damaged, and needed: 1" in said.out


def test_no_bundle_ends_with_1_and_says_how_to_get_one(
    dermoscope: Cli, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights.is_dir()
    monkeypatch.setattr(bundles, "entry_points", lambda group: [] if group else None)
    said = dermoscope("doctor", "--json")
    assert said.code == 1
    (check,) = [c for c in json.loads(said.out) if c["what"] == "bundle"]
    assert check["state"] == "fail"
    assert "no weights are installed" in check["detail"]


def test_a_running_service_is_asked_whether_it_is_ready(dermoscope: Cli) -> None:
    class Answer(BaseHTTPRequestHandler):
        checks: ClassVar[dict[str, str]] = {"bundle": "ok", "clock": "the clock is 9 s behind; set it right"}

        def do_GET(self) -> None:
            said = {"/ready": {"ready": False, "checks": self.checks}, "/other/ready": ["no dermoscope"]}[self.path]
            self.send_response(503)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        said = dermoscope("doctor", "--service", address, "--json")
        other = dermoscope("doctor", "--service", f"{address}/other", "--json")
        server.shutdown()
    assert said.code == other.code == 1
    found = {check["what"]: (check["state"], check["detail"]) for check in json.loads(said.out)}
    assert found == {
        "answer": ("ok", f"{address}: status 503"),
        "bundle": ("ok", "ok"),
        "clock": ("fail", "the clock is 9 s behind; set it right"),
    }
    assert "what answers there is no dermoscope" in other.out
    gone = dermoscope("doctor", "--service", address, "--json")
    assert gone.code == 1
    assert json.loads(gone.out)[0]["detail"] == f"{address}: ConnectError, no answer"


def test_settings_of_the_service_that_would_be_refused_are_told(
    dermoscope: Cli, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights.is_dir()
    monkeypatch.setenv("DERMOSCOPE_SERVE_HOST", "0.0.0.0")
    said = dermoscope("doctor", "--json")
    found = [c for c in json.loads(said.out) if c["what"] == "settings"]
    assert [c["state"] for c in found] == ["warn", "ok"]
    assert "variable DERMOSCOPE_SERVE_HOST: nothing says that 0.0.0.0 is behind HTTPS" in found[0]["detail"]
    assert found[0]["mend"] == "dermoscope serve --show-settings"
    monkeypatch.setenv("DERMOSCOPE_SERVE_PROT", "1")
    (found,) = [c for c in json.loads(dermoscope("doctor", "--json").out) if c["what"] == "settings"]
    assert "did you mean DERMOSCOPE_SERVE_PORT?" in found["detail"]
