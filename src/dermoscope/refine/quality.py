"""Which quality figures of an image are beyond a limit: numbers in, problems out.

The figures come from `predict/quality.py`. What the limits flag was measured: `docs/concepts/quality.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args

from dermoscope.core.errors import ValueRuleError, some

ProblemCode = Literal[
    "too_small", "too_dark", "too_bright", "blurred", "dark_corners", "hair", "ink", "ruler", "coloured"
]

CODES: tuple[ProblemCode, ...] = get_args(ProblemCode)
"""Every problem, those that make an image not assessable by default first; what is too dark to show detail is so before
it is blurred."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """How far each figure may go. Experimental: no peer-reviewed source for the numbers.

    `smallest_side` is in px of the original's shorter side and `darkest` a luminance in [0, 1]: an image below them is
    `too_small` or `too_dark`. The others are the highest that is allowed: `blur` in [0, 1], and `bright`,
    `dark_corners`, `hair`, `ink`, `ruler`, `coloured` as shares of the picture (a bundle that was made before there was
    a figure has the default limit for it). `blocking` are the codes that make an image not assessable;
    the others only warn. The defaults were chosen on the validation role of HAM10000, so that they block at most 1 % of
    its images; `darkest` is laxer than that, because those sets show hardly any dark skin.
    Raises ValueRuleError for a limit that is negative or not a number, or an unknown code.
    """

    smallest_side: float = 100.0
    blur: float = 0.73
    darkest: float = 0.3
    bright: float = 0.25
    dark_corners: float = 0.1
    hair: float = 0.25
    ink: float = 0.005
    ruler: float = 0.002
    coloured: float = 0.005
    blocking: tuple[str, ...] = ("too_small", "blurred", "too_dark", "too_bright")

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name != "blocking"):
            if not getattr(self, name) >= 0:
                raise ValueRuleError(f"quality limit {name}: {getattr(self, name)}; it must be a number of 0 or more")
        strange = [code for code in self.blocking if code not in CODES]
        if strange:
            raise ValueRuleError(f"no quality problem {some(strange)}; there are {some(CODES, 20)}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A figure beyond its limit; `blocks` where it makes the image not assessable."""

    code: ProblemCode
    value: float
    limit: float
    blocks: bool


def problems(quality: Mapping[str, float], limits: QualityLimits | None = None) -> tuple[Problem, ...]:
    """What is wrong with an image, by its quality figures, in the order of `CODES`.

    A figure that is not there is not judged; one that is not a number is a problem. None stands for the default limits.
    """
    limits = limits or QualityLimits()
    sides = [quality[name] for name in ("width", "height") if name in quality]
    least = {"too_small": (min(sides, default=None), limits.smallest_side)}
    least["too_dark"] = (quality.get("luminance"), limits.darkest)
    most = {
        "blurred": (quality.get("blur"), limits.blur),
        "too_bright": (quality.get("bright"), limits.bright),
        "dark_corners": (quality.get("dark_corners"), limits.dark_corners),
        "hair": (quality.get("hair"), limits.hair),
        "ink": (quality.get("ink"), limits.ink),
        "ruler": (quality.get("ruler"), limits.ruler),
        "coloured": (quality.get("coloured"), limits.coloured),
    }
    found = []
    for code in CODES:
        value, limit = (least | most)[code]
        if value is not None and not (value >= limit if code in least else value <= limit):
            found.append(Problem(code, float(value), float(limit), code in limits.blocking))
    return tuple(found)
