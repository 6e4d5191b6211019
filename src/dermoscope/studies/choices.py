"""Choices that a bundle carries, made on the validation role with the twin that was not trained on it.

`dermoscope choices --bundle RUN/chosen` prints, for numbers of views and for priors, the seven-class balanced accuracy
and the melanoma AUC on the sharper copies and on the whole field of the same lesions. The recipe then names what was
chosen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from dermoscope.core.cases import CaseSet
from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import Prediction
from dermoscope.core.taxonomy import ISIC2019_TO_ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.data.splits import sharpest_per_lesion, with_role
from dermoscope.evaluate.score import evaluate
from dermoscope.predict.predictor import Predictor

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Choice:
    """One way to predict and what it reaches on validation."""

    copy: str
    views: int
    prior: str
    balanced_accuracy: Estimate
    accuracy: Estimate
    melanoma_auc: Estimate


def compare(
    predictor: Predictor,
    cases: CaseSet,
    *,
    views: Sequence[int] = (1, 2, 4, 8, 16),
    priors: Sequence[str] = ("uniform", "training", "calibration"),
    progress: Callable[[str], Progress] | None = None,
) -> Iterator[Choice]:
    """Every combination on the validation role of `cases`; the most views are predicted once and cut down."""
    validation = sharpest_per_lesion(with_role(cases, "validation"))
    whole = replace(validation, cases=tuple(replace(c, path=c.copies[0]) if c.copies else c for c in validation))
    truth = Truth.from_cases(validation).merged(ISIC2019_TO_ISIC2018)
    for copy, held in (("sharper", validation), ("whole field", whole)):
        told = progress(copy) if progress is not None else None
        prediction = predictor.predict(held, views=max(views), progress=told)
        for count in views:
            for prior in priors:
                figures = _figures(predictor, prediction.first_views(count), truth, prior)
                yield Choice(copy, count, prior, *figures)


def _figures(
    predictor: Predictor, prediction: Prediction, truth: Truth, prior: str
) -> tuple[Estimate, Estimate, Estimate]:
    found = evaluate(predictor.refine(prediction, prior).merged(ISIC2019_TO_ISIC2018), truth, resamples=500)
    return found["balanced_accuracy"], found["accuracy"], found["MEL.auc"]
