"""An ensemble from bundles: weighted on validation, calibrated on calibration, and what it gains over its members."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError, some
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import ISIC2019, ISIC2019_TO_ISIC2018, MergeMap
from dermoscope.core.truth import Truth
from dermoscope.data.splits import sharpest_per_lesion, with_role
from dermoscope.evaluate.intervals import holm, paired_difference
from dermoscope.evaluate.score import evaluate
from dermoscope.predict.bundle import Bundle, load
from dermoscope.predict.ensembling import assembled
from dermoscope.predict.fitting import fitted
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.views import first_views
from dermoscope.refine.ensemble import combined, fit_weights, greedy

Progress = Callable[[str, int, int], None]

COMPARED = ("isic2018:balanced_accuracy", "balanced_accuracy", "macro_average.auc", "MEL.auc")
"""Figures on validation; the first over the seven diagnoses of ISIC 2018, for bundles over ISIC 2019."""


@dataclass(frozen=True)
class Wish:
    """How an ensemble is to be made: its name, `weights` (equal, fitted, greedy, or given), mean, projection, and how
    many views of an image each member looks at (None: as many as the first)."""

    name: str = "ensemble"
    weights: str | Mapping[str, float] = "equal"
    kind: str = "arithmetic"
    onto: MergeMap | None = None
    views: int | None = None


@dataclass(frozen=True)
class Step:
    """Figures of the first `members` of an ensemble together, or of one alone, on validation."""

    members: tuple[str, ...]
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Gain:
    """How much the whole ensemble exceeds one member on the same lesions; `p_holm` is corrected for all of them."""

    member: str
    metric: str
    estimate: Estimate
    p_holm: float


@dataclass(frozen=True)
class Assembled:
    """The bundle, the weights of its parts, and what was measured on validation (nothing where one learnt on it).

    `chosen_here` says that the weights were fitted on these very lesions, so that the figures are too good.
    """

    bundle: Bundle
    weights: Mapping[str, float]
    alone: tuple[Step, ...] = ()
    growth: tuple[Step, ...] = ()
    gains: tuple[Gain, ...] = ()
    chosen_here: bool = False

    def as_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        steps = {
            name: [{"members": s.members, "figures": {n: e.as_dict() for n, e in s.figures.items()}} for s in held]
            for name, held in (("alone", self.alone), ("growth", self.growth))
        }
        gains = [{**vars(g), "estimate": g.estimate.as_dict()} for g in self.gains]
        said = {"sha256": self.bundle.sha256, "weights": dict(self.weights), "weights_fitted_here": self.chosen_here}
        return said | steps | {"gains": gains}


def named_bundles(given: Sequence[str]) -> dict[str, Bundle]:
    """Bundles by a short name each: that of the folder, with what tells it apart where two folders share it.

    Raises InputError for fewer than two, BundleError where one cannot be read.
    """
    if len(given) < 2:
        raise InputError("an ensemble takes two bundles or more; `dermoscope bundle info` shows what one is")
    found: dict[str, Bundle] = {}
    for text in given:
        path = Path(text)
        name = path.parent.name if path.name in ("chosen", "bundle") and path.parent.name else path.name
        name = re.sub(r"[^\w.+-]", "-", name) or "bundle"
        unique = next(n for n in (name, *(f"{name}-{k}" for k in range(2, len(given) + 2))) if n not in found)
        found[unique] = load(text)
    return found


def named_weights(text: str, names: Sequence[str]) -> str | dict[str, float]:
    """`equal`, `fitted`, `greedy`, or numbers separated by commas for the bundles in their order.

    Raises InputError for anything else.
    """
    if text in ("equal", "fitted", "greedy"):
        return text
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"no weights are called {text!r}; there are equal, fitted, greedy, or numbers") from None
    if len(values) != len(names):
        raise InputError(f"{len(values)} weights for {len(names)} bundles; give one for each")
    return dict(zip(names, values, strict=True))


def projection(onto: str | None) -> MergeMap | None:
    """The merge map onto a taxonomy by its name. Raises InputError where there is none."""
    if onto in (None, ""):
        return None
    if onto != ISIC2019_TO_ISIC2018.target.name:
        raise InputError(f"no projection onto {onto!r}; there is {ISIC2019_TO_ISIC2018.target.name}")
    return ISIC2019_TO_ISIC2018


def assemble(
    bundles: Mapping[str, Bundle], cases: CaseSet, wish: Wish = Wish(), progress: Progress | None = None
) -> Assembled:
    """Make an ensemble of bundles and measure on the validation role of `cases` what each member adds.

    Weights are fitted on validation, everything after the mean on calibration; the test role is not touched. A bundle
    that greedy selection never picks is left out.
    Raises InputError where weights are to be fitted on a role that a member learnt from, else as `assembled`.
    """
    learnt = [name for name, b in bundles.items() if any("validation" in use.roles for use in b.card.data)]
    chosen_here = wish.weights in ("fitted", "greedy")
    if learnt and chosen_here:
        raise InputError(f"{some(learnt)} learnt from the validation role, which weights are fitted on; use equal ones")
    given = cases if wish.onto is None else cases.merged(wish.onto)
    validation = sharpest_per_lesion(with_role(given, "validation").where(lambda c: c.diagnosis is not None))
    saying = {} if learnt or not len(validation) else _said(bundles, validation, wish, progress)
    weights = _weights({name: s.entering for name, s in saying.items()}, validation, wish)
    bundles = {name: b for name, b in bundles.items() if not chosen_here or name in weights}
    said = {name: s.shown for name, s in saying.items() if name in bundles}
    raw = assembled(bundles, name=wish.name, weights=weights or None, kind=wish.kind, onto=wish.onto)
    if wish.views is not None:
        raw = replace(raw, manifest=raw.manifest.model_copy(update={"views": first_views(wish.views)}))
    calibration = sharpest_per_lesion(with_role(given, "calibration").where(lambda c: c.diagnosis is not None))
    bundle = fitted(raw, calibration, with_role(given, "training"), progress=progress)
    made = Assembled(bundle, weights or dict.fromkeys(bundles, 1 / len(bundles)), chosen_here=chosen_here)
    return _measured(made, said, validation, wish, progress) if said else made


def _measured(
    made: Assembled, said: Mapping[str, Probabilities], validation: CaseSet, wish: Wish, progress: Progress | None
) -> Assembled:
    """The same with figures on validation: of each bundle alone, of the first ones together, of all."""
    whole = _whole(made.bundle, validation, progress)
    truth = Truth.from_cases(validation)
    alone = tuple(Step((name,), _figures(p, truth)) for name, p in said.items())
    growth = tuple(_together(said, made.weights, list(said)[:k], truth, wish) for k in range(2, len(said)))
    all_of_them = Step(tuple(said), _figures(whole, truth))
    return replace(made, alone=alone, growth=(*growth, all_of_them), gains=_gains(whole, said, truth))


@dataclass(frozen=True)
class _Saying:
    """What a bundle says of cases: `entering` the mean (calibrated, not shifted), and `shown` under its default."""

    entering: Probabilities
    shown: Probabilities


def _said(
    bundles: Mapping[str, Bundle], validation: CaseSet, wish: Wish, progress: Progress | None
) -> dict[str, _Saying]:
    found = {}
    for name, bundle in bundles.items():
        predictor = Predictor.load(bundle)
        prediction = predictor.predict(validation, progress=_told(progress, f"validation by {name}"))
        both = [predictor.refine(prediction, prior) for prior in ("calibration", None)]
        if wish.onto is not None and bundle.taxonomy.codes == wish.onto.source.codes:
            both = [one.merged(wish.onto) for one in both]
        found[name] = _Saying(*both)
    return found


def _whole(bundle: Bundle, validation: CaseSet, progress: Progress | None) -> Probabilities:
    predictor = Predictor.load(bundle)
    return predictor.refine(predictor.predict(validation, progress=_told(progress, "validation by all")))


def _told(progress: Progress | None, phase: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(phase, done, total)


def _weights(said: Mapping[str, Probabilities], validation: CaseSet, wish: Wish) -> dict[str, float]:
    """Weights of the bundles; empty where they are equal."""
    if not isinstance(wish.weights, str):
        return dict(wish.weights)
    if wish.weights == "equal":
        return {}
    if not said:
        raise InputError("weights are fitted on the validation role, and no case has it; use equal ones")
    if wish.weights == "fitted":
        return dict(fit_weights(said, validation.labels, kind=wish.kind).weights)
    if wish.weights == "greedy":
        return dict(greedy(said, validation.labels, kind=wish.kind).weights)
    raise InputError(f"no weights are called {wish.weights!r}; there are equal, fitted, greedy, or numbers")


def _together(
    said: Mapping[str, Probabilities], weights: Mapping[str, float], names: Sequence[str], truth: Truth, wish: Wish
) -> Step:
    held = {name: said[name] for name in names}
    mean = combined(held, weights={name: weights[name] for name in names}, kind=wish.kind)
    return Step(tuple(names), _figures(mean, truth))


def _figures(said: Probabilities, truth: Truth) -> dict[str, Estimate]:
    found = evaluate(said, truth)
    figures = {name: found[name] for name in COMPARED[1:] if name in found}
    if said.taxonomy.codes == ISIC2019.codes:
        merged = evaluate(said.merged(ISIC2019_TO_ISIC2018), truth.merged(ISIC2019_TO_ISIC2018))
        figures = {COMPARED[0]: merged["balanced_accuracy"], **figures}
    return figures


def _gains(whole: Probabilities, said: Mapping[str, Probabilities], truth: Truth) -> tuple[Gain, ...]:
    rows = []
    for name, member in said.items():
        for metric in COMPARED:
            ours, theirs, known = whole, member, truth
            if metric == COMPARED[0]:
                if whole.taxonomy.codes != ISIC2019.codes:
                    continue
                ours, theirs = whole.merged(ISIC2019_TO_ISIC2018), member.merged(ISIC2019_TO_ISIC2018)
                known = truth.merged(ISIC2019_TO_ISIC2018)
            found = paired_difference(ours, theirs, known, metric.removeprefix("isic2018:"))
            rows.append((name, metric, found))
    corrected = holm([found.p_value for _, _, found in rows])
    return tuple(Gain(n, m, found.estimate, p) for (n, m, found), p in zip(rows, corrected, strict=True))
