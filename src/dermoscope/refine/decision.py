"""From a calibrated probability to one of three answers, by a rule that is stored in the bundle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import Answer
from dermoscope.core.probabilities import Probabilities


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Refer when the summed probability of `codes` (malignant and premalignant) reaches `refer_at`.

    The probability is taken under the calibration prior; an image whose most probable diagnosis under the prior shown
    is one of `codes` is referred too. An image with an out-of-distribution rank of `ood_limit` or more, or with a
    shorter side below `smallest_side` px, cannot be assessed. `sensitivity` is what the threshold was chosen for on the
    calibration role. Experimental: no peer-reviewed source for the limits.
    """

    codes: tuple[str, ...]
    refer_at: float
    sensitivity: float
    ood_limit: float = 1.0
    smallest_side: int = 100


def fit_refer_at(scores: Float[np.ndarray, " cases"], positive: Int[np.ndarray, " cases"], sensitivity: float) -> float:
    """The highest threshold at which at least `sensitivity` of the positive cases reach it.

    `scores` are in [0, 1], `positive` is 1 or 0; `sensitivity` is above 0 and at most 1.
    Raises ValueRuleError for another sensitivity or when there is no positive case.
    """
    if not 0 < sensitivity <= 1:
        raise ValueRuleError(f"a sensitivity of {sensitivity}; it must be above 0 and at most 1")
    held = np.sort(scores[positive > 0])[::-1]
    if held.size == 0:
        raise ValueRuleError("no malignant or premalignant case to choose a threshold on")
    # 0.55 * 100 is 55.00000000000001 in binary: without the margin one case too many would have to reach it
    return float(held[int(np.ceil(sensitivity * held.size - 1e-9)) - 1])


def decide(
    rule: DecisionRule,
    calibrated: Probabilities,
    shown: Probabilities,
    ood: Sequence[float | None],
    sides: Sequence[float],
) -> list[Answer]:
    """One answer per row.

    `calibrated` are under the calibration prior, `shown` under the prior that the reader sees; `ood` are ranks, `sides`
    the shorter sides of the images in px. Where the two disagree, the answer is to refer.
    """
    taxonomy = calibrated.taxonomy
    names = {d.code: d.name for d in taxonomy.diagnoses}
    concern = calibrated.of_codes(rule.codes)
    suspected = [taxonomy.codes[column] for column in shown.predicted]
    answers = []
    for row, (score, rank, side) in enumerate(zip(concern, ood, sides, strict=True)):
        figures = {"concern": float(score), "refer_at": rule.refer_at}
        likely = max(rule.codes, key=lambda code: calibrated.values[row, taxonomy.index(code)])
        if side < rule.smallest_side:
            reason = f"the image is too small: {side:.0f} px, at least {rule.smallest_side} px are needed"
            answers.append(Answer("cannot_assess", (reason,), figures))
        elif rank is not None and rank >= rule.ood_limit:
            reason = "the image is unlike every dermoscopic image that the model was calibrated on"
            answers.append(Answer("cannot_assess", (reason,), figures))
        elif score >= rule.refer_at:
            share = f"malignant or premalignant with {_percent(score)} in the mix it was calibrated on"
            reason = f"{names[likely]} cannot be ruled out: {share}"
            answers.append(Answer("refer", (reason,), figures))
        elif suspected[row] in rule.codes:
            reason = f"{names[suspected[row]]} is the most probable diagnosis under the prior shown"
            answers.append(Answer("refer", (reason,), figures))
        else:
            reason = "no suspicious feature found by the model; this does not lower your own concern"
            answers.append(Answer("low_concern", (reason,), figures))
    return answers


def _percent(share: float) -> str:
    """Whole per cent; never 0 % or 100 %, which a model cannot know."""
    if share < 0.01:
        return "less than 1 %"
    return "more than 99 %" if share > 0.99 else f"{share:.0%}".replace("%", " %")
