"""What stands between a bundle's logits and an answer, fitted on cases that were never trained on."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.card import Figures
from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.predictor import Predictor
from dermoscope.refine.calibrate import calibration_as_dict, fit_bias_corrected
from dermoscope.refine.decision import DecisionRule, fit_floor_at, fit_threshold
from dermoscope.refine.ood import fit_ood
from dermoscope.refine.operating import MELANOMA, Sample, operating_point

Progress = Callable[[str, int, int], None]

OOD_DIMENSIONS = 64
"""Leading dimensions of the embedding in which strangeness is measured; fewer where there are few lesions."""

REFER_AT = 0.1
"""Probability at a site from which a lesion is referred: one of ten such lesions is malignant or premalignant. A
judgement after a look at the validation role (ADR 0013): where every second lesion is malignant 0.04 would refer nearly
everything."""

SENSITIVITY_FLOOR = 0.95
"""Share of malignant and premalignant lesions of the calibration role that is referred whatever a site sets."""

MELANOMA_FLOOR = 0.95
"""The same of melanomas, of those to come. A judgement: the Cochrane review predicts 92 % of dermoscopy in person, at a
specificity of 80 % (Dinnes et al. 2018, CD011902); see ADR 0013."""


def concerning(taxonomy: Taxonomy) -> tuple[str, ...]:
    """Codes of the malignant and premalignant diagnoses."""
    return tuple(d.code for d in taxonomy.diagnoses if d.group != "benign")


def fitted(
    bundle: Bundle,
    calibration: CaseSet,
    training: CaseSet | None = None,
    *,
    expected_bias: Float[np.ndarray, " diagnoses"] | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """The bundle, calibrated and ready to be served.

    On `calibration` (one image of every lesion, none of which was trained on) are fitted: a temperature and biases of
    the mean over members and views (around `expected_bias`, see `fit_bias_corrected`), the calibration prior, and the
    threshold from which it refers. With `training` and a graph that gives embeddings, so is how strange an image is.

    Raises InputError where `calibration` holds nothing to refer, or is over other diagnoses than the bundle.
    """
    _check(bundle, calibration)
    prediction = Predictor.load(bundle).predict(calibration, progress=_part(progress, "calibrating"))
    calibrated = _calibrated(bundle, prediction, calibration, expected_bias)
    arrays = {**bundle.arrays, **_ood_arrays(bundle, training, prediction, progress)}
    card = bundle.card.model_copy(update={"prediction": _how(calibrated)})
    return _decided(replace(calibrated, arrays=arrays, card=card), prediction, calibration.labels)


def refitted(bundle: Bundle, calibration: CaseSet, *, progress: Progress | None = None) -> Bundle:
    """The bundle with its decision fitted again on `calibration`; network, calibration and priors stay as they are.

    Raises InputError as `fitted` does, BundleError for a bundle that has not been calibrated here.
    """
    bundle.check_served()
    _check(bundle, calibration)
    prediction = Predictor.load(bundle).predict(calibration, progress=_part(progress, "calibrating"))
    return _decided(bundle, prediction, calibration.labels)


def _decided(bundle: Bundle, prediction: Prediction, labels: Int[np.ndarray, " cases"]) -> Bundle:
    """The bundle with thresholds, what they were fitted on, and what the rule does there as it is served by default."""
    calibrated = bundle.pipeline.calibrated(prediction)
    fields = thresholds(calibrated, labels, concerning(bundle.taxonomy))
    kept = {k: v for k, v in bundle.manifest.decision.items() if k in ("ood_limit", "smallest_side", "limits")}
    draft = replace(bundle, manifest=bundle.manifest.model_copy(update={"decision": kept | fields}))
    answers = [r.answer.kind for r in Predictor(draft, ()).results(prediction, "calibration")]
    sample = Sample(calibrated, labels, np.array([kind != "cannot_assess" for kind in answers], dtype=bool))
    point = operating_point(
        draft.decision, sample, bundle.prior("calibration"), shown=bundle.prior(bundle.manifest.default_prior)
    )
    limits = {"ood_limit": draft.decision.ood_limit, "limits": asdict(draft.decision.quality)}
    decision = fields | limits | {"operating_point": {name: e.as_dict() for name, e in point.items()}}
    rows = {"probabilities": calibrated.values, "labels": labels.astype(np.int16), "assessed": sample.assessed}
    return replace(
        bundle,
        manifest=bundle.manifest.model_copy(update={"decision": decision}),
        arrays={**bundle.arrays, **{f"decision_{name}": array for name, array in rows.items()}},
        card=bundle.card.model_copy(
            update={"decision": _rule(draft.decision, sample), "operating_point": _told(point)}
        ),
    )


def thresholds(calibrated: Probabilities, labels: Int[np.ndarray, " cases"], codes: tuple[str, ...]) -> dict[str, Any]:
    """What a manifest says of the two thresholds, fitted on cases under the calibration prior.

    The floor is the lower of two: that of the melanomas, and that of all malignant and premalignant cases.
    """
    taxonomy, concern = calibrated.taxonomy, calibrated.of_codes(codes)
    positive = np.isin(labels, [taxonomy.index(c) for c in codes]).astype(int)
    floors = [fit_threshold(concern, positive, SENSITIVITY_FLOOR)]
    if MELANOMA in taxonomy and (melanoma := (labels == taxonomy.index(MELANOMA)).astype(int)).any():
        floors.append(fit_floor_at(concern, melanoma, MELANOMA_FLOOR))
    return {
        "codes": codes,
        "refer_at": REFER_AT,
        "sensitivity": SENSITIVITY_FLOOR,
        "floor_at": min(floors),
        "floor": MELANOMA_FLOOR,
    }


def _calibrated(
    bundle: Bundle, prediction: Prediction, cases: CaseSet, expected_bias: Float[np.ndarray, " diagnoses"] | None
) -> Bundle:
    counts = np.array(list(cases.counts().values()))
    prior = Prior.from_counts("calibration", bundle.taxonomy, np.maximum(counts, 1))  # no share may be 0
    calibrator = fit_bias_corrected(bundle.pipeline.mean(prediction), cases.labels, expected_bias)
    fields = {"calibration": calibration_as_dict(calibrator), "calibration_prior": tuple(map(float, prior.values))}
    return replace(bundle, manifest=bundle.manifest.model_copy(update={**fields, "served": True}))


def _check(bundle: Bundle, calibration: CaseSet) -> None:
    if calibration.taxonomy.codes != bundle.taxonomy.codes:
        raise InputError(
            f"the cases are of {calibration.taxonomy.name}, bundle {bundle.manifest.name!r} of {bundle.taxonomy.name}; "
            "give cases with the bundle's diagnoses"
        )
    codes = concerning(bundle.taxonomy)
    if not any(calibration.counts()[code] for code in codes):
        raise InputError(f"no case of {', '.join(codes)} has the role calibration; the threshold is chosen on those")
    if (calibration.labels < 0).any():
        raise InputError("cases without a diagnosis cannot calibrate a bundle; leave them out")


def _part(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _how(bundle: Bundle) -> str:
    manifest = bundle.manifest
    prior = zip(bundle.taxonomy.codes, manifest.calibration_prior, strict=True)
    shares = ", ".join(f"{code} {value:.3f}" for code, value in prior)
    sizes = ", ".join(f"{m.size}" for m in bundle.members)
    several = f", {manifest.mean} mean over {len(bundle.members)} members" if bundle.members[1:] else ""
    return (
        f"Input {sizes} px, mean over {len(manifest.views)} views{several}. Probabilities are calibrated, after that "
        f"mean, where diagnoses are as common as in the role calibration ({shares}), and shown under the prior "
        f"{manifest.default_prior!r} unless another is asked for; views and prior were chosen on validation for "
        "balanced accuracy. Among the figures, those that begin with `calibration:` are under the calibration prior, "
        "those with `isic2018:` over its seven diagnoses, the others under the default prior."
    )


def _rule(rule: DecisionRule, sample: Sample) -> str:
    taxonomy = sample.calibrated.taxonomy
    lesions = int(np.isin(sample.labels, [taxonomy.index(c) for c in rule.codes]).sum())
    melanomas = int((sample.labels == taxonomy.index(MELANOMA)).sum()) if MELANOMA in taxonomy else 0
    blocking = ", ".join(word.replace("_", " ") for word in rule.quality.blocking)
    return (
        f"Refer from a summed probability of {', '.join(rule.codes)} of {rule.refer_at:.2f} in the mix of the site "
        f"(without one that of the role calibration); from {rule.lowest:.4f} in the mix of the role calibration, "
        f"whatever the site (it refers at least {rule.sensitivity:.0%} of the {lesions} such lesions of that role, and "
        f"was chosen on its {melanomas} melanomas so that a further one like them is referred with a probability of at "
        f"least {MELANOMA_FLOOR:.0%}); or "
        "when one of them is the most probable diagnosis under the prior shown. Cannot assess: what the intake says "
        f"was not in the training; a picture that is {blocking}; what is stranger than every image of that role."
    )


def _told(point: Mapping[str, Estimate]) -> Figures:
    return Figures(
        title="Operating point",
        split="the role calibration, on which both thresholds were chosen, as it is served by default",
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        scorings=0,
        estimates={f"decision.{name}": e.as_dict() for name, e in point.items()},
    )


def _ood_arrays(
    bundle: Bundle, training: CaseSet | None, calibration: Prediction, progress: Progress | None
) -> dict[str, np.ndarray]:
    if training is None or calibration.embedding is None:
        return {}
    # a case that is none of the diagnoses would count as a kind of its own, and more of it as usual
    lesions = training.where(lambda c: c.diagnosis is not None).one_per_lesion()
    dimensions = min(OOD_DIMENSIONS, len(lesions) // 4)
    if dimensions < 4:
        return {}
    first = bundle.members[0]
    alone = replace(bundle, manifest=bundle.manifest.model_copy(update={"members": (first,)}))
    known = Predictor.load(alone).predict(lesions, views=1, progress=_part(progress, "what is usual"))
    if known.embedding is None:
        return {}
    found = fit_ood(known.embedding, lesions.labels, calibration.embedding, dimensions=dimensions)
    return {f"ood_{name}": getattr(found, name) for name in ("centre", "projection", "means", "quantiles")}
