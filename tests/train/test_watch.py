"""What is looked at after every epoch, against scikit-learn."""

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score

from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018
from dermoscope.train.watch import score_under_uniform

RNG = np.random.default_rng(0)
PRIOR = np.array([0.3, 0.4, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03])
LABELS = RNG.integers(0, 8, 400)
LOGITS = RNG.normal(size=(400, 8)) + 2 * np.eye(8)[LABELS] + np.log(PRIOR)
SHIFTED = np.exp(LOGITS) / PRIOR
P = SHIFTED / SHIFTED.sum(axis=1, keepdims=True)


def test_against_scikit_learn() -> None:
    found = score_under_uniform(PRIOR, ISIC2019)(LOGITS, LABELS)
    weight = 1 / np.bincount(LABELS)[LABELS]
    np.testing.assert_allclose(found["balanced_log_loss"], log_loss(LABELS, P, sample_weight=weight))
    np.testing.assert_allclose(found["macro_auc"], roc_auc_score(LABELS, P, multi_class="ovr"))
    np.testing.assert_allclose(found["balanced_accuracy"], balanced_accuracy_score(LABELS, P.argmax(axis=1)))
    np.testing.assert_allclose(found["accuracy"], accuracy_score(LABELS, P.argmax(axis=1)))
    np.testing.assert_allclose(found["mel_auc"], roc_auc_score(LABELS == 0, P[:, 0]))
    merge = ISIC2019_TO_ISIC2018.matrix
    seven = balanced_accuracy_score(merge.argmax(axis=1)[LABELS], (P @ merge).argmax(axis=1))
    np.testing.assert_allclose(found["balanced_accuracy_7"], seven)


def test_ties_in_the_auc_count_half() -> None:
    found = score_under_uniform(PRIOR, ISIC2019)(np.zeros((6, 8)), np.array([0, 0, 1, 1, 2, 2]))
    assert found["mel_auc"] == 0.5


def test_absent_diagnoses_do_not_count() -> None:
    few = LABELS < 2
    found = score_under_uniform(PRIOR, ISIC2019)(LOGITS[few], LABELS[few])
    expected = np.mean([(P.argmax(axis=1)[few] == LABELS[few])[LABELS[few] == c].mean() for c in (0, 1)])
    np.testing.assert_allclose(found["balanced_accuracy"], expected)


def test_seven_classes_are_of_isic_2019_only() -> None:
    found = score_under_uniform(np.full(7, 1 / 7), ISIC2018)(LOGITS[:, :7], LABELS % 7)
    assert "balanced_accuracy_7" not in found
    assert "mel_auc" in found
