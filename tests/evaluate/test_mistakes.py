"""Confusion matrix and the images worth looking at."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sk_confusion

from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.evaluate.mistakes import NONE, UNDECIDED, confusion_matrix, mistakes
from dermoscope.evaluate.score import evaluate


def rows(*given: tuple[int, dict[int, float]], groups: tuple[str, ...] | None = None) -> tuple[Scores, Truth]:
    values = np.zeros((len(given), 7))
    for k, (_, scores) in enumerate(given):
        for column, value in scores.items():
            values[k, column] = value
    ids = tuple(f"i{k}" for k in range(len(given)))
    return Scores(ids, ISIC2018, values), Truth(ids, ISIC2018, np.array([label for label, _ in given]), groups=groups)


def test_the_matrix_is_that_of_scikit_learn_and_its_diagonal_the_recalls() -> None:
    rng = np.random.default_rng(0)
    ids = tuple(f"i{k:03d}" for k in range(200))
    labels, values = rng.integers(0, 7, 200), rng.random((200, 7))
    scores, truth = Scores(ids, ISIC2018, values), Truth(ids, ISIC2018, labels)
    matrix = confusion_matrix(scores, truth)
    np.testing.assert_array_equal(matrix.counts, sk_confusion(labels, values.argmax(axis=1)))
    figures = evaluate(scores, truth, resamples=5)
    for k, code in enumerate(matrix.rows):
        assert matrix.shares[k, k] == pytest.approx(figures[f"{code}.recall"].value)


def test_ties_and_none_of_these_have_a_place_of_their_own() -> None:
    scores, truth = rows((0, {0: 0.5, 1: 0.5}), (-1, {2: 0.9}), (1, {1: 1.0}))
    matrix = confusion_matrix(scores, truth)
    assert (matrix.rows[-1], matrix.columns[-1]) == (NONE, UNDECIDED)
    assert matrix.counts.sum() == 3
    assert matrix.counts[0, -1] == matrix.counts[-1, 2] == matrix.counts[1, 1] == 1
    assert confusion_matrix(*rows((1, {1: 1.0}), (0, {1: 1.0}))).columns == ISIC2018.codes


def test_malignant_called_benign_stands_apart_and_the_surest_mistake_first() -> None:
    scores, truth = rows(
        (0, {1: 0.6, 0: 0.4}),  # melanoma called nevus
        (0, {1: 0.9, 0: 0.1}),  # the same, surer
        (1, {0: 0.8}),  # nevus called melanoma
        (0, {2: 0.7}),  # melanoma called carcinoma: wrong, but not called benign
        (1, {1: 0.52, 0: 0.48}),  # right and uncertain
    )
    found = mistakes(scores, truth)
    assert [m.image for m in found.missed] == ["i1", "i0"]
    assert [m.image for m in found.others] == ["i2", "i3"]
    assert (found.missed_in_all, found.wrong_in_all) == (2, 4)
    assert [m.image for m in found.uncertain][:2] == ["i4", "i0"]
    first = found.missed[0]
    assert (first.truth, first.predicted, first.second, first.truth_score) == ("MEL", "NV", "MEL", 0.1)
    assert first.margin == pytest.approx(0.8)


def test_one_image_of_a_lesion_and_no_more_than_asked_for() -> None:
    given = [(0, {1: 0.9}), (0, {1: 0.8}), (0, {1: 0.7}), (-1, {1: 0.6})]
    found = mistakes(*rows(*given, groups=("a", "a", "b", "c")), most=2)
    assert [m.image for m in found.missed] == ["i0", "i2"]
    assert found.missed_in_all == 3
    assert found.others[0].truth is None
    assert found.others[0].truth_score is None
