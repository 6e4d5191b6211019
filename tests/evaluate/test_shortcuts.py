"""How much file properties tell of a diagnosis, held against scikit-learn, the bootstrap, and HAM10000."""

import os

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from dermoscope.core.audit import PropertyTable
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import wilson
from dermoscope.evaluate.shortcuts import (
    ALL,
    binned,
    fitted,
    folds_of,
    measured,
    one_hot,
    pooled_auc,
    shares,
    shortcuts,
)
from dermoscope.evaluate.subgroups import stratified_auc

needs_data = pytest.mark.skipif(
    not os.environ.get("DERMOSCOPE_DATA"), reason="DERMOSCOPE_DATA is not set: no real table to look at"
)


def table(n: int, seed: int = 0, told: float = 0.0) -> PropertyTable:
    rng = np.random.default_rng(seed)
    melanoma = rng.random(n) < 0.3
    size = np.where(rng.random(n) < told, melanoma * 1.0, rng.random(n))
    columns = {
        "source": (rng.choice(["a", "b", "c"], n),),
        "bytes": (size,),
        "copies": (np.where(melanoma & (rng.random(n) < told), "2", "1"),),
    }
    groups = tuple(f"l{i // 2}" for i in range(n))
    return PropertyTable(tuple("MEL" if m else "NV" for m in melanoma), groups, columns)


def test_what_tells_nothing_is_near_a_half_and_does_not_alarm() -> None:
    for seed in range(3):
        for found in shortcuts(table(1500, seed)):
            assert found.auc.value is not None
            assert abs(found.auc.value - 0.5) < 0.07
            assert not found.alarming


def test_what_tells_something_alarms() -> None:
    found = {(s.name, s.diagnosis): s for s in shortcuts(table(1500, told=0.6))}
    assert found["bytes", "MEL"].alarming
    assert found[ALL, "MEL"].auc.value > 0.8  # type: ignore[operator]
    assert not found["source", "MEL"].alarming
    assert found["bytes", "MEL"].auc.value == pytest.approx(found["bytes", "NV"].auc.value, abs=1e-6)


def test_a_property_with_one_value_and_a_rare_diagnosis_are_left_out() -> None:
    made = table(200)
    labels = ("DF",) * 4 + made.diagnoses[4:]
    fixed = PropertyTable(labels, made.groups, {"x": made.columns["bytes"], "same": (np.array(["s"] * 200),)})
    found = shortcuts(fixed)
    assert {s.name for s in found} == {"x"}
    rare = next(s for s in found if s.diagnosis == "DF")
    assert rare.auc.value is None
    assert "fewer than 10 lesions" in rare.auc.method


def test_the_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    design = np.hstack([one_hot(binned(rng.random(600))), one_hot(binned(rng.choice(["a", "b"], 600)))])
    positive = rng.random(600) < 1 / (1 + np.exp(-design @ rng.normal(size=design.shape[1])))
    weights, intercept = fitted(design, positive)
    oracle = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(design, positive)
    assert np.allclose(weights, oracle.coef_[0], atol=2e-3)
    assert intercept == pytest.approx(oracle.intercept_[0], abs=2e-3)


def test_the_auc_of_one_fold_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    positive, scores = rng.random(300) < 0.4, rng.integers(0, 9, 300).astype(float)
    one = pooled_auc(positive, scores, np.zeros(300, np.int64), [str(i) for i in range(300)])
    assert one.value == pytest.approx(roc_auc_score(positive, scores))


def test_the_interval_is_that_of_the_clustered_bootstrap() -> None:
    rng = np.random.default_rng(5)
    groups = [f"l{i // 3}" for i in range(900)]
    lesion = np.repeat(rng.normal(size=300), 3)
    positive = np.repeat(rng.random(300) < 0.3, 3)
    scores = lesion + positive + rng.normal(size=900) * 0.3
    folds = folds_of(groups, positive.astype(np.int64))
    own = pooled_auc(positive, scores, folds, groups)
    drawn = stratified_auc(positive, scores, [str(f) for f in folds], groups=groups, resamples=800)
    assert own.value == pytest.approx(drawn.value, abs=1e-9)
    assert own.low == pytest.approx(drawn.low, abs=0.012)
    assert own.high == pytest.approx(drawn.high, abs=0.012)
    assert own.unit == "lesion"


def test_no_lesion_stands_in_two_folds_and_every_diagnosis_in_all() -> None:
    made = table(400)
    labels = np.array([d == "MEL" for d in made.diagnoses], np.int64)
    folds = folds_of(made.groups, labels)
    for group in set(made.groups):
        assert len({f for f, g in zip(folds.tolist(), made.groups, strict=True) if g == group}) == 1
    assert all(labels[folds == fold].sum() for fold in range(5))


def test_bins() -> None:
    assert len(set(binned(np.arange(1000.0)).tolist())) == 10
    assert binned(np.array([1.0, np.nan])).tolist()[1] == 0
    names = np.array(["a"] * 30 + ["b"] * 25 + ["c", "d"])
    assert len(set(binned(names).tolist())) == 3


def test_a_crooked_table_is_refused() -> None:
    with pytest.raises(ValueRuleError, match="a property table with columns of"):
        PropertyTable(("MEL",), ("l",), {"x": (np.zeros(2),)})


def test_shares_are_counted_by_lesion() -> None:
    made = PropertyTable(("MEL", "MEL", "NV"), ("l1", "l1", "l2"), {"copies": (np.array(["1", "2", "2"]),)})
    found = {(s.value, s.diagnosis): s.rate for s in shares(made, "copies")}
    assert found["2", "MEL"].value == 0.5
    assert found["2", "MEL"].n == 1


@needs_data
def test_ham10000_holds_the_shortcuts_that_are_known() -> None:
    from dermoscope.data.catalog import load

    cases = load("ham10000")
    sources = np.array([c.source for c in cases])
    copies = np.array([str(1 + len(c.copies)) for c in cases])
    made = PropertyTable(
        tuple(c.diagnosis for c in cases), cases.groups, {"source": (sources,), "files per image": (copies,)}
    )
    found, shown = measured({"ham10000": made})
    source = next(s for s in found if (s.name, s.diagnosis) == ("source", "MEL"))
    assert source.auc.value == pytest.approx(0.73, abs=0.005)
    assert source.alarming
    sharper = {s.diagnosis: s.rate.value for s in shown if (s.name, s.value) == ("files per image", "2")}
    assert sharper["NV"] == pytest.approx(0.64, abs=0.006)
    assert sharper["MEL"] == pytest.approx(0.44, abs=0.006)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_perfect_property_of_few_lesions_is_not_told_as_certain(side: float) -> None:
    positive = np.repeat([True, False], (10, 40))
    found = pooled_auc(positive, side * positive, np.arange(50) % 5, [f"l{n // 2}" for n in range(50)])
    low, high = wilson(2.5 + side * 2.5, 5)
    assert (found.value, found.low, found.high) == (0.5 + side / 2, low, high)
    assert found.high - found.low > 0.4
