"""The rows of `leakage` on images as they are: random images against whole lesions, and against whole sources."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from dermoscope.core.claim import Claim
from dermoscope.core.study import Measured, Row
from dermoscope.evaluate.repeats import Resampled
from dermoscope.studies import leakage as study
from dermoscope.studies.base import Context
from dermoscope.studies.gains import corrected
from dermoscope.studies.leakage_figures import Compared, averaged, mean_of, resampled
from dermoscope.studies.leakage_readers import READERS, Bench, Values, out_of_fold, remembered
from dermoscope.studies.leakage_splits import ARMS, Rows, image_folds, lesion_folds, shared, source_arms
from dermoscope.studies.material import embedded

FEWEST = 20
"""Lesions of a diagnosis, inside and outside a source, from which that diagnosis is scored there."""

EVERY = ("accuracy", "balanced accuracy", "AUC")
SOME = ("accuracy", "balanced accuracy", "AUC MEL")
FEW = ("accuracy", "balanced accuracy")

_SOURCE_READERS = ("linear head", "1 nearest")


def bench_of(context: Context) -> Bench:
    """The features of all images."""
    cases, recipe = context.plan.held.cases, study.recipe_of(context.asked)
    features = embedded(context, recipe, [c.path for c in cases])
    return Bench(recipe, features, cases.labels, cases.groups, cases.taxonomy.codes)


def split_rows(context: Context) -> list[Row]:
    """Each reader under both splits: on all images, on lesions with several, on those with one; then what it learnt."""
    bench = bench_of(context)
    counts = Counter(bench.groups)
    several = np.array([counts[group] > 1 for group in bench.groups])
    subsets = {
        "all": ("all images", np.arange(len(several)), EVERY),
        "several": ("lesions with several images", np.flatnonzero(several), FEW),
        "one": ("lesions with one image", np.flatnonzero(~several), FEW),
    }
    split = f"{context.plan.held.name}, roles training and validation, {study.FOLDS} folds"
    made: list[tuple[str, str, Compared]] = []
    learnt: list[Measured] = []
    for done, name in enumerate(READERS):
        context.told("random images against whole lesions", done, len(READERS))
        scores = _both(context, bench, name)
        right = context.piece({"remembered": name}, partial(_remembered, bench, name))["right"]
        learnt.append(Measured("accuracy, own training images", mean_of(right, bench), split, f"{name}, {ARMS[1]}"))
        for key, (words, rows, metrics) in subsets.items():
            arms = {arm: resampled(scores[arm], bench, rows) for arm in ARMS[:2] if len(rows)}
            if arms:
                made.append((f"split: {key}: {name}", f"{name}: {words}", Compared(arms, split, name, metrics)))
    note = f"{_told(bench)}; {_recipe(bench)}; mean of {study.SEEDS} divisions"
    title = "What each reader remembers of its training"
    return [*_compared(made, ARMS[0], ARMS[1], note), _row("learnt", title, tuple(learnt)), *_claimed()]


def _claimed() -> list[Row]:
    """What is published of DermaMNIST, a row for each figure."""
    note = "networks that were tuned: their level does not compare with frozen features, and nothing is subtracted"
    return [
        _row(f"dermamnist: {metric}", f"What is published of DermaMNIST: {metric}", (), note, claims)
        for metric in ("accuracy", "AUC, mean")
        if (claims := tuple(claim for claim in study.DERMAMNIST if claim.metric == metric))
    ]


def _both(context: Context, bench: Bench, reader: str) -> dict[str, list[Values]]:
    """Scores of both splits, one for each seed."""
    scores: dict[str, list[Values]] = {arm: [] for arm in ARMS[:2]}
    for seed in range(study.SEEDS):
        whole = lesion_folds(bench.labels, bench.groups, study.FOLDS, seed)
        for arm, folds in zip(ARMS[:2], (image_folds(whole, bench.labels, seed), whole), strict=True):
            key = {"split": arm, "reader": reader, "seed": seed}
            scores[arm].append(context.piece(key, partial(_answers, bench, reader, folds, seed))["scores"])
    return scores


def _answers(bench: Bench, reader: str, folds: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    return {"scores": out_of_fold(bench, READERS[reader], folds, seed)}


def _remembered(bench: Bench, reader: str) -> dict[str, np.ndarray]:
    folds = lesion_folds(bench.labels, bench.groups, study.FOLDS, 0)
    return {"right": remembered(bench, READERS[reader], folds, 0)}


def _told(bench: Bench) -> str:
    """How many images of lesions with several are tested while another of the lesion is trained on."""
    whole = lesion_folds(bench.labels, bench.groups, study.FOLDS, 0)
    torn = shared(image_folds(whole, bench.labels, 0), bench.groups)
    return (
        f"of {len(torn):,} images {int(torn.sum()):,} ({torn.mean():.0%}) are tested while another of their lesion is "
        "trained on where images are split at random, none where whole lesions are"
    )


def _recipe(bench: Bench) -> str:
    size = f"{bench.recipe.backbone} at {bench.recipe.size} px"
    return f"frozen ImageNet features of {size}, whole-field copies, all folds of one size and mix of diagnoses"


def _compared(made: Sequence[tuple[str, str, Compared]], of: str, against: str, note: str) -> list[Row]:
    """Levels and gaps, corrected over all of them; the note stands with the first."""
    gains = corrected([compared.gains(of, against) for _, _, compared in made])
    rows = []
    for k, ((name, title, compared), gain) in enumerate(zip(made, gains, strict=True)):
        rows.append(_row(name, title, (*compared.measured(), *gain), note if k == 0 else ""))
    return rows


def _row(name: str, title: str, measured: tuple[Measured, ...], note: str = "", claims: tuple[Claim, ...] = ()) -> Row:
    return Row(study.NAME, "method check", name, title, claims, measured, note)


def scored_at(labels: np.ndarray, groups: Sequence[str], inside: np.ndarray, codes: Sequence[str]) -> tuple[str, ...]:
    """The diagnoses of which a source, and what is not it, have lesions enough; none where that is fewer than two."""
    names = np.array(groups)
    enough = [
        code
        for column, code in enumerate(codes)
        if min(len(set(names[(labels == column) & side])) for side in (inside, ~inside)) >= FEWEST
    ]
    return tuple(enough) if len(enough) > 1 else ()


def source_rows(context: Context) -> list[Row]:
    """Each source with and without its own images in the training, then the mean over sources; none for one source."""
    bench, cases = bench_of(context), context.plan.held.cases
    sources = np.array([c.source or "" for c in cases])
    twice = shared(np.unique(sources, return_inverse=True)[1], bench.groups)
    among = {
        source: codes
        for source in sorted(set(sources.tolist()) - {""})
        if (codes := scored_at(bench.labels, bench.groups, sources == source, bench.codes))
    }
    made: list[tuple[str, str, Compared]] = []
    for name in _SOURCE_READERS if len(among) > 1 else ():
        held: dict[str, Mapping[str, Resampled]] = {}
        for k, (source, codes) in enumerate(among.items()):
            context.told(f"sources, {name}", k, len(among))
            tested = np.flatnonzero(sources == source)
            scores = _arms(context, bench, (name, source), tested)
            own = tested[~twice[tested]]
            held[source] = {arm: resampled(scores[arm], bench, own, codes, seed=k + 1) for arm in ARMS}
        if name == _SOURCE_READERS[0]:
            for source, arms in held.items():
                words = f"{source} ({', '.join(among[source])})"
                made.append((f"source: {source}", words, Compared(arms, f"images of {source}", name, SOME)))
        mean = {arm: averaged([arms[arm] for arms in held.values()]) for arm in ARMS}
        words = f"{name}: mean of {len(among)} sources"
        made.append((f"mean: {name}", words, Compared(mean, "images of each source", name, EVERY)))
    return _source_rows(made)


def _arms(context: Context, bench: Bench, which: tuple[str, str], tested: Rows) -> dict[str, list[Values]]:
    """Scores of a source's images in every arm, one for each seed; rows of other images are empty."""
    name, source = which
    inside = np.zeros(len(bench.labels), bool)
    inside[tested] = True
    found = [
        context.piece({"source": source, "reader": name, "seed": seed}, partial(_by_arm, bench, inside, name, seed))
        for seed in range(study.FEW_SEEDS)
    ]
    return {arm: [own[arm] for own in found] for arm in ARMS}


def _by_arm(bench: Bench, inside: np.ndarray, reader: str, seed: int) -> dict[str, np.ndarray]:
    out = {arm: np.zeros((len(inside), len(bench.codes)), np.float32) for arm in ARMS}
    for arm in source_arms(bench.labels, bench.groups, inside, study.FOLDS, seed):
        for training, rows in arm.parts:
            out[arm.name][rows] = READERS[reader](bench, training, rows, seed)
    return out


def _source_rows(made: Sequence[tuple[str, str, Compared]]) -> list[Row]:
    pairs = (ARMS[:2], ARMS[1:])
    gains = corrected([[g for of, against in pairs for g in compared.gains(of, against)] for _, _, compared in made])
    note = (
        "the same test images in all three; every training has the same number of images of each diagnosis; mean of "
        f"{study.FEW_SEEDS} divisions; scored are lesions of one source alone, of diagnoses with {FEWEST} lesions "
        "inside and outside it"
    )
    return [
        _row(name, title, (*compared.measured(), *gain), note if k == 0 else "")
        for k, ((name, title, compared), gain) in enumerate(zip(made, gains, strict=True))
    ]
