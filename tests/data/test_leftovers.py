"""What killed writes leave, and one writer at a time."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dermoscope.core.errors import InputError
from dermoscope.data.leftovers import leftovers, sole_writer, sweep


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of data sets with sound files, a part to be continued, a browser's, and three kinds of leftovers."""
    folder = tmp_path / "isic2018"
    (folder / "Input").mkdir(parents=True)
    (folder / "Input" / "ISIC_1.jpg").write_bytes(b"sound")
    (folder / "a.zip.part").write_bytes(b"1234")
    (folder / "a.zip.part.json").write_text("{}")
    (folder / "b.zip.part").write_bytes(b"12345")
    (folder / "c.zip.part.json").write_text("{}")
    (folder / ".part-x1").write_bytes(b"123")
    (folder / ".Input.unpacking" / "Input").mkdir(parents=True)
    (folder / ".Input.unpacking" / "Input" / "half.jpg").write_bytes(b"123456")
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 3600,) * 2)
    (folder / ".part-new").write_bytes(b"somebody is writing this")
    return tmp_path


def test_they_are_found_with_their_size(root: Path) -> None:
    found = {left.path.name: (left.bytes, left.resumable) for left in leftovers(root)}
    assert found == {
        "a.zip.part": (4, True),
        "c.zip.part.json": (2, False),
        ".part-x1": (3, False),
        ".Input.unpacking": (6, False),
    }
    assert leftovers(root / "nowhere") == ()


def test_only_what_is_of_no_use_is_swept_away(root: Path) -> None:
    sweep(root)
    names = sorted(path.name for path in (root / "isic2018").iterdir())
    assert names == [".part-new", "Input", "a.zip.part", "a.zip.part.json", "b.zip.part"]


def test_links_are_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "d.zip.part").write_bytes(b"1")
    (root / "linked").symlink_to(elsewhere)
    sweep(root)
    assert (elsewhere / "d.zip.part").exists()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        sole_writer(tmp_path),
        pytest.raises(InputError, match="another `dermoscope data get` is at work there; wait for it, or stop it"),
        sole_writer(tmp_path),
    ):
        pass
    with sole_writer(tmp_path):
        pass


def test_a_killed_writer_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import pathlib, time\nfrom dermoscope.data.leftovers import sole_writer\n"
        f"with sole_writer(pathlib.Path({str(tmp_path)!r})):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another"), sole_writer(tmp_path):
            pass
        holder.kill()
    with sole_writer(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"file/root: cannot be written \(Not a directory\); choose another folder"),
        sole_writer(tmp_path / "file" / "root"),
    ):
        pass
