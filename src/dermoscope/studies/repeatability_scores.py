"""What is said of pictures whose lesion is known: by a bundle as served, or by heads that never saw the lesion."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from dermoscope.core.cases import CaseSet
from dermoscope.core.prediction import AnswerKind, Prediction
from dermoscope.core.probabilities import Probabilities
from dermoscope.data.images import Source
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.quality import FIGURES
from dermoscope.refine.calibrate import fit_bias_corrected
from dermoscope.refine.decision import Evidence, decide, fit_threshold
from dermoscope.refine.prior import shift_prior
from dermoscope.studies.ablation import folds_of
from dermoscope.studies.base import Context
from dermoscope.studies.material import embedded, fitted, whole_field

CHUNK = 200
"""Pictures that a killed run repeats at most."""

FOLDS = 5
MELANOMA = "MEL"
LEAST = 1e-6
"""Probabilities nearer to 0 or 1 count as this near: what lies beyond says nothing to anybody."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What is said of pictures, in their order.

    `calibrated` are probabilities under the calibration prior, `top` is the most probable diagnosis under the prior
    that is shown, `answers` are the answers, and `margin` how far the log-odds of the diagnoses to refer lie above the
    threshold from which they are referred.
    """

    calibrated: Probabilities
    top: tuple[str, ...]
    answers: tuple[AnswerKind, ...]
    margin: Float[np.ndarray, " pictures"]

    @property
    def melanoma(self) -> Float[np.ndarray, " pictures"]:
        """Log-odds of melanoma, natural logarithm."""
        return log_odds(self.calibrated.column(MELANOMA))

    def take(self, rows: Sequence[int] | np.ndarray) -> "Looked":
        """Some of the pictures, in this order."""
        kept = [int(row) for row in rows]
        ids = [self.calibrated.ids[row] for row in kept]
        return Looked(
            self.calibrated.aligned_to(ids),
            tuple(self.top[row] for row in kept),
            tuple(self.answers[row] for row in kept),
            self.margin[kept],
        )


def log_odds(probability: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Natural logarithm of the odds; probabilities are kept `LEAST` away from 0 and 1."""
    held = np.clip(probability, LEAST, 1 - LEAST)
    return np.asarray(np.log(held / (1 - held)))


def whole_fields(cases: CaseSet) -> list[Source]:
    """The whole-field copy of every picture: the one kind that every picture is here in."""
    return [whole_field(case) for case in cases]


def scored(
    context: Context, predictor: Predictor, copy: str, ids: Sequence[str], sources: Callable[[slice], list[Source]]
) -> Prediction:
    """Logits, embeddings and quality figures of pictures, in pieces; `copy` says what was done to them."""
    logits, embedding, quality = [], [], []
    for start in range(0, len(ids), CHUNK):
        chunk = slice(start, min(start + CHUNK, len(ids)))

        def make(chunk: slice = chunk) -> Mapping[str, np.ndarray]:
            made = predictor.predict(sources(chunk), names=list(ids[chunk]))
            none = np.zeros((len(made), 0), np.float32)
            figures = np.array([[of[name] for name in FIGURES] for of in made.quality])
            strange = none if made.embedding is None else made.embedding
            names = np.array(FIGURES)
            return {"logits": made.logits, "embedding": strange, "quality": figures, "names": names}

        held = context.piece({"bundle": predictor.bundle.sha256, "copy": copy, "ids": list(ids[chunk])}, make)
        logits.append(held["logits"])
        embedding.append(held["embedding"])
        names = [str(name) for name in held["names"]]
        quality += [dict(zip(names, map(float, row), strict=True)) for row in held["quality"]]
        context.told(f"bundle, {copy}", chunk.stop, len(ids))
    strange = np.concatenate(embedding)
    return Prediction(
        tuple(ids),
        predictor.taxonomy,
        np.concatenate(logits),
        strange if strange.shape[1] else None,
        tuple(quality),
        tuple(m.name for m in predictor.bundle.members for _ in predictor.views()),
    )


def answered(predictor: Predictor, prediction: Prediction, views: int | None = None) -> Looked:
    """What the bundle says as served, without settings of a site, from all its views or the first `views` of them."""
    seen = prediction if views is None else prediction.first_views(views)
    results, rule, codes = predictor.results(seen), predictor.bundle.decision, predictor.taxonomy.codes
    calibrated = Probabilities(
        prediction.ids, predictor.taxonomy, np.array([[r.calibrated[code] for code in codes] for r in results])
    )
    lowest = min(rule.lowest, rule.refer_at)
    return Looked(
        calibrated,
        tuple(max(r.probabilities, key=r.probabilities.__getitem__) for r in results),
        tuple(r.answer.kind for r in results),
        log_odds(calibrated.of_codes(rule.codes)) - float(log_odds(np.array(lowest))),
    )


def of_means(predictor: Predictor, looked: Looked, lesions: Sequence[str]) -> Bool[np.ndarray, " lesions"]:
    """Which lesions are referred by the mean of their pictures' calibrated probabilities, in order of appearance."""
    mean = looked.calibrated.by_lesion(lesions)
    shown = shift_prior(mean, predictor.bundle.prior("calibration"), predictor.prior())
    answers = decide(predictor.bundle.decision, Evidence(mean, shown))
    return np.array([answer.kind == "refer" for answer in answers], bool)


def out_of_fold(context: Context, recipe: Any, cases: CaseSet, codes: Sequence[str]) -> Looked:
    """What heads on frozen features say of lesions that they never saw, `FOLDS` folds by lesion.

    Calibration (one scale, a bias per diagnosis) and the threshold that refers 95 % of the pictures of `codes` are
    fitted on the out-of-fold scores of the other folds.
    """
    features = embedded(context, recipe, [whole_field(case) for case in cases])
    folds, labels, taxonomy = folds_of(cases, FOLDS), cases.labels, cases.taxonomy
    fair = np.zeros((len(cases), len(taxonomy)))
    for fold in range(FOLDS):
        key = {"head": fold, "cases": list(cases.ids)}
        make = partial(_fair, recipe, features, labels, folds == fold, len(taxonomy))
        fair[folds == fold] = context.piece(key, make)["fair"]
        context.told("heads", fold + 1, FOLDS)
    raw = Probabilities(cases.ids, taxonomy, fair)
    values, margin = np.zeros_like(fair), np.zeros(len(cases))
    for fold in range(FOLDS):
        own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        scaling = fit_bias_corrected(_rows(raw, others), labels[others])
        calibrated = scaling.apply(raw)
        concern = calibrated.of_codes(codes)
        positive = np.isin(labels, [taxonomy.index(code) for code in codes])
        limit = fit_threshold(concern[others], positive[others].astype(int), 0.95)
        values[own] = calibrated.values[own]
        margin[own] = log_odds(concern[own]) - float(log_odds(np.array(limit)))
    answers: tuple[AnswerKind, ...] = tuple("refer" if above >= 0 else "low_concern" for above in margin)
    top = tuple(taxonomy.codes[k] for k in fair.argmax(axis=1))
    return Looked(Probabilities(cases.ids, taxonomy, values), top, answers, margin)


def _rows(probabilities: Probabilities, rows: Int[np.ndarray, " rows"]) -> Probabilities:
    return probabilities.aligned_to([probabilities.ids[row] for row in rows])


def _fair(
    recipe: Any, features: np.ndarray, labels: np.ndarray, left_out: np.ndarray, diagnoses: int
) -> Mapping[str, np.ndarray]:
    """`fair`: probabilities of the fold left out, as if every diagnosis that was trained on were equally common."""
    weight, bias, shown = fitted(recipe, features[~left_out], labels[~left_out], diagnoses)
    logits = (features[left_out] @ weight.T + bias).astype(float)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = np.divide(shares, shown, out=np.zeros_like(shares), where=shown > 0)
    return {"fair": shares / shares.sum(axis=1, keepdims=True)}
