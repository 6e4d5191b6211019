"""The ablation in its short form: two small synthetic data sets, a tiny network, two folds, one and two seeds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.claim import Claim
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import sharpest_per_lesion, with_role
from dermoscope.predict.predictor import Predictor
from dermoscope.studies.ablation import folds_of, prior_of, sources_to_leave_out
from dermoscope.studies.registry import find
from dermoscope.studies.steppan2021_bundle import _ways
from dermoscope.studies.steppan2021_rows import _growth

SETTINGS = {
    "backbones": "test_efficientnet,test_resnet",
    "pretrained": "false",
    "size": "32",
    "phases": "4x32",
    "rate": "0.1",
    "seeds": "2",
    "folds": "2",
}


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A set of eight diagnoses and one of other lesions."""
    from dermoscope.data.synthetic import write_dataset

    folder = tmp_path_factory.mktemp("two")
    first = write_dataset(folder / "first", 12, seed=3, size=(96, 72))
    second = write_dataset(folder / "second", 6, seed=9, size=(96, 72))
    return first, second


@pytest.fixture(scope="module")
def ran(two_sets: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """DERMOSCOPE_HOME after a run, and the results."""
    from dermoscope.studies.base import Asked
    from dermoscope.studies.results import run_study

    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMOSCOPE_HOME", str(home))
        found = run_study(find("steppan2021"), Asked(data="+".join(map(str, two_sets)), settings=SETTINGS))
    return home, found.as_dict()


def test_the_short_form_has_every_row(ran: tuple[Path, dict[str, Any]]) -> None:
    rows = {row["name"]: row for row in ran[1]["rows"]}
    ladder = ["single", "views", "prior", "members-2", "all", "per-class"]
    assert list(rows)[: len(ladder)] == ladder
    assert {"joined-folds", "joined-clinic", "gap", "counts"} <= set(rows)
    assert {row["type"] for row in rows.values()} <= {"stand-in", "re-measured", "method check"}
    for row in rows.values():
        assert "differences" not in row
        for found in row["measured"]:
            assert found["unit"] in ("lesion", "image")
            assert found["value"] is None or found["low"] is None or found["low"] <= found["value"] <= found["high"]
    beside = [Claim(**claim) for row in rows.values() for claim in row["claims"]]
    assert set(beside) == set(find("steppan2021").claims)
    assert [c["value"] for c in rows["prior"]["claims"]] == [0.583]
    gains = [m for name in ladder[1:5] for m in rows[name]["measured"] if "against" in m]
    assert len(gains) == 12
    assert all(m["p_value"] <= m["p_holm"] <= 1 for m in gains)


def test_the_claims_are_those_of_the_paper() -> None:
    claims = find("steppan2021").claims
    by = {(c.metric, c.model): c.value for c in claims}
    assert by["balanced accuracy", "EfficientNet-B5 at 456 px"] == 0.582
    assert by["balanced accuracy", "mean as members were added, step 6"] == 0.634
    assert by["AUC UNK", "ensemble"] == 0.638
    assert sum(c.value for c in claims if c.metric.startswith("images of")) == 32748
    assert len(claims) == 5 + 1 + 6 + 9 + 2 + 9


def test_a_second_run_fits_nothing_and_finds_the_same(
    ran: tuple[Path, dict[str, Any]], two_sets: tuple[Path, Path], dermoscope: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    home, found = ran
    monkeypatch.setenv("DERMOSCOPE_HOME", str(home))
    pieces = {path: path.stat().st_mtime_ns for path in home.rglob("pieces/*.npz")}
    settings = [text for pair in SETTINGS.items() for text in ("--set", "=".join(pair))]
    said = dermoscope("study", "run", "steppan2021", "--data", "+".join(map(str, two_sets)), *settings, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["rows"] == found["rows"]
    assert {path: path.stat().st_mtime_ns for path in home.rglob("pieces/*.npz")} == pieces


def lesions(*codes_and_counts: tuple[str, str, int], holds: Any = None) -> CaseSet:
    """Cases (source, diagnosis, how many), each a lesion of its own."""
    made = [
        Case(f"{source}-{code}-{k}", diagnosis=code, source=source)
        for source, code, count in codes_and_counts
        for k in range(count)
    ]
    return CaseSet(tuple(made), ISIC2019, holds or {})


def test_folds_keep_lesions_together_and_the_mix_alike() -> None:
    cases = lesions(("a", "NV", 50), ("a", "MEL", 20), ("b", "DF", 5))
    folds = folds_of(cases, 5)
    for label in np.unique(cases.labels):
        counts = np.bincount(folds[cases.labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert list(folds_of(cases, 5)) == list(folds)
    pair = CaseSet((Case("x", diagnosis="NV", lesion_id="l"), Case("y", diagnosis="NV", lesion_id="l")), ISIC2019)
    assert len(set(folds_of(pair, 5))) == 1


def test_a_source_is_left_out_where_enough_can_be_scored() -> None:
    common = [(s, c, 12) for s in ("a", "b") for c in ("MEL", "NV", "BKL", "BCC")]
    assert dict(sources_to_leave_out(lesions(*common, ("a", "DF", 3), ("c", "NV", 9)))) == {
        "a": ("MEL", "NV", "BCC", "BKL"),
        "b": ("MEL", "NV", "BCC", "BKL"),
    }
    assert not sources_to_leave_out(lesions(*common[1:]))


def test_the_learnt_prior_is_the_counts_where_everything_is_held() -> None:
    labels = np.repeat(np.arange(3), (50, 30, 20))
    np.testing.assert_allclose(prior_of(labels, np.ones((100, 3), bool)), [0.5, 0.3, 0.2], atol=1e-9)


def test_the_learnt_prior_of_a_restricted_softmax_is_that_of_the_likelihood() -> None:
    """By hand: source 1 says 50 : 30 : 20, source 2 only that the first two are as 10 : 30."""
    labels = np.repeat([0, 1, 2, 0, 1], (50, 30, 20, 10, 30))
    held = np.ones((140, 3), bool)
    held[100:, 2] = False
    found = prior_of(labels, held)
    assert found[2] == pytest.approx(0.2, abs=1e-9)  # source 2 says nothing of it
    assert found[0] / found[1] == pytest.approx(60 / 60, abs=1e-9)


def test_what_no_source_can_hold_is_no_division_by_zero() -> None:
    held = np.ones((100, 3), bool)
    held[:, 2] = False
    found = prior_of(np.repeat([0, 1], (60, 40)), held)
    assert found[:2] / found[:2].sum() == pytest.approx([0.6, 0.4])
    assert 0 < found[2] < 0.01


def test_more_members_than_the_paper_has_claims_for() -> None:
    assert [claim.value for claim in _growth("members-6", 8)] == [0.634]
    assert _growth("members-7", 8) == _growth("all", 8) == ()
    assert [claim.value for claim in _growth("all", 3)] == [0.629, 0.632, 0.634]


def test_the_only_member_of_a_bundle_enters_calibrated(predictor: Predictor, synthetic: Path) -> None:
    cases = sharpest_per_lesion(with_role(read_cases(synthetic), "validation"))
    assert predictor.bundle.manifest.calibration["bias"] != [0.0] * 8
    (alone,), growth, stages = _ways(predictor, predictor.predict(cases, views=1), cases)
    assert growth == []
    np.testing.assert_allclose(alone.probabilities.values, stages[-1].probabilities.values)
