"""The trap of augmenting before splitting: rotated copies of an image on both sides.

Hosny et al. 2019 enlarge their data by rotating every image and report accuracies above 95 %. Whoever rotates first and
splits then tests on copies of what was trained on. Here one image of each lesion is turned by `ANGLES`. Pooled and
split at random, or split first: both answer the same pictures out of folds of the same sizes, and both train on copies.
"""

from collections import Counter
from functools import partial
from hashlib import sha256

import numpy as np

from dermoscope.core.cases import CaseSet
from dermoscope.core.study import Row
from dermoscope.studies import leakage as study
from dermoscope.studies.base import Context
from dermoscope.studies.gains import corrected
from dermoscope.studies.leakage_figures import Compared, resampled
from dermoscope.studies.leakage_readers import READERS, Bench, Values, out_of_fold
from dermoscope.studies.leakage_splits import Folds, image_folds, lesion_folds

ANGLES = (0.0, 45.0, 90.0, 180.0, 270.0)
"""Degrees; what lies beyond the edge is mirrored."""

MOST = 900
"""Lesions of a diagnosis at most, by the hash of their id: nevi are two thirds of HAM10000."""

BEFORE, AFTER = "rotated before the split", "rotated after the split"

READ_BY = ("linear head", "5 nearest", "1 nearest")
"""Not by the kernel: of five copies it takes a hundred times as long."""

_TWO = ("MEL", "NV")


def chosen(cases: CaseSet) -> CaseSet:
    """One image of each lesion, at most `MOST` of a diagnosis."""
    counts: Counter[str | None] = Counter()
    kept: set[str] = set()
    for case in sorted(cases.one_per_lesion(), key=lambda c: sha256(c.group.encode()).hexdigest()):
        counts[case.diagnosis] += 1
        if counts[case.diagnosis] <= MOST:
            kept.add(case.image_id)
    return cases.where(lambda c: c.image_id in kept)


def rotated_rows(context: Context) -> list[Row]:
    """Every reader on every set: all copies, the unrotated ones, melanoma against nevus; then what the paper claims."""
    rows = [row for name, cases in context.plan.held.rotated.items() for row in _rows_of(context, name, cases)]
    note = "other data and a tuned network: nothing is subtracted, and in which order it split and rotated is not known"
    return [*rows, Row(study.NAME, "method check", "hosny", "What Hosny et al. report", study.ROTATED, (), note)]


def _rows_of(context: Context, name: str, cases: CaseSet) -> list[Row]:
    bench = rotated_bench(context, cases)
    split = f"{name}, one image per lesion and its {len(ANGLES) - 1} rotated copies, {study.FOLDS} folds"
    every, made = np.arange(len(bench.labels)), []
    for reader in READ_BY:
        scores = _scores(context, bench, (name, reader))
        for key, words, rows, among, metrics in (
            ("rotated", "all diagnoses", every, (), ("accuracy", "balanced accuracy", "AUC")),
            ("upright", "all diagnoses, unrotated", every[:: len(ANGLES)], (), ("accuracy", "balanced accuracy")),
            ("two", "melanoma against nevus", every, _TWO, ("accuracy", "AUC MEL")),
        ):
            ways = {arm: resampled(own, bench, rows, among) for arm, own in scores.items()}
            called = (f"{key}: {name}: {reader}", f"{name}, {reader}: {words}")
            made.append((*called, Compared(ways, split, reader, metrics)))
    gains = corrected([compared.gains(BEFORE, AFTER) for _, _, compared in made])
    note = f"mean of {study.FEW_SEEDS} divisions; at most {MOST} lesions of a diagnosis; folds of one size and mix"
    return [
        Row(study.NAME, "method check", key, title, (), (*compared.measured(), *gain), note if k == 0 else "")
        for k, ((key, title, compared), gain) in enumerate(zip(made, gains, strict=True))
    ]


def rotated_bench(context: Context, cases: CaseSet) -> Bench:
    """Features of every copy, those of an image one after the other."""
    from dermoscope.train.embed import embeddings

    recipe = study.recipe_of(context.asked)
    views = [{"zoom": 1.0, "angle": angle, "flip": 0.0} for angle in ANGLES]
    found = embeddings(recipe, [c.path for c in cases if c.path], views, context.cache, context.told)
    groups = tuple(group for group in cases.groups for _ in ANGLES)
    features = found.reshape(len(groups), -1)
    return Bench(recipe, features, np.repeat(cases.labels, len(ANGLES)), groups, cases.taxonomy.codes)


def _scores(context: Context, bench: Bench, which: tuple[str, str]) -> dict[str, list[Values]]:
    """Scores of every copy, split before and after, one for each seed."""
    name, reader = which
    out: dict[str, list[Values]] = {BEFORE: [], AFTER: []}
    for seed in range(study.FEW_SEEDS):
        after = lesion_folds(bench.labels, bench.groups, study.FOLDS, seed)
        for arm, folds in ((BEFORE, image_folds(after, bench.labels, seed)), (AFTER, after)):
            context.told(f"rotated copies, {name}, {reader}", seed, study.FEW_SEEDS)
            found = context.piece(
                {"rotated": name, "reader": reader, "seed": seed, "arm": arm},
                partial(_answers, bench, reader, folds, seed),
            )
            out[arm].append(found["scores"])
    return out


def _answers(bench: Bench, reader: str, folds: Folds, seed: int) -> dict[str, np.ndarray]:
    return {"scores": out_of_fold(bench, READERS[reader], folds, seed)}
