"""What a decision rule does to lesions whose diagnosis is known: how many it refers, and what of it is missed.

The rows it is measured on, the calibration role under the calibration prior, travel with the bundle, so that a service
can say what the rule would do under any mix of diagnoses and not only under those that were thought of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import AnswerKind
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.refine.decision import DecisionRule, Evidence, decide
from dermoscope.refine.prior import shift_prior

MELANOMA = "MEL"
Masks = dict[str, tuple[Bool[np.ndarray, " cases"], Bool[np.ndarray, " cases"], str]]


@dataclass(frozen=True, eq=False)
class Sample:
    """Lesions whose diagnosis is known, one image each.

    `calibrated` are their probabilities under the calibration prior, `labels` the columns of their diagnoses (-1: none
    of them), `assessed` is False where quality or strangeness kept the model from an answer.
    Raises ValueRuleError where the three have different lengths.
    """

    calibrated: Probabilities
    labels: Int[np.ndarray, " rows"]
    assessed: Bool[np.ndarray, " marks"]

    def __post_init__(self) -> None:
        if not len(self.calibrated) == len(self.labels) == len(self.assessed):
            raise ValueRuleError(
                f"{len(self.calibrated)} probabilities, {len(self.labels)} labels and {len(self.assessed)} marks of "
                "what was assessed"
            )


def masks(kinds: Sequence[AnswerKind], labels: Int[np.ndarray, " cases"], taxonomy: Taxonomy) -> Masks:
    """Figures of the answers by name: which cases hit, among which they are counted, and of what these are cases.

    Sensitivities, of melanoma, of the malignant diagnoses, and of the malignant and premalignant (without a prefix),
    count a case that was not assessed as referred; `..._abstained_missed` counts it as missed, `..._answered` leaves it
    out. `specificity` is the share of benign cases of low concern, `not_malignant_answered` the same of all cases that
    are not malignant and were assessed. `CODE.refer`, `CODE.low_concern`, `CODE.cannot_assess` say what became of each
    diagnosis.
    """
    said = np.array(kinds, dtype=object)
    answered, referred, calm = said != "cannot_assess", said == "refer", said == "low_concern"
    known = labels >= 0
    malignant = known & taxonomy.of_group("malignant")[labels]
    benign = known & taxonomy.of_group("benign")[labels]
    melanoma = np.array([label >= 0 and taxonomy.codes[label] == MELANOMA for label in labels], dtype=bool)
    found: Masks = {"answered": (answered, np.ones(len(labels), bool), "case")}
    kind_of = (("melanoma_", melanoma), ("malignant_", malignant), ("", known & ~benign))
    for (prefix, among), what in zip(
        kind_of, ("melanoma", "malignant case", "malignant or premalignant case"), strict=True
    ):
        found |= {
            f"{prefix}sensitivity": (referred | ~answered, among, what),
            f"{prefix}sensitivity_abstained_missed": (referred, among, what),
            f"{prefix}sensitivity_answered": (referred, among & answered, f"{what} with an answer"),
        }
    found["specificity"] = (calm, benign, "benign case")
    found["specificity_answered"] = (calm, benign & answered, "benign case with an answer")
    found["not_malignant_answered"] = (calm, ~malignant & answered, "case with an answer that is not malignant")
    for column, code in enumerate(taxonomy.codes):
        each = (("refer", referred), ("low_concern", calm), ("cannot_assess", ~answered))
        found |= {f"{code}.{kind}": (hits, labels == column, f"case of {code}") for kind, hits in each}
    return found


def operating_point(
    rule: DecisionRule,
    sample: Sample,
    calibration_prior: Prior,
    site: Prior | None = None,
    shown: Prior | None = None,
) -> Mapping[str, Estimate]:
    """What the rule does to a sample at a site (None: as common as in the calibration prior), with Wilson's intervals.

    `shown` is the prior that the reader sees, None the site's. Names as in `masks`. Sensitivities and specificities are
    of the sample's own diagnoses: how common they are at the site only moves what is referred.
    """
    here = None if site is None else shift_prior(sample.calibrated, calibration_prior, site)
    seen = None if shown is None else shift_prior(sample.calibrated, calibration_prior, shown)
    answers = decide(rule, Evidence(sample.calibrated, shown=seen, site=here))
    kinds = [a.kind if ok else "cannot_assess" for a, ok in zip(answers, sample.assessed, strict=True)]
    return {
        name: Estimate.of_counts(int((hits & among).sum()), int(among.sum()), "lesion", what)
        for name, (hits, among, what) in masks(kinds, sample.labels, sample.calibrated.taxonomy).items()
    }
