"""What a paper claims, word for word enough to be checked."""

from dataclasses import dataclass

from dermoscope.core.errors import ValueRuleError


@dataclass(frozen=True, slots=True)
class Claim:
    """One published figure: task, data set, metric, value, model, and where it stands.

    `value` is a share, not per cent; a count is as it is.
    `code` is the address of the authors' code or None; `source` names table, figure or page of the paper.

    Raises ValueRuleError for a claim without task, data set, metric, paper or source.
    """

    task: str
    dataset: str
    metric: str
    value: float
    model: str
    paper: str
    source: str
    code: str | None = None

    def __post_init__(self) -> None:
        empty = [f for f in ("task", "dataset", "metric", "model", "paper", "source") if not getattr(self, f).strip()]
        if empty:
            raise ValueRuleError(f"a claim needs {', '.join(empty)}")
