"""Equality with the official scorer of the ISIC challenges, `isic-challenge-scoring`, conventions included."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from isic_challenge_scoring import metrics as official_metrics
from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore

from dermoscope.core.taxonomy import ISIC2018
from dermoscope.data.files import read_scores, read_truth
from dermoscope.evaluate.score import evaluate
from dermoscope.evaluate.table import OFFICIAL, Table

# The official scorer is written for pandas 2.
pytestmark = pytest.mark.filterwarnings("ignore:The .*(inplace|verify_integrity).* keyword")

STYLES = ("random", "tied", "coarse", "one class", "all equal", "sharp", "nothing predicted")
WEIGHTS = ("ones", "zeros", "tenths", "random")


def scores_of(style: str, labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    n = len(labels)
    if style == "one class":
        return np.eye(classes)[np.zeros(n, int)]
    if style == "all equal":
        return np.full((n, classes), 1 / classes)
    raw = rng.random((n, classes)) + (style == "sharp") * 5 * np.eye(classes)[labels]
    raw /= raw.sum(axis=1, keepdims=True)
    if style == "nothing predicted":
        return raw * 0.4
    return {"tied": np.round(raw, 1), "coarse": np.round(raw * 2) / 2}.get(style, raw)


def weights_of(kind: str, n: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    values = {
        "ones": np.ones(n),
        "zeros": rng.integers(0, 2, n).astype(float),
        "tenths": rng.integers(0, 4, n) / 10,
        "random": rng.random(n) * 10,
    }[kind]
    values[:classes] = 0.1 if kind == "tenths" else 1.0  # a class whose cases all weigh 0 crashes the official scorer
    return values


def official(truth: np.ndarray, scores: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> ClassificationScore:
    codes = list(ISIC2018.codes[: truth.shape[1]])
    ids = [f"i{k:04d}" for k in range(len(truth))]
    frame = pd.DataFrame({"score_weight": weights[0], "validation_weight": weights[1]}, index=ids)
    columns = (pd.DataFrame(values, index=ids, columns=codes) for values in (truth, scores))
    return ClassificationScore(*columns, frame, ClassificationMetric.BALANCED_ACCURACY)


@settings(max_examples=80)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 70),
    st.integers(2, 7),
    st.sampled_from(STYLES),
    st.sampled_from(WEIGHTS),
)
@example(0, 8, 2, "tied", "tenths")
@example(1, 0, 7, "one class", "ones")
def test_every_figure_equals_the_official_one(seed: int, more: int, classes: int, style: str, kind: str) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(classes), rng.integers(0, classes, more)).astype(np.int64)
    scores, weights = scores_of(style, labels, classes, rng), weights_of(kind, len(labels), classes, rng)
    expected = official(np.eye(classes)[labels], scores, (weights, np.ones(len(labels))))
    codes = ISIC2018.codes[:classes]
    table = Table.of(codes, labels, scores, weights)
    found = dict(zip(table.names, table(weights), strict=True))
    assert found["balanced_accuracy"] == pytest.approx(expected.overall, abs=1e-9)
    for name in OFFICIAL:
        assert found[f"macro_average.{name}"] == pytest.approx(expected.macro_average[name], abs=1e-9), name
        for code in codes:
            assert found[f"{code}.{name}"] == pytest.approx(expected.per_category.at[code, name], abs=1e-9), name


@given(st.integers(0, 2**32 - 1), st.sampled_from(STYLES), st.integers(1, 3))
def test_with_absent_classes_the_present_columns_are_equal(seed: int, style: str, absent: int) -> None:
    rng = np.random.default_rng(seed)
    classes = 3 + absent
    labels = np.append(np.arange(3), rng.integers(0, 3, 30)).astype(np.int64)
    scores, weights = scores_of(style, labels, classes, rng), np.ones(33)
    expected = official(np.eye(3)[labels], scores[:, :3], (weights, weights))
    codes = ISIC2018.codes[:classes]
    table = Table.of(codes, labels, scores, weights)
    found = dict(zip(table.names, table(weights), strict=True))
    for name in OFFICIAL:
        for code in codes[:3]:
            assert found[f"{code}.{name}"] == pytest.approx(expected.per_category.at[code, name], abs=1e-9)
        assert all(np.isnan(found[f"{code}.{name}"]) for code in codes[3:])
        assert found[f"macro_average.{name}"] == pytest.approx(expected.macro_average[name], abs=1e-9)
    frames = (pd.DataFrame(v, columns=list(codes)) for v in (np.eye(classes)[labels], scores))
    balanced = official_metrics.balanced_multiclass_accuracy(*frames, pd.Series(weights))
    assert found["balanced_accuracy"] == pytest.approx(balanced, abs=1e-9)


def csv_files(rng: np.random.Generator, n: int = 80) -> tuple[str, str]:
    """Truth and submission as text: rows and columns in another order, `.jpg`, weights, and an image that weighs 0."""
    ids = [*(f"ISIC_{k:07d}" for k in range(n - 1)), "ISIC_0035068"]
    labels = np.append(np.arange(7), rng.integers(0, 7, n - 7))
    truth = pd.DataFrame(np.eye(7)[labels], columns=list(ISIC2018.codes))
    truth.insert(0, "image", ids)
    truth["score_weight"] = rng.integers(0, 3, n) / 2
    truth.loc[:6, "score_weight"] = 1.0
    truth["validation_weight"] = 2.0 - truth["score_weight"]
    scores = pd.DataFrame(np.round(rng.random((n, 7)), 2), columns=list(ISIC2018.codes))
    scores.insert(0, "image", [f"{i}.jpg" for i in ids])
    scores = scores.iloc[rng.permutation(n), rng.permutation(8)]
    return truth.to_csv(index=False), scores.to_csv(index=False)


@pytest.mark.parametrize("seed", range(5))
def test_whole_files_score_as_the_official_tool_scores_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd.DataFrame, "applymap", pd.DataFrame.map, raising=False)
    truth, submission = csv_files(np.random.default_rng(seed))
    target = ClassificationMetric.BALANCED_ACCURACY
    expected = ClassificationScore.from_stream(io.StringIO(truth), io.StringIO(submission), target)
    scores, labels = read_scores(io.StringIO(submission), ISIC2018), read_truth(io.StringIO(truth), ISIC2018)
    found = evaluate(scores, labels, resamples=10)
    assert found["balanced_accuracy"].value == pytest.approx(expected.overall, abs=1e-9)
    assert found["validation"].value == pytest.approx(expected.validation, abs=1e-9)
    for name in OFFICIAL:
        assert found[f"macro_average.{name}"].value == pytest.approx(expected.macro_average[name], abs=1e-9)
        for code in ISIC2018.codes:
            assert found[f"{code}.{name}"].value == pytest.approx(expected.per_category.at[code, name], abs=1e-9)
