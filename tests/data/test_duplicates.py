"""Copies are found however they were changed; other lesions are not taken for copies."""

import io
import os
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from dermoscope.data.duplicates import grouped, near_duplicates, turned
from dermoscope.data.properties import SMALL
from dermoscope.data.synthetic import draw

needs_data = pytest.mark.skipif(
    not os.environ.get("DERMOSCOPE_DATA"), reason="DERMOSCOPE_DATA is not set: no real images to compare"
)
N = 24


@pytest.fixture(scope="module")
def lesions() -> list[np.ndarray]:
    return [draw(seed, size=(300, 225)).pixels for seed in range(N)]


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return np.array(Image.open(out))


def brighter(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * 0.85 + 25.0, 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "encoded again": lambda p: jpeg(p, 40),
    "half the size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "twice the size": lambda p: cv2.resize(p, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "cropped": lambda p: p[6:-4, 9:-5],
    "turned": lambda p: np.rot90(p).copy(),
    "upside down": lambda p: np.rot90(p, 2).copy(),
    "mirrored": lambda p: p[:, ::-1].copy(),
    "mirrored and turned": lambda p: np.rot90(p[:, ::-1], 3).copy(),
    "brighter": brighter,
    "all of it": lambda p: jpeg(brighter(np.rot90(p[3:-5, 4:-4])), 70),
}


def small(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, (SMALL, SMALL), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(lesions: list[np.ndarray], change: str) -> None:
    pictures = np.stack([small(p) for p in (*lesions, *(CHANGES[change](p) for p in lesions))])
    found = {(link.first, link.second) for link in near_duplicates(pictures)}
    right = {(at, at + N) for at in range(N)}
    assert found <= right
    # The hash of a cropped copy may differ in more than nine bits (ADR 0006).
    assert len(found) >= N - (change in ("cropped", "all of it"))


def test_blank_pictures_are_like_nothing() -> None:
    assert near_duplicates(np.full((5, SMALL, SMALL, 3), 120, np.uint8)) == []
    assert near_duplicates(np.empty((0, SMALL, SMALL, 3), np.uint8)) == []


def test_many_blank_pictures_cost_nothing(lesions: list[np.ndarray]) -> None:
    first, blank = small(lesions[0]), np.full((4000, SMALL, SMALL, 3), 255, np.uint8)
    pictures = np.concatenate([blank[:2000], first[None], blank[2000:], small(jpeg(lesions[0], 60))[None]])
    begun = time.monotonic()
    links = near_duplicates(pictures)
    assert [(link.first, link.second) for link in links] == [(2000, 4001)]
    assert time.monotonic() - begun < 30


def test_links_join_a_group_once(lesions: list[np.ndarray]) -> None:
    pictures = np.stack([small(CHANGES[c](lesions[0])) for c in CHANGES])
    links = near_duplicates(pictures)
    assert len(links) == len(CHANGES) - 1
    assert grouped(len(pictures), [(k.first, k.second) for k in links]).members() == [list(range(len(CHANGES)))]


def test_eight_turns_are_eight(lesions: list[np.ndarray]) -> None:
    picture = small(lesions[1])
    assert len({turned(picture, turn).tobytes() for turn in range(8)}) == 8
    assert np.array_equal(turned(picture, 0), picture)
    assert np.array_equal(turned(picture[None], 5)[0], turned(picture, 5))


@needs_data
def test_real_copies_are_found_and_real_lesions_told_apart() -> None:
    from dermoscope.data.catalog import load
    from dermoscope.data.images import read_image

    rng = np.random.default_rng(1)
    lesions = load("ham10000").one_per_lesion().cases
    paths = [
        lesions[i].copies[-1] if lesions[i].copies else lesions[i].path for i in rng.choice(len(lesions), 300, False)
    ]
    pixels = [read_image(p).pixels for p in paths if p]
    for change, least in (
        ("encoded again", 0.95),
        ("cropped", 0.95),
        ("all of it", 0.93),
        ("mirrored and turned", 0.99),
    ):
        pictures = np.stack([small(p) for p in (*pixels, *(CHANGES[change](p) for p in pixels))])
        found = {(link.first, link.second) for link in near_duplicates(pictures)}
        right = {(at, at + 300) for at in range(300)}
        assert found <= right, change
        assert len(found) >= least * 300, (change, len(found))
