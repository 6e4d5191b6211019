"""From a trained network to a bundle: export, calibrate, set the thresholds, describe."""

import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from dermoscope.core.card import Card, DataUse
from dermoscope.core.cases import CaseSet
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.data.splits import Role
from dermoscope.predict.bundle import FORMAT, Bundle, Manifest
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.views import first_views
from dermoscope.refine.calibrate import fit_calibration
from dermoscope.refine.decision import fit_refer_at
from dermoscope.refine.ood import fit_ood
from dermoscope.train import export
from dermoscope.train.networks import Reader
from dermoscope.train.recipes import Recipe

OOD_DIMENSIONS = 64
"""Leading dimensions of the embedding in which strangeness is measured; fewer where there are few lesions."""

REFER_SENSITIVITY = 0.95
"""Share of malignant and premalignant lesions of the calibration role that the stored threshold refers."""


@dataclass(frozen=True)
class Parts:
    """The cases of a run by what they are used for; no lesion stands in two of them."""

    fitted: CaseSet
    watched: CaseSet
    calibration: CaseSet


def concerning(taxonomy: Taxonomy) -> tuple[str, ...]:
    """Codes of the malignant and premalignant diagnoses."""
    return tuple(d.code for d in taxonomy.diagnoses if d.group != "benign")


def finish(reader: Reader, recipe: Recipe, parts: Parts, drawn: np.ndarray, described: Card) -> Bundle:
    """Export the network and fit on the calibration role what stands between its logits and an answer."""
    raw = _uncalibrated(reader, recipe, parts, described)
    taxonomy, codes = raw.taxonomy, raw.decision.codes
    prediction = Predictor.load(raw).predict(parts.calibration)
    labels = parts.calibration.labels
    expected = np.log(raw.prior("calibration").values / np.maximum(drawn, 1e-4))
    fitted = fit_calibration(prediction, labels, expected)
    concern = fitted.apply(prediction).probabilities().of_codes(codes)
    positive = np.isin(labels, [taxonomy.index(c) for c in codes]).astype(int)
    refer_at = fit_refer_at(concern, positive, REFER_SENSITIVITY)
    shares = ", ".join(f"{c} {v:.3f}" for c, v in zip(taxonomy.codes, raw.manifest.calibration_prior, strict=True))
    prediction_text = (
        f"Input {recipe.size} px, mean over {recipe.views} views. Probabilities are calibrated where diagnoses are as "
        f"common as in the role calibration ({shares}), and shown under the prior {recipe.prior!r} unless another is "
        "asked for; views and prior were chosen on validation for balanced accuracy. Among the figures, those that "
        "begin with `calibration:` are under the calibration prior, those with `isic2018:` over its seven diagnoses, "
        "the others under the default prior."
    )
    rule = (
        f"Refer from a summed probability of {', '.join(codes)} of {refer_at:.4f} under the calibration prior (it "
        f"refers at least {REFER_SENSITIVITY:.0%} of {positive.sum()} such lesions of the role "
        "calibration), or when one of them is the most probable diagnosis under the prior shown; cannot assess what is "
        "stranger than every image of that role, or too small."
    )
    return replace(
        raw,
        manifest=raw.manifest.model_copy(
            update={
                "temperature": fitted.temperature,
                "bias": tuple(float(b) for b in fitted.bias),
                "decision": {**raw.manifest.decision, "refer_at": refer_at},
            }
        ),
        arrays={**raw.arrays, **_ood_arrays(raw, parts, prediction)},
        card=described.model_copy(update={"decision": rule, "prediction": prediction_text}),
    )


def _uncalibrated(reader: Reader, recipe: Recipe, parts: Parts, described: Card) -> Bundle:
    taxonomy = parts.fitted.taxonomy
    weight, bias = export.head_weights(reader)
    counts = np.array(list(parts.fitted.counts().values()))
    held = np.array(list(parts.calibration.counts().values()))
    calibration_prior = Prior.from_counts("calibration", taxonomy, np.maximum(held, 1))  # no share may be 0
    manifest = Manifest(
        format=FORMAT,
        name=recipe.name,
        taxonomy=taxonomy.name,
        diagnoses=tuple((d.code, d.name, d.group) for d in taxonomy.diagnoses),
        size=recipe.size,
        views=first_views(recipe.views),
        temperature=1.0,
        bias=(0.0,) * len(taxonomy),
        calibration_prior=tuple(calibration_prior.values),
        training_counts=tuple(int(n) for n in np.maximum(counts, 1)),
        default_prior=recipe.prior,
        decision={"codes": concerning(taxonomy), "refer_at": 0.5, "sensitivity": REFER_SENSITIVITY},
        files={},
    )
    return Bundle(manifest, export.to_onnx(reader, recipe.size), {"head_weight": weight, "head_bias": bias}, described)


def _ood_arrays(raw: Bundle, parts: Parts, calibration: Prediction) -> dict[str, np.ndarray]:
    lesions = parts.fitted.one_per_lesion()
    dimensions = min(OOD_DIMENSIONS, len(lesions) // 4)
    if dimensions < 4:
        return {}
    training = Predictor.load(raw).predict(lesions, views=1)
    if training.embedding is None or calibration.embedding is None:
        return {}
    found = fit_ood(training.embedding, lesions.labels, calibration.embedding, dimensions=dimensions)
    return {f"ood_{name}": getattr(found, name) for name in ("centre", "projection", "means", "quantiles")}


def card(recipe: Recipe, parts: Parts, roles: Sequence[Role], data_use: Mapping[str, str]) -> Card:
    """The card of a run before anything is measured."""
    settings: dict[str, Any] = json.loads(json.dumps(replace(recipe, full={}).as_dict()))
    return Card(
        name=recipe.name,
        summary=f"{recipe.backbone} at {recipe.size} px, recipe {recipe.name}",
        licence=data_use.get("weights_licence", data_use.get("licence", "not stated")),
        intended_use="Research on dermoscopic images; not a medical device, no diagnosis without a physician.",
        not_for=("clinical photographs", "lesions of nail, mucosa, palm or sole", "people under 18"),
        not_in_training=tuple(item.strip() for item in data_use.get("lacks", "").split(";") if item.strip()),
        data=(
            DataUse(
                name=data_use.get("name", "unnamed"),
                licence=data_use.get("licence", "not stated"),
                citation=data_use.get("citation", "not stated"),
                roles=tuple(roles),
                images=len(parts.fitted),
                lesions=len(set(parts.fitted.groups)),
                images_per_diagnosis=dict(parts.fitted.counts()),
            ),
        ),
        recipe=settings,
        run={
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "device": device_name(),
            "torch": torch.__version__.split("+")[0],
        },
    )


def device_name() -> str:
    """The GPU's name, else the processor's architecture."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
