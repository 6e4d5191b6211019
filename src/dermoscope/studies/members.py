"""The members of an ablation, fitted or found again, and the means of what they predict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.truth import Truth
from dermoscope.evaluate.repeats import Resampled, resampled
from dermoscope.refine.prior import shift_prior
from dermoscope.studies.ablation import Given, Joined, Lab, Member, sources_to_leave_out, test_rows
from dermoscope.studies.base import Context

RESAMPLES = 1000


@dataclass(frozen=True)
class Mean:
    """Which predictions are averaged: backbones, how many views of each, whether each is corrected to a uniform prior
    before, and how the other set joined. With `seeds` all seeds are members of one mean, not repeats of it."""

    backbones: tuple[str, ...]
    views: int = 1
    corrected: bool = False
    joined: Joined = "alone"
    seeds: bool = False


@dataclass(frozen=True, eq=False)
class Predictions:
    """Logits of every member on the cases that it was not fitted on, and on the other clinic."""

    given: Given
    found: dict[Member, dict[str, np.ndarray]]

    def folds(self, mean: Mean) -> list[Probabilities]:
        """One repeat a seed (one in all with `mean.seeds`): each case by the members that had not seen its lesion."""
        cases = self.given.cases
        repeats = []
        for seeds in self._repeats(mean):
            values = np.zeros((len(cases), len(cases.taxonomy)))
            for fold in range(self.given.settings.folds):
                of = [Member(b, s, mean.joined, fold) for b in mean.backbones for s in seeds]
                values[test_rows(self.given, of[0])] = self._mean(of, "test", mean)
            repeats.append(Probabilities(cases.ids, cases.taxonomy, values))
        return repeats

    def clinic(self, mean: Mean) -> list[Probabilities]:
        """One repeat per fold and seed on the other clinic."""
        ids, taxonomy = self.given.clinic.ids, self.given.cases.taxonomy
        folds = range(self.given.settings.folds)
        pairs = [(fold, seeds) for fold in folds for seeds in self._repeats(mean)]
        of = [[Member(b, s, mean.joined, fold) for b in mean.backbones for s in seeds] for fold, seeds in pairs]
        return [Probabilities(ids, taxonomy, self._mean(held, "clinic", mean)) for held in of]

    def left_out(self, source: str, mean: Mean) -> list[Probabilities]:
        """One repeat per seed on a source that no member was fitted on."""
        cases = self.given.cases.where(lambda c: c.source == source)
        of = [[Member(b, s, mean.joined, None, source) for b in mean.backbones for s in seeds]
              for seeds in self._repeats(mean)]  # fmt: skip
        return [Probabilities(cases.ids, cases.taxonomy, self._mean(held, "test", mean)) for held in of]

    def _repeats(self, mean: Mean) -> list[tuple[int, ...]]:
        seeds = tuple(range(self.given.settings.seeds))
        return [seeds] if mean.seeds else [(seed,) for seed in seeds]

    def _mean(self, members: Sequence[Member], where: str, mean: Mean) -> np.ndarray:
        return np.mean([self._one(self.found[member], where, mean) for member in members], axis=0)

    def _one(self, found: dict[str, np.ndarray], where: str, mean: Mean) -> np.ndarray:
        z = found[where][:, : mean.views].astype(np.float64)
        z = np.exp(z - z.max(axis=2, keepdims=True))
        values = (z / z.sum(axis=2, keepdims=True)).mean(axis=1)
        values /= values.sum(axis=1, keepdims=True)
        if not mean.corrected:
            return values
        taxonomy = self.given.cases.taxonomy
        plain = Probabilities(tuple(map(str, range(len(values)))), taxonomy, values)
        return shift_prior(plain, Prior("learnt", taxonomy, found["prior"]), Prior.uniform(taxonomy)).values


def every_member(given: Given) -> Iterator[Member]:
    """Those out of fold, and those of each source left out; the other set not joined, masked, and plain."""
    ways: tuple[Joined, ...] = ("alone", "masked", "plain") if len(given.joining) else ("alone",)
    settings = given.settings
    sources = sources_to_leave_out(given.cases) if len(given.joining) else {}
    for backbone in settings.backbones:
        for joined in ways:
            for seed in range(settings.seeds):
                yield from (Member(backbone, seed, joined, fold) for fold in range(settings.folds))
                yield from (Member(backbone, seed, joined, None, source) for source in sources)


def predictions(context: Context, given: Given) -> Predictions:
    """Fit every member that an earlier run has not left."""
    todo = list(every_member(given))
    found: dict[Member, dict[str, np.ndarray]] = {}
    for backbone in given.settings.backbones:
        lab = Lab.open(context, given, backbone)
        for member in todo:
            if member.backbone == backbone:
                found[member] = lab.logits(member)
                context.told("members", len(found), len(todo))
    return Predictions(given, found)


def scored(repeats: Sequence[Probabilities], truth: Truth, among: Sequence[str] = ()) -> Resampled:
    """The figures of repeats that share their cases."""
    return resampled(repeats, truth, resamples=RESAMPLES, among=among)
