"""`POST /classify`: images in, answers out, nothing stored but a line of the audit trail."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

from dermoscope.core.errors import DermoscopeError, ForbiddenError
from dermoscope.core.prediction import AnswerKind, Prediction
from dermoscope.core.probabilities import Prior
from dermoscope.predict.predictor import Predictor
from dermoscope.refine.prior import SETTINGS, named_prior
from dermoscope.refine.quality import problems
from dermoscope.serve.api.files import Files, Given, Refused, given, none_readable, portions
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.problems import clean, documented
from dermoscope.serve.api.schemas import shown
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.sealing import Keyed
from dermoscope.serve.site import prior_of
from dermoscope.serve.texts import Texts
from dermoscope.serve.uploads import Upload
from dermoscope.serve.wording import notice

SITE = "site"
_OWN = ("calibration", "uniform", "training")
PRIORS = (SITE, *_OWN, *SETTINGS)

_EXAMPLE = {
    "image": "lesion",
    "file": "lesion.jpg",
    "position": 1,
    "probabilities": {"MEL": 0.62, "NV": 0.21, "BCC": 0.02, "AKIEC": 0.02, "BKL": 0.1, "DF": 0.02, "VASC": 0.01},
    "prior": "uniform",
    "ood": 0.41,
    "quality": {"width": 1600.0, "height": 1200.0},
    "warnings": [],
    "answer": "refer",
    "reasons": ["melanoma cannot be ruled out: malignant or premalignant with 58 % in the mix it was calibrated on"],
    "cause": "malignancy",
    "suspected": "MEL",
}

router, tag = routes("classify", "Images in, answers out. Nothing is stored.")


class Classified(BaseModel):
    """What the model says of one image: an entry of `dermoscope classify --json`, and which file it was."""

    model_config = shown(_EXAMPLE) | {"extra": "allow"}

    image: str = Field(description="The file's name without extension; files of one name get `-2`, `-3`, ...")
    file: str = Field(description="The file's name.")
    position: int = Field(description="Its place among the files that were sent, from 1.")
    probabilities: dict[str, float]
    prior: str
    ood: float | None
    quality: dict[str, float]
    warnings: list[str]
    answer: AnswerKind
    reasons: list[str]
    cause: str = Field(description="What decided, as a code.")
    suspected: str | None = Field(description="The diagnosis that a referral is for.")


class RefusedOut(BaseModel):
    """A file that is no image that can be read, and why."""

    model_config = shown(
        {
            "image": "letter",
            "file": "letter.docx",
            "position": 2,
            "detail": "letter.docx: no image (JPEG, PNG, TIFF, BMP, GIF and WebP are read)",
        }
    )

    image: str
    file: str
    position: int = Field(description="Its place among the files that were sent, from 1.")
    detail: str

    @classmethod
    def of(cls, refused: Refused) -> "RefusedOut":
        """The file as the API tells it."""
        return cls(image=refused.image, file=refused.file, position=refused.position, detail=refused.detail)


class ClassifiedOut(BaseModel):
    """Results of the images that could be read, in the order in which they were sent, and why there are not more."""

    results: list[Classified]
    errors: list[RefusedOut] = Field(description="The files that could not be read.")
    model: str = Field(description="SHA-256 of the bundle.")
    notice: str = Field(description="What the service may be used for.")

    model_config = shown({"results": [_EXAMPLE], "errors": [], "model": "3f1c…", "notice": "For clinical research …"})


PriorName = Annotated[
    str | None,
    Query(
        description="How common each diagnosis is where the probabilities are to hold; `site` is the site's setting. "
        "Without it the model's default applies, as for `dermoscope classify`.",
        json_schema_extra={"enum": list(PRIORS)},
    ),
]


@router.post("/classify", response_model=ClassifiedOut, responses=documented(413))
def classify(service: Serving, person: Asking, files: Files, prior: PriorName = None) -> dict[str, Any]:
    """Classify images.

    Each readable file has an entry in `results`, each other one in `errors`; without any readable file the answer is a
    problem. Nothing is stored. While the service is silent or in a study only an admin may ask: a reader could look up
    here what is not to be seen before the own reading.
    """
    with service.looking(person) as desk:
        if desk.site.mode != "open" and person.role != "admin":
            raise ForbiddenError(f"the service is in {desk.site.mode} mode: only an admin may ask the model by itself")
        asked = _asked(desk, prior)
        use = notice(desk.site, Texts.load(person.language))
    results: list[dict[str, Any]] = []
    bad: list[Refused] = []
    sent = given(files)
    for good, refused in portions(sent):
        said, failed = _read(service, good, asked)
        results += said
        bad += [*refused, *failed]
    if not results:
        raise none_readable(bad)
    with service.desk(person) as desk:
        inputs = [Keyed(Blobs.digest(sent[entry["position"] - 1].read())) for entry in results]
        desk.record("classified", "api", inputs=inputs, refused=len(bad), **_made_by(asked, results))
    errors = [RefusedOut.of(one) for one in sorted(bad, key=lambda one: one.position)]
    return {"results": results, "errors": errors, "model": asked.predictor.bundle.sha256, "notice": use}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which model, under which prior probabilities are shown, and the site's mix where answers are to be for it."""

    predictor: Predictor
    prior: str | Prior | None
    site: Prior | None = None


def _asked(desk: Desk, name: str | None) -> _Asked:
    predictor = desk.predictor
    if name == SITE:
        mix = prior_of(desk.site, predictor.bundle)
        return _Asked(predictor, mix, mix)
    own = name is None or name in _OWN
    return _Asked(predictor, predictor.prior(name) if own else named_prior(str(name), predictor.taxonomy))


def _made_by(asked: _Asked, results: list[dict[str, Any]]) -> dict[str, Any]:
    """What made the answers, for the trail; what they say stands in no case, so it is not kept."""
    bundle = asked.predictor.bundle
    rule = bundle.decision
    limits = {"refer_at": rule.refer_at, "floor_at": rule.lowest, "ood_limit": rule.ood_limit}
    shares = None
    if asked.site is not None:
        shares = dict(zip(asked.site.taxonomy.codes, map(float, asked.site.values), strict=True))
    quality = [[problem.code for problem in problems(entry["quality"], rule.quality)] for entry in results]
    prior = {"name": results[0]["prior"], "shares": shares}
    return {"images": len(results), "model": bundle.sha256, "prior": prior, "quality": quality, **limits}


def _read(
    service: Service, good: list[tuple[Given, Upload]], asked: _Asked
) -> tuple[list[dict[str, Any]], list[Refused]]:
    names = [one.image for one, _ in good]
    results, failed = [], []
    read = service.engine.each([u.data for _, u in good], names, by=asked.predictor)
    for (one, _), said in zip(good, read, strict=True):
        if isinstance(said, DermoscopeError):
            failed.append(Refused(one.position, one.file, one.image, clean(str(said))))
        else:
            results.append(_entry(one, said, asked))
    return results, failed


def _entry(one: Given, said: Prediction, asked: _Asked) -> dict[str, Any]:
    (result,) = asked.predictor.results(said, asked.prior, site=asked.site)
    told = {"cause": result.answer.cause, "suspected": result.answer.suspected}
    return {**result.as_dict(), **told, "file": one.file, "position": one.position}
