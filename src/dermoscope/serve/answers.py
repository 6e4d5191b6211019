"""What the model says of a case, and who may see it when."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select

from dermoscope.core.errors import BundleError, ForbiddenError, NotFoundError
from dermoscope.core.prediction import Answer, AnswerKind
from dermoscope.predict.saliency import activation_map, layer, png
from dermoscope.refine.decision import MALIGNANT, resolve, with_reader
from dermoscope.serve.accounts import Person
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.tables import Case, Image, Reading, Result

MELANOMA = "MEL"


@dataclass(frozen=True)
class Numbers:
    """Probabilities at the recorded prevalence, each None where the model's diagnoses do not give it."""

    melanoma: float | None
    malignant: float | None


@dataclass(frozen=True, eq=False)
class CaseAnswer:
    """What the model says of one visit of a case.

    `result` is the record that decided: of several pictures the one that is of most concern. `numbers` and `ranked`
    (diagnoses, the most probable first) are that picture's. `results` are the last of every picture, in their order.
    """

    answer: Answer
    result: Result
    results: tuple[Result, ...]
    numbers: Numbers
    ranked: tuple[str, ...]

    @property
    def kind(self) -> AnswerKind:
        """`refer`, `low_concern` or `cannot_assess`."""
        return self.answer.kind

    @property
    def model(self) -> str:
        """SHA-256 of the bundle that said so."""
        return self.result.model

    @property
    def prevalence(self) -> Mapping[str, Any]:
        """The setting that it was said under."""
        return self.result.prevalence

    @property
    def made_at(self) -> datetime.datetime:
        """When it was said."""
        return self.result.made_at

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of all pictures, once each."""
        return tuple(dict.fromkeys(w for r in self.results for w in r.warnings))

    @property
    def differ(self) -> bool:
        """Whether pictures of this visit got different answers."""
        return len({r.answer for r in self.results}) > 1


def visible(desk: Desk, case: Case, visit: int | None = None) -> bool:
    """Whether this person may see the model's answer to a visit (default: the current one) now.

    Silent: nobody. Answer first: everybody. Reader first: in a study those who have locked their own reading, else
    everybody once anybody has.
    """
    if desk.site.mode == "silent":
        return False
    if desk.site.order == "ai_first":
        return True
    wanted = [Reading.case_id == case.id, Reading.visit == (visit or case.visit)]
    if desk.site.mode == "study":
        wanted.append(Reading.reader == desk.person.name)
    return bool(desk.session.scalar(select(exists().where(*wanted))))


def require_visible(desk: Desk, case: Case, visit: int | None = None) -> None:
    """Raise ForbiddenError, with what to do, where this person may not see the answer now."""
    if desk.site.mode == "silent":
        raise ForbiddenError("the service is in silent mode: answers are stored and not shown")
    if not visible(desk, case, visit):
        raise ForbiddenError(f"the answer to case {case.id} appears once your own reading is locked")


def answer_of(desk: Desk, case: Case, visit: int | None = None) -> CaseAnswer | None:
    """What the model says of a visit (default: the current one); None without a dermoscopic image that was read.

    Whether it may be shown is another question: `visible`.
    """
    return answer_of_results(last_results(desk, case, visit or case.visit))


def last_results(desk: Desk, case: Case, visit: int) -> tuple[Result, ...]:
    """The last result of every dermoscopic image of a visit, in the order of the images."""
    found = desk.session.scalars(
        select(Result).join(Image).where(Image.case_id == case.id, Image.visit == visit).order_by(Image.id, Result.id)
    )
    return tuple({result.image_id: result for result in found}.values())


def answer_of_results(results: Sequence[Result]) -> CaseAnswer | None:
    """One answer of the results of all pictures: towards referral where they differ."""
    if not results:
        return None
    answer = resolve([as_answer(result) for result in results])
    result = next(r for r in results if as_answer(r) == answer)
    shares = result.probabilities
    held = [code for code in MALIGNANT if code in shares]
    numbers = Numbers(shares.get(MELANOMA), sum(shares[code] for code in held) if held else None)
    ranked = tuple(sorted(shares, key=lambda code: -shares[code]))
    return CaseAnswer(answer, result, tuple(results), numbers, ranked)


def heat_map(service: Service, person: Person, image_id: int, code: str) -> bytes:
    """Where the model found what speaks for a diagnosis: a transparent PNG over the square that it saw of an image.

    Raises NotFoundError where the image was not read, or by another model than the one that is loaded; ForbiddenError
    while the answer is not shown; BundleError for a model that gives none, or another diagnosis; BusyError.
    """
    with service.looking(person) as desk:
        result, predictor = get_result(desk, image_id), desk.predictor
        model, digest = result.model, result.image.digest
    if model != predictor.bundle.sha256:
        raise NotFoundError(f"image {image_id} was read by another model, which is not loaded")
    data = service.blobs.read(digest)
    found = service.engine.ask(lambda: activation_map(predictor, data, code))
    if found.corners is None:
        raise BundleError("the preprocessing of this model moves pixels: a map would not lie over the picture")
    return png(layer(found))


def as_answer(result: Result) -> Answer:
    """A stored answer as the value that it was."""
    kind: Any = result.answer
    return Answer(kind, tuple(result.reasons), result.figures, result.cause, result.suspected)


def together(reading: Reading, answer: CaseAnswer | None) -> tuple[str | None, bool]:
    """What follows from a reading and the answer that is in view, and whether the two differ.

    A reading that was made in silence stands alone on record; once the answer is shown it is put beside it.
    """
    if answer is None or reading.mode != "silent":
        return reading.resolved, reading.disagrees
    decision: Any = reading.decision
    found = with_reader(answer.kind, decision)
    return found.decision, found.disagrees


def get_result(desk: Desk, image_id: int) -> Result:
    """The last result of an image, for whoever may see it. Raises NotFoundError, ForbiddenError."""
    image = desk.find(Image, image_id)
    if image is None or not image.results:
        raise NotFoundError(f"image {image_id} was not read by the model; only dermoscopic images are")
    require_visible(desk, image.case, image.visit)
    return image.results[-1]
