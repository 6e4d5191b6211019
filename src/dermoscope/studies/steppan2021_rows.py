"""The rows of `steppan2021`: what the ablation found, beside the paper's claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dermoscope.core.claim import Claim
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.study import Measured, Row
from dermoscope.core.taxonomy import ISIC2019_TO_ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.evaluate.repeats import Resampled
from dermoscope.studies import steppan2021 as paper
from dermoscope.studies.ablation import Given, Joined, sources_to_leave_out
from dermoscope.studies.base import Context
from dermoscope.studies.gains import Gain, corrected
from dermoscope.studies.members import Mean, Predictions, predictions, scored

_NAME = "steppan2021"
_WAYS: Mapping[Joined, str] = {"alone": "not joined", "masked": "restricted softmax", "plain": "plain softmax"}
_FIGURES = {"balanced_accuracy": "balanced accuracy", "macro_average.auc": "AUC, mean", "MEL.auc": "AUC MEL"}
_SEVEN = "balanced accuracy, 7 diagnoses"


@dataclass(frozen=True, eq=False)
class Step:
    """One way to predict, resampled: over all diagnoses, and where they are those of ISIC 2019 over seven."""

    name: str
    title: str
    words: str
    whole: Resampled
    seven: Resampled | None


def rows(context: Context) -> tuple[Row, ...]:
    """Every row that the data allow; with a bundle, its members on the test role too."""
    given: Given = context.plan.held
    names = str(context.plan.data["name"]).split(" + ")
    found = predictions(context, given)
    context.told("scoring", 0, 1)
    every = ladder(found, names[0])
    if len(given.joining):
        every += joined(found, names[0], " + ".join(names[1:]))
    context.told("scoring", 1, 1)
    every += [_gap(), _counts(given)]
    if context.asked.bundle:
        from dermoscope.studies.steppan2021_bundle import bundled_rows

        every += bundled_rows(context)
    return tuple(every)


def ladder(found: Predictions, name: str) -> list[Row]:
    """Single networks, then one thing more at a time, each against the step before; the AUC per class of the last."""
    settings = found.given.settings
    split = f"{name}, {settings.folds} folds"
    backbones, views = settings.backbones, settings.views
    first = Mean(backbones[:1])
    singles = [_step(found, ("single", "", f"{_short(b)}, 1 view"), replace(first, backbones=(b,))) for b in backbones]
    lite = _short(backbones[0])
    plans = [
        (("views", f"+ {views} views instead of 1", f"{lite}, {views} views"), Mean(backbones[:1], views)),
        (("prior", "+ prior correction", f"{lite}, corrected"), Mean(backbones[:1], views, True)),
    ]
    for k in range(2, len(backbones) + 1):
        words = "+".join(_short(b) for b in backbones[:k])
        plans.append(((f"members-{k}", f"+ member {k}", words), Mean(backbones[:k], views, True)))
    if settings.seeds > 1:
        title, count = f"+ {settings.seeds} seeds of each: all", len(backbones) * settings.seeds
        plans.append((("all", title, f"all {count}"), Mean(backbones, views, True, seeds=True)))
    steps = [_step(found, called, mean) for called, mean in plans]
    pairs = list(zip([singles[0], *steps], steps, strict=False))
    gains = corrected([_gains(after, before, split) for before, after in pairs])
    rows = [Row(_NAME, "stand-in", "single", "One network, one view", paper.SINGLE,
                tuple(m for step in singles for m in _figures(step, split)))]  # fmt: skip
    for step, gain in zip(steps, gains, strict=True):
        claims = _growth(step.name, len(backbones))
        rows.append(Row(_NAME, "stand-in", step.name, step.title, claims, (*_figures(step, split), *gain)))
    return [*rows, _per_class(steps[-1], split)]


def joined(found: Predictions, name: str, other: str) -> list[Row]:
    """All networks with and without the set that joins: on the folds, at its own clinic, and at a source left out."""
    settings, cases = found.given.settings, found.given.cases
    means = {way: Mean(settings.backbones, settings.views, True, way) for way in _WAYS}
    truth, clinic = Truth.from_cases(cases), found.given.clinic
    tables = [
        ("folds", f"{name}, {settings.folds} folds", {w: scored(found.folds(m), truth) for w, m in means.items()})
    ]
    if len(clinic):
        codes = tuple(code for code, n in clinic.counts().items() if n)
        held = {w: scored(found.clinic(m), Truth.from_cases(clinic), codes) for w, m in means.items()}
        tables.append(("clinic", f"{other}, role validation", held))
    for source, codes in sources_to_leave_out(cases).items():
        truth = Truth.from_cases(cases.where(lambda c, s=source: c.source == s))  # type: ignore[misc]
        held = {w: scored(found.left_out(source, m), truth, codes) for w, m in means.items()}
        tables.append((f"source-{source}", f"{source}, left out", held))
    gains = corrected([_joined_gains(held, split) for _, split, held in tables])
    rows = []
    for (key, split, held), gain in zip(tables, gains, strict=True):
        measured = tuple(
            Measured(_called(held[way], figure), held[way].estimate(figure), split, words)
            for way, words in _WAYS.items()
            for figure in _FIGURES
            if figure in held[way].figures
        )
        title = f"{other} joins the training, scored on {split}"
        claims = (paper.SINGLE[3], paper.WITHOUT_EXTERNAL) if key == "folds" else ()
        kind = "stand-in" if claims else "method check"
        rows.append(Row(_NAME, kind, f"joined-{key}", title, claims, (*measured, *gain), _NOTES.get(key, "")))  # type: ignore[arg-type]
    return rows


_NOTES = {
    "clinic": "scored among the diagnoses that this set can hold; its own training role is what joined",
    "folds": "the claims are those with and without all external data of the paper",
}


def _step(found: Predictions, called: tuple[str, str, str], mean: Mean) -> Step:
    repeats, truth = found.folds(mean), Truth.from_cases(found.given.cases)
    seven = None
    if found.given.cases.taxonomy == ISIC2019_TO_ISIC2018.source:
        merged: list[Probabilities] = [one.merged(ISIC2019_TO_ISIC2018) for one in repeats]
        seven = scored(merged, truth.merged(ISIC2019_TO_ISIC2018))
    return Step(*called, scored(repeats, truth), seven)


def _figures(step: Step, split: str) -> tuple[Measured, ...]:
    of = step.whole
    found = [Measured(_called(of, f), of.estimate(f), split, step.words) for f in _FIGURES if f in of.figures]
    if step.seven is not None:
        found.insert(1, Measured(_SEVEN, step.seven.estimate("balanced_accuracy"), split, step.words))
    return tuple(found)


def _gains(after: Step, before: Step, split: str) -> list[Gain]:
    return [
        Gain(_called(after.whole, f), after.whole.minus(before.whole, f), split, after.words, before.words)
        for f in _FIGURES
        if after.whole.has(f)
    ]


def _joined_gains(held: Mapping[Joined, Resampled], split: str) -> list[Gain]:
    pairs: Sequence[tuple[Joined, Joined]] = (("masked", "alone"), ("plain", "alone"), ("masked", "plain"))
    return [
        Gain(_called(held[a], f), held[a].minus(held[b], f), split, _WAYS[a], _WAYS[b])
        for a, b in pairs
        for f in ("balanced_accuracy", "MEL.auc")
        if held[a].has(f) and held[b].has(f)
    ]


def _called(of: Resampled, figure: str) -> str:
    """What a figure is called; the number of diagnoses belongs to the name of a balanced accuracy."""
    if figure != "balanced_accuracy":
        return _FIGURES[figure]
    return f"{_FIGURES[figure]}, {sum(name.endswith('.auc') for name in of.figures) - 1} diagnoses"


def _growth(name: str, networks: int) -> tuple[Claim, ...]:
    """The claims beside a step: the paper's mean of as many members; of more than it says, the rest of its growth."""
    if name == "all":
        return paper.GROWTH[networks:]
    if name == "prior":  # one network with all that comes before the mean
        return paper.GROWTH[:1]
    if not name.startswith("members-"):
        return ()
    count = int(name.rpartition("-")[2])
    return paper.GROWTH[count - 1 : count]


def _per_class(step: Step, split: str) -> Row:
    names = [name for name in step.whole.figures if name.endswith(".auc") and not name.startswith("macro")]
    measured = tuple(
        Measured(f"AUC {name.removesuffix('.auc')}", step.whole.estimate(name), split, step.words) for name in names
    )
    note = "the paper's UNK was learnt from clinical photographs; no member here has it as a diagnosis"
    return Row(_NAME, "stand-in", "per-class", "AUC of each diagnosis, all members", paper.AUC, measured, note)


def _gap() -> Row:
    note = (
        "the paper drew its validation per image, so that one lesion stood on both sides; folds here are by lesion, "
        "and this gap cannot come about"
    )
    return Row(_NAME, "method check", "gap", "Validation against test", paper.VALIDATION, (), note)


def _counts(given: Given) -> Row:
    everything = given.cases.counts()
    more = given.joining.counts()
    measured = tuple(
        Measured(f"images of {code}", Estimate(float(n + more[code]), None, None, "counted", "image", n + more[code]),
                 "training of the folds and what joined", "counted")
        for code, n in everything.items()
    )  # fmt: skip
    return Row(_NAME, "re-measured", "counts", "Training set by diagnosis", paper.COUNTS, measured)


def _short(backbone: str) -> str:
    return backbone.removeprefix("tf_efficientnet_")
