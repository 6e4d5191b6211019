"""A training run from cases to a finished bundle: fit, export, calibrate, set the thresholds, write the card."""

import datetime
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from dermoscope.core.card import Card, DataUse
from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.data.splits import Role, check_apart, sharpest_per_lesion, with_role
from dermoscope.predict.bundle import FORMAT, Bundle, Manifest, save
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.views import first_views
from dermoscope.refine.calibrate import fit_calibration
from dermoscope.refine.decision import fit_refer_at
from dermoscope.refine.ood import fit_ood
from dermoscope.train import export
from dermoscope.train.batches import TrainingPictures, plain, sampling_prior
from dermoscope.train.loop import Monitor, Progress, fit, shipping_stages, stages
from dermoscope.train.networks import Reader, tune_allocator
from dermoscope.train.pictures import cached
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


def divide(cases: CaseSet, roles: Sequence[Role] = ("training",)) -> Parts:
    """Cases with a diagnosis by role; what is watched after every epoch is empty when validation is trained on.

    Raises LeakError when a lesion or patient stands on both sides, InputError when a part that is needed is empty (a
    calibration part without anything to refer counts as that) or `roles` asks to train on calibration or test.
    """
    if set(roles) - {"training", "validation"}:
        raise InputError("only the roles training and validation may be trained on")
    known = cases.where(lambda c: c.diagnosis is not None and c.path is not None)
    parts = Parts(
        with_role(known, *roles),
        sharpest_per_lesion(with_role(known, "validation")) if "validation" not in roles else replace(known, cases=()),
        sharpest_per_lesion(with_role(known, "calibration")),
    )
    check_apart(fitted=parts.fitted, watched=parts.watched, calibration=parts.calibration)
    check_apart(fitted=parts.fitted, test=with_role(known, "test"))
    for role, part in ((" or ".join(roles), parts.fitted), ("calibration", parts.calibration)):
        if not len(part):
            raise InputError(f"no case with a diagnosis and an image file has the role {role}; give more lesions")
    if not any(parts.calibration.counts()[code] for code in _concerning(cases.taxonomy)):
        raise InputError(
            "no malignant or premalignant case has the role calibration, and the threshold for referring is chosen on "
            "those; give more lesions"
        )
    return parts


def _concerning(taxonomy: Taxonomy) -> tuple[str, ...]:
    return tuple(d.code for d in taxonomy.diagnoses if d.group != "benign")


def train(
    recipe: Recipe,
    cases: CaseSet,
    out: Path,
    *,
    ship: bool = False,
    cache: Path,
    data_use: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Run a recipe on the training role and leave a bundle in `out/chosen`; with `ship`, go on for shipping.

    The bundle in `out/chosen` has never seen the validation role: choices and its validation figures are made with it.
    `ship` continues the same network on training + validation and leaves that in `out/bundle`. A run that was cut goes
    on where it stopped. `data_use` has `name`, `licence`, `citation` and `lacks` (joined by semicolons) for the card.
    """
    tune_allocator()
    cv2.setNumThreads(1)  # a pool of threads feeds the loop; threads inside each call would only disturb them
    parts = divide(cases, ("training",))
    data = decoded(parts.fitted, recipe.size, cache, progress)
    drawn = sampling_prior(data.labels, len(cases.taxonomy), recipe.balance)
    if recipe.kind == "probe":
        from dermoscope.train.probe import fit_probe

        reader = fit_probe(recipe, data, cache, progress)
    else:
        monitor = _monitor(parts.watched, recipe, drawn, cache)
        reader = fit(recipe, stages(recipe), data, out / "chosen-run", monitor=monitor, progress=progress)
    described = card(recipe, parts, ("training",), data_use or {})
    bundle = save(finish(reader, recipe, parts, drawn, described), out / "chosen")
    if not (ship and shipping_stages(recipe)):
        return bundle
    parts = divide(cases, ("training", "validation"))
    data = decoded(parts.fitted, recipe.size, cache, progress)
    again = replace(recipe, seed=recipe.seed + 1)  # other draws than the first epochs had
    reader = fit(again, shipping_stages(recipe), data, out / "ship-run", start=reader, progress=progress)
    described = card(recipe, parts, ("training", "validation"), data_use or {})
    described = described.model_copy(update={"run": {**described.run, "twin": bundle.sha256}})
    return save(finish(reader, recipe, parts, drawn, described), out / "bundle")


def decoded(cases: CaseSet, size: int, cache: Path, progress: Progress | None = None) -> TrainingPictures:
    """Every copy of every case in the decoded cache."""
    paths = [path for c in cases for path in (c.path, *c.copies) if path is not None]
    told = None if progress is None else lambda done, total: progress("decoding", done, total)
    copies = np.array([1 + len(c.copies) for c in cases])
    first = np.concatenate([[0], np.cumsum(copies)[:-1]])
    return TrainingPictures(cases, cached(paths, size, cache, told), first, copies)


def _monitor(cases: CaseSet, recipe: Recipe, prior: np.ndarray, cache: Path) -> Monitor | None:
    if not len(cases):
        return None
    from dermoscope.train.watch import score_under_uniform

    data = decoded(cases, recipe.size, cache)
    pictures = plain(data.pictures, data.first, recipe.size)
    return Monitor(pictures, data.labels, score_under_uniform(prior, cases.taxonomy))


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
        decision={"codes": _concerning(taxonomy), "refer_at": 0.5, "sensitivity": REFER_SENSITIVITY},
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
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
            "torch": torch.__version__.split("+")[0],
        },
    )
