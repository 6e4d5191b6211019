"""What was confused with what, which mistakes were worst, and where the answer was nearly another one.

Counts here are of images, not of lesions: these are things to look at, not estimates.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.probabilities import Scores
from dermoscope.core.truth import Truth
from dermoscope.evaluate.matching import matched
from dermoscope.evaluate.metrics import decisions

NONE = "none of these"
UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Images by true diagnosis (rows) and diagnosis with the highest score (columns).

    A last row `NONE` holds the images that are none of the diagnoses, a last column `UNDECIDED` those whose highest
    score stands twice; both are there only where there are such images.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: Int[np.ndarray, "rows columns"]

    @property
    def shares(self) -> Float[np.ndarray, "rows columns"]:
        """Each row divided by its sum; 0 where there is no image."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)


@dataclass(frozen=True)
class Looked:
    """One image: its true diagnosis (None: none of these), the two diagnoses with the highest scores, and scores.

    `truth_score` is the score of the true diagnosis (None where it has none).
    """

    image: str
    truth: str | None
    predicted: str
    score: float
    second: str
    second_score: float
    truth_score: float | None

    @property
    def margin(self) -> float:
        """By how much the highest score leads."""
        return self.score - self.second_score


@dataclass(frozen=True)
class Mistakes:
    """Images worth looking at, at most one of each lesion.

    `missed`: malignant or premalignant, but a benign diagnosis has the highest score; `others`: the other wrong
    answers; both with the highest wrong score first. `uncertain`: right or wrong, the smallest margin first.
    `missed_in_all` and `wrong_in_all` count images: how many of the first kind there are, and how many wrong answers.
    """

    missed: tuple[Looked, ...]
    others: tuple[Looked, ...]
    uncertain: tuple[Looked, ...]
    missed_in_all: int
    wrong_in_all: int


def confusion_matrix(scores: Scores, truth: Truth) -> ConfusionMatrix:
    """Count images with a weight above 0. Raises ValueRuleError where images or diagnoses of the two differ."""
    scores, truth = matched(scores, truth)
    rows = np.flatnonzero(truth.score_weight > 0)
    labels, decided, classes = truth.labels[rows], decisions(scores.values[rows]), len(truth.taxonomy)
    counts = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    np.add.at(counts, (labels, decided), 1)  # -1, none of these or undecided, is the last row or column
    names = truth.taxonomy.codes
    more_rows, more_columns = bool(counts[-1].any()), bool(counts[:, -1].any())
    return ConfusionMatrix(
        (*names, *[NONE] * more_rows),
        (*names, *[UNDECIDED] * more_columns),
        counts[: classes + more_rows, : classes + more_columns],
    )


def mistakes(scores: Scores, truth: Truth, most: int = 8) -> Mistakes:
    """The images worth looking at, at most `most` of each kind. Raises ValueRuleError as `confusion_matrix` does."""
    scores, truth = matched(scores, truth)
    rows = np.flatnonzero(truth.score_weight > 0)
    labels, values = truth.labels[rows], scores.values[rows]
    highest = values.max(axis=1)
    second = np.sort(values, axis=1)[:, -2]
    answer = values.argmax(axis=1)
    wrong = decisions(values) != labels
    wrong[labels < 0] = True
    concerning = truth.taxonomy.of_group("malignant", "premalignant")
    missed = (labels >= 0) & concerning[labels] & ~concerning[answer]

    def first(among: np.ndarray, order: np.ndarray) -> tuple[Looked, ...]:
        seen: set[str] = set()
        found: list[Looked] = []
        for row in order[among[order]].tolist():
            image = truth.ids[rows[row]]
            lesion = truth.groups[rows[row]] if truth.groups is not None else image
            if len(found) < most and lesion not in seen:
                seen.add(lesion)
                found.append(_looked(image, int(labels[row]), values[row], truth))
        return tuple(found)

    by_score = np.argsort(-highest, kind="stable")
    everything = np.ones(len(rows), bool)
    return Mistakes(
        first(missed & wrong, by_score),
        first(wrong & ~missed, by_score),
        first(everything, np.argsort(highest - second, kind="stable")),
        int((missed & wrong).sum()),
        int(wrong.sum()),
    )


def _looked(image: str, label: int, row: np.ndarray, truth: Truth) -> Looked:
    codes = truth.taxonomy.codes
    order = np.argsort(-row, kind="stable")
    return Looked(
        image,
        codes[label] if label >= 0 else None,
        codes[order[0]],
        float(row[order[0]]),
        codes[order[1]],
        float(row[order[1]]),
        float(row[label]) if label >= 0 else None,
    )
