"""Bundle + images -> predictions, probabilities and answers."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import BundleError, ImageError, InputError, ValueRuleError, some
from dermoscope.core.prediction import Answer, Prediction
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.data.images import Picture, Source, read_images
from dermoscope.data.preprocess import decode_at, prepare
from dermoscope.predict import bundle as bundles
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.manifest import Member
from dermoscope.predict.quality import DECODE_AT, quality_of
from dermoscope.predict.session import Session, pool_of, usable_cores
from dermoscope.predict.views import View, cut, first_views
from dermoscope.refine.decision import Evidence, decide, in_words
from dermoscope.refine.prior import shift_prior
from dermoscope.refine.quality import problems

Progress = Callable[[int, int], None]
Wanted = str | Prior | Callable[[Probabilities], Prior] | None
"""A prior, its name in the bundle, None for the default, or what makes one of the calibrated probabilities."""
Failure = tuple[str, str]
_Seen = tuple[Float[np.ndarray, "n columns diagnoses"], Float[np.ndarray, "n features"] | None]

SQUARES = 32
"""Views of images that go through the network at once: more gain nothing on a CPU, and each holds some 10 MB there."""
MOST_HELD = 50_000_000
"""Pixels of decoded pictures that are held until there are `SQUARES`: with more of them the network runs earlier."""


@dataclass(frozen=True)
class Result:
    """What is said of one image: `as_dict()` is one entry of `classify --json`.

    `probabilities` maps diagnosis codes to numbers that sum to 1 under `prior`; `ood` is the out-of-distribution rank
    in [0, 1] or None; `quality` holds the figures of `predict/quality.py`. `calibrated` are the probabilities
    under the calibration prior, from which any other can be made later; they are not in `as_dict()`.
    """

    image: str
    probabilities: dict[str, float]
    prior: str
    ood: float | None
    quality: dict[str, float]
    warnings: tuple[str, ...]
    answer: Answer
    calibrated: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able fields, the answer as a word and its reasons as a list."""
        return {
            "image": self.image,
            "probabilities": self.probabilities,
            "prior": self.prior,
            "ood": self.ood,
            "quality": self.quality,
            "warnings": list(self.warnings),
            "answer": self.answer.kind,
            "reasons": list(self.answer.reasons),
        }


@dataclass(frozen=True, eq=False)
class Predictor:
    """A bundle that is ready to read images. Thread-safe: nothing in it changes after it is made.

    >>> predictor = Predictor.load("default")                       # doctest: +SKIP
    >>> prediction = predictor.predict(["lesion.jpg"])              # doctest: +SKIP
    >>> predictor.refine(prediction, prior="uniform").values        # doctest: +SKIP
    """

    bundle: Bundle
    sessions: tuple[Session, ...]

    @classmethod
    def load(cls, bundle: str | Path | Bundle = "default", *, threads: int | None = None) -> "Predictor":
        """Load a bundle by name, path or value; `threads` limits what one call may use (default: all cores).

        Raises BundleError where it is missing or damaged.
        """
        found = bundle if isinstance(bundle, Bundle) else bundles.load(bundle)
        return cls(found, tuple(Session.load(found.graphs[m.file], threads) for m in found.members))

    @property
    def threads(self) -> int:
        """What one call may use."""
        return max((session.threads for session in self.sessions), default=usable_cores())

    def with_threads(self, threads: int) -> "Predictor":
        """The same model, one call of which uses so many: several calls beside each other then share the cores."""
        return Predictor.load(self.bundle, threads=threads)

    def sharing(self) -> "Predictor":
        """The same model, whose calls share its threads view by view, first come, first served.

        Several calls beside each other keep all cores busy, and one that comes alone has all of them; pays where there
        are as many views as threads.
        """
        pool = pool_of(self.threads)
        sessions = self.with_threads(1).sessions
        return Predictor(self.bundle, tuple(session.on(pool, self.threads) for session in sessions))

    @property
    def taxonomy(self) -> Taxonomy:
        """The diagnoses that the model knows."""
        return self.bundle.taxonomy

    def views(self, count: int | None = None) -> tuple[View, ...]:
        """The bundle's own views, or the first `count` of all."""
        return self.bundle.manifest.views if count is None else first_views(count)

    def decoded_at(self, views: Sequence[View]) -> int:
        """The shorter side (px) that pictures are at least decoded at for these views."""
        closest = max(v.get("zoom", 1.0) for v in views)
        return max(DECODE_AT, *(decode_at(round(m.size * closest), m.steps) for m in self.bundle.members))

    def predict(
        self,
        sources: CaseSet | Sequence[Source],
        *,
        names: Sequence[str] | None = None,
        views: int | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """Logits, embedding and quality figures of every image.

        `sources` are paths, bytes, RGB uint8 arrays, or a CaseSet (its preferred copies). `names` become the ids; by
        default a file's name without extension, a case's image id, or `image-1`, `image-2`, ...
        Raises ImageError at the first image that cannot be read, ValueRuleError for a name that stands twice.
        """
        ids = _names(sources, names)
        files = _paths(sources) if isinstance(sources, CaseSet) else list(sources)
        return self._run(files, ids, self.views(views), progress, None)

    def refine(self, prediction: Prediction, prior: str | Prior | None = None) -> Probabilities:
        """Mean over views and members, calibrated, then shifted to a prior (None: the bundle's default).

        Raises ValueRuleError for a prior over other diagnoses, BundleError for the name of none.
        """
        return self.bundle.pipeline.shifted(prediction, self.prior(prior))

    def prior(self, prior: str | Prior | None = None) -> Prior:
        """A prior by name; None is the bundle's default."""
        if isinstance(prior, Prior):
            return prior
        return self.bundle.prior(prior or self.bundle.manifest.default_prior)

    def classify(
        self,
        sources: Sequence[Source],
        *,
        names: Sequence[str] | None = None,
        views: int | None = None,
        prior: Wanted = None,
        site: Prior | None = None,
        progress: Progress | None = None,
    ) -> tuple[list[Result], list[Failure]]:
        """Results of the images that could be read, and (name, message) of those that could not.

        `sources`, `names` and `views` as for `predict`, `prior` and `site` as for `results`. Raises ValueRuleError for
        a name that stands twice.
        """
        self.bundle.check_served()
        target = prior if callable(prior) else self.prior(prior)
        ids = _names(sources, names)
        failures: list[Failure] = []
        prediction = self._run(list(sources), ids, self.views(views), progress, failures)
        return self.results(prediction, target, site=site), failures

    def results(
        self,
        prediction: Prediction,
        prior: Wanted = None,
        *,
        site: Prior | None = None,
        intake: Sequence[Collection[str]] = (),
    ) -> list[Result]:
        """Probabilities under a prior, warnings and answer of every case of a prediction.

        `prior` may be a function of the calibrated probabilities, which estimates the prior from these very cases.
        `site` is the mix that the answers are for, None the calibration prior. `intake` holds the flags of each case
        (`decision.INTAKE`), or nothing. Raises BundleError for a bundle that is not to be served before it is
        calibrated here, ValueRuleError for an unknown flag or a prior over other diagnoses.
        """
        self.bundle.check_served()
        calibrated = self.refine(prediction, "calibration")
        target = prior(calibrated) if callable(prior) else self.prior(prior)
        shown = self.refine(prediction, target)
        ranks = self._ranks(prediction)
        quality = prediction.quality or ({},) * len(prediction)
        there = None if site is None else shift_prior(calibrated, self.bundle.prior("calibration"), site)
        answers = decide(self.bundle.decision, Evidence(calibrated, shown, there, ranks, quality, intake))
        codes = self.taxonomy.codes
        return [
            Result(
                image=prediction.ids[row],
                probabilities=dict(zip(codes, map(float, shown.values[row]), strict=True)),
                prior=target.name,
                ood=ranks[row],
                quality=dict(quality[row]),
                warnings=self._warnings(ranks[row], quality[row]),
                answer=answers[row],
                calibrated=dict(zip(codes, map(float, calibrated.values[row]), strict=True)),
            )
            for row in range(len(prediction))
        ]

    def _warnings(self, rank: float | None, quality: Mapping[str, float]) -> tuple[str, ...]:
        """What does not keep from an answer and should be known all the same."""
        found = [in_words(p) for p in problems(quality, self.bundle.decision.quality) if not p.blocks]
        side, size = min(quality.get("width", np.inf), quality.get("height", np.inf)), self.bundle.manifest.size
        if side < size:
            found.append(f"the shorter side has {side:.0f} px; the model reads {size} px, so detail is missing")
        if rank is not None and rank >= 0.99:
            found.append("the image is more unusual than 99 % of the images that the model was calibrated on")
        return tuple(found)

    def _ranks(self, prediction: Prediction) -> list[float | None]:
        statistics = self.bundle.ood
        if statistics is None or prediction.embedding is None or not len(prediction):
            return [None] * len(prediction)
        return [float(rank) for rank in statistics.rank(prediction.embedding)]

    def _run(
        self,
        sources: list[Source],
        ids: list[str],
        views: Sequence[View],
        progress: Progress | None,
        failures: list[Failure] | None,
    ) -> Prediction:
        least = self.decoded_at(views)
        threads = min(usable_cores(), self.threads, len(sources) or 1)
        pictures = read_images(sources, at_least=least, threads=threads)
        kept, quality, logits, embeddings = [], [], [], []
        readable = _readable(pictures, ids, sources, failures)
        for position, batch in _batches(readable, max(1, SQUARES // len(views))):
            looking = self._look(batch, views)
            kept += [ids[row] for row, _ in batch]
            quality += [quality_of(p.pixels, p.width, p.height) for _, p in batch]
            found, embedding = looking()
            logits.append(found)
            if embedding is not None:
                embeddings.append(embedding)
            if progress is not None:
                progress(position + 1, len(sources))
        if progress is not None:
            progress(len(sources), len(sources))
        columns = tuple(m.name for m in self.bundle.members for _ in views)
        return Prediction(
            tuple(kept),
            self.taxonomy,
            np.concatenate(logits) if logits else np.zeros((0, len(columns), len(self.taxonomy)), np.float32),
            np.concatenate(embeddings) if embeddings else None,
            tuple(quality),
            columns,
        )

    def _look(self, batch: Sequence[tuple[int, Picture]], views: Sequence[View]) -> Callable[[], _Seen]:
        """Begin to read pictures; what is returned waits for the logits of every view by every member.

        And for the first member's embedding of the first view.
        """
        begun = []
        for member, session in zip(self.bundle.members, self.sessions, strict=True):
            squares = np.concatenate([cut(prepare(p.pixels, member.steps), member.size, views) for _, p in batch])
            begun.append(session.begin(squares, ("logits", "embedding")))

        def looked() -> _Seen:
            logits, first = [], None
            for member, read in zip(self.bundle.members, begun, strict=True):
                found, embedding = read()
                assert found is not None  # Session.load refuses a graph without logits
                logits.append(_merged(found, member, len(self.taxonomy)).reshape(len(batch), len(views), -1))
                if not logits[1:] and embedding is not None:
                    first = embedding.reshape(len(batch), len(views), -1)[:, 0]
            return np.concatenate(logits, axis=1), first

        return looked


def _merged(logits: Float[np.ndarray, "n own"], member: Member, diagnoses: int) -> Float[np.ndarray, "n diagnoses"]:
    """Logits over the bundle's diagnoses: the probabilities of those that belong together add up."""
    if not member.merge:
        return logits
    if len(member.merge) != logits.shape[1]:
        raise BundleError(
            f"{member.name} gives {logits.shape[1]} diagnoses and bundle.json projects {len(member.merge)}; install or "
            "train the bundle again"
        )
    if member.scaled_before_merge:
        logits = (logits / member.temperature + np.array(member.bias)).astype(logits.dtype)
    out = np.full((len(logits), diagnoses), -np.inf, logits.dtype)
    for column, target in enumerate(member.merge):
        out[:, target] = np.logaddexp(out[:, target], logits[:, column])
    return out


def _readable(
    pictures: Iterable[tuple[int, Picture | ImageError]],
    ids: list[str],
    sources: list[Source],
    failures: list[Failure] | None,
) -> Iterator[tuple[int, Picture]]:
    """The pictures that could be decoded; the others go to `failures`, or the first is raised where that is None."""
    for position, picture in pictures:
        if isinstance(picture, ImageError):
            source = sources[position]
            message = str(picture) if isinstance(source, str | Path) else f"{ids[position]}: {picture}"
            if failures is None:
                raise ImageError(message)
            failures.append((ids[position], message))
        else:
            yield position, picture


def _batches(pictures: Iterable[tuple[int, Picture]], most: int) -> Iterator[tuple[int, list[tuple[int, Picture]]]]:
    batch: list[tuple[int, Picture]] = []
    held = 0
    for item in pictures:
        batch.append(item)
        held += item[1].pixels.size // 3
        if len(batch) == most or held > MOST_HELD:
            yield item[0], batch
            batch, held = [], 0
    if batch:
        yield batch[-1][0], batch


def _paths(cases: CaseSet) -> list[Source]:
    without = [c.image_id for c in cases if c.path is None]
    if without:
        raise InputError(f"cases without an image file: {some(without)}; leave them out or give their paths")
    return [c.path for c in cases if c.path is not None]


def _names(sources: CaseSet | Sequence[Source], names: Sequence[str] | None) -> list[str]:
    if isinstance(sources, str | bytes | Path) or (isinstance(sources, np.ndarray) and sources.ndim != 4):
        raise InputError(f"one image ({type(sources).__name__}) where a list of images is needed; put it into a list")
    if names is not None:
        found = list(names)
    elif isinstance(sources, CaseSet):
        found = list(sources.ids)
    else:
        found = [Path(s).stem if isinstance(s, str | Path) else f"image-{k}" for k, s in enumerate(sources, start=1)]
    if len(found) != len(sources):
        raise InputError(f"{len(found)} names for {len(sources)} images; give one for each")
    twice = [name for name, n in Counter(found).items() if n > 1]
    if twice:
        raise ValueRuleError(f"images are told apart by name, and these stand more than once: {some(twice)}")
    return found
