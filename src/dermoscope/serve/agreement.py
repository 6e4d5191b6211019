"""Pictures of one lesion that do not agree: which, in what, and how often two pictures do not for no other reason.

Pictures of the current visit are compared with each other, and with those of the last visit before it whose answer this
person may see: between visits a lesion may have changed, and the answer is that of the current visit alone. Only what
one model said under one setting is compared. Whoever asks has to know that the answer may be seen (`answers.visible`);
nothing is stored, for it follows from the results that are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dermoscope.refine.agreement import Repeatability, opposed, repeatability_of
from dermoscope.refine.prevalence import of_100
from dermoscope.serve.answers import MELANOMA, CaseAnswer, answer_of, visible
from dermoscope.serve.desk import Desk
from dermoscope.serve.tables import Case, Result

_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class Told:
    """One picture of those that do not agree: its number in its visit, and what was said of it."""

    number: int
    result: Result


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Pictures of one lesion that do not agree.

    `opposed`: one is referred and another of low concern. Where it is false, log-odds of melanoma are further apart
    than the repeatability coefficient of the model. `before` are those of an earlier visit, `visit` its number; without
    them all are of one visit. `measured` is what is known of the model, None where nothing was measured. `decides` is
    whether the answer of the visit is that of such a picture: it is not where another one could not be assessed.
    """

    opposed: bool
    now: tuple[Told, ...]
    before: tuple[Told, ...] = ()
    visit: int | None = None
    measured: Repeatability | None = None
    decides: bool = True

    @property
    def images(self) -> tuple[int, ...]:
        """Ids of all pictures, those of the earlier visit last."""
        return tuple(told.result.image_id for told in (*self.now, *self.before))


def disagreements(desk: Desk, case: Case, answer: CaseAnswer) -> tuple[Disagreement, ...]:
    """What does not agree with each other in the visit of an answer that is in view, and with an earlier visit."""
    now = _told(answer.results, answer.result)
    earlier = _before(desk, case)
    found = [_within(now)]
    if earlier is not None:
        found.append(_against(now, _told(earlier[1].results, answer.result), earlier[0]))
    decides = answer.kind != "cannot_assess"
    return tuple(replace(one, decides=decides) for one in found if one is not None)


def untold(answer: CaseAnswer, found: Sequence[Disagreement]) -> bool:
    """Whether pictures of the visit got different answers and none of the disagreements says so."""
    return answer.differ and not any(one.opposed and one.visit is None for one in found)


def _before(desk: Desk, case: Case) -> tuple[int, CaseAnswer] | None:
    """The last visit before the current one that has an answer which this person may see."""
    for visit in sorted({image.visit for image in case.images if image.visit < case.visit}, reverse=True):
        answer = answer_of(desk, case, visit) if visible(desk, case, visit) else None
        if answer is not None:
            return visit, answer
    return None


def _told(results: Sequence[Result], like: Result) -> tuple[Told, ...]:
    """The results, numbered, of the model and the setting of another."""
    numbered = (Told(number, result) for number, result in enumerate(results, start=1))
    return tuple(t for t in numbered if (t.result.model, t.result.prior) == (like.model, like.prior))


def _within(told: tuple[Told, ...]) -> Disagreement | None:
    return _found([(a, b) for k, a in enumerate(told) for b in told[k + 1 :]], told, (), None)


def _against(now: tuple[Told, ...], before: tuple[Told, ...], visit: int) -> Disagreement | None:
    return _found([(a, b) for a in now for b in before], now, before, visit)


def _found(
    pairs: Sequence[tuple[Told, Told]], now: tuple[Told, ...], before: tuple[Told, ...], visit: int | None
) -> Disagreement | None:
    """Opposed pairs, else pairs that lie too far apart; of the pictures those that are in one of them."""
    if not pairs:
        return None
    measured = repeatability_of(now[0].result.model)
    against = [pair for pair in pairs if opposed(pair[0].result.answer, pair[1].result.answer)]
    chosen = against or [pair for pair in pairs if measured and _apart(*pair) > measured.coefficient]
    held = {id(told) for pair in chosen for told in pair}
    if not held:
        return None
    first, second = (tuple(told for told in side if id(told) in held) for side in (now, before))
    return Disagreement(bool(against), first, second, visit, measured)


def _apart(one: Told, other: Told) -> float:
    """Difference of the calibrated log-odds of melanoma; 0 where one has none or was not assessed.

    0 too where the same is said of both at the site, as of two below 1 of 100: a reader would see no difference.
    """
    shares = [told.result.calibrated.get(MELANOMA) for told in (one, other)]
    shown = [told.result.probabilities.get(MELANOMA) for told in (one, other)]
    if None in (*shares, *shown) or "cannot_assess" in (one.result.answer, other.result.answer):
        return 0.0
    if len({of_100(share or 0.0) for share in shown}) == 1:
        return 0.0
    odds = [math.log(p / (1 - p)) for p in (min(max(s or 0.0, _LEAST), 1 - _LEAST) for s in shares)]
    return abs(odds[0] - odds[1])
