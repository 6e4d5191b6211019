"""Which cases may be used for what: roles by a hash of the lesion, the same on every machine and for ever.

A role follows from the group id alone, so it needs no file, survives new images of a known lesion, and can be
recomputed by anyone: `int(sha256(id), 16) % 10` is 0-1 test, 2 validation, 3 calibration, 4-9 training.

Where a group is more than a lesion (a patient, near-duplicates), the roles stand in a file, a `Split`, and are
referred to by the SHA-256 of its bytes.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Literal, cast, get_args

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError, LeakError, TableError, ValueRuleError, some
from dermoscope.data.store import write_file
from dermoscope.data.tables import read_table

Role = Literal["test", "validation", "calibration", "training"]
ROLES: tuple[Role, ...] = get_args(Role)

_BY_DIGIT: tuple[Role, ...] = ("test", "test", "validation", "calibration", *("training",) * 6)  # type: ignore[assignment]


def role_of(group: str) -> Role:
    """Role of a lesion (of an image without a lesion id). Raises ValueRuleError for an empty id."""
    if not group:
        raise ValueRuleError("an empty group id has no role; give the lesion id, else the image id")
    return _BY_DIGIT[int(sha256(group.encode()).hexdigest(), 16) % 10]


@dataclass(frozen=True, eq=False)
class Split:
    """Group and role of every image, as a file holds them.

    `rows` maps image id to (group, role), in the order of the file; `sha256` is that of the file's bytes; `name` is
    what errors call it. Raises LeakError, naming rows, when one group has two roles.
    """

    rows: Mapping[str, tuple[str, Role]]
    sha256: str
    name: str = "the split"

    def __post_init__(self) -> None:
        first: dict[str, tuple[str, Role]] = {}
        torn = []
        for image, (group, role) in self.rows.items():
            other, known = first.setdefault(group, (image, role))
            if known != role:
                torn.append(f"group {group}: {other} is {known}, {image} is {role}")
        if torn:
            raise LeakError(f"{self.name}: one group has two roles: {some(torn)}. Give all its images one role")

    def __len__(self) -> int:
        return len(self.rows)

    def role(self, image_id: str) -> Role:
        """Role of an image. Raises InputError for one that the split does not hold."""
        return self._row(image_id)[1]

    def group(self, image_id: str) -> str:
        """Group of an image. Raises InputError for one that the split does not hold."""
        return self._row(image_id)[0]

    def counts(self) -> Mapping[Role, int]:
        """Images of every role."""
        counted = Counter(role for _, role in self.rows.values())
        return {role: counted[role] for role in ROLES}

    def _row(self, image_id: str) -> tuple[str, Role]:
        try:
            return self.rows[image_id]
        except KeyError:
            raise InputError(f"{self.name}: no role for image {image_id}; {_REMAKE}") from None


_COLUMNS = ("image", "group", "role")
_REMAKE = "make the split again from the data set as it is now (`dermoscope data split`)"


def read_split(path: Path | str) -> Split:
    """Read a CSV with the columns `image`, `group` and `role`.

    Raises TableError, naming file and rows, for other columns, an empty cell, an unknown role or an image that stands
    twice, and LeakError when one group has two roles.
    """
    table = read_table(path)
    if set(table.columns) != set(_COLUMNS):
        raise TableError(f"{path}: columns {some(table.columns, 12)}; a split has {','.join(_COLUMNS)}")
    empty = [number for number, row in enumerate(table.rows, 2) if not row["image"] or not row["group"]]
    if empty:
        raise TableError(f"{path}: no image or no group in rows {some(empty)}; every row needs both")
    strange = [f"{row['image']} ({row['role']!r})" for row in table.rows if row["role"] not in ROLES]
    if strange:
        raise TableError(f"{path}: roles that do not exist: {some(strange)}; the roles are {', '.join(ROLES)}")
    twice = [image for image, n in Counter(row["image"] for row in table.rows).items() if n > 1]
    if twice:
        raise TableError(f"{path}: images stand in more than one row: {some(twice)}; keep one row of each")
    rows = {row["image"]: (row["group"], cast(Role, row["role"])) for row in table.rows}
    return Split(rows, sha256(Path(path).read_bytes()).hexdigest(), str(path))


def write_split(path: Path | str, rows: Mapping[str, tuple[str, Role]]) -> Split:
    """Write image id -> (group, role) as a file, whole or not at all, and return it as a split.

    The same rows in the same order give the same bytes. Raises LeakError when one group has two roles, and InputError
    where the file cannot be written.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((image, group, role) for image, (group, role) in rows.items())
    data = out.getvalue().encode()
    split = Split(dict(rows), sha256(data).hexdigest(), str(path))
    write_file(Path(path), data)
    return split


def with_role(cases: CaseSet, *roles: Role, split: Split | None = None) -> CaseSet:
    """The cases whose group has one of these roles, in order; by the hash of the group where no split is given.

    Raises InputError for a role that does not exist, and for cases that the split does not hold.
    """
    strange = [role for role in roles if role not in ROLES]
    if strange or not roles:
        raise InputError(f"no role {some(strange) or 'given'}; the roles are {', '.join(ROLES)}")
    if split is None:
        return cases.where(lambda case: role_of(case.group) in roles)
    _check_held(cases, split)
    return cases.where(lambda case: split.role(case.image_id) in roles)


def check_split(cases: CaseSet, split: Split) -> None:
    """Raise LeakError, naming them, when a split puts one lesion or one patient of these cases on two sides.

    Raises InputError for cases that the split does not hold; it may hold others.
    """
    _check_held(cases, split)
    torn = []
    for kind in ("lesion", "patient"):
        first: dict[str, tuple[str, Role]] = {}
        for case in cases:
            name = case.lesion_id if kind == "lesion" else case.patient_id
            role = split.role(case.image_id)
            other, known = first.setdefault(name, (case.image_id, role)) if name else (case.image_id, role)
            if known != role:
                torn.append(f"{kind} {name}: {other} is {known}, {case.image_id} is {role}")
    if torn:
        raise LeakError(f"{split.name} tears apart what belongs together: {some(torn)}; {_REMAKE}")


def _check_held(cases: CaseSet, split: Split) -> None:
    absent = [image for image in cases.ids if image not in split.rows]
    if absent:
        raise InputError(f"{split.name}: no role for {len(absent)} of {len(cases)} images: {some(absent)}; {_REMAKE}")


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
