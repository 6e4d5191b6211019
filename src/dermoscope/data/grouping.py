"""What must stay on one side of a split: lesion, patient and near-duplicates, joined to groups, and their roles."""

from collections import Counter
from collections.abc import Mapping, Sequence

from dermoscope.core.cases import Case
from dermoscope.data.duplicates import grouped
from dermoscope.data.splits import ROLES, Role, role_of


def group_ids(cases: Sequence[Case], duplicates: Sequence[Sequence[int]] = ()) -> tuple[str, ...]:
    """Group of every case: the smallest lesion id (image id where there is none) of all that it is joined with.

    Cases are joined by lesion, by patient and where their positions stand together in `duplicates`. A group of one
    lesion is called by the lesion's id, so that its role is that of the lesion.
    """
    alike: dict[tuple[str, str], list[int]] = {}
    for at, case in enumerate(cases):
        alike.setdefault(("group", case.group), []).append(at)
        if case.patient_id:
            alike.setdefault(("patient", case.patient_id), []).append(at)
    groups = grouped(len(cases), [*alike.values(), *duplicates])
    smallest: dict[int, str] = {}
    for at, case in enumerate(cases):
        of = groups.find(at)
        smallest[of] = min(smallest.get(of, case.group), case.group)
    return tuple(smallest[groups.find(at)] for at in range(len(cases)))


def split_rows(cases: Sequence[Case], duplicates: Sequence[Sequence[int]] = ()) -> dict[str, tuple[str, Role]]:
    """Image id -> (group, role) for `data.splits.write_split`, in the order of the cases."""
    groups = group_ids(cases, duplicates)
    return {case.image_id: (group, role_of(group)) for case, group in zip(cases, groups, strict=True)}


def joined_groups(cases: Sequence[Case], duplicates: Sequence[Sequence[int]] = ()) -> dict[str, str]:
    """Image id -> group for the images of every group that holds more than one lesion; the others need no list."""
    groups = group_ids(cases, duplicates)
    lesions: dict[str, set[str]] = {}
    for case, group in zip(cases, groups, strict=True):
        lesions.setdefault(group, set()).add(case.group)
    return {c.image_id: group for c, group in zip(cases, groups, strict=True) if len(lesions[group]) > 1}


def counts_by_role(cases: Sequence[Case], roles: Mapping[str, Role]) -> dict[Role, dict[str, int]]:
    """Images of each diagnosis in each role, by the role of every image id; cases without a diagnosis are left out."""
    counted = Counter((roles[c.image_id], c.diagnosis) for c in cases if c.diagnosis and c.image_id in roles)
    codes = list(dict.fromkeys(c.diagnosis for c in cases if c.diagnosis))
    return {role: {code: counted[role, code] for code in codes} for role in ROLES}


def lacking(counts: Mapping[Role, Mapping[str, int]]) -> tuple[str, ...]:
    """`role: codes` for every role that has no image of a diagnosis."""
    gaps = ((role, [code for code, n in of.items() if n == 0]) for role, of in counts.items())
    return tuple(f"{role}: {', '.join(codes)}" for role, codes in gaps if codes)
