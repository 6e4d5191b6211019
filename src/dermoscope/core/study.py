"""What a study found: figures measured here, beside those a paper claims."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from dermoscope.core.claim import Claim
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate

RowType = Literal["reproduced", "re-measured", "stand-in", "method check"]
"""`reproduced`: same data and test. `re-measured`: same method, other data. `stand-in`: other network.
`method check`: neither network nor data of the paper; whether its method does what it says."""
ROW_TYPES: tuple[RowType, ...] = get_args(RowType)


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure measured here: what it is, on which split, and what predicted (a bundle's hash, or words).

    `against` is empty, or says what was subtracted: then the estimate is a paired difference, `p_value` that of no
    difference, and `p_holm` the same corrected for all differences of its family.

    Raises ValueRuleError for one without metric, split or bundle, or with a p-value but nothing that was subtracted.
    """

    metric: str
    estimate: Estimate
    split: str
    bundle: str
    against: str = ""
    p_value: float | None = None
    p_holm: float | None = None

    def __post_init__(self) -> None:
        empty = [name for name in ("metric", "split", "bundle") if not getattr(self, name).strip()]
        if empty:
            raise ValueRuleError(f"a measured figure needs {', '.join(empty)}")
        if self.p_value is not None and not self.against:
            raise ValueRuleError(f"{self.metric}: a p-value needs `against`, what was subtracted")

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Measured":
        """The reverse of `as_dict`."""
        own = {key: value for key, value in fields.items() if key not in _ESTIMATE}
        return cls(estimate=Estimate(**{key: fields[key] for key in _ESTIMATE}), **own)

    def as_dict(self) -> dict[str, Any]:
        """`metric, value, low, high, method, unit, n, split, bundle`; of a difference `against` and p-values too."""
        found = {"metric": self.metric, **self.estimate.as_dict(), "split": self.split, "bundle": self.bundle}
        if self.against:
            found |= {"against": self.against, "p_value": self.p_value, "p_holm": self.p_holm}
        return found


_ESTIMATE = ("value", "low", "high", "method", "unit", "n")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a study's table: what is compared, the claims of the paper, and what was measured here.

    `name` is unique within a study. Raises ValueRuleError for an unknown type, an empty name, study or title, or a row
    that neither claims nor measures anything.
    """

    study: str
    type: RowType
    name: str
    title: str
    claims: tuple[Claim, ...] = ()
    measured: tuple[Measured, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.type not in ROW_TYPES:
            raise ValueRuleError(f"{self.name}: no row is of type {self.type!r}; there are {', '.join(ROW_TYPES)}")
        if not (self.study and self.name and self.title):
            raise ValueRuleError("a row needs study, name and title")
        if not (self.claims or self.measured):
            raise ValueRuleError(f"{self.name}: a row without claims and without measured figures")

    @property
    def differences(self) -> tuple[tuple[Claim, Measured, float], ...]:
        """(claim, measured, claim - measured) of each figure that both have; only of what was `reproduced`."""
        if self.type != "reproduced":
            return ()
        return tuple(
            (claim, found, claim.value - found.estimate.value)
            for claim in self.claims
            for found in self.measured
            if found.metric == claim.metric and not found.against and found.estimate.value is not None
        )

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Row":
        """The reverse of `as_dict`."""
        return cls(
            study=fields["study"],
            type=fields["type"],
            name=fields["name"],
            title=fields["title"],
            claims=tuple(Claim(**claim) for claim in fields["claims"]),
            measured=tuple(Measured.from_dict(found) for found in fields["measured"]),
            note=fields.get("note", ""),
        )

    def as_dict(self) -> dict[str, Any]:
        """`study, type, name, title, claims, measured, note`, and `differences` where the row was reproduced."""
        found: dict[str, Any] = {"study": self.study, "type": self.type, "name": self.name, "title": self.title}
        found |= {"claims": [asdict(c) for c in self.claims], "measured": [m.as_dict() for m in self.measured]}
        found["note"] = self.note
        if self.type == "reproduced":
            found["differences"] = [{"metric": claim.metric, "value": value} for claim, _, value in self.differences]
        return found
