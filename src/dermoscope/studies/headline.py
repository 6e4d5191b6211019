"""The bundled model's own figures: `make figures` runs this and rewrites README, card and docs from it.

Splits, as the design fixes them: the headline is one image of every HAM10000 test lesion that has a sharper (224 px)
copy; the validation figures are those of the twin that never saw the validation role. ISIC 2017 is the other clinic: a
model that learnt from its training role is scored on its test role, and the figure for a clinic that a model has never
seen comes from a twin that was trained without it, on all of ISIC 2017.
"""

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dermoscope.core.card import Figures
from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import AnswerKind
from dermoscope.core.taxonomy import ISIC2019_TO_ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.data.catalog import find, load
from dermoscope.data.files import write_scores, write_truth
from dermoscope.data.splits import Role, sharpest_per_lesion, with_role
from dermoscope.evaluate.intervals import rate
from dermoscope.evaluate.repeats import resampled
from dermoscope.evaluate.resampling import RESAMPLES, clusters_of
from dermoscope.evaluate.score import evaluate
from dermoscope.evaluate.subgroups import melanoma_aucs
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.predictor import Predictor
from dermoscope.refine.operating import masks
from dermoscope.studies.scorings import log_of, log_scoring, publish_figures

Progress = Callable[[int, int], None]

KEPT = (
    "balanced_accuracy",
    "accuracy",
    "macro_average.auc",
    "log_loss",
    "brier",
    "ece",
    "ece_if_perfect",
)


@dataclass(frozen=True)
class Split:
    """Cases that are scored together, and in which words a table calls them."""

    name: str
    title: str
    text: str
    cases: CaseSet


def headline_cases(cases: CaseSet, role: Role) -> CaseSet:
    """One image of every lesion of a role that has a sharper copy."""
    return with_role(cases, role).where(lambda c: bool(c.copies)).one_per_lesion()


def measure(
    predictor: Predictor, split: Split, *, out: Path | None = None, progress: Progress | None = None
) -> dict[str, Estimate]:
    """Every figure of one split. With `out`, the predictions and the truth are left there for `dermoscope evaluate`.

    Keys without prefix are under the bundle's default prior; `calibration:` marks those under the calibration prior,
    `isic2018:` the seven diagnoses of ISIC 2018, `held:` those alone that the split holds where it does not hold all,
    `decision.` the answers as served without a site of their own, named as in `refine.operating.masks`.
    """
    prediction = predictor.predict(split.cases, progress=progress)
    served = predictor.refine(prediction)
    calibrated = predictor.refine(prediction, "calibration")
    truth = Truth.from_cases(split.cases)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_scores(out / f"{split.name}-predictions.csv", served)
        write_scores(out / f"{split.name}-predictions-calibration.csv", calibrated)
        write_truth(out / f"{split.name}-truth.csv", truth)
    full = evaluate(served, truth)
    found = {name: full[name] for name in KEPT[:3]}
    found |= {f"{code}.recall": full[f"{code}.recall"] for code in served.taxonomy.codes}
    merged = evaluate(served.merged(ISIC2019_TO_ISIC2018), truth.merged(ISIC2019_TO_ISIC2018))
    found["isic2018:balanced_accuracy"] = merged["balanced_accuracy"]
    under = evaluate(calibrated, truth)
    found |= {f"calibration:{name}": under[name] for name in KEPT[1:]}
    found |= {f"calibration:{name}": e for name, e in melanoma_aucs(calibrated, split.cases).items()}
    held = tuple(code for code, n in split.cases.counts().items() if n)
    if len(held) < len(served.taxonomy):
        among = resampled([served], truth, resamples=RESAMPLES, among=held)
        found["held:balanced_accuracy"] = among.estimate("balanced_accuracy")
    return found | _decisions(predictor, split.cases, [r.answer.kind for r in predictor.results(prediction)], truth)


def _decisions(predictor: Predictor, cases: CaseSet, answers: list[AnswerKind], truth: Truth) -> dict[str, Estimate]:
    clusters, weights = clusters_of(truth), np.ones(len(cases))
    held = {code for code, n in cases.counts().items() if n}
    found = {}
    for name, (hits, among, what) in masks(answers, cases.labels, predictor.taxonomy).items():
        if "." in name and name.split(".")[0] not in held:
            continue
        measured = among.any()
        missing = Estimate.not_measurable(f"no {what}", clusters.unit, 0)
        found[f"decision.{name}"] = rate(hits, among, weights, clusters) if measured else missing
    return found


def figures_of(found: Mapping[str, Estimate], split: Split, scorings: int) -> Figures:
    """Estimates as the card holds them."""
    return Figures(
        title=split.title,
        split=split.text,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        scorings=scorings,
        estimates={name: e.as_dict() for name, e in found.items()},
    )


def splits_to_measure(bundle: Bundle) -> list[Split]:
    """What is scored of the shipped bundle; needs DERMOSCOPE_DATA."""
    ham = load("ham10000")
    test = headline_cases(ham, "test")
    whole = replace(test, cases=tuple(replace(c, path=c.copies[0]) for c in test))
    return [
        Split(
            "test",
            "HAM10000 test",
            "HAM10000, role test: one image of every lesion with a copy at 224 px (centre)",
            test,
        ),
        Split("test-whole", "the same, whole field", "the same lesions from their whole field at 200 x 150 px", whole),
        _isic2017_test() if learnt_from(bundle, "isic2017") else another_clinic(),
    ]


def learnt_from(bundle: Bundle, name: str) -> bool:
    """Whether a data set of the catalog was in the training of a bundle, as its card says."""
    return any(find(name).title in use.name for use in bundle.card.data)


def another_clinic() -> Split:
    """All of ISIC 2017, for bundles that have never seen any of it."""
    return Split(
        "isic2017",
        "ISIC 2017, never seen",
        "ISIC 2017, all labelled images (melanoma, nevus, benign keratosis only), squeezed to 256 x 256 px; "
        "nothing of it was trained, calibrated or chosen on",
        load("isic2017"),
    )


def _isic2017_test() -> Split:
    text = (
        "ISIC 2017, role test (melanoma, nevus, benign keratosis only), squeezed to 256 x 256 px; its training role "
        "was trained on, nothing of it calibrated on"
    )
    return Split("isic2017-test", "ISIC 2017 test", text, with_role(load("isic2017"), "test"))


def validation_split() -> Split:
    """What the twin is scored on, and choices are made on."""
    text = "HAM10000, role validation: one image per lesion, by the twin that was not trained on it"
    cases = with_role(load("ham10000"), "validation")
    return Split("validation", "HAM10000 validation", text, sharpest_per_lesion(cases))


@dataclass(frozen=True)
class Twins:
    """Bundles that some figures are of: `chosen` never saw the validation role, `elsewhere` nothing of ISIC 2017."""

    chosen: Path | None = None
    elsewhere: Path | None = None


def run(root: Path, reason: str, twins: Twins, progress: Callable[[str], Progress]) -> None:
    """Measure the bundled model and rewrite `docs/figures.json`, the card, README and docs below `root`.

    Figures of a twin that is not given stay as they are, as long as they are of the same bundle. `progress` gives a
    callback (done, total) for the title of a split.
    """
    predictor = Predictor.load("default")
    sha = predictor.bundle.sha256
    record = root / "docs" / "figures.json"
    before = json.loads(record.read_text()) if record.exists() else {}
    kept = [Figures.model_validate(f) for f in before["figures"]] if before.get("bundle") == sha else []
    found: list[Figures] = []

    def scored(by: Predictor, split: Split) -> None:
        estimates = measure(by, split, out=root / "out" / "figures", progress=progress(split.title))
        scorings = 0
        if split.name != "validation":
            scorings = log_scoring(log_of(root), by.bundle.sha256[:12], split.name, reason)
        found.append(figures_of(estimates, split, scorings))

    for split in splits_to_measure(predictor.bundle):
        scored(predictor, split)
    for path, twin, title in (
        (twins.elsewhere, _elsewhere, "ISIC 2017, never seen"),
        (twins.chosen, _chosen, "HAM10000 validation"),
    ):
        if path is not None:
            scored(*twin(path, predictor.bundle))
        elif title not in [f.title for f in found]:
            found += [f for f in kept if f.title == title]
    publish_figures(root, predictor.bundle, found)


def _chosen(path: Path, shipped: Bundle) -> tuple[Predictor, Split]:
    twin = Predictor.load(path)
    if twin.bundle.sha256 not in (shipped.sha256, shipped.card.run.get("twin")):
        raise InputError(f"{path} is not the twin of the bundled model; `make install-weights` first, or leave it out")
    if any("validation" in use.roles for use in twin.bundle.card.data):
        raise InputError(f"{path} learnt from the validation role; give the bundle that did not")
    return twin, validation_split()


def _elsewhere(path: Path, _: Bundle) -> tuple[Predictor, Split]:
    twin = Predictor.load(path)
    if learnt_from(twin.bundle, "isic2017"):
        raise InputError(f"{path} learnt from ISIC 2017; give the twin that did not")
    split = another_clinic()
    alone = f"; by the twin `{twin.bundle.sha256[:12]}`, trained without it"
    return twin, replace(split, text=split.text + alone)
