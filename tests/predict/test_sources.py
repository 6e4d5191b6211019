"""What is named on the command line becomes images with unique ids."""

import io
from pathlib import Path

import pytest

from dermoscope.core.errors import InputError
from dermoscope.predict.sources import gather

NO_INPUT = io.BytesIO()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.png", "deep/c.tif", ".hidden/d.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_files_folders_and_standard_input(folder: Path) -> None:
    sources, names = gather([str(folder), "elsewhere/lesion.one.jpg", "-"], io.BytesIO(b"bytes"))
    assert names == ["a", "b", "c", "lesion.one", "stdin"]
    assert sources[3:] == [Path("elsewhere/lesion.one.jpg"), b"bytes"]


def test_files_are_taken_whatever_their_extension(folder: Path) -> None:
    sources, names = gather([str(folder / "notes.txt")], NO_INPUT)
    assert (sources, names) == ([folder / "notes.txt"], ["notes"])


def test_a_folder_without_images(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no image files in this folder or below"):
        gather([str(folder / "empty")], NO_INPUT)


def test_names_that_stand_twice(folder: Path) -> None:
    (folder / "deep/a.jpg").write_bytes(b"x")
    with pytest.raises(InputError) as caught:
        gather([str(folder)], NO_INPUT)
    assert str(caught.value) == (
        "images are told apart by file name without extension, and these share one: "
        f"{folder}/a.png and {folder}/deep/a.jpg; rename one of them, or classify the folders one after the other"
    )
    with pytest.raises(InputError, match="share one: standard input and standard input"):
        gather(["-", "-"], NO_INPUT)


def test_a_name_that_no_file_can_have_is_left_to_the_reader() -> None:
    sources, _ = gather(["x" * 5000], NO_INPUT)
    assert sources == [Path("x" * 5000)]
