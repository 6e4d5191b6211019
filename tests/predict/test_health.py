"""Bundle, data sets and disk, well and otherwise."""

from pathlib import Path

import pytest

from dermoscope.data import fetch
from dermoscope.predict import bundle as bundles
from dermoscope.predict import health
from dermoscope.predict.health import examine
from dermoscope.predict.installed import Check


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No data set and no state yet."""
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DERMOSCOPE_DATA", raising=False)
    return tmp_path / "home"


def of(checks: object, what: str) -> Check:
    (check,) = [c for c in checks if c.what == what]  # type: ignore[attr-defined]
    return check


def test_nothing_is_written(elsewhere: Path) -> None:
    examine()
    assert not elsewhere.exists()


def test_the_terms_of_the_weights(bundle: bundles.Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "load", lambda: bundle)
    said = of(health.bundle(), "weights").detail
    assert said == f"licence {bundle.card.licence}: the licence says what they may be used for; the code is Apache-2.0"


def test_damaged_weights_are_mended_as_they_were_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, copied = tmp_path / "weights/default", tmp_path / ".venv/lib/site-packages/weights"
    monkeypatch.setattr(health, "clone", lambda: tmp_path)
    for folder, command in ((inside, "checkout -- weights/default"), (copied, "--force-reinstall --no-deps ./weights")):
        folder.mkdir(parents=True)
        monkeypatch.setattr(health, "find", lambda folder=folder: folder)
        assert health._reinstall().endswith(command)


def test_data_sets_that_are_absent_begun_or_not_whole(elsewhere: Path) -> None:
    checks = tuple(health.data())
    assert {c.state for c in checks} == {"absent"}
    absent = of(checks, "data isic2019")
    assert (absent.detail, absent.mend) == ("not here, 9.77 GB to fetch", "dermoscope data get isic2019")
    part = elsewhere / "data/isic2018/ISIC2018_Task3_Training_Input.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"0" * 3000)
    part.with_name(part.name + ".json").write_text("{}")
    begun = of(health.data(), "data isic2018")
    assert (begun.state, begun.detail) == ("warn", "begun: 3 kB of 2.60 GB, 2.60 GB to fetch")
    (left,) = health.unfinished()
    assert (left.what, left.state) == (part.name, "warn")
    assert left.detail == f"3 kB, a transfer that broke off, in {part.parent}"
    assert left.mend == "dermoscope data get ham10000"


def test_a_set_that_cannot_be_read_says_why(elsewhere: Path) -> None:
    folder = elsewhere / "data/isic2019"
    (folder / "images").mkdir(parents=True)
    (folder / "images/ISIC_1.jpg").write_bytes(b"")
    for name in ("GroundTruth", "Metadata"):
        (folder / f"ISIC_2019_Training_{name}.csv").write_text("image\n")
    found = of(health.data(), "data isic2019")
    assert found.state == "warn"
    assert "no rows; it needs a header" in found.detail
    assert found.mend == "dermoscope data get isic2019"


def test_leftovers_without_a_future(elsewhere: Path) -> None:
    left = elsewhere / "data/isic2018/.Input.unpacking"
    left.mkdir(parents=True)
    (left / "half.jpg").write_bytes(b"12")
    (check,) = health.unfinished()
    assert check.detail == f"2 bytes, left by a command that was killed, in {left.parent}"
    assert check.mend == f"rm -r {left}"


def test_the_disk(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (check,) = health.disk()
    assert (check.what, check.state) == ("state", "ok")
    assert check.detail.startswith(f"{elsewhere} (not made yet, ")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9})())
    (check,) = health.disk()
    assert check.state == "warn"
    assert check.detail.endswith("1.00 GB free): little")
    (tmp_path / "sets").mkdir()
    monkeypatch.setenv("DERMOSCOPE_DATA", str(tmp_path / "sets"))
    assert [c.what for c in health.disk()] == ["state", "data"]
    monkeypatch.setattr(health, "_writable", lambda folder: folder == tmp_path / "sets")
    state, data = health.disk()
    assert (state.state, state.mend) == ("fail", "export DERMOSCOPE_HOME=FOLDER, one that you may write to")
    assert data.state == "warn"


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    assert health._writable(tmp_path)
    assert not health._writable(tmp_path / "nowhere")
