"""What an audit of data sets found: findings by gravity, shares, and how much file properties tell of a diagnosis."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate

Gravity = Literal["grave", "warning", "note"]
GRAVITIES: tuple[Gravity, ...] = get_args(Gravity)
ALARM = 0.60
"""An AUC of file properties above it is a warning, where its interval lies above .5."""


@dataclass(frozen=True, slots=True)
class Member:
    """One image of a group that a finding shows: what it is called, its file, and what is said of it."""

    image: str
    path: Path | None
    said: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault or peculiarity, with everything that has it.

    `kind` is a word for programs; `what` says in one sentence what was found, `remedy` what to do (may be empty).
    `items` has one line for each instance; `groups` has the images of each instance, where pictures help to judge it.
    `grave` is what makes figures wrong or training fail, `warning` what may, `note` what one should know.
    """

    kind: str
    gravity: Gravity
    what: str
    remedy: str = ""
    items: tuple[str, ...] = ()
    groups: tuple[tuple[Member, ...], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it, paths as text."""
        members = [[{"image": m.image, "path": str(m.path or ""), "said": m.said} for m in g] for g in self.groups]
        return {
            "kind": self.kind,
            "gravity": self.gravity,
            "what": self.what,
            "remedy": self.remedy,
            "items": list(self.items),
            "groups": members,
        }


@dataclass(frozen=True, eq=False)
class PropertyTable:
    """What is known of each image's file, and its label, row by row.

    `diagnoses` are codes or None, `groups` what must stay together (lesion, patient, near-duplicates). `columns` maps
    a property to one or more columns, each an array [images] of text (categories) or of numbers.
    Raises ValueRuleError where lengths differ.
    """

    diagnoses: tuple[str | None, ...]
    groups: tuple[str, ...]
    columns: Mapping[str, tuple[np.ndarray, ...]]

    def __post_init__(self) -> None:
        lengths = {len(self.diagnoses), len(self.groups), *(len(c) for cs in self.columns.values() for c in cs)}
        if len(lengths) > 1:
            raise ValueRuleError(f"a property table with columns of {sorted(lengths)} rows; all need the same")

    def __len__(self) -> int:
        return len(self.diagnoses)

    def rows(self, keep: np.ndarray) -> "PropertyTable":
        """The rows where `keep` [images] is true."""
        at = np.flatnonzero(keep).tolist()
        columns = {name: tuple(c[keep] for c in cs) for name, cs in self.columns.items()}
        return PropertyTable(tuple(self.diagnoses[i] for i in at), tuple(self.groups[i] for i in at), columns)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """The AUC with which a property of the files tells one diagnosis from the rest.

    `name` is the property, or `all together`; `within` names the data set, or is `all`.
    """

    within: str
    name: str
    diagnosis: str
    auc: Estimate

    @property
    def alarming(self) -> bool:
        """Above .60 and not by chance."""
        return self.auc.value is not None and self.auc.value > ALARM and self.auc.low is not None and self.auc.low > 0.5

    def as_dict(self) -> dict[str, Any]:
        """Its names and the estimate."""
        return asdict(self) | {"alarming": self.alarming}


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a diagnosis have a value of the property `name`, counted by `rate.unit`."""

    within: str
    name: str
    value: str
    diagnosis: str
    rate: Estimate


@dataclass(frozen=True)
class Audit:
    """The whole of it. `counts` is data set -> source -> diagnosis -> images; `roles` role -> diagnosis -> images.

    `sizes` counts images, files, lesions, patients; `split` is the SHA-256 of the split file, or empty where the roles
    follow from the hash of the lesion; `when` is the day (ISO 8601).
    """

    given: tuple[str, ...]
    sizes: Mapping[str, int]
    counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    roles: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]
    shortcuts: tuple[Shortcut, ...] = ()
    shares: tuple[Share, ...] = ()
    split: str = ""
    when: str = ""
    version: str = field(default="")

    def of(self, gravity: Gravity) -> tuple[Finding, ...]:
        """The findings of one gravity."""
        return tuple(f for f in self.findings if f.gravity == gravity)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as `data audit --json` prints it."""
        return {
            "given": list(self.given),
            "when": self.when,
            "version": self.version,
            "split": self.split or None,
            "sizes": dict(self.sizes),
            "counts": {name: {s: dict(c) for s, c in sources.items()} for name, sources in self.counts.items()},
            "roles": {role: dict(c) for role, c in self.roles.items()},
            "findings": [f.as_dict() for f in self.findings],
            "shortcuts": [s.as_dict() for s in self.shortcuts],
            "shares": [asdict(s) for s in self.shares],
        }
