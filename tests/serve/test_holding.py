"""How much of uploaded pictures is held at one time."""

import gc
import platform
import subprocess
import sys

import numpy as np
import pytest
from starlette.testclient import TestClient

from dermoscope.core.errors import BusyError, ImageError
from dermoscope.serve import holding, uploads
from dermoscope.serve.holding import Held, give_back_large_pieces, held
from dermoscope.serve.uploads import clean

from .test_uploads import saved


@pytest.fixture
def database() -> str:
    return ""


@pytest.fixture(autouse=True)
def nothing_before() -> None:
    gc.collect()
    assert held() == 0


def test_what_nobody_has_any_longer_is_given_back() -> None:
    first, second = clean(saved(), "a.jpg"), Held(1000)
    assert held() == len(first.data) + 1000
    del first
    assert held() == 1000
    del second
    assert held() == 0


def test_no_more_is_held_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MOST_HELD", 1_500_000)
    kept = Held(1_000_000)
    with pytest.raises(BusyError, match=r"^1 MB of pictures are being worked on; try again in a minute$"):
        Held(500_001)
    del kept
    assert held() == 0
    assert Held(1_500_000)


def test_a_picture_that_grows_beyond_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_PICTURE", 1_000)
    told = r"^a\.webp: 0 MB as a lossless picture, over the limit of 0 MB; scale the image down, or send it as JPEG$"
    with pytest.raises(ImageError, match=told):
        clean(saved("WEBP"), "a.webp")


def test_the_pictures_of_a_case_have_a_sum_and_those_that_are_classified_have_none(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.post("/api/v1/cases", json={"pseudonym": "P1", "lesion": "1"})
    data = saved("PNG")
    size = len(clean(data, "a.png").data)
    monkeypatch.setattr("dermoscope.serve.api.files.MOST_OF_ONE", 2 * size)
    files = [("files", (f"{k}.png", data, "image/png")) for k in range(4)]
    said = client.post(f"/api/v1/cases/{made.json()['id']}/images", files=files)
    assert said.status_code == 413
    assert said.json()["detail"] == (
        "2.png: the pictures up to this one have over 0 MB without what is left out of them; send fewer at a time"
    )
    said = client.post("/api/v1/classify", files=files)
    assert [one["position"] for one in said.json()["results"]] == [1, 2, 3, 4]
    assert held() == 0


def test_large_images_are_cleaned_one_after_the_other() -> None:
    flat = saved("PNG", np.zeros((4000, 4000, 3), np.uint8))
    assert uploads._pixels(flat) == 16_000_000
    assert uploads._pixels(b"none") == 0


LARGE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from PIL import Image
from dermoscope.serve.holding import give_back_large_pieces
if sys.argv[1] == "given back":
    assert give_back_large_pieces()
def work(_):
    for _ in range(3):
        [Image.fromarray(np.full((3000, 3000, 3), 7, np.uint8)).copy() for _ in range(2)]
with ThreadPoolExecutor(6) as pool:
    list(pool.map(work, range(6)))
    print(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 1_000_000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps large pieces")
def test_memory_of_large_pictures_goes_back_to_the_system() -> None:
    def left(how: str) -> int:
        said = subprocess.run([sys.executable, "-c", LARGE, how], capture_output=True, text=True, check=True)
        return int(said.stdout)

    assert left("given back") < 150
    assert give_back_large_pieces()
