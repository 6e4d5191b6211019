"""Two pictures of one lesion: when what was said of them does not agree.

No answer is certain of itself: another picture of the same lesion, taken at the same visit, is sometimes answered
otherwise. How often, and how far the log-odds of melanoma lie apart for no other reason than that they are of two
pictures, is measured by the study `repeatability` (docs/studies/repeatability.md); what it found of the bundled model
stands here, because the service says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dermoscope.core.prediction import AnswerKind


@dataclass(frozen=True, slots=True)
class Repeatability:
    """What was measured of one model on lesions with several pictures.

    `opposed` is the share of pairs of pictures of one lesion of which one is referred and the other of low concern;
    `coefficient` the repeatability coefficient of the log-odds of melanoma (Bland & Altman 1986), `beyond` the share of
    pairs further apart than it, `lesions` how many there were.
    """

    opposed: float
    coefficient: float
    beyond: float
    lesions: int


def opposed(one: str, other: str) -> bool:
    """Whether of two answers one refers and the other is of low concern.

    >>> opposed("refer", "low_concern"), opposed("refer", "cannot_assess")
    (True, False)
    """
    kinds: set[AnswerKind] = {"refer", "low_concern"}
    return {one, other} == kinds


MEASURED: Mapping[str, Repeatability] = MappingProxyType(
    {
        "dfa6f7f6dc0e13fac83a12e766e274a3706fc59a2065988dc4bb0b14960b1dd9": Repeatability(
            opposed=0.096, coefficient=2.4713, beyond=0.058, lesions=383
        ),
    }
)
"""What was measured, by the SHA-256 of the bundle: role test of HAM10000, lesions with several pictures."""


def repeatability_of(model: str) -> Repeatability | None:
    """What was measured of a model by the SHA-256 of its bundle; None where nothing was."""
    return MEASURED.get(model)
