"""Which cases may be used for what: roles by a hash of the lesion, the same on every machine and for ever.

A role follows from the group id alone, so it needs no file, survives new images of a known lesion, and can be
recomputed by anyone: `int(sha256(id), 16) % 10` is 0-1 test, 2 validation, 3 calibration, 4-9 training.
"""

from dataclasses import replace
from hashlib import sha256
from itertools import combinations
from typing import Literal, get_args

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError, LeakError, ValueRuleError, some

Role = Literal["test", "validation", "calibration", "training"]
ROLES: tuple[Role, ...] = get_args(Role)

_BY_DIGIT: tuple[Role, ...] = ("test", "test", "validation", "calibration", *("training",) * 6)  # type: ignore[assignment]


def role_of(group: str) -> Role:
    """Role of a lesion (of an image without a lesion id). Raises ValueRuleError for an empty id."""
    if not group:
        raise ValueRuleError("an empty group id has no role; give the lesion id, else the image id")
    return _BY_DIGIT[int(sha256(group.encode()).hexdigest(), 16) % 10]


def with_role(cases: CaseSet, *roles: Role) -> CaseSet:
    """The cases whose group has one of these roles, in order. Raises InputError for a role that does not exist."""
    strange = [role for role in roles if role not in ROLES]
    if strange or not roles:
        raise InputError(f"no role {some(strange) or 'given'}; the roles are {', '.join(ROLES)}")
    return cases.where(lambda case: role_of(case.group) in roles)


def sharpest_per_lesion(cases: CaseSet) -> CaseSet:
    """One image of every lesion: the first that has a second, sharper copy, else the first; in the order of `cases`."""
    sharper_first = replace(cases, cases=tuple(sorted(cases, key=lambda c: not c.copies)))
    chosen = set(sharper_first.one_per_lesion().ids)
    return cases.where(lambda c: c.image_id in chosen)


def check_apart(**sets: CaseSet) -> None:
    """Raise LeakError, naming them, when a lesion, a patient or an image stands in two of the sets.

    The sets are given by name, for example `check_apart(training=a, validation=b)`; the message uses these names.
    """
    kinds = {name: _identities(cases) for name, cases in sets.items()}
    leaks = []
    for first, second in combinations(kinds, 2):
        for kind in ("lesion", "patient", "image"):
            shared = sorted(kinds[first][kind] & kinds[second][kind])
            if shared:
                leaks.append(f"{first} and {second} share {len(shared)} {kind}(s): {some(shared)}")
    if leaks:
        raise LeakError("; ".join(leaks) + ". Put all images of a lesion and of a patient on one side")


def _identities(cases: CaseSet) -> dict[str, set[str]]:
    return {
        "lesion": {c.lesion_id for c in cases if c.lesion_id},
        "patient": {c.patient_id for c in cases if c.patient_id},
        "image": set(cases.ids),
    }
