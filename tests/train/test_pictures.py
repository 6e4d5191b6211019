"""The decoded cache: what is kept, under which name, and what a killed run leaves."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import ImageError
from dermoscope.data.images import read_image
from dermoscope.data.preprocess import parse_steps, prepare
from dermoscope.train.pictures import ROOM, cached

SIZES = ((200, 150), (40, 60), (64, 64))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    made = []
    for k, (width, height) in enumerate(SIZES):
        path = tmp_path / f"{k}.png"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        made.append(path)
    return made


def test_pictures_in_the_order_of_the_paths(files: list[Path], tmp_path: Path) -> None:
    held = cached(files, 64, tmp_path / "cache")
    assert len(held) == 3
    most = round(64 * ROOM)
    assert [held[k].shape for k in range(3)] == [(most, round(200 * most / 150), 3), (60, 40, 3), (64, 64, 3)]
    np.testing.assert_array_equal(held[1], read_image(files[1]).pixels)  # small pictures are kept as they are
    np.testing.assert_array_equal(held[2], read_image(files[2]).pixels)
    assert abs(float(held[0].mean()) - float(read_image(files[0]).pixels.mean())) < 1


def test_the_same_content_is_decoded_once(files: list[Path], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = tmp_path / "cache"
    first = cached(files, 64, folder, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    moved = [path.rename(path.with_name(f"moved-{path.name}")) for path in files]
    again = cached(moved, 64, folder, lambda done, total: told.append((done, total)))
    assert len(told) == 3  # nothing was decoded
    assert again.key == first.key
    assert len(list(folder.iterdir())) == 2


def test_a_changed_file_another_order_or_size_is_another_cache(files: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    keys = {cached(files, 64, folder).key, cached(files[::-1], 64, folder).key, cached(files, 48, folder).key}
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(files[2])
    changed = cached(files, 64, folder)
    keys.add(changed.key)
    assert len(keys) == 4
    assert changed[2].max() == 0


def test_a_file_that_cannot_be_decoded_leaves_nothing(files: list[Path], tmp_path: Path) -> None:
    files[1].write_bytes(files[1].read_bytes()[:100])
    with pytest.raises(ImageError, match=r"1\.png"):
        cached(files, 64, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_missing_file_is_named(files: list[Path], tmp_path: Path) -> None:
    files[1].unlink()
    with pytest.raises(ImageError, match=r"1\.png: cannot be opened \(No such file or directory\); check the path"):
        cached(files, 64, tmp_path / "cache")


KILLED = """
import os, signal, sys
from pathlib import Path
from dermoscope.train.pictures import cached
files = sorted(Path(sys.argv[1]).glob("*.png"))
cached(files, 64, Path(sys.argv[1]) / "cache", lambda done, total: done == 2 and os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_decode_leaves_nothing_that_is_believed(files: list[Path], tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert died.returncode == -signal.SIGKILL
    left = [path.name for path in (tmp_path / "cache").iterdir()]
    assert left
    assert all(name.endswith(".part") for name in left)
    held = cached(files, 64, tmp_path / "cache")
    np.testing.assert_array_equal(held[2], read_image(files[2]).pixels)


def test_pictures_cannot_be_written_to(files: list[Path], tmp_path: Path) -> None:
    held = cached(files, 64, tmp_path / "cache")
    with pytest.raises(ValueError, match="read-only"):
        held[0][0, 0, 0] = 1


def test_steps_change_pictures_and_key(files: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    plain, steps = cached(files, 64, folder), parse_steps("shave=45,pad")
    held = cached(files, 64, folder, steps=steps)
    assert held.key not in (plain.key, cached(files, 64, folder, steps=parse_steps("shave=40,pad")).key)
    assert cached(files, 64, folder, steps=()).key == plain.key
    assert cached(files, 64, folder, steps=steps).key == held.key
    np.testing.assert_array_equal(held[1], prepare(read_image(files[1]).pixels, steps))
    assert held[0].shape == (round(64 * ROOM), round(64 * ROOM), 3)


def test_the_key_without_steps_is_the_one_of_older_runs(files: list[Path], tmp_path: Path) -> None:
    content = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    expected = hashlib.sha256(content + b"64x1.3 v1").hexdigest()[:24]
    assert cached(files, 64, tmp_path / "cache").key == expected
