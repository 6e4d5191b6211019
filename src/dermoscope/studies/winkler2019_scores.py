"""What a bundle says of pictures that were made for a study: scored in pieces, answered with and without its gates."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from dermoscope.core.prediction import AnswerKind, Prediction
from dermoscope.data.artefacts import ARTEFACTS, apply
from dermoscope.data.synthetic import draw
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.quality import FIGURES, quality_of
from dermoscope.studies.base import Context

CHUNK = 200
"""Pictures that a killed run repeats at most."""

MELANOMA = "MEL"
_LEAST = 1e-6

Pixels = UInt8[np.ndarray, "height width 3"]
Pictures = Callable[[Sequence[str]], list[Pixels]]
"""Names -> the pictures that are called so."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What is said of a number of pictures, in their order.

    `melanoma`: calibrated probability of melanoma. `referred`: what the decision rule says of the probabilities alone,
    so that every picture has an answer. `served`: the answer as served, which cannot assess a poor or strange picture.
    """

    melanoma: Float[np.ndarray, " cases"]
    referred: Bool[np.ndarray, " cases"]
    served: tuple[AnswerKind, ...]

    @property
    def log_odds(self) -> Float[np.ndarray, " cases"]:
        """Of melanoma, natural logarithm."""
        held = np.clip(self.melanoma, _LEAST, 1 - _LEAST)
        return np.asarray(np.log(held / (1 - held)))

    def was(self, kind: AnswerKind) -> Bool[np.ndarray, " cases"]:
        """Which pictures got this answer as served."""
        return np.array([k == kind for k in self.served], bool)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Looked":
        """Some of the pictures."""
        kept = [int(row) for row in rows]
        return Looked(self.melanoma[kept], self.referred[kept], tuple(self.served[row] for row in kept))


def looked_at(
    context: Context,
    predictor: Predictor,
    key: Mapping[str, Any],
    names: Sequence[str],
    pictures: Pictures,
) -> Looked:
    """Scores and answers for the pictures called `names`, which `pictures` makes.

    `key` says everything that the pictures depend on besides their names. Network and quality figures are kept apart,
    so that another quality gate asks for no second look by the network.
    """
    logits, embedding, quality = [], [], []
    for start in range(0, len(names), CHUNK):
        chunk = list(names[start : start + CHUNK])
        whose = {**key, "names": chunk}
        shown = cache(partial(pictures, chunk))
        held = context.piece({"bundle": predictor.bundle.sha256, **whose}, partial(_run_on, predictor, shown))
        figures = context.piece({"quality": _quality_version(), **whose}, partial(_quality_on, shown))
        logits.append(held["logits"])
        embedding.append(held["embedding"])
        quality += [dict(zip(FIGURES, map(float, row), strict=True)) for row in figures["quality"]]
    strange = np.concatenate(embedding)
    prediction = Prediction(
        tuple(names),
        predictor.taxonomy,
        np.concatenate(logits),
        strange if strange.shape[1] else None,
        tuple(quality),
        tuple(m.name for m in predictor.bundle.members for _ in predictor.views()),
    )
    return _answered(predictor, prediction)


def _answered(predictor: Predictor, prediction: Prediction) -> Looked:
    served = predictor.results(prediction)
    alone = predictor.results(replace(prediction, quality=(), embedding=None))
    return Looked(
        np.array([r.calibrated[MELANOMA] for r in served]),
        np.array([r.answer.kind == "refer" for r in alone], bool),
        tuple(r.answer.kind for r in served),
    )


def _run_on(predictor: Predictor, shown: Callable[[], list[Pixels]]) -> Mapping[str, np.ndarray]:
    return _run(predictor, shown())


def _quality_on(shown: Callable[[], list[Pixels]]) -> Mapping[str, np.ndarray]:
    return _quality(shown())


def _run(predictor: Predictor, pictures: Sequence[Pixels]) -> Mapping[str, np.ndarray]:
    """Logits and embeddings; what occurs twice is looked at once."""
    digests = [hashlib.sha256(repr(p.shape).encode() + p.tobytes()).digest() for p in pictures]
    first = {digest: row for row, digest in reversed(list(enumerate(digests)))}
    kept = sorted(first.values())
    made = predictor.predict([pictures[row] for row in kept])
    rows = [kept.index(first[digest]) for digest in digests]
    embedding = np.zeros((len(kept), 0), np.float32) if made.embedding is None else made.embedding
    return {"logits": made.logits[rows], "embedding": embedding[rows]}


def _quality(pictures: Sequence[Pixels]) -> Mapping[str, np.ndarray]:
    found = [quality_of(p, p.shape[1], p.shape[0]) for p in pictures]
    return {"quality": np.array([[figures[name] for name in FIGURES] for figures in found])}


@cache
def _quality_version() -> str:
    """What the figures say of one picture with each artefact: another definition of them is another version."""
    held = [apply(name, draw(k, size=(224, 224)).pixels, intensity=0.6, seed=k).pixels
            for k, name in enumerate(ARTEFACTS)]  # fmt: skip
    return hashlib.sha256(_quality(held)["quality"].round(9).tobytes()).hexdigest()[:16]
