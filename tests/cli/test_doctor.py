"""`dermoscope doctor`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
