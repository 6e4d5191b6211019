"""Cases: one image each, with what is known of its lesion and patient."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Int

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.taxonomy import MergeMap, Taxonomy


@dataclass(frozen=True, slots=True)
class Case:
    """One dermoscopic image and what is known of it.

    `path` is the preferred copy of the image; `copies` are further copies of the same picture in other sizes.
    `diagnosis` is a code of the case set's taxonomy or None. `age` is in years. `source` is the clinic, camera or
    collection it comes from. `confirmed_by` says how the diagnosis was reached (histo, follow_up, consensus,
    confocal in HAM10000). `diagnosis_original` keeps the label of the source before it was mapped.
    """

    image_id: str
    path: Path | None = None
    diagnosis: str | None = None
    lesion_id: str | None = None
    patient_id: str | None = None
    age: float | None = None
    sex: str | None = None
    site: str | None = None
    source: str | None = None
    licence: str | None = None
    confirmed_by: str | None = None
    diagnosis_original: str | None = None
    copies: tuple[Path, ...] = ()

    @property
    def group(self) -> str:
        """What must not stand on two sides of a split: the lesion, else the image itself."""
        return self.lesion_id or self.image_id


@dataclass(frozen=True)
class CaseSet:
    """Cases, their taxonomy, and which diagnoses each source can hold.

    `holds` maps a source to the codes that may occur in it; a source that is not named may hold all of them.

    Raises ValueRuleError, naming the rows, when an image id is empty or stands twice, a diagnosis is not of the
    taxonomy or not held by its source, an age is impossible, or one lesion belongs to two patients.
    """

    cases: tuple[Case, ...]
    taxonomy: Taxonomy
    holds: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cases", tuple(self.cases))
        object.__setattr__(self, "holds", MappingProxyType(dict(self.holds)))
        for check in (_check_ids, _check_diagnoses, _check_ages, _check_patients):
            check(self)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Image ids in order."""
        return tuple(c.image_id for c in self.cases)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Lesion id of each case, else its image id."""
        return tuple(c.group for c in self.cases)

    @cached_property
    def labels(self) -> Int[np.ndarray, " cases"]:
        """Column of each case's diagnosis in the taxonomy; -1 where there is none."""
        out = np.array([-1 if c.diagnosis is None else self.taxonomy.index(c.diagnosis) for c in self.cases], int)
        out.flags.writeable = False
        return out

    @cached_property
    def held(self) -> Bool[np.ndarray, "cases diagnoses"]:
        """Which diagnoses each case could have, as far as its source goes: all where `holds` does not name it."""
        rows = {s: [code in codes for code in self.taxonomy.codes] for s, codes in self.holds.items()}
        everything = [True] * len(self.taxonomy)
        out = np.array([rows.get(c.source or "", everything) for c in self.cases], bool)
        out = out.reshape(len(self), len(self.taxonomy))
        out.flags.writeable = False
        return out

    def where(self, keep: Callable[[Case], bool]) -> "CaseSet":
        """The cases for which `keep` is true, in order."""
        return replace(self, cases=tuple(c for c in self.cases if keep(c)))

    def take(self, ids: Iterable[str]) -> "CaseSet":
        """The cases with these image ids, in that order. Raises ValueRuleError for an id that is not here."""
        by_id = {c.image_id: c for c in self.cases}
        wanted = list(ids)
        missing = [i for i in wanted if i not in by_id]
        if missing:
            raise ValueRuleError(f"no case with image id {some(missing)}")
        return replace(self, cases=tuple(by_id[i] for i in wanted))

    def one_per_lesion(self) -> "CaseSet":
        """The first case of every lesion (of every image without a lesion id)."""
        seen: set[str] = set()
        return self.where(lambda c: not (c.group in seen or seen.add(c.group)))  # type: ignore[func-returns-value]

    def counts(self) -> Mapping[str, int]:
        """Cases per diagnosis, every code of the taxonomy, in its order."""
        counted = Counter(c.diagnosis for c in self.cases)
        return {code: counted[code] for code in self.taxonomy.codes}

    def merged(self, merge: MergeMap) -> "CaseSet":
        """The same cases with their diagnoses projected onto a coarser taxonomy.

        Raises ValueRuleError when the map starts from another taxonomy.
        """
        if merge.source != self.taxonomy:
            raise ValueRuleError(f"a merge map from {merge.source.name} does not fit {self.taxonomy.name}")
        cases = tuple(
            replace(c, diagnosis=None if c.diagnosis is None else merge.codes[c.diagnosis]) for c in self.cases
        )
        holds = {source: frozenset(merge.codes[code] for code in codes) for source, codes in self.holds.items()}
        return CaseSet(cases, merge.target, holds)

    def __add__(self, other: "CaseSet") -> "CaseSet":
        if other.taxonomy != self.taxonomy:
            raise ValueRuleError(f"cannot join cases of {self.taxonomy.name} and {other.taxonomy.name}")
        return CaseSet(self.cases + other.cases, self.taxonomy, _joint_holds(self, other))


def _joint_holds(*sets: CaseSet) -> dict[str, frozenset[str]]:
    """What each source can hold by either set; a source that one of them leaves open stays open."""
    named = dict.fromkeys(source for cases in sets for source in cases.holds)
    left_open = {c.source for cases in sets for c in cases if c.source not in cases.holds}
    return {s: frozenset().union(*(cases.holds.get(s, ()) for cases in sets)) for s in named if s not in left_open}


def _check_ids(cases: CaseSet) -> None:
    empty = [row for row, case in enumerate(cases.cases) if not case.image_id]
    if empty:
        raise ValueRuleError(f"rows {some(empty)} have no image id")
    twice = [i for i, n in Counter(cases.ids).items() if n > 1]
    if twice:
        raise ValueRuleError(f"image ids stand more than once: {some(twice)}")


def _check_diagnoses(cases: CaseSet) -> None:
    unknown = [
        f"{c.image_id} ({c.diagnosis})" for c in cases if c.diagnosis is not None and c.diagnosis not in cases.taxonomy
    ]
    if unknown:
        raise ValueRuleError(f"not a diagnosis of {cases.taxonomy.name}: {some(unknown)}")
    stray = [f"{s} holds {code}" for s, codes in cases.holds.items() for code in codes if code not in cases.taxonomy]
    if stray:
        raise ValueRuleError(f"not a diagnosis of {cases.taxonomy.name}: {some(stray)}")
    misfits = [
        f"{c.image_id} ({c.diagnosis} in {c.source})"
        for c in cases
        if c.diagnosis and c.source and c.diagnosis not in cases.holds.get(c.source, cases.taxonomy)
    ]
    if misfits:
        raise ValueRuleError(f"a source holds a diagnosis that it is said not to hold: {some(misfits)}")


def _check_ages(cases: CaseSet) -> None:
    impossible = [f"{c.image_id} ({c.age})" for c in cases if c.age is not None and not 0 <= c.age <= 130]
    if impossible:
        raise ValueRuleError(f"impossible age in years: {some(impossible)}")


def _check_patients(cases: CaseSet) -> None:
    patients: dict[str, str] = {}
    torn = []
    for c in cases:
        if c.lesion_id and c.patient_id and patients.setdefault(c.lesion_id, c.patient_id) != c.patient_id:
            torn.append(c.lesion_id)
    if torn:
        raise ValueRuleError(f"lesions that belong to two patients: {some(dict.fromkeys(torn))}")
