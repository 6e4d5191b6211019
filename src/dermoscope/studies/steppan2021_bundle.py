"""The members of a bundle on the test role, for `steppan2021`: each alone, the mean as it grows, before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.study import Measured, Row
from dermoscope.core.truth import Truth
from dermoscope.data.catalog import CATALOG, data_root, load, whereabouts
from dermoscope.data.splits import with_role
from dermoscope.evaluate.repeats import Resampled, resampled
from dermoscope.evaluate.score import evaluate
from dermoscope.predict.predictor import Predictor
from dermoscope.refine.ensemble import combine
from dermoscope.refine.prior import shift_prior
from dermoscope.studies import steppan2021 as paper
from dermoscope.studies.base import Context
from dermoscope.studies.gains import Gain, corrected
from dermoscope.studies.headline import headline_cases, learnt_from
from dermoscope.studies.scorings import log_of, log_scoring, recount

_NAME = "steppan2021"
_SHOWN = {"balanced_accuracy": "balanced accuracy", "macro_average.auc": "AUC, mean", "MEL.auc": "AUC MEL"}


@dataclass(frozen=True, eq=False)
class Way:
    """One way to make probabilities of the members' logits, and its figures."""

    words: str
    probabilities: Probabilities
    figures: Resampled


def bundled_rows(context: Context) -> list[Row]:
    """Rows of every test set that is here. Raises InputError where a bundle reads other diagnoses than ISIC 2019.

    Of several bundles, separated by commas, those after the first are twins that were trained without ISIC 2017 and are
    scored on that alone.
    """
    found: list[Row] = []
    for number, given in enumerate(context.asked.bundle.split(",")):
        predictor = Predictor.load(given)
        if "MEL" not in predictor.taxonomy.codes:
            raise InputError(f"{given}: reads {predictor.taxonomy.name}; this study scores melanoma")
        for key, title, cases in _tests(predictor):
            if number == 0 or key == "isic2017":
                prediction = _predicted(context, predictor, key, cases)
                found += _rows(predictor, prediction, key, title, cases)
    return found


def _tests(predictor: Predictor) -> list[tuple[str, str, CaseSet]]:
    """(name in the log, in words, cases): HAM10000's role test, and ISIC 2017, of which only the role test is left
    where its training role was trained on."""
    base = data_root()
    here = [name for name in ("ham10000", "isic2017") if whereabouts(CATALOG[name], base).layout is not None]
    found = []
    if "ham10000" in here:
        found.append(("test", "HAM10000, role test", headline_cases(load("ham10000"), "test")))
    if "isic2017" in here:
        other = load("isic2017")
        if learnt_from(predictor.bundle, "isic2017"):
            found.append(("isic2017-test", "ISIC 2017, role test", with_role(other, "test")))
        else:
            found.append(("isic2017", "ISIC 2017, all of it", other))
    return found


def _predicted(context: Context, predictor: Predictor, key: str, cases: CaseSet) -> Prediction:
    """Logits of every member, from disk where this bundle was scored on these cases before: each scoring is logged."""
    bundle = predictor.bundle.sha256

    def make() -> Mapping[str, np.ndarray]:
        made = predictor.predict(cases, progress=lambda done, total: context.told(f"bundle, {key}", done, total))
        log_scoring(_log(context), bundle[:12], key, "study steppan2021")
        if _log(context) == log_of(Path.cwd()):
            recount(Path.cwd())
        return {"logits": made.logits, "members": np.array(made.members, dtype=str)}

    held = context.piece({"bundle": bundle, "cases": list(cases.ids)}, make)
    names = tuple(map(str, held["members"]))
    return Prediction(cases.ids, predictor.taxonomy, held["logits"], members=names)


def _log(context: Context) -> Path:
    """The repository's log where the command runs in its root, else one beside the study's results."""
    log = log_of(Path.cwd())
    return log if log.is_file() else context.folder.parent / "test-scorings.csv"


def _ways(predictor: Predictor, prediction: Prediction, cases: CaseSet) -> tuple[list[Way], list[Way], list[Way]]:
    """Members alone and their mean as it grows, all corrected to a uniform prior; and the stages of the whole mean."""
    pipeline, truth = predictor.bundle.pipeline, Truth.from_cases(cases)
    codes = tuple(code for code, n in cases.counts().items() if n)
    uniform = Prior.uniform(predictor.taxonomy)

    def way(words: str, probabilities: Probabilities) -> Way:
        return Way(words, probabilities, resampled([probabilities], truth, among=codes))

    apart = pipeline.of_members(prediction)
    if len(apart) == 1:  # nothing but the calibration knows the prior that it learnt
        apart = dict.fromkeys(apart, pipeline.calibrated(prediction))
    fair = {name: shift_prior(p, pipeline.calibration_prior, uniform) for name, p in apart.items()}
    weights = np.array([pipeline.members[name].weight for name in fair])
    stacked = np.stack([p.values for p in fair.values()], axis=1)
    means = {k: combine(stacked[:, :k], weights[:k], pipeline.kind) for k in range(2, len(fair) + 1)}
    growth = [way(f"first {k}", Probabilities(cases.ids, predictor.taxonomy, mean)) for k, mean in means.items()]
    stages = [
        way("mean of members", pipeline.mean(prediction)),
        way("+ calibration", pipeline.calibrated(prediction)),
        way("+ prior uniform", pipeline.shifted(prediction, uniform)),
    ]
    return [way(name, p) for name, p in fair.items()], growth, stages


def _rows(predictor: Predictor, prediction: Prediction, key: str, title: str, cases: CaseSet) -> list[Row]:
    singles, growth, stages = _ways(predictor, prediction, cases)
    pairs = [*zip([singles[0], *growth], growth, strict=False), *pairwise(stages)]
    gains = corrected([_gains(after, before, title) for before, after in pairs])
    claimed = key == "test"
    sha, name = predictor.bundle.sha256[:12], f"bundled-{key}"
    of = f"{title}, bundle {sha}"
    alone = _measured(singles, title)
    rows = [Row(_NAME, "stand-in", f"{name}-single", f"Each member: {of}", paper.SINGLE if claimed else (), alone)]
    for k, (step, gain) in enumerate(zip(growth, gains, strict=False), start=2):
        claims = paper.GROWTH[k - 1 : k] if claimed else ()
        found = (*_measured([step], title), *gain)
        rows.append(Row(_NAME, "stand-in", f"{name}-members-{k}", f"+ member {k}: {of}", claims, found))
    after = tuple(m for gain in gains[len(growth) :] for m in gain)
    every = {code for code, n in cases.counts().items() if n} == set(predictor.taxonomy.codes)
    losses = _losses(stages, Truth.from_cases(cases), title) if every else ()
    found = (*_measured(stages, title), *losses, *after)
    rows.append(Row(_NAME, "method check", f"{name}-stages", f"Calibration and prior: {of}", (), found))
    last = stages[-1].figures
    codes = [figure.removesuffix(".auc") for figure in last.figures if figure.endswith(".auc") and "_" not in figure]
    classes = tuple(Measured(f"AUC {c}", last.estimate(f"{c}.auc"), title, stages[-1].words) for c in codes)
    claims = paper.AUC if claimed else ()
    return [*rows, Row(_NAME, "stand-in", f"{name}-per-class", f"AUC of each diagnosis: {of}", claims, classes)]


def _measured(ways: Sequence[Way], title: str) -> tuple[Measured, ...]:
    return tuple(
        Measured(_called(way, name), way.figures.estimate(name), title, way.words) for way in ways for name in _SHOWN
    )


def _losses(stages: Sequence[Way], truth: Truth, title: str) -> tuple[Measured, ...]:
    """Log-loss and calibration error: only where every diagnosis occurs do probabilities over all of them mean it."""
    found: list[Measured] = []
    for way in stages:
        figures = evaluate(way.probabilities, truth, resamples=500)
        found += [Measured(words, figures[name], title, way.words) for name, words in
                  (("log_loss", "log-loss"), ("ece", "calibration error"))]  # fmt: skip
    return tuple(found)


def _gains(after: Way, before: Way, title: str) -> list[Gain]:
    return [
        Gain(_called(after, name), after.figures.minus(before.figures, name), title, after.words, before.words)
        for name in ("balanced_accuracy", "MEL.auc")
    ]


def _called(way: Way, name: str) -> str:
    if name != "balanced_accuracy":
        return _SHOWN[name]
    return f"{_SHOWN[name]}, {sum(figure.endswith('.auc') for figure in way.figures.figures) - 1} diagnoses"
