"""The hub: scores and probabilities that carry their ids and taxonomy, so that a misaligned row is an error."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.taxonomy import MergeMap, Taxonomy

SUM_TOLERANCE = 1e-6
# `Self` would say the same; the tests execute annotations, and their checker meets it outside its class.
Kind = TypeVar("Kind", bound="Scores")


@dataclass(frozen=True, eq=False)
class Scores:
    """Cases x diagnoses, each in [0, 1]: what an ISIC submission from elsewhere may hold.

    `ids` are unique image (or lesion) ids, `values` is float64 [cases, diagnoses] in the taxonomy's order; the
    array is copied and read-only.

    Raises ValueRuleError, naming the rows, for a wrong shape, an id that stands twice, a value that is not finite or
    outside [0, 1].
    """

    ids: tuple[str, ...]
    taxonomy: Taxonomy
    values: Float[np.ndarray, "cases diagnoses"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(self.ids))
        values = np.array(self.values, dtype=np.float64)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        self._check()

    def _check(self) -> None:
        expected = (len(self.ids), len(self.taxonomy))
        if self.values.shape != expected:
            raise ValueRuleError(f"values have shape {self.values.shape}; ids and {self.taxonomy.name} need {expected}")
        twice = [i for i, n in Counter(self.ids).items() if n > 1]
        if twice:
            raise ValueRuleError(f"ids stand more than once: {some(twice)}")
        broken = np.asarray(~np.isfinite(self.values).all(axis=1))
        if broken.any():
            raise ValueRuleError(f"values that are missing or not finite: {some(self._named(broken))}")
        outside = np.asarray(((self.values < 0) | (self.values > 1)).any(axis=1))
        if outside.any():
            raise ValueRuleError(f"values outside [0, 1]: {some(self._named(np.asarray(outside)))}")

    def _named(self, rows: np.ndarray) -> list[str]:
        return [self.ids[row] for row in np.flatnonzero(rows)]

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, code: str) -> Float[np.ndarray, " cases"]:
        """Scores of one diagnosis."""
        return self.values[:, self.taxonomy.index(code)]

    def aligned_to(self: Kind, ids: Sequence[str]) -> Kind:
        """The same rows in the order of `ids`. Raises ValueRuleError when an id is missing here; extra rows go."""
        where = {i: row for row, i in enumerate(self.ids)}
        missing = [i for i in ids if i not in where]
        if missing:
            raise ValueRuleError(f"{len(missing)} of {len(ids)} cases have no row: {some(missing)}")
        return type(self)(tuple(ids), self.taxonomy, self.values[[where[i] for i in ids]])


@dataclass(frozen=True, eq=False)
class Probabilities(Scores):
    """Scores whose rows sum to 1 (within 1e-6).

    Raises ValueRuleError as `Scores` does, and for rows that do not sum to 1.
    """

    def _check(self) -> None:
        super()._check()
        off = np.abs(self.values.sum(axis=1) - 1) > SUM_TOLERANCE
        if off.any():
            raise ValueRuleError(f"rows that do not sum to 1: {some(self._named(off))}")

    @property
    def predicted(self) -> Int[np.ndarray, " cases"]:
        """Column of the most probable diagnosis of each case (the first, where two are equal)."""
        return self.values.argmax(axis=1)

    def by_lesion(self, lesions: Sequence[str]) -> "Probabilities":
        """Arithmetic mean over the images of each lesion; lesions in order of first appearance.

        `lesions` gives the lesion of each row. Raises ValueRuleError when it has another length.
        """
        if len(lesions) != len(self):
            raise ValueRuleError(f"{len(lesions)} lesion ids for {len(self)} rows")
        order = {lesion: k for k, lesion in enumerate(dict.fromkeys(lesions))}
        rows = np.array([order[lesion] for lesion in lesions], int)
        sums = np.zeros((len(order), len(self.taxonomy)))
        np.add.at(sums, rows, self.values)
        return Probabilities(tuple(order), self.taxonomy, sums / sums.sum(axis=1, keepdims=True))

    def merged(self, merge: MergeMap) -> "Probabilities":
        """Projected onto a coarser taxonomy: probabilities of merged diagnoses add up."""
        if merge.source != self.taxonomy:
            raise ValueRuleError(f"a merge map from {merge.source.name} does not fit {self.taxonomy.name}")
        return Probabilities(self.ids, merge.target, np.clip(self.values @ merge.matrix, 0.0, 1.0))

    def of_codes(self, codes: Iterable[str]) -> Float[np.ndarray, " cases"]:
        """Summed probability of several diagnoses."""
        return self.values[:, [self.taxonomy.index(c) for c in codes]].sum(axis=1)


@dataclass(frozen=True, eq=False)
class Prior:
    """How common each diagnosis is: positive, summing to 1 (within 1e-6), in the taxonomy's order.

    Raises ValueRuleError for a wrong length, a share that is not above 0, or shares that do not sum to 1.
    """

    name: str
    taxonomy: Taxonomy
    values: Float[np.ndarray, " diagnoses"]

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        if values.shape != (len(self.taxonomy),):
            raise ValueRuleError(f"prior {self.name!r}: {values.size} shares for {len(self.taxonomy)} diagnoses")
        bad = [c for c, v in zip(self.taxonomy.codes, values, strict=True) if not (np.isfinite(v) and v > 0)]
        if bad:
            raise ValueRuleError(f"prior {self.name!r}: the share of {some(bad)} is not above 0")
        if abs(values.sum() - 1) > SUM_TOLERANCE:
            raise ValueRuleError(f"prior {self.name!r}: shares sum to {values.sum():.6g}, not to 1")

    @classmethod
    def uniform(cls, taxonomy: Taxonomy) -> "Prior":
        """Every diagnosis equally common."""
        return cls("uniform", taxonomy, np.full(len(taxonomy), 1 / len(taxonomy)))

    @classmethod
    def from_counts(
        cls, name: str, taxonomy: Taxonomy, counts: Sequence[float] | Sequence[int] | np.ndarray
    ) -> "Prior":
        """Shares of counted cases (all above 0)."""
        array = np.asarray(counts, dtype=np.float64)
        total = array.sum()
        return cls(name, taxonomy, array / total if total > 0 else array)
