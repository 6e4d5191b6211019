"""The study of what a split leaks: folds, readers and gaps made by hand, and a short form on drawn lesions."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dermoscope.core.errors import InputError
from dermoscope.studies import leakage, leakage_figures, leakage_rotated, leakage_rows
from dermoscope.studies.base import Asked
from dermoscope.studies.leakage_figures import averaged, resampled
from dermoscope.studies.leakage_readers import READERS, Bench, nearest, out_of_fold, remembered
from dermoscope.studies.leakage_sheet import sheet
from dermoscope.studies.leakage_splits import ARMS, image_folds, lesion_folds, same_test, shared, source_arms
from dermoscope.studies.results import run_study

rng = np.random.default_rng(0)


def many(lesions: int = 300) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels and lesions of images: four diagnoses, one to four images of a lesion."""
    own = np.random.default_rng(1)
    sizes = own.integers(1, 5, lesions)
    of_lesion = own.choice(4, lesions, p=[0.6, 0.2, 0.15, 0.05])
    groups = tuple(f"lesion-{k}" for k, size in enumerate(sizes) for _ in range(size))
    return np.repeat(of_lesion, sizes), groups


def twins(lesions: int = 200, diagnoses: int = 2) -> Bench:
    """Two nearly equal images of each lesion, whose diagnosis has nothing to do with how it looks."""
    looks = rng.normal(size=(lesions, 64))
    features = np.repeat(looks, 2, axis=0) + 0.01 * rng.normal(size=(2 * lesions, 64))
    labels = np.repeat(np.arange(lesions) % diagnoses, 2)
    groups = tuple(f"lesion-{k}" for k in range(lesions) for _ in range(2))
    return Bench(None, features.astype(np.float32), labels, groups, ("MEL", "NV", "BKL")[:diagnoses])


@pytest.mark.parametrize("seed", range(3))
def test_a_lesion_is_in_one_fold_and_all_folds_are_alike(seed: int) -> None:
    labels, groups = many()
    folds = lesion_folds(labels, groups, 5, seed)
    assert not shared(folds, groups).any()
    table = np.array([np.bincount(labels[folds == f], minlength=4) for f in range(5)])
    differing = table.max(axis=0) - table.min(axis=0)
    assert (differing[:3] <= 1).all()
    assert differing[3] <= 2  # a diagnosis of few lesions
    assert not np.array_equal(folds, lesion_folds(labels, groups, 5, seed + 1))


def test_random_folds_have_the_sizes_and_the_mix_of_the_others() -> None:
    labels, groups = many()
    whole = lesion_folds(labels, groups, 5, 0)
    random = image_folds(whole, labels, 0)
    for fold in range(5):
        assert Counter(labels[random == fold]) == Counter(labels[whole == fold])
    several = np.array([Counter(groups)[group] > 1 for group in groups])
    torn = shared(random, groups)
    assert torn[several].mean() > 0.8
    assert not torn[~several].any()


def test_who_remembers_is_perfect_at_random_and_guesses_at_whole_lesions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage_figures, "RESAMPLES", 200)
    bench = twins()
    # the two images of a lesion always on two sides
    apart = np.tile([0, 1], len(bench.groups) // 2)
    whole = lesion_folds(bench.labels, bench.groups, 2, 0)
    rows = np.arange(len(apart))
    for name in ("1 nearest", "kernel"):
        torn, kept = (out_of_fold(bench, READERS[name], folds, 0) for folds in (apart, whole))
        leaky, honest = (resampled([scores], bench, rows) for scores in (torn, kept))
        assert leaky.estimate("accuracy").value == leaky.estimate("AUC MEL").value == 1
        right = remembered(bench, READERS[name], whole, 0)
        assert right[whole != 0].tolist() == [1] * int((whole != 0).sum())
        assert np.isnan(right[whole == 0]).all()
        found = honest.estimate("accuracy")
        assert found.low is not None and found.high is not None  # noqa: PT018
        assert found.low < 0.5 < found.high
        assert found.n == 200
        gap = leaky.minus(honest, "accuracy")
        assert gap.estimate.low is not None and gap.estimate.low > 0.35  # noqa: PT018
        assert gap.p_value < 0.02


def test_one_image_of_each_lesion_leaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage_figures, "RESAMPLES", 200)
    both = twins(600)
    one = Bench(None, both.features[::2], both.labels[::2], both.groups[::2], both.codes)
    whole = lesion_folds(one.labels, one.groups, 5, 0)
    ways = [out_of_fold(one, READERS["1 nearest"], f, 0) for f in (image_folds(whole, one.labels, 0), whole)]
    random, kept = (resampled([scores], one, np.arange(600)) for scores in ways)
    gap = random.minus(kept, "accuracy").estimate
    assert gap.low is not None and gap.high is not None  # noqa: PT018
    assert gap.low < 0 < gap.high


def test_the_nearest_are_those_of_scikit_learn() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn is not here to compare with")
    bench = Bench(
        None, rng.normal(size=(120, 6)).astype(np.float32), rng.integers(0, 3, 120), ("",) * 120, ("a", "b", "c")
    )
    training = np.arange(0, 120, 2)
    unit = bench.features / np.linalg.norm(bench.features, axis=1, keepdims=True)
    for count in (1, 5):
        theirs = neighbors.KNeighborsClassifier(count, weights=lambda d: 1 - d**2 / 2)
        theirs.fit(unit[training], bench.labels[training])
        ours = nearest(count, bench, training, np.arange(120), 0)
        shares = ours / ours.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(shares, theirs.predict_proba(unit), atol=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_sources_are_trained_for_with_the_same_numbers(seed: int) -> None:
    labels, groups = many()
    sources = np.array(["xyz"[hash_ % 3] for hash_ in (int(g.split("-")[1]) for g in groups)])
    sources[groups.index("lesion-1")] = "x"  # a lesion that two sources hold
    inside = sources == "x"
    arms = source_arms(labels, groups, inside, 5, seed)
    assert tuple(arm.name for arm in arms) == ARMS
    mixes = {tuple(np.bincount(labels[training], minlength=4)) for arm in arms for training, _ in arm.parts}
    assert len(mixes) == 1
    for arm in arms:
        tested = np.concatenate([rows for _, rows in arm.parts])
        assert sorted(tested.tolist()) == np.flatnonzero(inside).tolist()
        names = np.array(groups)
        torn = [np.isin(names[rows], names[training]).any() for training, rows in arm.parts]
        assert any(torn) == (arm.name == ARMS[0])
        own = [inside[training].any() for training, _ in arm.parts]
        assert all(own) == any(own) == (arm.name != ARMS[2])


def test_a_network_is_tested_on_the_same_images_twice() -> None:
    labels, groups = many()
    tested, random, whole = same_test(labels, groups, 5, 0)
    names = np.array(groups)
    (leaky, _), (honest, _) = random.parts[0], whole.parts[0]
    assert np.bincount(labels[leaky]).tolist() == np.bincount(labels[honest]).tolist()
    assert not set(names[honest]) & set(names[tested])
    assert set(names[leaky]) & set(names[tested])
    assert not set(leaky) & set(tested)
    assert abs(len(tested) - len(labels) / 5) <= 4


def test_figures_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage_figures, "RESAMPLES", 50)
    labels = np.array([0, 0, 1, 1, 1, 1])
    bench = Bench(None, np.zeros((6, 0)), labels, ("a", "b", "c", "c", "d", "e"), ("MEL", "NV"))
    mel = np.array([0.9, 0.4, 0.6, 0.2, 0.1, 0.3])
    found = resampled([np.stack([mel, 1 - mel], axis=1)], bench, np.arange(6))
    values = {name: found.estimate(name).value for name in found.figures}
    assert values["accuracy"] == pytest.approx(4 / 6)
    assert values["balanced accuracy, 2 diagnoses"] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert values["AUC MEL"] == values["AUC, mean"] == pytest.approx(7 / 8)
    assert (found.n, found.unit) == (5, "lesion")
    few = resampled([np.stack([mel, 1 - mel], axis=1)], bench, np.array([0, 2]), seed=1)
    both = averaged([found, few])
    assert both.estimate("balanced accuracy").value == pytest.approx((5 / 8 + 1 / 2) / 2)
    assert both.n == 7


@pytest.fixture
def short(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> Asked:
    pytest.importorskip("torch", reason="torch is not installed: no head can be trained")
    monkeypatch.setattr(leakage_figures, "RESAMPLES", 40)
    monkeypatch.setattr(leakage, "SEEDS", 1)
    monkeypatch.setattr(leakage, "FEW_SEEDS", 1)
    monkeypatch.setattr(leakage, "FOLDS", 3)
    monkeypatch.setattr(leakage_rotated, "MOST", 5)
    monkeypatch.setattr(leakage_rows, "FEWEST", 3)
    return asked


def test_every_question_has_its_rows(short: Asked) -> None:
    rows = {row.name: row for row in run_study(leakage.STUDY, short).rows}
    for reader in READERS:
        assert {f"split: {key}: {reader}" for key in ("all", "several", "one")} <= set(rows)
    for reader in leakage_rotated.READ_BY:
        assert {f"{key}: {Path(short.data).name}: {reader}" for key in ("rotated", "upright", "two")} <= set(rows)
    first = rows["split: all: linear head"]
    claimed = [claim for metric in ("accuracy", "AUC, mean") for claim in rows[f"dermamnist: {metric}"].claims]
    assert {claim.value for claim in claimed} == {claim.value for claim in leakage.DERMAMNIST}
    assert not first.claims
    gaps = [m for m in first.measured if m.against]
    levels = {(m.metric, m.bundle): m.estimate.value for m in first.measured if not m.against}
    for gap in gaps:
        assert gap.estimate.value == pytest.approx(levels[gap.metric, gap.bundle] - levels[gap.metric, gap.against])  # type: ignore[operator]
        assert gap.p_holm is not None and gap.p_value is not None and gap.p_holm >= gap.p_value  # noqa: PT018
    learnt = {m.bundle.split(",")[0]: m.estimate.value for m in rows["learnt"].measured}
    assert learnt["1 nearest"] == learnt["kernel"] == 1
    assert {row.name for row in rows.values() if row.name.startswith("source: ")} == {
        "source: synthetic_a",
        "source: synthetic_b",
    }
    assert [claim.value for claim in rows["hosny"].claims] == [0.9686, 0.9770, 0.9591]
    assert not rows["hosny"].measured
    names = [plot.name for plot in leakage.plots(tuple(rows.values()))]
    assert names == ["accuracy", "gaps", "sources", "rotated"]


def test_rotated_copies_gain_where_they_are_pooled(short: Asked) -> None:
    rows = run_study(leakage.STUDY, short).rows
    row = next(r for r in rows if r.name.startswith("rotated: ") and r.name.endswith("1 nearest"))
    gap = next(m for m in row.measured if m.against and m.metric == "accuracy").estimate
    assert gap.low is not None and gap.low > 0  # noqa: PT018
    assert gap.n == len(leakage.plan(short).held.rotated[Path(short.data).name])


@pytest.mark.slow
def test_a_tuned_network_is_asked_too(short: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    from dermoscope.studies import leakage_tuned

    small = {"backbone": "test_efficientnet", "size": "64", "pretrained": "false", "head": "1x64", "phases": "1x64"}
    monkeypatch.setattr(leakage_tuned, "SMALL", leakage_tuned.SMALL.with_settings(small))
    rows = {row.name: row for row in run_study(leakage.STUDY, replace(short, full=True)).rows}
    row = rows["tuned: all test images"]
    assert [m.bundle.rpartition(", ")[2] for m in row.measured if m.metric == "accuracy"] == [*ARMS[:2], ARMS[0]]
    several, others = (rows[f"tuned: {words}"].measured[0].estimate.n for words in
                       ("lesions that are also outside the test part", "other lesions"))  # fmt: skip
    assert several + others == row.measured[0].estimate.n


def test_what_changes_nothing_is_refused(asked: Asked) -> None:
    own = dict(asked.settings)
    idle = (replace(asked, settings=own | changed) for changed in ({"views": "3"}, {"tuned": "default"}))
    for other in (replace(asked, bundle="default"), *idle):
        with pytest.raises(InputError, match="changes nothing"):
            leakage.plan(other)


def test_the_test_role_is_not_touched(asked: Asked) -> None:
    from dermoscope.data.splits import role_of

    given = leakage.plan(asked).held
    assert {role_of(c.group) for c in given.cases} == {"training", "validation"}
    assert {role_of(c.group) for c in given.calibration} == {"calibration"}
    for cases in given.rotated.values():
        assert len(set(cases.groups)) == len(cases)
        assert set(cases.ids) <= set(given.cases.ids)


@pytest.mark.parametrize("drawn", [True, False])
def test_the_sheet_shows_pairs_and_copies(lesions: Path, drawn: bool) -> None:
    found = cv2.imdecode(np.frombuffer(sheet(Asked("drawn" if drawn else str(lesions))), np.uint8), cv2.IMREAD_COLOR)
    assert found.shape[1] > 5 * 160
    assert found.shape[0] > 5 * 120
    assert found.std() > 20


def test_a_sheet_needs_a_lesion_with_two_images(tmp_path: Path) -> None:
    from dermoscope.data.synthetic import write_dataset

    few = write_dataset(tmp_path / "few", 1, 3, (64, 64))
    with pytest.raises(InputError, match="no lesion has two images"):
        sheet(Asked(str(few)))
