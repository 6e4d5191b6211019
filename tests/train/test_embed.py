"""Embeddings of a frozen backbone: cached by chunk, and the same however they were computed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermoscope.core.errors import ImageError
from dermoscope.predict.views import first_views
from dermoscope.train import embed
from dermoscope.train.embed import embeddings
from dermoscope.train.recipes import QUICK

RECIPE = replace(QUICK, backbone="test_efficientnet", pretrained=False, size=32)


def test_what_is_cached_is_found_again_and_only_what_is_missing_is_made(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "CHUNK", 8)
    files = images[:20]
    heard: list[tuple[str, int, int]] = []
    first = embeddings(RECIPE, files, first_views(2), tmp_path, lambda *told: heard.append(told))
    assert first.shape[:2] == (20, 2)
    assert [done for _, done, _ in heard] == [8, 16, 20]
    cached = sorted((tmp_path / "embeddings").glob("*.npy"))
    assert len(cached) == 6
    before = {path: path.stat().st_mtime_ns for path in cached}
    cached[0].unlink()
    np.testing.assert_array_equal(embeddings(RECIPE, files, first_views(2), tmp_path), first)
    assert {p for p in before if p.stat().st_mtime_ns != before[p]} == {cached[0]}
    one = embeddings(RECIPE, files, first_views(1), tmp_path)
    np.testing.assert_array_equal(one[:, 0], first[:, 0])


def test_other_weights_sizes_and_steps_are_other_embeddings(images: list[Path], tmp_path: Path) -> None:
    plain = embeddings(RECIPE, images[:4], first_views(1), tmp_path)
    for changed in ({"seed": 1}, {"size": 48}, {"preprocessing": ("shave=3",)}):
        other = embeddings(replace(RECIPE, **changed), images[:4], first_views(1), tmp_path)  # type: ignore[arg-type]
        assert np.abs(other - plain).max() > 1e-3, changed


def test_the_exported_graph_gives_the_same(images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = embeddings(RECIPE, images[:4], first_views(1), tmp_path / "a")
    monkeypatch.setattr(embed, "_WORTHWHILE", 0)
    exported = embeddings(RECIPE, images[:4], first_views(1), tmp_path / "b")
    np.testing.assert_allclose(exported, plain, atol=1e-4)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no")
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        embeddings(RECIPE, [path], first_views(1), tmp_path)
