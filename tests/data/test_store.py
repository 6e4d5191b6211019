"""Files that are written whole or not at all."""

from pathlib import Path

import pytest

from dermoscope.core.errors import InputError, TrainingError
from dermoscope.data.store import sole, write_file


@pytest.mark.parametrize("durable", [False, True])
def test_missing_folders_are_made_and_an_old_file_is_replaced(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    assert write_file(path, b"old", durable=durable) == path
    write_file(path, b"new", durable=durable)
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder: cannot be written \(Is a directory\)"):
        write_file(tmp_path / "folder", b"data")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        write_file(tmp_path / "file" / "below", b"data")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_is_held_until_the_end(tmp_path: Path) -> None:
    lock, busy = tmp_path / "new" / ".lock", TrainingError("somebody is at it")
    with sole(lock, busy, "go"), pytest.raises(TrainingError, match="somebody is at it"), sole(lock, busy, "go"):
        pass
    with pytest.raises(KeyError), sole(lock, busy, "go"):
        raise KeyError
    with sole(lock, busy, "go"):  # the hold before ended with what failed inside it
        pass


def test_a_folder_that_cannot_be_held_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(InputError, match=r"file: cannot be written \(.*\); choose another --out"),
        sole(tmp_path / "file" / ".lock", TrainingError("busy"), "choose another --out"),
    ):
        pass
