"""`dermoscope data audit` and `dermoscope data split`."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from dermoscope.data.synthetic import draw

Command = Callable[..., "object"]


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Three classes by folder, one file of them broken."""
    for n in range(9):
        code = ("MEL", "NV", "BKL")[n % 3]
        (tmp_path / "data" / code).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / code / f"i{n}.jpg").write_bytes(draw(n, code, (160, 120)).jpeg())
    (tmp_path / "data" / "MEL" / "i0.jpg").write_bytes(b"\xff\xd8\xffno")
    return tmp_path / "data"


def test_what_is_grave_comes_first_and_ends_with_one(dermoscope, messy: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    page, summary = tmp_path / "a.html", tmp_path / "a.md"
    said = dermoscope("data", "audit", messy, "--html", page, "--markdown", summary)
    assert said.code == 1
    assert (
        said.out.index("To be mended first") < said.out.index("To be looked at") < said.out.index("Images per source")
    )
    assert "* 1 file cannot be read" in said.out
    assert "1 grave finding" in said.out
    assert "i0.jpg" in page.read_text()
    assert f"dermoscope data audit {messy}" in summary.read_text()


def test_a_split_of_images_without_labels_tells_the_images_of_each_role(dermoscope, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "bare").mkdir()
    for n in range(4):
        (tmp_path / "bare" / f"i{n}.jpg").write_bytes(draw(n, "NV", (160, 120)).jpeg())
    said = dermoscope("data", "split", tmp_path / "bare", "--out", tmp_path / "split.csv")
    assert said.code == 0
    assert "no image has a label; images of each role: test " in said.out


def test_lines_for_a_pipe_are_not_wrapped(dermoscope, messy: Path) -> None:  # type: ignore[no-untyped-def]
    said = dermoscope("data", "audit", messy)
    assert f"    {messy}/MEL/i0.jpg: the JPEG is cut off; copy or download it again\n" in said.out
    assert "AUC out of fold" not in said.out  # nothing could be measured on nine images


def test_json_is_alone_on_standard_output(dermoscope, messy: Path) -> None:  # type: ignore[no-untyped-def]
    said = dermoscope("data", "audit", messy, "--json")
    found = json.loads(said.out)
    assert said.code == 1
    assert [f["kind"] for f in found["findings"] if f["gravity"] == "grave"] == ["broken file"]
    assert found["sizes"]["images"] == 9


def test_a_sound_set_ends_with_zero_and_nothing_with_two(dermoscope, messy: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (messy / "MEL" / "i0.jpg").write_bytes(draw(0, "MEL", (160, 120)).jpeg())
    assert dermoscope("data", "audit", messy).code == 0
    (tmp_path / "empty").mkdir()
    said = dermoscope("data", "audit", tmp_path / "empty")
    assert (said.code, said.out) == (2, "")
    assert "no images and no table here; give the folder that holds them" in said.err


def test_images_without_labels_are_looked_at_too(dermoscope, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for n in range(3):
        (tmp_path / f"i{n}.jpg").write_bytes(draw(n // 2, "NV", (160, 120)).jpeg(90 - 9 * n))
    said = dermoscope("data", "audit", tmp_path)
    assert said.code == 0
    assert "no image has a label" in said.out
    assert "1 picture under different lesion ids (or none)" in said.out
    assert "Images per role" not in said.out


def test_split_writes_roles_that_the_audit_takes(dermoscope, messy: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "split.csv"
    said = dermoscope("data", "split", messy, "--out", out, "--json")
    found = json.loads(said.out)
    assert said.code == 0
    assert found["sha256"] == sha256(out.read_bytes()).hexdigest()
    assert found["images"] == 9
    assert "i0.jpg" in found["unread"][0]
    assert len(out.read_text().splitlines()) == 10
    said = dermoscope("data", "split", messy, "--out", out)
    assert found["sha256"] in said.out
    assert "warning: no image of a diagnosis in" in said.out
    (messy / "MEL" / "i0.jpg").write_bytes(draw(0, "MEL", (160, 120)).jpeg())
    assert dermoscope("data", "audit", messy, "--split", out).code == 0


def test_interrupting_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    picture = draw(1, size=(1024, 768)).jpeg()
    for n in range(600):
        (folder / f"i{n}.jpg").write_bytes(picture + bytes([n % 256, n // 256]))
    page = tmp_path / "a.html"
    command = [sys.executable, "-m", "dermoscope.cli.main", "data", "audit", str(folder), "--html", str(page)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # what a shell starts in the background, and all below it, ignores interrupts
    with subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes) as running:
        time.sleep(2.5)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
        assert b"Traceback" not in said
        assert running.returncode in (130, -signal.SIGINT)  # the latter before Python has begun to listen
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]
