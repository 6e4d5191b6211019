"""The study of the unknown, a short form on drawn lesions, and the cases and pictures that it takes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermoscope.core.errors import InputError
from dermoscope.data.images import read_image
from dermoscope.studies import material as materials
from dermoscope.studies import ood
from dermoscope.studies.base import Asked
from dermoscope.studies.material import material
from dermoscope.studies.pictures import KINDS, drawn
from dermoscope.studies.results import run_study

pytest.importorskip("torch", reason="torch is not installed: no head can be trained")


def test_a_role_trains_and_one_is_measured(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = material(asked)
    assert not {c.group for c in whole.training} & {c.group for c in whole.validation}
    assert len(set(whole.training.groups)) == len(whole.training)
    assert whole.elsewhere is None
    monkeypatch.setattr(materials, "MOST", 5)
    few = material(asked)
    assert set(few.training.counts().values()) == {5}
    assert few.validation.ids == whole.validation.ids
    assert few.told()["sha256"] != whole.told()["sha256"]
    with pytest.raises(InputError, match="nowhere"):
        material(replace(asked, data="nowhere"))


def test_each_diagnosis_is_left_out_once(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ood, "OF_A_KIND", 2)
    monkeypatch.setattr(ood, "RESAMPLES", 20)
    rows = run_study(ood.STUDY, asked).rows
    left_out = [row for row in rows if row.name.startswith("without ")]
    assert [row.name.removeprefix("without ") for row in left_out] == list(material(asked).training.taxonomy.codes)
    for row in left_out:
        metrics = [m.metric for m in row.measured]
        assert [m for m in metrics if m.endswith(".auc")] == ["energy.auc", "mahalanobis.auc", "confidence.auc"]
        assert all(0 <= (m.estimate.value or 0) <= 1 for m in row.measured)
    assert [r.name for r in rows if r.name.startswith("kind: ")] == [f"kind: {kind}" for kind in KINDS]
    unk = next(row for row in rows if row.name == "UNK as a class")
    assert [m.metric for m in unk.measured] == ["unk.auc_trained", "unk.auc_other"]
    assert unk.claims[0].value == 0.638


def test_strangers_are_told_from_the_known() -> None:
    rng = np.random.default_rng(0)

    def scores(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"distance": np.linalg.norm(rows, axis=1)}

    cases = [materials.Case(f"{k}", source="a" if k % 2 else "b") for k in range(100)]
    near, far = rng.normal(size=(60, 3)), rng.normal(size=(40, 3)) + 30
    measured = {m.metric: m.estimate for m in ood._compared(scores, far, cases[:40], near, cases[40:], "made up")}
    assert measured["distance.auc"].value == measured["distance.auc_within_source"].value == 1
    assert measured["distance.caught"].value == 1
    assert measured["distance.caught"].n == 40


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_pictures_are_the_same_every_time(kind: str, tmp_path: Path) -> None:
    first, again = (drawn(kind, 2, tmp_path / name) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    assert first[0].read_bytes() != first[1].read_bytes()
    assert read_image(first[0]).pixels.shape == (150, 200, 3)
    with pytest.raises(InputError, match="no pictures of the kind 'cats'; there are noise"):
        drawn("cats", 1, tmp_path)
