"""A measured figure that never goes without its interval, its unit and its n."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal

from dermoscope.core.errors import ValueRuleError

Unit = Literal["image", "lesion", "patient"]
LEVEL = 0.95


def wilson(hits: int | float, n: int | float, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of a rate of `hits` in `n` (Wilson 1927, eq. 4); both may be fractions. [0, 1] where n is 0."""
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the interval [low, high] at 95 %, how the interval was made, what was counted, and how many.

    `value` is None where the figure cannot be measured (no case of a class); then `low` and `high` are None too and
    `method` says why. `method` is one of the words of `evaluate/intervals.py`, for example `bootstrap` or `wilson`.

    Raises ValueRuleError for a value or bound that is not finite, a bound without a value, low > high, or n < 0.
    """

    value: float | None
    low: float | None
    high: float | None
    method: str
    unit: Unit
    n: int

    def __post_init__(self) -> None:
        if self.value is None and (self.low is not None or self.high is not None):
            raise ValueRuleError("an estimate without a value has no interval")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueRuleError(f"an estimate of {self.value}; use not_measurable")
        if any(bound is not None and not math.isfinite(bound) for bound in (self.low, self.high)):
            raise ValueRuleError(f"interval [{self.low}, {self.high}] has a bound that is not a number")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueRuleError(f"interval [{self.low}, {self.high}] is upside down")
        if self.n < 0:
            raise ValueRuleError(f"an estimate over {self.n} cases")

    @classmethod
    def not_measurable(cls, why: str, unit: Unit, n: int) -> "Estimate":
        """A figure that cannot be measured, and the reason."""
        return cls(None, None, None, f"not measurable: {why}", unit, n)

    @classmethod
    def of_counts(cls, hits: int, n: int, unit: Unit, what: str) -> "Estimate":
        """A rate with Wilson's interval; not measurable, for want of `what`, where nothing was counted."""
        if n == 0:
            return cls.not_measurable(f"no {what}", unit, 0)
        return cls(hits / n, *wilson(hits, n), "wilson", unit, n)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Estimate":
        """The reverse of `as_dict`."""
        return cls(**fields)

    def as_dict(self) -> dict[str, Any]:
        """`value, low, high, method, unit, n`, as the JSON of `evaluate` shows them."""
        return asdict(self)

    def text(self, digits: int = 3) -> str:
        """`0.812 [0.790, 0.831]`, or `not measurable`."""
        if self.value is None:
            return "not measurable"
        shown = f"{self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return shown
        return f"{shown} [{self.low:.{digits}f}, {self.high:.{digits}f}]"
