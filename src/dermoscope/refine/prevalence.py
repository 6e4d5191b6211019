"""How common malignant lesions are where a model is used, and what that does to its numbers.

A site says what share of the lesions that it looks at is malignant, and what share is melanoma. From that come a prior
(the other proportions are kept as they were in calibration), predictive values, and the question "what if". Malignant
are melanoma, basal cell and squamous cell carcinoma. Actinic keratosis is premalignant: the rule refers it, as a
physician should see it, and no share and no predictive value counts it as malignant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import Literal

import numpy as np

from dermoscope.core.errors import ValueRuleError, some
from dermoscope.core.estimate import LEVEL, Estimate
from dermoscope.core.prediction import Answer
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.refine.decision import MALIGNANT, DecisionRule, Evidence, decide
from dermoscope.refine.operating import MELANOMA, Sample, operating_point
from dermoscope.refine.prior import SETTINGS, shift_prior

OWN = "own"


@dataclass(frozen=True, slots=True)
class SiteSetting:
    """How common malignant lesions are at a site: shares among the lesions that are looked at there, and who counted.

    Raises ValueRuleError unless 0 < melanoma <= malignant < 1; where they are equal no other malignant lesion is seen,
    and `site_prior` leaves those as good as none.
    """

    name: str
    malignant: float
    melanoma: float
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.melanoma <= self.malignant < 1:
            raise ValueRuleError(
                f"setting {self.name!r}: {self.malignant} malignant and {self.melanoma} melanoma; give shares above 0 "
                "and below 1, melanoma at most as common as malignant"
            )


def _referral_centre() -> SiteSetting:
    counts = np.array(SETTINGS["bcn20000"].counts)
    malignant = float(counts[[0, 2, 7]].sum() / counts.sum())
    return SiteSetting(
        "referral_centre",
        malignant,
        float(counts[0] / counts.sum()),
        f"{SETTINGS['bcn20000'].source}: 2,857 melanomas, 2,809 basal cell and 431 squamous cell carcinomas. Images, "
        "not lesions, and selected for a data set",
    )


SITES: Mapping[str, SiteSetting] = MappingProxyType(
    {
        "general_practice": SiteSetting(
            "general_practice",
            0.045,
            36 / 1436,
            "Walter et al. 2013 (Br J Gen Pract 63:e345; lesions of the MoleMate trial, Walter et al. 2012, BMJ "
            "345:e4110): 36 melanomas among 1,436 pigmented lesions that could not at once be called benign, in "
            "general practices in eastern England. The abstract gives no count of other malignant lesions: 2 in 100 "
            "are assumed, in proportion to melanoma as in HAM10000",
        ),
        "skin_cancer_clinic": SiteSetting(
            "skin_cancer_clinic",
            138 / 463,
            29 / 463,
            "Rosendahl et al. 2011 (J Am Acad Dermatol 64:1068): 29 melanomas, 72 basal cell and 37 squamous cell "
            "carcinomas among 463 consecutive pigmented lesions excised in a skin-cancer practice in Queensland. Of "
            "lesions that are looked at and not excised fewer are malignant",
        ),
        "referral_centre": _referral_centre(),
    }
)
"""Settings that a site can start from; the abstracts and counts named were read. All are of selected lesions, elsewhere
and years ago: replace them by counts of your own, see `own`."""


def own(malignant: float, melanoma: float, source: str = "counted at this site") -> SiteSetting:
    """A site's own shares. Raises ValueRuleError as `SiteSetting` does."""
    return SiteSetting(OWN, malignant, melanoma, source)


def setting_named(name: str) -> SiteSetting:
    """One of `SITES`. Raises ValueRuleError, naming them, for another."""
    if name not in SITES:
        raise ValueRuleError(f"no setting {name!r}; there are {some(SITES)}, or give your own shares")
    return SITES[name]


def site_prior(setting: SiteSetting, calibration_prior: Prior) -> Prior:
    """The mix at a site: melanoma and malignant as its setting says, proportions within groups as in calibration.

    The groups are melanoma, the other malignant diagnoses, and the rest, actinic keratosis among it. A group of the
    others that is empty at the site keeps a share of one in a million, for a prior has no zeros.
    Raises ValueRuleError for a taxonomy without melanoma or without another malignant diagnosis.
    """
    taxonomy = calibration_prior.taxonomy
    malignant = taxonomy.of_group("malignant")
    melanoma = np.array([code == MELANOMA for code in taxonomy.codes])
    others = malignant & ~melanoma
    if not melanoma.any() or not others.any() or malignant.all():
        raise ValueRuleError(
            f"{taxonomy.name} does not tell melanoma, other malignant and other diagnoses apart; give a prior instead"
        )
    values = calibration_prior.values.copy()
    shares = (setting.melanoma, max(setting.malignant - setting.melanoma, 1e-6), 1 - setting.malignant)
    for group, share in zip((melanoma, others, ~malignant), shares, strict=True):
        values[group] *= share / values[group].sum()
    return Prior(setting.name, taxonomy, values / values.sum())


def predictive_values(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> tuple[Estimate, Estimate]:
    """Positive and negative predictive value where `prevalence` of the lesions are positive.

    Intervals: logit intervals of Mercaldo, Lau & Zhou 2007 (Statistics in Medicine 26:2170), for sensitivity and
    specificity measured on two groups of fixed size and a known prevalence; where one of them is 0 or 1 the adjusted
    ones, with z^2 / 2 cases more on either side (the form of that adjustment is from memory). They say nothing of how
    sure the prevalence is. `n` is both groups.

    Raises ValueRuleError for a prevalence outside 0 to 1; not measurable where one of the two is not.
    """
    if not 0 < prevalence < 1:
        raise ValueRuleError(f"a prevalence of {prevalence}; it must be above 0 and below 1")
    n = sensitivity.n + specificity.n
    if sensitivity.value is None or specificity.value is None or not sensitivity.n or not specificity.n:
        missing = Estimate.not_measurable("no sensitivity or specificity", sensitivity.unit, n)
        return missing, missing
    of_positive = _Rate(sensitivity.value, sensitivity.n)
    of_negative = _Rate(specificity.value, specificity.n)
    odds = prevalence / (1 - prevalence)
    ppv = _predictive(of_positive, of_negative, odds)
    npv = _predictive(of_negative, of_positive, 1 / odds)
    method = "logit" if _inner(of_positive) and _inner(of_negative) else "adjusted logit"
    return (
        Estimate(*ppv, method, sensitivity.unit, n)
        if ppv
        else Estimate.not_measurable("nothing is referred", "lesion", n),
        Estimate(*npv, method, sensitivity.unit, n)
        if npv
        else Estimate.not_measurable("everything is referred", "lesion", n),
    )


@dataclass(frozen=True, slots=True)
class _Rate:
    value: float
    n: int | float


def _inner(rate: _Rate) -> bool:
    return 0 < rate.value < 1


def _predictive(right: _Rate, other: _Rate, odds: float) -> tuple[float, float, float] | None:
    """Value and interval of right odds / (right odds + (1 - other)); None where nothing is called so."""
    hit, false = right.value * odds, 1 - other.value
    if hit + false <= 0:
        return None
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    if not (_inner(right) and _inner(other)):
        right, other = (_Rate((r.value * r.n + z * z / 2) / (r.n + z * z), r.n + z * z) for r in (right, other))
    logit = np.log(right.value * odds / (1 - other.value))
    spread = z * np.sqrt((1 - right.value) / right.value / right.n + other.value / (1 - other.value) / other.n)
    value = hit / (hit + false)
    low, high = (float(1 / (1 + np.exp(-(logit + side * spread)))) for side in (-1, 1))
    return value, min(low, value), max(high, value)


def of_100(probability: float) -> int | Literal["<1", ">99"]:
    """How many of 100 such lesions: a whole number, `<1` or `>99`; the words around it are the reader's language."""
    if probability < 0.01:
        return "<1"
    return ">99" if probability > 0.99 else round(100 * probability)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """How the numbers of one image would be at a site; it changes no record.

    `melanoma` and `malignant` are probabilities there. Of the lesions that the rule refers there `ppv` is the share
    that is malignant, of those of low concern `npv` the share that is not (None where the bundle holds no sample to
    measure it on). `answer` is what would be said.
    """

    setting: SiteSetting
    prior: Prior
    melanoma: float
    malignant: float
    ppv: Estimate | None
    npv: Estimate | None
    answer: Answer


def what_if(
    calibrated: Probabilities,
    recorded: Answer,
    setting: SiteSetting,
    rule: DecisionRule,
    calibration_prior: Prior,
    sample: Sample | None = None,
) -> WhatIf:
    """What would be said of one image at a site, from its record alone.

    `calibrated` is its row under the calibration prior, `recorded` its answer: what could not be assessed cannot be
    assessed anywhere. The sample is the bundle's (`Bundle.sample`).
    Raises ValueRuleError for other than one row, or as `site_prior` does.
    """
    if len(calibrated) != 1:
        raise ValueRuleError(f"{len(calibrated)} rows of probabilities; what if is asked of one image")
    prior = site_prior(setting, calibration_prior)
    there = shift_prior(calibrated, calibration_prior, prior)
    ppv, npv = (None, None) if sample is None else values_at(setting, rule, sample, calibration_prior)
    answer = recorded
    if recorded.kind != "cannot_assess":
        (answer,) = decide(rule, Evidence(calibrated, site=there))
    return WhatIf(
        setting,
        prior,
        float(there.column(MELANOMA)[0]),
        float(there.of_codes(code for code in MALIGNANT if code in there.taxonomy)[0]),
        ppv,
        npv,
        answer,
    )


def values_at(
    setting: SiteSetting, rule: DecisionRule, sample: Sample, calibration_prior: Prior
) -> tuple[Estimate, Estimate]:
    """Predictive values, for any malignant diagnosis, of the rule as it is at a site, among the images it answers."""
    point = operating_point(rule, sample, calibration_prior, site_prior(setting, calibration_prior))
    return predictive_values(
        point["malignant_sensitivity_answered"], point["not_malignant_answered"], setting.malignant
    )
