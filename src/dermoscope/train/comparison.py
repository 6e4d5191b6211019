"""Runs beside each other: what differs in their settings, and in what they reached on the same lesions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dermoscope.core.card import RunCard
from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import Estimate
from dermoscope.core.probabilities import Probabilities, Scores
from dermoscope.core.taxonomy import ISIC2018, Taxonomy
from dermoscope.core.truth import Truth
from dermoscope.data.files import guess_taxonomy, read_scores, read_truth
from dermoscope.data.splits import with_role
from dermoscope.evaluate.intervals import Difference, holm, paired_difference
from dermoscope.evaluate.matching import brought_to
from dermoscope.evaluate.repeats import Resampled, resampled
from dermoscope.predict.predictor import Predictor
from dermoscope.train import runs

Progress = Callable[[str, int, int], None]

COMPARED = (
    ("isic2018:balanced_accuracy", runs.SERVED, "balanced_accuracy"),
    ("balanced_accuracy", runs.SERVED, "balanced_accuracy"),
    ("calibration:MEL.auc", runs.CALIBRATED, "MEL.auc"),
    ("calibration:log_loss", runs.CALIBRATED, "log_loss"),
)
"""Figures whose paired differences are taken: name in the run card, the file it comes from, its name in `evaluate`."""


@dataclass(frozen=True)
class RunDifference:
    """How much a figure of `run` exceeds that of the first run on the same lesions; `p_holm` is corrected."""

    run: str
    metric: str
    estimate: Estimate
    p_value: float
    p_holm: float


@dataclass(frozen=True)
class Comparison:
    """`settings` and `figures` map a name to one value for each run; `remarks` say what limits the comparison."""

    runs: tuple[str, ...]
    settings: dict[str, list[Any]]
    figures: dict[str, list[Estimate | None]]
    differences: tuple[RunDifference, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """JSON-able fields."""
        return {
            "runs": list(self.runs),
            "settings": self.settings,
            "figures": {n: [e and e.as_dict() for e in row] for n, row in self.figures.items()},
            "differences": [{**vars(d), "estimate": d.estimate.as_dict()} for d in self.differences],
            "remarks": list(self.remarks),
        }


def compare(folders: Sequence[Path], elsewhere: CaseSet | None = None, progress: Progress | None = None) -> Comparison:
    """Compare runs with the first of them, on the lesions they were validated on.

    With `elsewhere` also on the validation role of other cases, among the diagnoses that these hold: figures that begin
    with `elsewhere:`, under a uniform prior.
    Raises InputError for fewer than two, a folder that holds no run, or other cases without that role.
    """
    if len(folders) < 2:
        raise InputError("comparing takes two runs or more; `dermoscope runs list` shows what there is")
    cards = [runs.read_run(folder) for folder in folders]
    names = dict.fromkeys(n for card in cards[1:] for n in runs.differences(cards[0], card))
    flat = [runs.compared(card) for card in cards]
    settings: dict[str, list[Any]] = {n: [f.get(n) for f in flat] for n in names}
    settings |= {name: values for name, values in _provenance(cards).items() if len(set(values)) > 1}
    estimates = [{n: f.get(n) for f in card.figures for n in f.estimates} for card in cards]
    figures = {n: [e.get(n) for e in estimates] for n in dict.fromkeys(n for e in estimates for n in e)}
    remarks = [_unfinished(folder, card) for folder, card in zip(folders, cards, strict=True) if not card.figures]
    rows, more = _differences(folders, cards)
    if elsewhere is not None:
        there = [_elsewhere(folder, elsewhere, progress) for folder in folders]
        figures |= {f"{_ELSEWHERE}{n}": [r.estimate(n) for r in there] for n in _THERE if there[0].has(n)}
        for folder, one in list(zip(folders, there, strict=True))[1:]:
            rows += [(str(folder), f"{_ELSEWHERE}{n}", one.minus(there[0], n)) for n in _THERE if one.has(n)]
    corrected = holm([found.p_value for _, _, found in rows])
    differences = tuple(
        RunDifference(run, name, found.estimate, found.p_value, p)
        for (run, name, found), p in zip(rows, corrected, strict=True)
    )
    return Comparison(tuple(map(str, folders)), settings, figures, differences, (*remarks, *more))


_ELSEWHERE = "elsewhere:"
_THERE = ("balanced_accuracy", "macro_average.auc", "MEL.auc")


def _elsewhere(folder: Path, cases: CaseSet, progress: Progress | None) -> Resampled:
    """What the chosen bundle of a run says of the validation role of other cases."""
    held = with_role(cases, "validation").where(lambda c: c.diagnosis is not None and c.path is not None)
    if not len(held):
        raise InputError("none of the other cases has the role validation; give a data set that has it")
    predictor = Predictor.load(folder / "chosen")
    told = None if progress is None else lambda done, total: progress(f"elsewhere, by {folder.name}", done, total)
    said = predictor.refine(predictor.predict(held, progress=told), "uniform")
    counts = np.array(list(held.counts().values()))
    among = [code for code, n in held.counts().items() if n]
    # given that it is one of those: what a model thinks of the others must not move the ranking
    values = said.values * (counts > 0)
    given = Probabilities(said.ids, said.taxonomy, values / values.sum(axis=1, keepdims=True))
    return resampled([given], Truth.from_cases(held), among=among)


def _provenance(cards: Sequence[RunCard]) -> dict[str, list[str]]:
    return {
        "code": [c.code.get("commit", c.code.get("sources", ""))[:12] for c in cards],
        "device": [str(c.environment.get("device")) for c in cards],
        "processes": [str(c.environment.get("processes")) for c in cards],
        "torch": [str(c.environment.get("packages", {}).get("torch")) for c in cards],
    }


def _unfinished(folder: Path, card: RunCard) -> str:
    return f"{folder} has no validation figures: it is {runs.state_of(folder, card)}, or had no validation cases."


def _differences(
    folders: Sequence[Path], cards: Sequence[RunCard]
) -> tuple[list[tuple[str, str, Difference]], list[str]]:
    if not cards[0].figures:
        return [], []
    truth = _truth(folders[0])
    rows, remarks = [], []
    for folder, card in list(zip(folders, cards, strict=True))[1:]:
        if not card.figures:
            continue
        if _truth_key(_truth(folder)) != _truth_key(truth):
            remarks.append(f"{folder} was validated on other cases than {folders[0]}: no paired difference is taken.")
            continue
        for name, file, metric in COMPARED:
            if name in cards[0].figures[0].estimates and name in card.figures[0].estimates:
                target = ISIC2018 if name.startswith("isic2018:") else truth.taxonomy
                (ours, known), (theirs, _) = (_brought(f / file, truth, target) for f in (folder, folders[0]))
                rows.append((str(folder), name, paired_difference(ours, theirs, known, metric)))
    return rows, remarks


def _truth(folder: Path) -> Truth:
    path = folder / runs.TRUTH
    return read_truth(path, guess_taxonomy(path))


def _truth_key(truth: Truth) -> tuple[object, ...]:
    return truth.taxonomy.codes, dict(zip(truth.ids, truth.labels.tolist(), strict=True))


def _brought(path: Path, truth: Truth, target: Taxonomy) -> tuple[Scores, Truth]:
    scores, known, _ = brought_to(read_scores(path, truth.taxonomy), truth, target)
    return scores, known
