"""Each source of a data set left out: what a head knows of a camera and a clinic that it was not trained on.

One image of each lesion of the roles training and validation; the test role is never touched. For every source two
kinds of head predict its lesions, each with `SEEDS` seeds:

- `left out`: trained on all lesions of the other sources;
- `all sources`: trained on as many lesions of every diagnosis, drawn from all sources, in `FOLDS` folds of the source's
  lesions, so that no lesion is predicted by a head that has seen it.

Both have seen equally much of every diagnosis, and are compared on the same lesions: the difference is what it costs
not to know the source. The scores of `all sources` come from several heads and are ranked together, which can only make
that cost look smaller. A diagnosis is scored where the source has at least `LEAST` lesions of it, against the others
that are scored there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from dermoscope.core.cases import CaseSet
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.study import Measured, Row
from dermoscope.core.truth import Truth
from dermoscope.evaluate.repeats import Resampled, resampled
from dermoscope.evaluate.resampling import bootstrap, clusters_of
from dermoscope.evaluate.shortcuts import folds_of
from dermoscope.refine.prior import FEWEST, estimate_prior, shift_prior
from dermoscope.studies.base import Context, Piece
from dermoscope.studies.gains import Gain, corrected
from dermoscope.studies.material import embedded, fitted, whole_field
from dermoscope.studies.tschandl2018_facts import NAME, counted, sources_of

SEEDS, FOLDS = 3, 5

LEAST = 20
"""Lesions of a diagnosis in a source from which on it is scored there."""

RESAMPLES = 2000

LEFT_OUT, EVERY = "left out", "all sources"

KNOWN, GUESSED, UNIFORM, TRAINED = "of the source", "estimated without labels", "uniform", "of its training"
"""Priors to which the probabilities of a head are shifted."""


@dataclass(frozen=True, eq=False)
class Lab:
    """One image per lesion, with its features; `recipe` says how heads are fitted."""

    context: Context
    recipe: Any
    cases: CaseSet
    features: Float[np.ndarray, "cases features"]

    @classmethod
    def open(cls, context: Context, recipe: Any, cases: CaseSet) -> "Lab":
        """Compute or find the features of the whole-field copies."""
        return cls(context, recipe, cases, embedded(context, recipe, [whole_field(case) for case in cases]))

    @cached_property
    def sources(self) -> Sequence[str]:
        """Sources, the one with most lesions first."""
        return sources_of(self.cases)

    def inside(self, source: str) -> Bool[np.ndarray, " cases"]:
        """Which cases are of a source."""
        return np.array([case.source == source for case in self.cases])

    def logits(self, source: str, way: str) -> Piece:
        """`logits` [seeds, lesions of the source, diagnoses], and the prior that the heads were `shown`."""
        make = {LEFT_OUT: self._left_out, EVERY: self._every}[way]
        return self.context.piece({"source": source, "way": way}, lambda: make(source))

    def _left_out(self, source: str) -> Piece:
        inside = self.inside(source)
        rows = np.flatnonzero(~inside)
        found = [self._predicted(rows, np.flatnonzero(inside), seed) for seed in range(SEEDS)]
        return {"logits": np.stack([logits for logits, _ in found]), "shown": found[0][1]}

    def _every(self, source: str) -> Piece:
        inside = np.flatnonzero(self.inside(source))
        labels = self.cases.labels
        counts = np.bincount(np.delete(labels, inside), minlength=len(self.cases.taxonomy))
        folds = folds_of([self.cases.groups[row] for row in inside], labels[inside], FOLDS)
        out = np.zeros((SEEDS, len(inside), len(self.cases.taxonomy)))
        shown = np.zeros(len(self.cases.taxonomy))
        for seed in range(SEEDS):
            for fold in np.unique(folds).tolist():
                asked = inside[folds == fold]
                pool = np.setdiff1d(np.arange(len(labels)), asked)
                rng = np.random.default_rng([seed, fold, self.sources.index(source)])
                rows = drawn_like(labels, pool, counts.tolist(), rng)
                out[seed, folds == fold], shown = self._predicted(rows, asked, seed)
            self.context.told(f"heads for {source}", seed + 1, SEEDS)
        return {"logits": out, "shown": shown}

    def _predicted(self, rows: np.ndarray, asked: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        recipe = replace(self.recipe, seed=self.recipe.seed + seed)
        features, labels = self.features[rows], self.cases.labels[rows]
        weight, bias, shown = fitted(recipe, features, labels, len(self.cases.taxonomy))
        return (self.features[asked] @ weight.T + bias).astype(float), shown


def drawn_like(
    labels: Int[np.ndarray, " cases"], pool: Int[np.ndarray, " rows"], counts: Sequence[int], rng: np.random.Generator
) -> Int[np.ndarray, " drawn"]:
    """Rows of the pool, without repetition, so that there are `counts` of every diagnosis."""
    drawn = [rng.choice(pool[labels[pool] == d], count, replace=False) for d, count in enumerate(counts)]
    return np.sort(np.concatenate(drawn))


def scored_in(cases: CaseSet) -> tuple[str, ...]:
    """The diagnoses of which these cases, one for each lesion, have at least `LEAST`."""
    return tuple(code for code, n in cases.counts().items() if n >= LEAST)


@dataclass(frozen=True, eq=False)
class Place:
    """One source: its lesions, the diagnoses that are scored there, how many lesions of each the heads were shown."""

    lab: Lab
    source: str
    cases: CaseSet
    codes: tuple[str, ...]
    trained: Mapping[str, int]

    @classmethod
    def of(cls, lab: Lab, source: str) -> "Place":
        """The place that is this source."""
        own = lab.cases.where(lambda case: case.source == source)
        others = lab.cases.where(lambda case: case.source != source)
        return cls(lab, source, own, scored_in(own), others.counts())

    @property
    def split(self) -> str:
        """On what everything is measured here."""
        return f"{self.source}, roles training and validation"

    def probabilities(self, way: str, target: str) -> list[Probabilities]:
        """One repeat for each seed, shifted from the prior that the heads were shown to the one that is asked for."""
        held = self.lab.logits(self.source, way)
        taxonomy = self.cases.taxonomy
        source = _prior("shown", self.cases, held["shown"] * sum(self.trained.values()))
        plain = [Probabilities(self.cases.ids, taxonomy, softmax(z)) for z in held["logits"]]
        return [shift_prior(one, source, self._prior(target, one, source)) for one in plain]

    def _prior(self, target: str, plain: Probabilities, source: Prior) -> Prior:
        if target == UNIFORM:
            return Prior.uniform(self.cases.taxonomy)
        if target == GUESSED:
            return estimate_prior(plain, source, resamples=0).prior
        counts = self.trained if target == TRAINED else self.cases.counts()
        return _prior(target, self.cases, counts.values())

    def scored(self, way: str, target: str) -> Resampled:
        """Balanced accuracy and AUC among the diagnoses that are scored here."""
        repeats, truth = self.probabilities(way, target), Truth.from_cases(self.cases)
        return resampled(repeats, truth, among=self.codes, resamples=RESAMPLES)

    def accuracy(self, way: str, target: str) -> Resampled:
        """Share of the lesions of the scored diagnoses whose highest probability, among these, is the right one."""
        cases = self.cases.where(lambda case: case.diagnosis in self.codes)
        truth = Truth.from_cases(cases)
        columns = np.array([self.cases.taxonomy.index(code) for code in self.codes])
        scored = np.isin(self.cases.labels, columns)
        found = [one.values[scored][:, columns] for one in self.probabilities(way, target)]
        hits = np.mean([columns[values.argmax(axis=1)] == truth.labels for values in found], axis=0)
        return mean_of("accuracy", hits, truth)


def mean_of(name: str, values: Float[np.ndarray, " cases"], truth: Truth) -> Resampled:
    """The mean of a figure of each case, resampled by lesion; the mix of diagnoses is drawn too, for it decides."""
    clusters, weights = clusters_of(truth).unstratified(), truth.score_weight

    def mean(w: np.ndarray) -> np.ndarray:
        return ((values @ w) / w.sum(axis=0))[None]

    draws = bootstrap(mean, clusters, weights, resamples=RESAMPLES)
    both = np.concatenate([mean(weights[:, None]), draws], axis=1)
    return Resampled({name: both[0]}, clusters.unit, clusters.count(weights > 0), 0, truth.ids)


def softmax(logits: Float[np.ndarray, "cases diagnoses"]) -> Float[np.ndarray, "cases diagnoses"]:
    """Probabilities under the prior that was shown."""
    weight = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = weight / weight.sum(axis=1, keepdims=True)
    return found


def _prior(name: str, cases: CaseSet, counts: Iterable[float]) -> Prior:
    """A diagnosis that does not occur counts as half a lesion: no share of a prior is 0."""
    return Prior.from_counts(name, cases.taxonomy, np.maximum(np.asarray(list(counts), float), 0.5))


def lesions_row(lab: Lab) -> Row:
    """How many lesions of each diagnosis every source has; a head that leaves it out is trained on all the others."""
    split = "roles training and validation, one image per lesion"
    measured = tuple(
        counted(f"{source}: {code}", n, "lesion", split)
        for source in lab.sources
        for code, n in lab.cases.where(lambda case, s=source: case.source == s).counts().items()  # type: ignore[misc]
    )
    note = f"a diagnosis is scored in a source that has {LEAST} lesions of it or more"
    return Row(NAME, "method check", "heads", "Lesions for training and scoring heads", (), measured, note)


def gap_rows(lab: Lab) -> list[Row]:
    """For every source a row: its lesions, both kinds of head, and their paired differences (Holm over all of them)."""
    places = [Place.of(lab, source) for source in lab.sources]
    groups, measured = [], []
    for done, place in enumerate(places, start=1):
        found, gains = _compared(place)
        measured.append(found)
        groups.append(gains)
        lab.context.told("sources left out", done, len(places))
    note = (
        "frozen features and a head, uniform prior; against the other diagnoses that are scored there. A gain is "
        "`left out` less `all sources`: below 0 it is what not knowing the source costs"
    )
    return [
        Row(NAME, "method check", f"left out: {place.source}", f"{place.source} left out", (), (*found, *gains), note)
        for place, found, gains in zip(places, measured, corrected(groups), strict=True)
    ]


def _compared(place: Place) -> tuple[list[Measured], list[Gain]]:
    counts, split = place.cases.counts(), place.split
    scored = place.codes if len(place.codes) > 1 else ()
    measured: list[Measured] = []
    gains: list[Gain] = []
    if scored:
        after, before = (place.scored(way, UNIFORM) for way in (LEFT_OUT, EVERY))
        names = {called(figure, len(scored)): figure for figure in after.figures}
        for way, figures in ((LEFT_OUT, after), (EVERY, before)):
            measured += [Measured(name, figures.estimate(f), split, way) for name, f in names.items()]
        gains = [Gain(name, after.minus(before, f), split, LEFT_OUT, EVERY) for name, f in names.items()]
    n = sum(counts[code] for code in scored)
    for code in counts:
        if code not in scored:
            few = f"fewer than {LEAST} lesions of it in the source"
            why = few if counts[code] < LEAST else f"no second diagnosis of {LEAST} lesions in the source"
            measured.append(Measured(f"AUC {code}", Estimate.not_measurable(why, "lesion", n), split, LEFT_OUT))
    return measured, gains


def called(figure: str, diagnoses: int) -> str:
    """A figure of `resampled` in words; how many diagnoses belongs to the name of a balanced accuracy."""
    if figure == "balanced_accuracy":
        return f"balanced accuracy, {diagnoses} diagnoses"
    return "AUC, mean" if figure == "macro_average.auc" else f"AUC {figure.removesuffix('.auc')}"


def prior_rows(lab: Lab) -> list[Row]:
    """For every source a row: what the head that never saw it scores under several priors, against that of its
    training (Holm over all differences)."""
    places = [place for source in lab.sources if len((place := Place.of(lab, source)).codes) > 1]
    found = [_under_priors(place) for place in places]
    gains = corrected([gains for _, gains in found])
    note = (
        "the head that was trained without the source, among the diagnoses that are scored there. The prior `of the "
        "source` is counted in the very labels that are scored: what knowing the mix is worth, and nothing that a user "
        "could have"
    )
    return [
        Row(NAME, "method check", f"prior: {place.source}", f"{place.source} under several priors", (),
            (*measured, *paired), note)
        for place, (measured, _), paired in zip(places, found, gains, strict=True)
    ]  # fmt: skip


def _under_priors(place: Place) -> tuple[list[Measured], list[Gain]]:
    targets = [TRAINED, KNOWN, GUESSED, UNIFORM]
    if len(place.cases) < FEWEST:
        targets.remove(GUESSED)
    balanced = called("balanced_accuracy", len(place.codes))
    figures: dict[str, dict[str, tuple[str, Resampled]]] = {}
    for target in targets:
        figures[target] = {
            "accuracy": ("accuracy", place.accuracy(LEFT_OUT, target)),
            balanced: ("balanced_accuracy", place.scored(LEFT_OUT, target)),
        }
    scored = {code: n for code, n in place.cases.counts().items() if code in place.codes}
    commonest = max(scored.items(), key=lambda pair: pair[1])
    always = Estimate.of_counts(commonest[1], sum(scored.values()), "lesion", "lesion")
    measured = [Measured("accuracy", always, place.split, f"always {commonest[0]}")]
    for target, pair in figures.items():
        whole, of_scored = (held.estimate(figure) for figure, held in pair.values())
        whole = replace(whole, method="bootstrap, unstratified")
        measured += [
            Measured(name, found, place.split, f"prior {target}")
            for name, found in zip(pair, (whole, of_scored), strict=True)
        ]
    gains = [
        Gain(name, held.minus(figures[TRAINED][name][1], figure), place.split, f"prior {target}", f"prior {TRAINED}")
        for target, pair in figures.items()
        if target != TRAINED
        for name, (figure, held) in pair.items()
    ]
    return measured, gains
