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
from dermoscope.core.probabilities import Prior
from dermoscope.data.preprocess import parse_steps, steps_as_json
from dermoscope.data.splits import Role
from dermoscope.predict.bundle import MODEL, Bundle
from dermoscope.predict.fitting import SENSITIVITY_FLOOR, concerning, fitted
from dermoscope.predict.manifest import FORMAT, Manifest, Member
from dermoscope.predict.views import first_views
from dermoscope.refine.calibrate import Scaling, calibration_as_dict
from dermoscope.train import export
from dermoscope.train.networks import Reader
from dermoscope.train.recipes import Recipe


@dataclass(frozen=True)
class Parts:
    """The cases of a run by what they are used for; no lesion stands in two of them."""

    fitted: CaseSet
    watched: CaseSet
    calibration: CaseSet


def finish(reader: Reader, recipe: Recipe, parts: Parts, drawn: np.ndarray, described: Card) -> Bundle:
    """Export the network and fit on the calibration role what stands between its logits and an answer.

    `drawn` [diagnoses] is the prior of the pictures that it learnt from.
    """
    raw = _uncalibrated(reader, recipe, parts, described)
    held = np.maximum(list(parts.calibration.counts().values()), 1)
    expected = np.log(held / held.sum() / np.maximum(drawn, 1e-4))
    return fitted(raw, parts.calibration, parts.fitted, expected_bias=expected)


def _uncalibrated(reader: Reader, recipe: Recipe, parts: Parts, described: Card) -> Bundle:
    taxonomy = parts.fitted.taxonomy
    weight, bias = export.head_weights(reader)
    counts = np.array(list(parts.fitted.counts().values()))
    member = Member(name=recipe.name.replace("/", "-"), file=MODEL, size=recipe.size, preprocessing=_steps(recipe))
    manifest = Manifest(
        format=FORMAT,
        name=recipe.name,
        taxonomy=taxonomy.name,
        diagnoses=tuple((d.code, d.name, d.group) for d in taxonomy.diagnoses),
        members=(member,),
        views=first_views(recipe.views),
        calibration=calibration_as_dict(Scaling.identity(len(taxonomy))),
        calibration_prior=tuple(Prior.uniform(taxonomy).values),
        training_counts=tuple(int(n) for n in np.maximum(counts, 1)),
        default_prior=recipe.prior,
        decision={"codes": concerning(taxonomy), "refer_at": 0.5, "sensitivity": SENSITIVITY_FLOOR},
        served=False,
        files={},
    )
    head = {f"{member.name}.head_weight": weight, f"{member.name}.head_bias": bias}
    return Bundle(manifest, {MODEL: export.to_onnx(reader, recipe.size)}, head, described)


def _steps(recipe: Recipe) -> tuple[dict[str, Any], ...]:
    return tuple(steps_as_json(parse_steps(recipe.preprocessing)))


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
