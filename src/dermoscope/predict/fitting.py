"""What stands between a bundle's logits and an answer, fitted on cases that were never trained on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.predictor import Predictor
from dermoscope.refine.calibrate import calibration_as_dict, fit_bias_corrected
from dermoscope.refine.decision import fit_refer_at
from dermoscope.refine.ood import fit_ood

Progress = Callable[[str, int, int], None]

OOD_DIMENSIONS = 64
"""Leading dimensions of the embedding in which strangeness is measured; fewer where there are few lesions."""

REFER_SENSITIVITY = 0.95
"""Share of malignant and premalignant lesions of the calibration role that the stored threshold refers."""


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
    codes = concerning(bundle.taxonomy)
    concern = calibrated.pipeline.calibrated(prediction).of_codes(codes)
    positive = np.isin(calibration.labels, [bundle.taxonomy.index(c) for c in codes]).astype(int)
    refer_at = fit_refer_at(concern, positive, REFER_SENSITIVITY)
    decision = {**bundle.manifest.decision, "codes": codes, "refer_at": refer_at, "sensitivity": REFER_SENSITIVITY}
    told = {"prediction": _how(calibrated), "decision": _rule(codes, refer_at, int(positive.sum()))}
    return replace(
        calibrated,
        manifest=calibrated.manifest.model_copy(update={"decision": decision}),
        arrays={**bundle.arrays, **_ood_arrays(bundle, training, prediction, progress)},
        card=bundle.card.model_copy(update=told),
    )


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


def _rule(codes: tuple[str, ...], refer_at: float, lesions: int) -> str:
    return (
        f"Refer from a summed probability of {', '.join(codes)} of {refer_at:.4f} under the calibration prior (it "
        f"refers at least {REFER_SENSITIVITY:.0%} of {lesions} such lesions of the role calibration), or when one of "
        "them is the most probable diagnosis under the prior shown; cannot assess what is stranger than every image of "
        "that role, or too small."
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
