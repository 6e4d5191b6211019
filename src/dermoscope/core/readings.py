"""What human readers said of cases."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.taxonomy import Taxonomy

Decision = Literal["refer", "low_concern", "cannot_assess"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One reader's judgement of one case.

    `confidence` is in [0, 1] or None; `experience` is the reader's own words or years; `phase` names the arm or
    session; `aided` says whether the model's answer was visible.
    """

    reader: str
    case: str
    diagnosis: str | None = None
    decision: Decision | None = None
    confidence: float | None = None
    experience: str | None = None
    phase: str = ""
    aided: bool = False


@dataclass(frozen=True)
class ReaderStudy:
    """Readings of cases whose truth is known.

    Raises ValueRuleError, naming reader and case, for a reading that says nothing, a diagnosis outside the taxonomy, a
    confidence outside [0, 1], a case without truth, or two readings of one case by one reader in one phase and arm.
    """

    readings: tuple[Reading, ...]
    taxonomy: Taxonomy
    truth: Mapping[str, str]

    def __post_init__(self) -> None:
        rules = (
            ("neither a diagnosis nor a decision", lambda r: r.diagnosis is None and r.decision is None),
            (
                f"a diagnosis that is not of {self.taxonomy.name}",
                lambda r: r.diagnosis is not None and r.diagnosis not in self.taxonomy,
            ),
            ("a confidence outside [0, 1]", lambda r: r.confidence is not None and not 0 <= r.confidence <= 1),
            ("no truth for the case", lambda r: r.case not in self.truth),
        )
        for what, breaks in rules:
            bad = [f"{r.reader}/{r.case}" for r in self.readings if breaks(r)]
            if bad:
                raise ValueRuleError(f"readings with {what}: {some(bad)}")
        counted = Counter((r.reader, r.case, r.phase, r.aided) for r in self.readings)
        twice = [f"{reader}/{case}" for (reader, case, _, _), n in counted.items() if n > 1]
        if twice:
            raise ValueRuleError(f"readings that stand more than once: {some(twice)}")
        stray = [f"{case} ({code})" for case, code in self.truth.items() if code not in self.taxonomy]
        if stray:
            raise ValueRuleError(f"truth that is not of {self.taxonomy.name}: {some(stray)}")

    @property
    def readers(self) -> tuple[str, ...]:
        """Readers in order of first appearance."""
        return tuple(dict.fromkeys(r.reader for r in self.readings))
