"""What every preprocessing step is worth: `quick` with it against `quick` without, on the same lesions.

The steps are those of Steppan & Hanke 2021 and what the field adds (colour constancy, hair removal); the paper gives no
figure for any of them, so the study claims nothing and measures. Training and prediction both see the step. Each figure
is the mean over `SEEDS` heads on the same frozen features; differences are paired by lesion, and Holm's correction runs
over all of them on the validation role, by which a step is chosen. The other clinic (ISIC 2017: melanoma, nevus, benign
keratosis) is reported and decides nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dermoscope.core.cases import CaseSet
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.study import Measured, Row
from dermoscope.core.taxonomy import ISIC2019, ISIC2019_TO_ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.evaluate.intervals import holm
from dermoscope.evaluate.repeats import Resampled, resampled
from dermoscope.studies.base import Asked, Context, Plan, Study, check_used
from dermoscope.studies.material import Material, embedded, fitted, material, quick
from dermoscope.studies.steppan2021 import PAPER

SEEDS = 3

VARIANTS: tuple[str, ...] = (
    "trim_border",
    "trim_border=0.05/inside",
    "crop_logos",
    "remove_hair",
    "shades_of_grey",
    "pad",
    "shave",
)
"""What is compared with no step at all."""

RESAMPLES = 1000

FIRST = 48
"""Pictures by which it is judged whether steps change most of them."""

HERE = ("balanced_accuracy", "macro_average.auc", "MEL.auc")
THERE = ("MEL.auc",)

NOTE = (
    "frozen ImageNet features of {backbone} at {size} px, linear head, mean of {seeds} seeds; whole-field "
    "copies, one image per lesion, at most 900 training lesions of a diagnosis; {changed} of {n} pictures changed"
)


def plan(asked: Asked) -> Plan:
    """Recipe, variants and cases of the study."""
    recipe = quick(asked.settings)
    check_used(asked, "backbone", "balance", "seed")
    cases = material(asked)
    settings = {**recipe.as_dict(), "variants": list(VARIANTS), "seeds": SEEDS}
    return Plan(settings, cases.told(), cases)


def run(context: Context) -> tuple[Row, ...]:
    """One row for no step, then one for each variant."""
    recipe, cases = quick(context.asked.settings), context.plan.held
    plain = _figures(context, recipe, cases, embedded(context, recipe, cases.paths))
    found = []
    for done, variant in enumerate(VARIANTS, start=1):
        own = recipe.with_settings({"preprocessing": variant})
        features, changed = _features(context, own, recipe, cases.paths)
        found.append((variant, changed, _figures(context, own, cases, features)))
        context.told("steps", done, len(VARIANTS))
    differences = _differences(plain, found, cases)
    note = NOTE.format(backbone=recipe.backbone, size=recipe.size, seeds=SEEDS, changed="{changed}", n=len(cases.paths))
    rows = [_row("none", "no step", _estimates(plain, cases), note.format(changed=0))]
    for (variant, changed, figures), paired in zip(found, differences, strict=True):
        rows.append(
            _row(variant, variant, (*_estimates(figures, cases), *paired), note.format(changed=int(changed.sum())))
        )
    return tuple(rows)


def _row(name: str, title: str, measured: tuple[Measured, ...], note: str) -> Row:
    return Row("preprocessing", "method check", name, title, (), measured, note)


def _features(context: Context, own: Any, plain: Any, paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Features of the prepared pictures, and which pictures the steps change: only those are computed.

    Where the steps change most of the first pictures, all are taken to be changed.
    """
    changed = context.piece(
        {"changed": list(own.preprocessing)}, lambda: {"changed": _changed(context, own.steps, paths)}
    )["changed"]
    features = embedded(context, plain, paths).copy()
    if changed.any():
        features[changed] = embedded(context, own, [p for p, c in zip(paths, changed, strict=True) if c])
    return features, changed


def _changed(context: Context, steps: Any, paths: list[Path]) -> np.ndarray:
    from dermoscope.data.images import read_images
    from dermoscope.data.preprocess import prepare

    out = np.zeros(len(paths), bool)
    for row, picture in read_images(paths):
        if isinstance(picture, Exception):
            raise picture
        after = prepare(picture.pixels, steps)
        out[row] = after.shape != picture.pixels.shape or not np.array_equal(after, picture.pixels)
        if row + 1 == FIRST and out[:FIRST].mean() > 0.5:
            return np.ones(len(paths), bool)
        if row % 256 == 255:
            context.told("pictures that a step changes", row + 1, len(paths))
    return out


Figures = tuple[Resampled, ...]
"""Of the validation role, and of the other clinic where there is one."""


def _figures(context: Context, recipe: Any, cases: Material, features: np.ndarray) -> Figures:
    training, *measured = cases.divided(features)
    labels, taxonomy = cases.training.labels, cases.training.taxonomy

    def make() -> dict[str, np.ndarray]:
        out: dict[str, list[np.ndarray]] = {str(k): [] for k in range(len(measured))}
        for seed in range(SEEDS):
            weight, bias, shown = fitted(replace(recipe, seed=recipe.seed + seed), training, labels, len(taxonomy))
            for k, rows in enumerate(measured):
                out[str(k)].append(_uniform(rows @ weight.T + bias, shown))
        return {name: np.stack(values) for name, values in out.items()}

    found = context.piece({"scores": list(recipe.preprocessing)}, make)
    return tuple(
        _resampled([found[str(k)][s] for s in range(SEEDS)], part, elsewhere=k > 0)
        for k, part in enumerate(cases.parts[1:])
    )


def _uniform(logits: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Probabilities as if every diagnosis that was trained on were as common as every other."""
    weight = np.exp(logits - logits.max(axis=1, keepdims=True)).astype(float)
    weight = np.divide(weight, shown, out=np.zeros_like(weight), where=shown > 0)
    return weight / weight.sum(axis=1, keepdims=True)


def _resampled(scores: Sequence[np.ndarray], cases: CaseSet, *, elsewhere: bool) -> Resampled:
    truth = Truth.from_cases(cases)
    taxonomy = cases.taxonomy
    kept = [taxonomy.index(d) for d in {c.diagnosis for c in cases} if d] if elsewhere else list(range(len(taxonomy)))
    repeats = []
    for values in scores:
        own = np.zeros_like(values)
        own[:, kept] = values[:, kept]
        repeats.append(Probabilities(cases.ids, taxonomy, own / own.sum(axis=1, keepdims=True)))
    if elsewhere:
        return resampled(repeats, truth, among=tuple(taxonomy.codes[k] for k in sorted(kept)), resamples=RESAMPLES)
    if taxonomy == ISIC2019:
        truth = truth.merged(ISIC2019_TO_ISIC2018)
        return resampled([r.merged(ISIC2019_TO_ISIC2018) for r in repeats], truth, resamples=RESAMPLES)
    return resampled(repeats, truth, resamples=RESAMPLES)


def _splits(cases: Material) -> list[tuple[str, tuple[str, ...]]]:
    here = [(f"{cases.name}, role validation, one image per lesion", HERE)]
    return here + [("isic2017, role validation, MEL NV BKL", THERE)] * (cases.elsewhere is not None)


def _estimates(figures: Figures, cases: Material) -> tuple[Measured, ...]:
    return tuple(
        Measured(name, held.estimate(name), split, "quick")
        for held, (split, names) in zip(figures, _splits(cases), strict=True)
        for name in names
    )


def _differences(
    plain: Figures, found: Sequence[tuple[str, np.ndarray, Figures]], cases: Material
) -> list[tuple[Measured, ...]]:
    """Paired differences from no step, with Holm's correction over all variants of one split."""
    out: list[tuple[Measured, ...]] = [() for _ in found]
    for k, (split, names) in enumerate(_splits(cases)):
        drawn = [
            (at, name, figures[k].minus(plain[k], name)) for at, (_, _, figures) in enumerate(found) for name in names
        ]
        for (at, name, d), p in zip(drawn, holm([d.p_value for _, _, d in drawn]), strict=True):
            out[at] += (Measured(name, d.estimate, split, "quick", "no step", d.p_value, p),)
    return out


STUDY = Study(
    name="preprocessing",
    title="Preprocessing steps, each against none",
    paper=PAPER,
    claims=(),
    plan=plan,
    run=run,
)
