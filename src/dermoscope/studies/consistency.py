"""Whether published figures can stand together: whether any table of counts yields all of them at once.

`mlscorecheck` answers (Fazekas & Kovacs 2024, "Testing the consistency of performance scores reported for binary
classification problems", Applied Soft Computing); it needs to know how many cases of each class were tested.
Inconsistent figures were rounded otherwise, averaged, read off a curve, or are wrong; consistent ones may still be so.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dermoscope.core.errors import MissingDependencyError


@dataclass(frozen=True)
class FigureSet:
    """Figures that a paper states of one test: `counts` holds the cases of each class, `{"p": .., "n": ..}` for two.

    `scores` are called as mlscorecheck calls them (acc, sens, spec, bacc; ppv and more for two classes), as shares;
    `decimals` is how many digits of the share were published. Without `counts` nothing can be asked and `remark` says
    why; with them it may say what was assumed. `macro` averages are those of one-against-all over the classes.
    """

    study: str
    title: str
    source: str
    scores: Mapping[str, float]
    decimals: int
    counts: Mapping[str, int] = field(default_factory=dict)
    kind: Literal["two classes", "macro"] = "two classes"
    remark: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of it: `consistent` is None where it could not be asked, and `why` says so in a sentence."""

    study: str
    title: str
    source: str
    scores: Mapping[str, float]
    consistent: bool | None
    why: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return asdict(self)


def judge(figures: FigureSet) -> Verdict:
    """Ask mlscorecheck. Raises MissingDependencyError where it is not installed and there is something to ask."""
    if not figures.counts:
        return _verdict(figures, None, figures.remark or "how many cases of each class were tested is not published")
    half = 0.5 * 10**-figures.decimals
    consistent = not _inconsistent(figures, half)
    total = sum(figures.counts.values())
    said = f"{'some' if consistent else 'no'} table of counts of {total:,} cases gives all of them within {half:g}"
    return _verdict(figures, consistent, f"{said}; {figures.remark}" if figures.remark else said)


def _verdict(figures: FigureSet, consistent: bool | None, why: str) -> Verdict:
    return Verdict(figures.study, figures.title, figures.source, dict(figures.scores), consistent, why)


def _inconsistent(figures: FigureSet, uncertainty: float) -> bool:
    with _quiet():
        try:
            from mlscorecheck.check.binary import check_1_testset_no_kfold
            from mlscorecheck.check.multiclass import check_1_testset_no_kfold_macro
        except ImportError as error:
            raise MissingDependencyError(
                f"asking whether figures can stand together needs {error.name}: pip install 'dermoscope[studies]'"
            ) from error
        scores = dict(figures.scores)
        if figures.kind == "two classes":
            found = check_1_testset_no_kfold(testset=dict(figures.counts), scores=scores, eps=uncertainty)
        else:
            counts = dict(enumerate(figures.counts.values()))
            found = check_1_testset_no_kfold_macro(testset=counts, scores=scores, eps=uncertainty, verbosity=0)
    return bool(found["inconsistency"])


@contextmanager
def _quiet() -> Iterator[None]:
    """mlscorecheck reports every step to the root logger, and calls a solver in a way that is to be renamed."""
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logging.disable(before)
