"""Rows of the study `repeatability`: from what was said of pictures and whose they are to figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from dermoscope.core.cases import CaseSet
from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import AnswerKind
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.study import Measured, Row
from dermoscope.core.truth import Truth
from dermoscope.evaluate.intervals import Difference
from dermoscope.evaluate.repeatability import (
    changed,
    gain_of_lesions,
    mean_of_lesions,
    otherwise,
    pairs_apart,
    spread,
)
from dermoscope.evaluate.repeats import resampled
from dermoscope.refine.agreement import opposed
from dermoscope.studies.gains import Gain, corrected
from dermoscope.studies.repeatability_scores import MELANOMA, Looked

RESAMPLES = 1000
PICKS = 20
"""Ways to draw one picture of every lesion, over which what one picture gives is averaged."""

FEWEST = 20
"""Lesions below which a group has no row."""

BANDS = ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, np.inf))
"""Distances of the log-odds from the threshold."""

ANSWER, OPPOSED, TOP = "answer", "refer against low concern", "top diagnosis"
SD, COEFFICIENT, INTRACLASS = "SD", "repeatability coefficient", "intraclass correlation"
OF_PAIRS = "share of pairs"
BACK, ADDED = "referral taken back", "referral added"


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of lesions that have several, what was said of them, on which split and by what."""

    cases: CaseSet
    looked: Looked
    split: str
    by: str

    @property
    def lesions(self) -> tuple[str, ...]:
        """The lesion of each picture."""
        return self.cases.groups

    def take(self, rows: Sequence[int] | np.ndarray) -> "Pictures":
        """Some of them."""
        kept = [int(row) for row in rows]
        cases = self.cases.take([self.cases.ids[row] for row in kept])
        return replace(self, cases=cases, looked=self.looked.take(kept))


def row(name: str, title: str, measured: Sequence[Measured], note: str = "") -> Row:
    """A row of this study, which checks a method and claims nothing."""
    return Row("repeatability", "method check", name, title, (), tuple(measured), note)


def agreement(of: Pictures) -> tuple[Measured, ...]:
    """How often lesions and pairs of their pictures get not the same, and how far log-odds of melanoma lie apart."""
    looked, lesions = of.looked, of.lesions
    found = spread(looked.melanoma, lesions, resamples=RESAMPLES)
    limit = found.coefficient.value or 0.0
    said = list(zip(looked.answers, looked.melanoma, strict=True))

    def far(a: float, b: float) -> bool:
        return abs(a - b) > limit

    def warned(a: tuple[str, float], b: tuple[str, float]) -> bool:
        return opposed(a[0], b[0]) or far(a[1], b[1])

    pairs = {
        f"{ANSWER}, {OF_PAIRS}": pairs_apart(looked.answers, lesions, resamples=RESAMPLES),
        f"{OPPOSED}, {OF_PAIRS}": pairs_apart(looked.answers, lesions, opposed, resamples=RESAMPLES),
        f"{TOP}, {OF_PAIRS}": pairs_apart(looked.top, lesions, resamples=RESAMPLES),
        f"beyond the coefficient, {OF_PAIRS}": pairs_apart(list(looked.melanoma), lesions, far, resamples=RESAMPLES),
        f"either, {OF_PAIRS}": pairs_apart(said, lesions, warned, resamples=RESAMPLES),
    }
    shares = {f"{ANSWER} changed": changed(looked.answers, lesions), f"{TOP} changed": changed(looked.top, lesions)}
    spreads = {SD: found.sd, COEFFICIENT: found.coefficient, INTRACLASS: found.intraclass}
    return tuple(_measured(metric, estimate, of) for metric, estimate in {**shares, **pairs, **spreads}.items())


def _measured(metric: str, estimate: Estimate, of: Pictures) -> Measured:
    return Measured(metric, estimate, of.split, of.by)


def fewer_views(of: Pictures, one: Pictures) -> tuple[Measured, ...]:
    """How much more often one view changes its mind than all, on the same pictures."""
    gains = []
    for metric, words in ((ANSWER, lambda p: p.looked.answers), (TOP, lambda p: p.looked.top)):
        less, more = (otherwise(words(p), p.lesions) for p in (of, one))
        difference = gain_of_lesions(more, less, of.lesions, resamples=RESAMPLES)
        gains.append(Gain(f"{metric}, {OF_PAIRS}", difference, of.split, one.by, of.by))
    return corrected([gains])[0]


def near(of: Pictures) -> Row:
    """How often another picture of the lesion is answered otherwise, by how far this one lies from the threshold."""
    apart = otherwise(of.looked.answers, of.lesions, opposed)
    distance = np.abs(of.looked.margin)
    found = []
    for low, high in BANDS:
        among = (distance >= low) & (distance < high)
        words = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} and more"
        estimate = mean_of_lesions(apart, of.lesions, among=among, resamples=RESAMPLES)
        found.append(_measured(f"{OPPOSED}, {words} from the threshold", estimate, of))
    furthest: dict[str, float] = {}
    for lesion, away, share in zip(of.lesions, distance, apart, strict=True):
        if share > 0:
            furthest[lesion] = max(away, furthest.get(lesion, 0.0))
    for within in (0.5, 1.0, 2.0):
        hits = sum(bool(away < within) for away in furthest.values())
        estimate = Estimate.of_counts(hits, len(furthest), "lesion", "lesion whose answer changes")
        found.append(_measured(f"of the changed, all pictures within {within:g}", estimate, of))
    note = "distance in log-odds of the diagnoses to refer; the share of a lesion's other pictures that say otherwise"
    return row("threshold", "By the distance from the threshold", found, note)


def groups(of: Pictures) -> list[Row]:
    """By source and by diagnosis, where a group has `FEWEST` lesions.

    A lesion counts with those of its pictures that are of the group, where they are several.
    """
    rows = []
    for name, value in (("source", lambda c: c.source), ("diagnosis", lambda c: c.diagnosis)):
        held = [value(case) or "not stated" for case in of.cases]
        pairs = list(zip(of.lesions, held, strict=True))
        several = {pair for pair, n in Counter(pairs).items() if n > 1}
        found: list[Measured] = []
        left = set(of.lesions)
        for group, lesions in Counter(group for _, group in sorted(several)).most_common():
            if lesions < FEWEST:
                continue
            left -= {lesion for lesion, other in several if other == group}
            own = of.take([k for k, pair in enumerate(pairs) if pair in several and pair[1] == group])
            said = own.looked
            apart = pairs_apart(said.answers, own.lesions, resamples=RESAMPLES)
            deviation = spread(said.melanoma, own.lesions, resamples=RESAMPLES).sd
            found += [
                _measured(f"{ANSWER}, {OF_PAIRS}, {group}", apart, own),
                _measured(f"{SD}, {group}", deviation, own),
            ]
        if found:
            note = f"groups of at least {FEWEST} lesions; {len(left)} lesions are in smaller ones"
            rows.append(row(name, f"By {name}", found, note))
    return rows


def averaged(of: Pictures, codes: Sequence[str], of_means: Bool[np.ndarray, " lesions"]) -> Row:
    """What several pictures of a lesion give over one: AUC of melanoma, and what is referred.

    `of_means` says which lesions the mean of their pictures refers, in the order in which they come first.
    """
    found, gains = _ranked(of)
    referred = np.array([a == "refer" for a in of.looked.answers], float)
    places = {lesion: k for k, lesion in enumerate(dict.fromkeys(of.lesions))}
    at = np.array([places[lesion] for lesion in of.lesions])
    anyone = np.zeros(len(places))
    np.maximum.at(anyone, at, referred)
    ways = {"most suspicious picture": anyone[at], "mean of the lesion's pictures": of_means[at].astype(float)}
    sick = np.array([case.diagnosis in codes for case in of.cases])
    for kind, among in (("malignant and premalignant", sick), ("benign", ~sick)):
        if not among.any():
            continue
        metric = f"referred, {kind}"
        for what, values in {"one picture": referred, **ways}.items():
            share = mean_of_lesions(values, of.lesions, among=among, resamples=RESAMPLES)
            found.append(Measured(metric, share, of.split, what))
        gains += [Gain(metric, _gain(v, referred, of, among), of.split, w, "one picture") for w, v in ways.items()]
    note = (
        f"one picture: mean over {PICKS} draws for the AUC, over all pictures of a lesion for what is referred; a "
        "picture that cannot be assessed is not referred, and the mean has no gate of quality"
    )
    return row("averaged", "Several pictures against one", (*found, *corrected([gains])[0]), note)


def _ranked(of: Pictures) -> tuple[list[Measured], list[Gain]]:
    """AUC of melanoma of the mean of the pictures and of one, where it can be measured."""
    mean = of.looked.calibrated.by_lesion(of.lesions)
    truth = replace(Truth.from_cases(of.cases.one_per_lesion()), ids=mean.ids, groups=mean.ids)
    name, words = f"{MELANOMA}.auc", ("mean of the lesion's pictures", "one picture")
    several = resampled([mean], truth, resamples=RESAMPLES)
    one = resampled(_picks(of, mean.ids), truth, resamples=RESAMPLES)
    if not several.has(name):
        return [], []
    found = [Measured("AUC MEL", r.estimate(name), of.split, w) for r, w in zip((several, one), words, strict=True)]
    return found, [Gain("AUC MEL", several.minus(one, name), of.split, *words)]


def _gain(more: np.ndarray, less: np.ndarray, of: Pictures, among: np.ndarray) -> Difference:
    lesions = [lesion for lesion, kept in zip(of.lesions, among, strict=True) if kept]
    return gain_of_lesions(more[among], less[among], lesions, resamples=RESAMPLES)


def _picks(of: Pictures, lesions: Sequence[str]) -> list[Probabilities]:
    """One picture of every lesion, drawn `PICKS` times."""
    rng = np.random.default_rng(0)
    members: dict[str, list[int]] = {lesion: [] for lesion in lesions}
    for k, lesion in enumerate(of.lesions):
        members[lesion].append(k)
    values, taxonomy = of.looked.calibrated.values, of.looked.calibrated.taxonomy
    return [
        Probabilities(tuple(lesions), taxonomy, values[[rng.choice(members[lesion]) for lesion in lesions]])
        for _ in range(PICKS)
    ]


def copied(pictures: Mapping[str, Pictures], copies: Mapping[str, Pictures], name: str, words: str) -> Row:
    """A picture and one copy of it: `pictures` and `copies` hold, by the number of views, what was said of each."""
    found: list[Measured] = []
    for views, before in pictures.items():
        after = copies[views]
        lesions = [*before.lesions, *after.lesions]
        answers, tops = ([*a, *b] for a, b in ((before.looked.answers, after.looked.answers),
                                               (before.looked.top, after.looked.top)))  # fmt: skip
        apart = spread(np.concatenate([before.looked.melanoma, after.looked.melanoma]), lesions, resamples=RESAMPLES)
        found += [
            _measured(f"{ANSWER} changed", changed(answers, lesions), before),
            _measured(f"{TOP} changed", changed(tops, lesions), before),
            _measured(BACK, _turned(before, after, "refer", "low_concern"), before),
            _measured(ADDED, _turned(before, after, "low_concern", "refer"), before),
            _measured(SD, apart.sd, before),
        ]
    return row(f"copy: {name}", f"The same picture, {words}", found)


def _turned(before: Pictures, after: Pictures, one: AnswerKind, other: AnswerKind) -> Estimate:
    """Of pictures that were answered in `one` way the share whose copy is answered in the `other`."""
    held = [b for a, b in zip(before.looked.answers, after.looked.answers, strict=True) if a == one]
    return Estimate.of_counts(held.count(other), len(held), "lesion", f"picture answered {one}")


def moved(pictures: Pictures, copies: Mapping[str, Pictures]) -> Row:
    """How far each kind of copy moves log-odds of melanoma on the whole, Holm over all of them."""
    before, gains = pictures.looked.melanoma, []
    for words, after in copies.items():
        # a turn by a right angle leaves rounding errors, of which a p-value must not be taken
        rounding = np.isclose(after.looked.melanoma, before, atol=1e-4)
        now = np.where(rounding, before, after.looked.melanoma)
        difference = gain_of_lesions(now, before, pictures.lesions, resamples=RESAMPLES)
        gains.append(Gain("log-odds of melanoma", difference, pictures.split, words, "the picture itself"))
    return row("moved", "Whether copies move the log-odds of melanoma to one side", corrected([gains])[0])
