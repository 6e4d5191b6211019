"""Ink and rulers: the network that ships finds what is drawn, there and not elsewhere, and real marks as well."""

import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from dermoscope.core.errors import BundleError
from dermoscope.data.artefacts import apply
from dermoscope.data.images import read_image
from dermoscope.data.synthetic import draw
from dermoscope.predict import marks, quality
from dermoscope.predict.marks import KINDS, load_shipped, marks_of, read_detector
from dermoscope.predict.quality import quality_of
from dermoscope.refine.quality import QualityLimits, problems

SEEDS = (0, 1, 2, 5, 6, 7, 8, 11)
"""Drawn lesions that were not photographed with a ruler."""
FOLDER = resources.files("dermoscope_weights")
FOUND = resources.files("dermoscope.studies") / "results" / "isic2017-artefacts.csv"


def skin(seed: int) -> np.ndarray:
    """A drawn nevus without anything drawn on it."""
    return draw(12 + 7 * seed, "NV", (400, 300)).pixels


def codes(pixels: np.ndarray) -> set[str]:
    return {p.code for p in problems(quality_of(pixels, pixels.shape[1], pixels.shape[0]))}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_is_found_where_it_is(kind: str) -> None:
    warned, inside = [], []
    for seed in SEEDS:
        done = apply(kind, skin(seed), intensity=0.9, seed=seed)
        found = marks_of(done.pixels)[kind]
        assert found.shape == done.mask.shape
        warned.append(kind in codes(done.pixels))
        near = np.pad(done.mask, 8)
        near = np.lib.stride_tricks.sliding_window_view(near, (17, 17)).any(axis=(2, 3))
        inside.append(near[found].mean() if found.any() else 1.0)
    assert np.mean(warned) >= 0.75
    assert np.mean(inside) > 0.85


@pytest.mark.parametrize(("name", "at_most"), [("hair", 2), ("bubbles", 3), ("dark_corners", 1), ("patch", 1)])
def test_other_artefacts_are_seldom_taken_for_them(name: str, at_most: int) -> None:
    said = [codes(apply(name, skin(seed), intensity=0.8, seed=seed).pixels) & set(KINDS) for seed in SEEDS]
    assert sum(map(bool, said)) <= at_most, said  # chains of bubbles do look like a scale


def test_bare_skin_has_no_marks() -> None:
    assert sum(bool(codes(skin(seed)) & set(KINDS)) for seed in SEEDS) == 0


@pytest.mark.parametrize("size", [(128, 128), (131, 173), (1600, 130), (64, 50)])
def test_masks_have_the_size_of_the_picture(size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), (210, 170, 150), np.uint8)
    found = marks_of(pixels)
    assert tuple(found) == KINDS
    assert all(mask.shape == size and mask.dtype == bool for mask in found.values())


def test_threads_share_one_network_and_agree() -> None:
    load_shipped.cache_clear()
    pictures = [apply("ink", skin(seed), intensity=0.9, seed=seed).pixels for seed in range(4)] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(marks_of, pictures))
    assert load_shipped.cache_info().misses == 1
    for mine, pixels in zip(found, pictures, strict=True):
        again = marks_of(pixels)
        assert all((mine[kind] == again[kind]).all() for kind in KINDS)


def test_the_network_is_small_and_says_what_it_is() -> None:
    graph, card = (FOLDER / "marks.onnx").read_bytes(), json.loads((FOLDER / "marks.json").read_text())
    assert len(graph) <= 300_000
    assert card["limits"] == {kind: getattr(QualityLimits(), kind) for kind in KINDS}
    assert {"trained_on", "cuts_chosen_on", "licence", "date"} <= set(card)


def test_a_damaged_network_is_refused() -> None:
    graph, card = (FOLDER / "marks.onnx").read_bytes(), (FOLDER / "marks.json").read_text()
    assert tuple(read_detector(graph, card).cuts) == KINDS
    with pytest.raises(BundleError, match="install dermoscope-weights again"):
        read_detector(graph[:-1] + bytes([graph[-1] ^ 1]), card)


def test_a_network_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    load_shipped.cache_clear()
    monkeypatch.setattr(marks, "_FILE", "none.onnx")
    with pytest.raises(BundleError, match="no detector of ink and rulers"):
        load_shipped()
    load_shipped.cache_clear()


def test_without_the_weights_no_mark_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    inked = apply("ink", skin(0), intensity=0.9, seed=0).pixels
    assert "ink" in codes(inked)
    monkeypatch.setattr(quality, "installed", lambda: False)
    found = quality_of(inked, 400, 300)
    assert not set(KINDS) & set(found)
    assert set(found) | set(KINDS) == set(quality.FIGURES)
    monkeypatch.setattr(marks, "_PACKAGE", "nowhere")
    load_shipped.cache_clear()
    with pytest.raises(BundleError, match="install dermoscope-weights"):
        marks_of(inked)
    load_shipped.cache_clear()


def test_real_marks_are_found_as_they_are_listed() -> None:
    if "DERMOSCOPE_DATA" not in os.environ:
        pytest.skip("set DERMOSCOPE_DATA to a folder with isic2017 to test on real ink and rulers")
    folder = Path(os.environ["DERMOSCOPE_DATA"]) / "isic2017" / "images"
    if not folder.is_dir():
        pytest.skip("DERMOSCOPE_DATA holds no isic2017: real ink and rulers are not tested")
    rows = list(csv.DictReader(FOUND.read_text().splitlines()))
    assert {row["kind"] for row in rows} == set(KINDS)
    for row in rows[:: max(1, len(rows) // 60)]:
        picture = read_image(folder / f"{row['image']}.jpg")
        figure = quality_of(picture.pixels, picture.width, picture.height)[row["kind"]]
        assert figure > getattr(QualityLimits(), row["kind"])
        assert figure == pytest.approx(float(row["score"]), abs=5e-4), row["image"]
