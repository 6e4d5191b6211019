"""What the cases really are: the labels and weights that scores are held against."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.taxonomy import Diagnosis, MergeMap, Taxonomy

UNSCORED = frozenset({"ISIC_0035068"})
"""Images that weigh 0, as in the official scorer (`isic-challenge-scoring` 5.6, `parse_truth_csv`)."""

DOWNSAMPLED = "_downsampled"
"""Suffix of some image ids in the ISIC 2019 files; other files name the same image without it."""


def plain_id(image_id: str) -> str:
    """An image id without `_downsampled`: `ISIC_0000022_downsampled` and `ISIC_0000022` are one image."""
    return image_id.removesuffix(DOWNSAMPLED)


def with_unknown(taxonomy: Taxonomy) -> Taxonomy:
    """The taxonomy with "none of these" as a last diagnosis, for files that hold a column of it.

    The code is the taxonomy's `unknown`, else `UNK`. Applied twice it changes nothing.
    """
    code = taxonomy.unknown or "UNK"
    if code in taxonomy:
        return taxonomy
    # No group is true of it; benign, because it must not add to a sum of malignant probabilities.
    return Taxonomy(f"{taxonomy.name}+{code}", (*taxonomy.diagnoses, Diagnosis(code, "none of these", "benign")))


def _empty() -> np.ndarray:
    return np.ones(0)


@dataclass(frozen=True, eq=False)
class Truth:
    """Labels of cases, how much each case weighs, and which images show one lesion or one patient.

    `labels` holds the column of each case's diagnosis in the taxonomy, -1 where the file says "none of these" (`UNK`).
    `score_weight` and `validation_weight` are finite and not negative; left empty they are 1 for every case.
    `groups` are lesion ids (an image without lesion counts as a lesion of its own under its image id), `patients`
    patient ids; None where the file does not tell. Arrays are copied and read-only.

    Raises ValueRuleError, naming the rows, for a wrong length, an id that stands twice or is empty, a label outside
    the taxonomy, or a weight that is negative or not finite.
    """

    ids: tuple[str, ...]
    taxonomy: Taxonomy
    labels: Int[np.ndarray, " cases"]
    score_weight: Float[np.ndarray, " cases"] = field(default_factory=_empty)
    validation_weight: Float[np.ndarray, " cases"] = field(default_factory=_empty)
    groups: tuple[str, ...] | None = None
    patients: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(self.ids))
        for name in ("score_weight", "validation_weight"):
            given = np.asarray(getattr(self, name), dtype=np.float64)
            self._keep(name, given if given.size else np.ones(len(self.ids)))
        self._keep("labels", np.asarray(self.labels, dtype=np.int64))
        for name in ("groups", "patients"):
            given_ids = getattr(self, name)
            object.__setattr__(self, name, None if given_ids is None else tuple(given_ids))
        _check_lengths(self)
        _check_ids(self)
        _check_values(self)

    def _keep(self, name: str, values: np.ndarray) -> None:
        copy = np.array(values)
        copy.flags.writeable = False
        object.__setattr__(self, name, copy)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def from_cases(cls, cases: CaseSet) -> "Truth":
        """Truth of a case set: labels, lesion ids and patient ids (None where no case has one), weights 1.

        Images of `UNSCORED` weigh 0. Raises ValueRuleError for cases without a diagnosis: they cannot be scored.
        """
        bare = [c.image_id for c in cases if c.diagnosis is None]
        if bare:
            raise ValueRuleError(
                f"{len(bare)} cases have no diagnosis ({some(bare)}); "
                "leave them out first: cases.where(lambda c: c.diagnosis is not None)"
            )
        weight = np.array([0.0 if i in UNSCORED else 1.0 for i in cases.ids])
        lesions = cases.groups if any(c.lesion_id for c in cases) else None
        patients = tuple(c.patient_id or c.group for c in cases) if any(c.patient_id for c in cases) else None
        return cls(cases.ids, cases.taxonomy, cases.labels, weight, weight, lesions, patients)

    def take(self, ids: Iterable[str]) -> "Truth":
        """The cases with these ids, in that order. Raises ValueRuleError for an id that is not here."""
        row_of = {i: row for row, i in enumerate(self.ids)}
        wanted = list(ids)
        missing = [i for i in wanted if i not in row_of]
        if missing:
            raise ValueRuleError(f"the truth has no case {some(missing)}")
        rows = np.array([row_of[i] for i in wanted], dtype=np.int64)
        return Truth(
            tuple(wanted),
            self.taxonomy,
            self.labels[rows],
            self.score_weight[rows],
            self.validation_weight[rows],
            _picked(self.groups, rows),
            _picked(self.patients, rows),
        )

    def merged(self, merge: MergeMap) -> "Truth":
        """The same cases with their labels projected onto a coarser taxonomy; -1 stays -1.

        Raises ValueRuleError when the map does not start from this truth's taxonomy.
        """
        if merge.source != self.taxonomy:
            raise ValueRuleError(f"a merge map from {merge.source.name} does not fit {self.taxonomy.name}")
        columns = [merge.target.index(merge.codes[code]) for code in merge.source.codes]
        return self._labelled(merge.target, np.array([*columns, -1])[self.labels])

    def with_unknown_class(self) -> "Truth":
        """The same cases with "none of these" as a diagnosis of its own (see `with_unknown`) instead of -1."""
        wider = with_unknown(self.taxonomy)
        return self._labelled(wider, np.where(self.labels < 0, len(wider) - 1, self.labels))

    def _labelled(self, taxonomy: Taxonomy, labels: np.ndarray) -> "Truth":
        return Truth(self.ids, taxonomy, labels, self.score_weight, self.validation_weight, self.groups, self.patients)


def _picked(names: Sequence[str] | None, rows: np.ndarray) -> tuple[str, ...] | None:
    return None if names is None else tuple(names[row] for row in rows)


def _check_lengths(truth: Truth) -> None:
    for name in ("labels", "score_weight", "validation_weight", "groups", "patients"):
        value = getattr(truth, name)
        if value is not None and len(value) != len(truth.ids):
            raise ValueRuleError(f"{name} has {len(value)} rows for {len(truth.ids)} ids")


def _check_ids(truth: Truth) -> None:
    twice = [i for i, n in Counter(truth.ids).items() if n > 1]
    if twice:
        raise ValueRuleError(f"ids stand more than once in the truth: {some(twice)}")
    for name in ("ids", "groups", "patients"):
        empty = [row for row, value in enumerate(getattr(truth, name) or ()) if not value]
        if empty:
            raise ValueRuleError(f"{name} of the truth are empty in rows {some(empty)}")


def _check_values(truth: Truth) -> None:
    stray = (truth.labels < -1) | (truth.labels >= len(truth.taxonomy))
    if stray.any():
        named = [f"{truth.ids[row]} ({truth.labels[row]})" for row in np.flatnonzero(stray)]
        raise ValueRuleError(f"labels that are no column of {truth.taxonomy.name}: {some(named)}")
    for name in ("score_weight", "validation_weight"):
        weight = getattr(truth, name)
        bad = ~np.isfinite(weight) | (weight < 0)
        if bad.any():
            named = [f"{truth.ids[row]} ({weight[row]})" for row in np.flatnonzero(bad)]
            raise ValueRuleError(f"{name} must be a number from 0 upwards: {some(named)}")
