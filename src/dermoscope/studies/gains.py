"""Paired differences of a study as measured figures, corrected for how many there are of a family."""

from collections.abc import Sequence
from dataclasses import dataclass

from dermoscope.core.study import Measured
from dermoscope.evaluate.intervals import Difference, holm


@dataclass(frozen=True)
class Gain:
    """How much the way `of` exceeds the way `against` in a metric on a split."""

    metric: str
    difference: Difference
    split: str
    of: str
    against: str


def corrected(groups: Sequence[Sequence[Gain]]) -> list[tuple[Measured, ...]]:
    """The groups as measured figures; p-values are corrected (Holm 1979) over all groups together."""
    adjusted = iter(holm([gain.difference.p_value for group in groups for gain in group]))
    return [
        tuple(
            Measured(g.metric, g.difference.estimate, g.split, g.of, g.against, g.difference.p_value, next(adjusted))
            for g in group
        )
        for group in groups
    ]
