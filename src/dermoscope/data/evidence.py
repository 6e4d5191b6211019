"""What an audit looks at: the cases of all sets in one row, the facts of their files, and which show the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dermoscope.core.audit import Member
from dermoscope.core.cases import Case
from dermoscope.core.taxonomy import ISIC2018, ISIC2019_TO_ISIC2018
from dermoscope.data.duplicates import Link, grouped, near_duplicates
from dermoscope.data.gather import Gathered
from dermoscope.data.grouping import group_ids
from dermoscope.data.properties import FileFacts, read_facts
from dermoscope.data.splits import Role, Split, role_of

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Cases of several sets by position, `sets` naming the set of each, with the facts of all their files.

    `links` join cases whose files show the same picture; `split` is the file that gives the roles, or None for the
    hash of the lesion.
    """

    cases: tuple[Case, ...]
    sets: tuple[str, ...]
    facts: dict[Path, FileFacts]
    links: tuple[Link, ...]
    split: Split | None = None

    @cached_property
    def several(self) -> bool:
        """Whether there is more than one set."""
        return len(set(self.sets)) > 1

    @cached_property
    def duplicates(self) -> list[list[int]]:
        """Positions that show the same picture, in groups."""
        return grouped(len(self.cases), [(link.first, link.second) for link in self.links]).members()

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Group of each case: lesion, patient and near-duplicates joined."""
        return group_ids(self.cases, self.duplicates)

    @cached_property
    def roles(self) -> tuple[Role | None, ...]:
        """Role of each case; None without a diagnosis, or where the split does not hold the image."""
        return tuple(self._role(case) for case in self.cases)

    def facts_of(self, at: int) -> FileFacts | None:
        """Facts of the preferred file of a case; None where it has none or it cannot be read."""
        path = self.cases[at].path
        found = self.facts.get(path) if path else None
        return None if found is None or found.problem else found

    def name(self, at: int) -> str:
        """What a case is called: its image id, with the set where there are several."""
        return f"{self.sets[at]}: {self.cases[at].image_id}" if self.several else self.cases[at].image_id

    def member(self, at: int, with_role: bool = False) -> Member:
        """A case as a finding shows it."""
        case = self.cases[at]
        said = [case.diagnosis or "no label", f"lesion {case.lesion_id}" if case.lesion_id else ""]
        said += [f"patient {case.patient_id}" if case.patient_id else "", (self.roles[at] or "") if with_role else ""]
        return Member(self.name(at), case.path, ", ".join(s for s in said if s))

    def _role(self, case: Case) -> Role | None:
        if case.diagnosis is None:
            return None
        if self.split is None:
            return role_of(case.group)
        return self.split.role(case.image_id) if case.image_id in self.split.rows else None


def look_at(sets: Sequence[Gathered], split: Split | None, progress: Progress | None = None) -> Evidence:
    """Read every file of the sets once and find the duplicates among the preferred ones.

    Where the sets speak ISIC 2018 and ISIC 2019, all are told in ISIC 2018.
    """
    mixed = len({s.taxonomy.name for s in sets}) > 1
    cases, names = [], []
    for one in sets:
        told = one.cases if not mixed or one.taxonomy == ISIC2018 else tuple(map(_merged, one.cases))
        cases += [*told, *one.unnamed]
        names += [one.name] * (len(told) + len(one.unnamed))
    files = list(dict.fromkeys(p for c in cases for p in ((c.path, *c.copies) if c.path else c.copies)))
    tell = progress or (lambda *_: None)
    facts = {f.path: f for f in read_facts(files, progress=lambda done, total: tell("reading files", done, total))}
    links = links_between(cases, facts, lambda done, total: tell("comparing pictures", done, total))
    return Evidence(tuple(cases), tuple(names), facts, links, split)


def links_between(
    cases: Sequence[Case], facts: dict[Path, FileFacts], progress: Callable[[int, int], None] | None = None
) -> tuple[Link, ...]:
    """Links between cases of the same bytes (likeness 1) and of nearly the same pixels."""
    first_with: dict[str, int] = {}
    links, kept = [], []
    for at, case in enumerate(cases):
        found = facts.get(case.path) if case.path else None
        if found is None or not found.sha256:
            continue
        first = first_with.setdefault(found.sha256, at)
        if first != at:
            links.append(Link(first, at, 1.0))
        elif found.small is not None:
            kept.append(at)
    if kept:
        pictures = np.stack([facts[p].small for at in kept if (p := cases[at].path)])  # type: ignore[misc]
        near = near_duplicates(pictures, progress=progress)
        links += [Link(kept[link.first], kept[link.second], link.likeness) for link in near]
    return tuple(links)


def _merged(case: Case) -> Case:
    return replace(case, diagnosis=ISIC2019_TO_ISIC2018.codes[case.diagnosis] if case.diagnosis else None)
