"""The bundled model's own figures: `make figures` runs this and rewrites README, card and docs from it.

Splits, as the design fixes them: the headline is one image of every HAM10000 test lesion that has a sharper (224 px)
copy; the validation figures are those of the twin that never saw the validation role; ISIC 2017 is the other clinic, of
which nothing was trained, calibrated or chosen on.
"""

import csv
import datetime
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dermoscope.core.card import Figures
from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import Estimate
from dermoscope.core.taxonomy import ISIC2019_TO_ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.data.catalog import load
from dermoscope.data.files import write_scores, write_truth
from dermoscope.data.splits import Role, sharpest_per_lesion, with_role
from dermoscope.data.store import write_file
from dermoscope.evaluate.intervals import rate
from dermoscope.evaluate.resampling import clusters_of
from dermoscope.evaluate.score import evaluate
from dermoscope.evaluate.subgroups import melanoma_aucs
from dermoscope.predict import bundle as bundles
from dermoscope.predict.predictor import Predictor
from dermoscope.report.blocks import comparison, rewrite
from dermoscope.report.card import as_markdown

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
    `isic2018:` the seven diagnoses of ISIC 2018, `decision.` the answers as served.
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
    return found | _decisions(predictor, split.cases, [r.answer.kind for r in predictor.results(prediction)], truth)


def _decisions(predictor: Predictor, cases: CaseSet, answers: list[str], truth: Truth) -> dict[str, Estimate]:
    kinds = np.array(answers)
    codes = predictor.bundle.decision.codes
    suspicious = np.array([c.diagnosis in codes for c in cases])
    melanoma = np.array([c.diagnosis == "MEL" for c in cases])
    everyone = np.ones(len(cases), bool)
    clusters, weights = clusters_of(truth), np.ones(len(cases))
    answered = kinds != "cannot_assess"
    referred = kinds == "refer"
    return {
        "decision.answered": rate(answered, everyone, weights, clusters),
        "decision.sensitivity": rate(referred | ~answered, suspicious, weights, clusters),
        "decision.sensitivity_abstained_missed": rate(referred, suspicious, weights, clusters),
        "decision.melanoma_sensitivity": rate(referred | ~answered, melanoma, weights, clusters),
        "decision.specificity": rate(kinds == "low_concern", ~suspicious, weights, clusters),
    }


def log_scoring(path: Path, bundle: str, split: str, reason: str) -> int:
    """Append one scoring of a role to the log (date, bundle, split, reason); returns how many this split has now."""
    rows = list(csv.reader(path.read_text().splitlines())) if path.exists() else [["date", "bundle", "split", "reason"]]
    rows.append([datetime.datetime.now(datetime.UTC).date().isoformat(), bundle, split, reason])
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_file(path, text.getvalue().encode())
    return sum(row[2] == split for row in rows)


def figures_of(found: Mapping[str, Estimate], split: Split, scorings: int) -> Figures:
    """Estimates as the card holds them."""
    return Figures(
        title=split.title,
        split=split.text,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        scorings=scorings,
        estimates={name: e.as_dict() for name, e in found.items()},
    )


def splits_to_measure() -> list[Split]:
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
        Split(
            "isic2017",
            "ISIC 2017, another clinic",
            "ISIC 2017, all labelled images (melanoma, nevus, benign keratosis only), squeezed to 256 x 256 px; "
            "nothing of it was trained, calibrated or chosen on",
            load("isic2017"),
        ),
    ]


def validation_split() -> Split:
    """What the twin is scored on, and choices are made on."""
    text = "HAM10000, role validation: one image per lesion, by the twin that was not trained on it"
    cases = with_role(load("ham10000"), "validation")
    return Split("validation", "HAM10000 validation", text, sharpest_per_lesion(cases))


def run(root: Path, reason: str, chosen: Path | None, progress: Callable[[str], Progress]) -> None:
    """Measure the bundled model and rewrite `docs/figures.json`, the card, README and docs below `root`.

    `chosen` is the twin's bundle; without it the validation figures of the last run stay, as long as they are of the
    same bundle. `progress` gives a callback (done, total) for the title of a split.
    """
    predictor = Predictor.load("default")
    sha = predictor.bundle.sha256
    record = root / "docs" / "figures.json"
    before = json.loads(record.read_text()) if record.exists() else {}
    found: list[Figures] = []
    for split in splits_to_measure():
        estimates = measure(predictor, split, out=root / "out" / "figures", progress=progress(split.title))
        scorings = log_scoring(root / "docs" / "test-scorings.csv", sha[:12], split.name, reason)
        found.append(figures_of(estimates, split, scorings))
    if chosen is not None:
        twin = Predictor.load(chosen)
        if predictor.bundle.card.run.get("twin") != twin.bundle.sha256:
            raise InputError(
                f"{chosen} is not the twin of the bundled model; `make install-weights` first, or leave it out"
            )
        split = validation_split()
        estimates = measure(twin, split, progress=progress(split.title))
        found.append(figures_of(estimates, split, 0))
    elif before.get("bundle") == sha:
        found += [Figures.model_validate(f) for f in before["figures"] if f["title"] == "HAM10000 validation"]
    card = predictor.bundle.card.model_copy(update={"figures": tuple(found)})
    bundles.save_card(card, bundles.find("default"))
    content = {"bundle": sha, "figures": [f.model_dump(mode="json") for f in found]}
    write_file(record, (json.dumps(content, indent=1) + "\n").encode())
    write_file(root / "docs" / "model-card.md", as_markdown(card, sha).encode())
    readme = root / "README.md"
    rewritten = rewrite(readme.read_text(), {"headline": comparison(found, sha)}, "README.md")
    write_file(readme, rewritten.encode())
