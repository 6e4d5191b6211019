"""The same question of a network whose every layer is trained (`--full`): one random test part, two trainings.

Folds would take hours. One part of the images is drawn at random to be tested on; one network is trained without any
lesion of it, one on as many images of each diagnosis drawn from all the rest. Both are calibrated on the role
calibration, none of whose lesions either has seen.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256

import numpy as np

from dermoscope.core.cases import CaseSet
from dermoscope.core.study import Row
from dermoscope.data.splits import Role, Split
from dermoscope.studies import leakage as study
from dermoscope.studies.base import Context
from dermoscope.studies.gains import corrected
from dermoscope.studies.leakage_figures import Compared, resampled
from dermoscope.studies.leakage_readers import Bench
from dermoscope.studies.leakage_splits import ARMS, Arm, Rows, same_test, shared
from dermoscope.train.recipes import Recipe, recipe
from dermoscope.train.short import LITE0

SMALL = replace(
    LITE0, name="leakage/small", size=64, head=((1, 64),), phases=((7, 64),), average=(), ema=0.0, views=1, seed=0
)
"""EfficientNet-Lite0 at 64 px in eight epochs: what two cores can do twice. `--set tuned=NAME` takes another one."""


def tuned_recipe(context: Context) -> Recipe:
    """The recipe that was asked for, else `SMALL`. Raises RecipeError for one that does not exist."""
    name = context.asked.settings.get("tuned", SMALL.name)
    return SMALL if name == SMALL.name else recipe(name)


def tuned_rows(context: Context) -> list[Row]:
    """The gap of a fine-tuned network: all test images, those whose lesion the rest shows too, and the others."""
    cases, settings = context.plan.held.cases, tuned_recipe(context)
    called = f"{settings.backbone} at {settings.size} px"
    tested, *arms = same_test(cases.labels, cases.groups, study.FOLDS, 0)
    key = {name: value for name, value in settings.as_dict().items() if name != "full"}
    scores = {
        arm.name: context.piece({"tuned": arm.name, **key}, partial(_tuned, context, settings, arm))["scores"]
        for arm in arms
    }
    bench = Bench(None, np.zeros((len(cases), 0)), cases.labels, cases.groups, cases.taxonomy.codes)
    made = []
    for words, rows in _subsets(cases, tested):
        ways = {name: resampled([own], bench, rows) for name, own in scores.items()}
        split = f"{context.plan.held.name}, a random fifth of the roles training and validation"
        made.append((words, Compared(ways, split, called, ("accuracy", "balanced accuracy", "AUC"))))
    gains = corrected([compared.gains(*ARMS[:2]) for _, compared in made])
    size = len(arms[0].parts[0][0])
    mix = f"{size:,} images of the same mix of diagnoses in both"
    note = f"recipe {settings.name}, every layer trained, on {mix}; one run of each, one seed"
    return [
        Row(study.NAME, "method check", f"tuned: {words}", f"Fine-tuned {called}: {words}", (),
            (*compared.measured(), *gain), "" if k else note)
        for k, ((words, compared), gain) in enumerate(zip(made, gains, strict=True))
    ]  # fmt: skip


def _subsets(cases: CaseSet, tested: Rows) -> Sequence[tuple[str, Rows]]:
    sides = np.ones(len(cases), int)
    sides[tested] = 0
    torn = shared(sides, cases.groups)[tested]
    named = (
        ("all test images", tested),
        ("lesions that are also outside the test part", tested[torn]),
        ("other lesions", tested[~torn]),
    )
    return [(words, rows) for words, rows in named if len(rows)]


def _tuned(context: Context, settings: Recipe, arm: Arm) -> dict[str, np.ndarray]:
    """Probabilities of the tested images under the calibration prior; rows of other images are empty."""
    from dermoscope.predict.predictor import Predictor
    from dermoscope.train.run import Job, train

    given, ((training, tested),) = context.plan.held, arm.parts
    cases: CaseSet = given.cases
    held, split = divided(cases, given.calibration, training, tested)
    folder = context.folder / f"{settings.name}-{arm.name}".replace(" ", "-").replace("/", "-")
    job = Job(settings, held, folder, context.cache, split, {"name": f"{given.name}, {arm.name}"})
    predictor = Predictor.load(train(job, progress=context.progress))
    prediction = predictor.predict(held.take([cases.ids[row] for row in tested.tolist()]))
    scores = np.zeros((len(cases), len(cases.taxonomy)), np.float32)
    scores[tested] = predictor.refine(prediction, "calibration").values
    return {"scores": scores, "training": training}


def divided(cases: CaseSet, calibration: CaseSet, training: Rows, tested: Rows) -> tuple[CaseSet, Split]:
    """The cases that take part, and their roles; they forget their lesion, for training refuses to tear one."""
    roles: dict[str, Role] = {cases.ids[row]: "training" for row in training.tolist()}
    roles |= {cases.ids[row]: "test" for row in tested.tolist()}
    roles |= dict.fromkeys(calibration.ids, "calibration")
    held = (cases + calibration).where(lambda c: c.image_id in roles)
    held = replace(held, cases=tuple(replace(c, lesion_id=None, patient_id=None) for c in held))
    told = "".join(f"{image} {role}\n" for image, role in sorted(roles.items()))
    rows = {image: (image, role) for image, role in roles.items()}
    return held, Split(rows, sha256(told.encode()).hexdigest(), "the split of the study leakage")
