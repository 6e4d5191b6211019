"""What a report is made of: everything that is measured, and where it comes from.

`measure` calls `evaluate/` once for each part; pages, tables and figures only show what it found.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from dermoscope.core.card import RunCard
from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate, Unit
from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.core.truth import Truth
from dermoscope.evaluate.curves import ClassCurves, ReliabilityBin, curves, reliability_curves
from dermoscope.evaluate.matching import matched
from dermoscope.evaluate.mistakes import ConfusionMatrix, Mistakes, confusion_matrix, mistakes
from dermoscope.evaluate.resampling import RESAMPLES
from dermoscope.evaluate.score import evaluate, remarks
from dermoscope.evaluate.subgroups import Subgroup, attributes, melanoma_aucs, subgroups

Progress = Callable[[str, int, int], None]
"""Told of every part: a word, how many parts are done, how many there are."""


@dataclass(frozen=True, eq=False)
class Given:
    """What is reported on: scores and truth of the same images, in one taxonomy.

    `calibrated` are probabilities of the same images under the prior they were calibrated for; without them the scores
    serve for everything. `cases` says more of the images (source, age, sex, site, how confirmed); images that are not
    in it are listed as not stated, images beyond the truth are ignored. `sizes` maps image ids to a size in words.
    """

    scores: Scores
    truth: Truth
    calibrated: Scores | None = None
    cases: Sequence[Case] = ()
    sizes: Mapping[str, str] = field(default_factory=dict)
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Measured:
    """Every figure of a report.

    `served` are the figures of the scores, `calibrated` those of the calibrated probabilities (of the scores, where
    `two_priors` is false). `images` counts the scored images of each diagnosis, `units` its lesions, patients or
    images. `groups` maps an attribute to its groups; `melanoma` is empty where no case data were given or the taxonomy
    has no melanoma.
    """

    taxonomy: Taxonomy
    served: Mapping[str, Estimate]
    calibrated: Mapping[str, Estimate]
    two_priors: bool
    curves: Mapping[str, ClassCurves]
    reliability: Mapping[str, tuple[ReliabilityBin, ...]]
    confusion: ConfusionMatrix
    images: Mapping[str, int]
    units: Mapping[str, int]
    groups: Mapping[str, Sequence[Subgroup]]
    melanoma: Mapping[str, Estimate]
    mistakes: Mistakes
    remarks: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def unit(self) -> Unit:
        """What was drawn in the bootstrap and is counted as n."""
        return self.served["balanced_accuracy"].unit

    @property
    def n(self) -> int:
        """Units that were scored."""
        return self.served["balanced_accuracy"].n


@dataclass(frozen=True, eq=False)
class Provenance:
    """Where a report comes from.

    `lead` says in a sentence what was scored; `command` makes the page again; `files` are (what, name, SHA-256);
    `served` and `calibrated` call the two kinds of predictions. `log` holds a line per epoch. `pictures` maps image ids
    to JPEGs, scaled before; `no_pictures` says why there are none, or why some are missing.
    """

    title: str
    lead: str
    command: str
    version: str
    files: Sequence[tuple[str, str, str]] = ()
    served: str = "the predictions"
    calibrated: str = "the predictions"
    data: Mapping[str, str] = field(default_factory=dict)
    run: RunCard | None = None
    log: Sequence[Mapping[str, Any]] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    no_pictures: str = ""


def measure(given: Given, progress: Progress | None = None) -> Measured:
    """Measure everything that a report shows.

    Raises ValueRuleError where images or diagnoses of scores, calibrated probabilities and truth differ, or no case
    has a weight.
    """
    cases = _described(given)
    grouped = {**attributes(cases), **({"image size": given.sizes} if given.sizes else {})}
    total, tell = 4 + len(grouped), partial(progress or _silent, "measuring")
    options = {"resamples": given.resamples, "seed": given.seed}
    scores, truth = matched(given.scores, given.truth)
    tell(0, total)
    served = evaluate(scores, truth, **options)
    tell(1, total)
    probabilities = scores if given.calibrated is None else _calibrated(given)
    calibrated = served if given.calibrated is None else evaluate(probabilities, truth, **options)
    tell(2, total)
    drawn = curves(scores, truth, **options)
    tell(3, total)
    groups = {}
    for done, (name, values) in enumerate(grouped.items(), start=4):
        groups[name] = subgroups(scores, truth, values, **options)
        tell(done, total)
    found = Measured(
        truth.taxonomy,
        served,
        calibrated,
        given.calibrated is not None,
        drawn,
        reliability_curves(probabilities, truth),
        confusion_matrix(scores, truth),
        _images(truth),
        _units(truth, served),
        groups,
        _melanoma(given, scores, truth, cases, served),
        mistakes(scores, truth),
        tuple(remarks(given.scores, given.truth)),
        given.resamples,
        given.seed,
    )
    tell(total, total)
    return found


def as_json(measured: Measured) -> dict[str, Any]:
    """Every figure as plain values: `figures`, `calibrated`, `groups`, `melanoma`, `confusion`, `reliability` ..."""

    def plain(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
        return {name: e.as_dict() for name, e in estimates.items()}

    def group(g: Subgroup) -> dict[str, Any]:
        sizes = {"value": g.value, "n": g.n, "images": g.images, "diagnoses": g.diagnoses, "melanomas": g.melanomas}
        return {**sizes, "figures": plain(g.estimates)}

    matrix = measured.confusion
    return {
        "unit": measured.unit,
        "n": measured.n,
        "images": dict(measured.images),
        "resamples": measured.resamples,
        "seed": measured.seed,
        "figures": plain(measured.served),
        "calibrated": plain(measured.calibrated) if measured.two_priors else None,
        "melanoma": plain(measured.melanoma),
        "groups": {name: [group(g) for g in groups] for name, groups in measured.groups.items()},
        "reliability": {name: [b.as_dict() for b in bins] for name, bins in measured.reliability.items()},
        "confusion": {"rows": matrix.rows, "columns": matrix.columns, "counts": matrix.counts.tolist()},
        "remarks": list(measured.remarks),
    }


def _silent(what: str, done: int, total: int) -> None:
    del what, done, total


def _described(given: Given) -> list[Case]:
    """The scored images, each with what is known of it and the diagnosis that the truth gives it."""
    known, codes = {c.image_id: c for c in given.cases}, given.truth.taxonomy.codes
    lesions = given.truth.groups or (None,) * len(given.truth)
    return [
        replace(
            known.get(image, Case(image)),
            diagnosis=codes[label] if label >= 0 else None,
            diagnosis_original=None,
            lesion_id=lesion,
            patient_id=None,
        )
        for image, label, lesion, weight in zip(
            given.truth.ids, given.truth.labels.tolist(), lesions, given.truth.score_weight.tolist(), strict=True
        )
        if weight > 0
    ]


def _calibrated(given: Given) -> Scores:
    assert given.calibrated is not None
    try:
        return matched(given.calibrated, given.truth)[0]
    except ValueRuleError as error:
        raise ValueRuleError(f"calibrated predictions and truth: {error}") from None


def _images(truth: Truth) -> dict[str, int]:
    labels = truth.labels[(truth.score_weight > 0) & (truth.labels >= 0)]
    counts = np.bincount(labels, minlength=len(truth.taxonomy)).tolist()
    return dict(zip(truth.taxonomy.codes, counts, strict=True))


def _units(truth: Truth, served: Mapping[str, Estimate]) -> dict[str, int]:
    # Of a diagnosis without cases `evaluate` gives the n of all cases, which it looked at.
    return {code: served[f"{code}.recall"].n if n else 0 for code, n in _images(truth).items()}


def _melanoma(
    given: Given, scores: Scores, truth: Truth, cases: list[Case], served: Mapping[str, Estimate]
) -> dict[str, Estimate]:
    if not given.cases or "MEL" not in truth.taxonomy:
        return {}
    of_truth = CaseSet(tuple(cases), truth.taxonomy)
    found = melanoma_aucs(scores, of_truth, resamples=given.resamples, seed=given.seed)
    # One figure has one interval on a page: this one is stratified by diagnosis, not only by melanoma or not.
    return {**found, "MEL.auc": served["MEL.auc"]}
