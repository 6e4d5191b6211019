"""From calibrated probabilities to one of three answers, by a rule that is stored in the bundle.

What cannot be assessed comes first: what the intake says was not in the training, then a picture that is too poor, then
one that is unlike all others. Everything else is referred where any of three says so: the probability where the site
sees lesions, the floor, or the most probable diagnosis under the prior shown. What remains is of low concern. Why it is
so: `docs/adr/0013-a-floor-that-no-setting-lowers.md`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.prediction import CAUSES, Answer, AnswerKind
from dermoscope.core.probabilities import Probabilities
from dermoscope.refine.quality import Problem, QualityLimits, problems

IntakeFlag = Literal["under_18", "nail", "mucosa", "palm_or_sole", "scar", "tattoo", "already_biopsied", "dark_skin"]
INTAKE: tuple[IntakeFlag, ...] = get_args(IntakeFlag)
"""What an intake may say of a lesion that makes it one of a kind that was not in the training data."""

MALIGNANT = ("MEL", "BCC", "SCC")
"""What "any malignant" counts. Actinic keratosis is premalignant: the rule refers it, no such number counts it."""

NOTHING_FOUND = "no suspicious feature found by the model; this does not lower your own concern"

_POOR: Mapping[str, str] = {
    "too_small": "the image is too small: {value:.0f} px, at least {limit:.0f} px are needed",
    "blurred": "the image is out of focus (blur {value:.2f}, at most {limit:.2f})",
    "too_dark": "the image is too dark (luminance {value:.2f}, at least {limit:.2f} is needed)",
    "too_bright": "{value:.0%} of the image are burnt out, at most {limit:.0%}",
    "dark_corners": "{value:.0%} of the image are dark corners, at most {limit:.0%}",
    "hair": "{value:.0%} of the image are covered by hair, at most {limit:.0%}",
    "ink": "{value:.1%} of the image are covered by ink, at most {limit:.1%}",
    "ruler": "a ruler or a scale is in the image ({value:.1%} of it, at most {limit:.1%})",
    "coloured": "{value:.1%} of the image are blue or green (a patch, a glove, cloth), at most {limit:.1%}",
}


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Refer from a summed probability of `codes` (malignant and premalignant) of `refer_at` where the site is, or of
    `floor_at` under the calibration prior.

    The floor was chosen on the calibration role so that it refers `floor` of the melanomas, and `sensitivity` of all
    lesions of `codes`, whatever a site sets: a site that sees few malignant lesions cannot take a referral back, one
    that sees many only adds. None stands for `refer_at`, which was the rule before there was a floor. From an
    out-of-distribution rank of `ood_limit`, or with a quality figure beyond a blocking limit, an image cannot be
    assessed. Experimental: no peer-reviewed source for these limits.
    """

    codes: tuple[str, ...]
    refer_at: float
    sensitivity: float
    ood_limit: float = 1.0
    smallest_side: int | None = None
    floor_at: float | None = None
    floor: float | None = None
    limits: QualityLimits = field(default_factory=QualityLimits)

    @property
    def lowest(self) -> float:
        """The threshold under the calibration prior that no setting lowers the rule below."""
        return self.refer_at if self.floor_at is None else self.floor_at

    @property
    def quality(self) -> QualityLimits:
        """Limits of the quality figures; `smallest_side` is what older bundles say instead of them."""
        if self.smallest_side is None:
            return self.limits
        return replace(self.limits, smallest_side=float(self.smallest_side))


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a number of images, row by row.

    `calibrated` are probabilities under the calibration prior, `site` under the mix of the site (None: the same) and
    `shown` under the prior that the reader sees (None: the site's). `ood` are ranks, `quality` figures per image,
    `intake` the flags of its lesion; each may be empty where nothing is known.

    Raises ValueRuleError for another number of rows, other ids, or an unknown flag.
    """

    calibrated: Probabilities
    shown: Probabilities | None = None
    site: Probabilities | None = None
    ood: Sequence[float | None] = ()
    quality: Sequence[Mapping[str, float]] = ()
    intake: Sequence[Collection[str]] = ()

    def __post_init__(self) -> None:
        for name in ("shown", "site"):
            other = getattr(self, name)
            if other is not None and (other.ids, other.taxonomy) != (self.calibrated.ids, self.calibrated.taxonomy):
                raise ValueRuleError(f"probabilities of the {name} prior are of other images or diagnoses")
        for name in ("ood", "quality", "intake"):
            rows = len(getattr(self, name))
            if rows not in (0, len(self.calibrated)):
                raise ValueRuleError(f"{name} has {rows} rows for {len(self.calibrated)} images")
        stray = sorted({flag for flags in self.intake for flag in flags} - set(INTAKE))
        if stray:
            raise ValueRuleError(f"no intake flag {some(stray)}; there are {some(INTAKE, len(INTAKE))}")


def decide(rule: DecisionRule, evidence: Evidence) -> list[Answer]:
    """One answer per image.

    Its figures: `concern` and `at_site`, the probability of `rule.codes` under the calibration prior and at the site,
    the thresholds `floor_at` and `refer_at` that they are held against, and for a picture that is too poor or too
    strange `value` and `limit` of what decided.
    """
    calibrated, site = evidence.calibrated, evidence.site or evidence.calibrated
    shown = evidence.shown or site
    concern, at_site = calibrated.of_codes(rule.codes), site.of_codes(rule.codes)
    columns = [calibrated.taxonomy.index(code) for code in rule.codes]
    answers = []
    for row in range(len(calibrated)):
        figures = {
            "concern": float(concern[row]),
            "at_site": float(at_site[row]),
            "floor_at": rule.lowest,
            "refer_at": rule.refer_at,
        }
        refused = _refused(rule, evidence, row, figures)
        if refused is not None:
            answers.append(refused)
            continue
        likeliest = rule.codes[int(site.values[row, columns].argmax())]
        answers.append(_assessed(calibrated, figures, likeliest, calibrated.taxonomy.codes[shown.predicted[row]], rule))
    return answers


def _refused(rule: DecisionRule, evidence: Evidence, row: int, figures: Mapping[str, float]) -> Answer | None:
    """Every reason for which nothing can be said of an image; the first decides."""
    found: list[tuple[str, str, Mapping[str, float]]] = []
    flags = evidence.intake[row] if evidence.intake else ()
    for flag in (flag for flag in INTAKE if flag in flags):
        found.append((f"intake.{flag}", f"{CAUSES[f'intake.{flag}']}: not in the training data", {}))
    quality = evidence.quality[row] if evidence.quality else {}
    for problem in problems(quality, rule.quality):
        if problem.blocks:
            found.append((problem.code, in_words(problem), {"value": problem.value, "limit": problem.limit}))
    rank = evidence.ood[row] if evidence.ood else None
    if rank is not None and rank >= rule.ood_limit:
        reason = "the image is unlike every dermoscopic image that the model was calibrated on"
        found.append(("unlike", reason, {"value": rank, "limit": rule.ood_limit}))
    if not found:
        return None
    return Answer("cannot_assess", tuple(reason for _, reason, _ in found), {**figures, **found[0][2]}, found[0][0])


def _assessed(
    calibrated: Probabilities, figures: Mapping[str, float], likeliest: str, shown: str, rule: DecisionRule
) -> Answer:
    names = {d.code: d.name for d in calibrated.taxonomy.diagnoses}
    ruled_out = f"{names[likeliest]} cannot be ruled out: malignant or premalignant with"
    if figures["at_site"] >= rule.refer_at:
        where = (
            "in the mix it was calibrated on" if figures["at_site"] == figures["concern"] else "in the mix of this site"
        )
        return Answer(
            "refer", (f"{ruled_out} {percent(figures['at_site'])} {where}",), figures, "malignancy", likeliest
        )
    if figures["concern"] >= rule.lowest:
        reason = f"{ruled_out} {percent(figures['concern'])} in the mix it was calibrated on"
        return Answer("refer", (reason,), figures, "floor", likeliest)
    if shown in rule.codes:
        reason = f"{names[shown]} is the most probable diagnosis under the prior shown"
        return Answer("refer", (reason,), figures, "most_probable", shown)
    return Answer("low_concern", (NOTHING_FOUND,), figures, "none")


def resolve(answers: Sequence[Answer]) -> Answer:
    """One answer for several pictures of one lesion: that of the picture which decides; their order does not matter.

    Refer if any says so, the one with the highest probability there; else cannot assess if any; else low concern.
    Raises ValueRuleError without an answer.
    """
    if not answers:
        raise ValueRuleError("no answers to resolve; give at least one picture")
    causes = {cause: rank for rank, cause in enumerate(CAUSES)}

    def key(answer: Answer) -> tuple[object, ...]:
        figures = sorted(answer.figures.items())
        concern = -max(answer.figures.get("at_site", 0.0), answer.figures.get("concern", 0.0))
        return (
            PRECEDENCE.index(answer.kind),
            concern,
            causes[answer.cause],
            answer.suspected or "",
            answer.reasons,
            figures,
        )

    return min(answers, key=key)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What holds after a reader and the model: the decision, and whether they disagreed."""

    decision: AnswerKind
    disagrees: bool


def with_reader(answer: AnswerKind, reader: AnswerKind | None) -> Resolved:
    """The decision of model and reader together: a referral by either stands.

    Where the model cannot assess, the reader's own decision stands; a reader who cannot assess is not reassured by a
    model that finds nothing; without a reader (None) the answer stands. They disagree where one refers and the other
    sees little to be concerned of.
    """
    if reader is None or answer == "cannot_assess":
        return Resolved(reader or answer, False)
    decision: AnswerKind = min((answer, reader), key=PRECEDENCE.index)
    return Resolved(decision, {answer, reader} == {"refer", "low_concern"})


PRECEDENCE: tuple[AnswerKind, ...] = ("refer", "cannot_assess", "low_concern")
"""Which answer holds among several: the first of these that was given."""


def in_words(problem: Problem) -> str:
    """A quality problem as a sentence in English."""
    return _POOR[problem.code].format(value=problem.value, limit=problem.limit).replace("%", " %")


def fit_threshold(
    scores: Float[np.ndarray, " cases"], positive: Int[np.ndarray, " cases"], sensitivity: float
) -> float:
    """The highest threshold at which at least `sensitivity` of the positive cases reach it.

    `scores` are in [0, 1], `positive` is 1 or 0; `sensitivity` is above 0 and at most 1.
    Raises ValueRuleError for another sensitivity or when there is no positive case.
    """
    # 0.55 * 100 is 55.00000000000001 in binary: without the margin one case too many would have to reach it
    return _reached(scores, positive, sensitivity, lambda n: int(np.ceil(sensitivity * n - 1e-9)))


def fit_floor_at(scores: Float[np.ndarray, " cases"], positive: Int[np.ndarray, " cases"], floor: float) -> float:
    """The highest threshold that a further positive case like these reaches with a probability of at least `floor`.

    With `n` positive cases it is the score of the one that ranks ceil(floor (n + 1)), as in split conformal prediction
    (Papadopoulos et al. 2002, ECML; Angelopoulos & Bates 2023, Found. Trends Mach. Learn. 16:494): the share reached
    among the cases it was chosen on is a little above `floor`, because it flatters. Where there are too few for that
    (below 19 for 0.95), all of them reach it. Raises ValueRuleError as `fit_threshold` does.
    """
    return _reached(scores, positive, floor, lambda n: min(n, int(np.ceil(floor * (n + 1) - 1e-9))))


def _reached(scores: np.ndarray, positive: np.ndarray, share: float, rank: Callable[[int], int]) -> float:
    if not 0 < share <= 1:
        raise ValueRuleError(f"a sensitivity of {share}; it must be above 0 and at most 1")
    held = np.sort(scores[positive > 0])[::-1]
    if held.size == 0:
        raise ValueRuleError("no malignant or premalignant case to choose a threshold on")
    return float(held[rank(held.size) - 1])


def percent(share: float) -> str:
    """Whole per cent; never 0 % or 100 %, which a model cannot know."""
    if share < 0.01:
        return "less than 1 %"
    return "more than 99 %" if share > 0.99 else f"{share:.0%}".replace("%", " %")
