"""What machines ask of the service itself: whether it lives, whether it is ready, which model it serves."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from dermoscope import __version__
from dermoscope.core.card import Card
from dermoscope.core.errors import NotFoundError
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.predictor import Predictor
from dermoscope.serve import models as choices
from dermoscope.serve.accounts import Person
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.problems import KINDS, PLACE, RETRY_AFTER, Problem, documented, example
from dermoscope.serve.api.schemas import shown
from dermoscope.serve.depends import Asking, Serving
from dermoscope.serve.desk import Service
from dermoscope.serve.readiness import PARTS, readiness

root = APIRouter(tags=["about"], generate_unique_id_function=lambda route: route.name)
router, _ = routes("about", "")
tag = {"name": "about", "description": "The service itself, the model that it serves, and the kinds of problems."}

_MODEL = {
    "name": "default",
    "sha256": "3f1c…",
    "taxonomy": "isic2018",
    "diagnoses": {"MEL": "melanoma", "NV": "melanocytic nevus"},
    "input_px": 224,
    "views": 4,
    "members": 1,
    "default_prior": "uniform",
    "calibration_prior": {"MEL": 0.111, "NV": 0.67},
    "decision": {"codes": ["MEL", "BCC", "AKIEC"], "refer_at": 0.12, "sensitivity": 0.95},
    "licence": "CC-BY-NC-4.0",
    "card": {"name": "default", "summary": "…", "licence": "CC-BY-NC-4.0", "intended_use": "Research."},
}


class Health(BaseModel):
    """The process answers."""

    model_config = shown({"status": "ok", "version": "0.1.0"})

    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    """Whether the service can do its work, part by part: `ok`, or what is wrong."""

    model_config = shown({"ready": True, "checks": dict.fromkeys(PARTS, "ok"), "waiting": 0, "busy": 0})

    ready: bool
    checks: dict[str, str]
    waiting: int = Field(description="Images that wait for the network.")
    busy: int = Field(description="Images in it.")


class ModelOut(BaseModel):
    """The model that is served: what it knows, how it decides, and its card."""

    model_config = shown(_MODEL)

    name: str
    sha256: str
    taxonomy: str
    diagnoses: dict[str, str]
    input_px: int = Field(description="Side of the largest input square.")
    views: int = Field(description="Framings of an image whose mean is the answer.")
    members: int = Field(description="Networks.")
    default_prior: str
    calibration_prior: dict[str, float]
    decision: dict[str, Any]
    licence: str
    card: dict[str, Any]

    @classmethod
    def of(cls, bundle: Bundle) -> "ModelOut":
        """A bundle as the API tells it."""
        manifest, card = bundle.manifest, bundle.card
        prior = bundle.prior("calibration")
        return cls(
            name=manifest.name,
            sha256=bundle.sha256,
            taxonomy=manifest.taxonomy,
            diagnoses={d.code: d.name for d in bundle.taxonomy.diagnoses},
            input_px=manifest.size,
            views=len(manifest.views),
            members=len(bundle.members),
            default_prior=manifest.default_prior,
            calibration_prior=dict(zip(prior.taxonomy.codes, map(float, prior.values), strict=True)),
            decision=manifest.decision,
            licence=card.licence,
            card=Card.model_dump(card, mode="json"),
        )


class BundleOut(BaseModel):
    """A bundle that may be chosen."""

    name: str
    sha256: str | None = Field(description="None where it cannot be served.")
    served: bool
    problem: str | None = Field(description="Why it cannot be served.")


_BUNDLE = {"name": "default", "sha256": "3f1c…", "served": True, "problem": None}


class Models(BaseModel):
    """The model that is served. `bundles` are those that an admin may choose from; for others it is empty."""

    model_config = shown({"models": [_MODEL], "bundles": [_BUNDLE]})

    models: list[ModelOut]
    bundles: list[BundleOut] = Field(default=[])


class ModelIn(BaseModel):
    """The model that is to be served."""

    model_config = shown({"bundle": "default"})

    bundle: str = Field(
        min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Its name in `bundles`."
    )


class ProblemKind(BaseModel):
    """A kind of problem, what to do, and how it looks."""

    model_config = shown(
        {
            "type": f"{PLACE}/not-found",
            "title": "There is nothing at this address",
            "status": 404,
            "remedy": "Look for it in the list one address up.",
            "example": example(404),
        }
    )

    type: str
    title: str
    status: int
    remedy: str
    example: Problem


class ProblemKinds(BaseModel):
    """Every kind of problem."""

    model_config = shown({"problems": []})

    problems: list[ProblemKind]


@root.get("/health", response_model=Health)
async def health() -> Health:
    """Whether the process lives. Needs no key."""
    # in the event loop: while every thread waits for the network, the process lives all the same
    return Health(status="ok", version=__version__)


@root.get("/ready", response_model=Ready, responses={503: {"description": "Not ready.", "model": Ready}})
def ready(service: Serving) -> Response:
    """Whether each part can do its work; 503 where one cannot, and why. Needs no key."""
    checks = readiness(service)
    fine, load = all(state == "ok" for state in checks.values()), service.engine.load
    if service.engine.full:
        fine, checks["queue"] = False, f"{load.waiting} images wait, and no more are taken just now"
    found = Ready(ready=fine, checks=checks, waiting=load.waiting, busy=load.busy)
    after = service.engine.again_after if service.engine.full else None
    return JSONResponse(
        found.model_dump(), 200 if fine else 503, {} if fine else {"Retry-After": str(after or RETRY_AFTER)}
    )


@root.get("/model-info", response_model=ModelOut)
def model_info(service: Serving) -> ModelOut:
    """The model that is served, with its card. Needs no key."""
    return ModelOut.of(service.engine.predictor.bundle)


@router.get("/models", response_model=Models)
def models(service: Serving, person: Asking) -> Models:
    """The model that is served, and for an admin those that may be."""
    return _models(service, person)


@router.put("/models", response_model=Models, responses=documented(404))
def choose_model(service: Serving, person: Asking, wanted: ModelIn) -> Models:
    """Serve another model; only an admin may. Requests under way are answered by the one before.

    Every process follows within seconds. A bundle that is damaged, not calibrated or of other diagnoses is refused,
    and nothing changes.
    """
    person.require("admin")
    before = service.engine.predictor
    bundle = choices.read(service.options, wanted.bundle)
    choices.check_same(before.taxonomy, bundle)
    predictor = Predictor.load(bundle, threads=choices.threads_of(service.options))
    with service.desk(person) as desk:
        choices.choose(desk.session, person.name, wanted.bundle, bundle, before.bundle.sha256)
    if bundle.sha256 != service.engine.predictor.bundle.sha256:
        service.engine.swap(predictor)
    return _models(service, person)


def _models(service: Service, person: Person) -> Models:
    served = service.engine.predictor.bundle
    rows = choices.listed(service.options, served.sha256) if person.role == "admin" else []
    return Models(models=[ModelOut.of(served)], bundles=[BundleOut(**row) for row in rows])


@router.get("/problems", response_model=ProblemKinds)
def problems() -> ProblemKinds:
    """Every kind of problem that the API answers with."""
    return ProblemKinds(problems=[_kind(kind.name) for kind in KINDS])


@router.get("/problems/{name}", response_model=ProblemKind, responses=documented(404))
def problem(name: Annotated[str, Path(max_length=40, examples=["not-found"])]) -> ProblemKind:
    """One kind of problem: what `type` of a problem leads to."""
    return _kind(name)


def _kind(name: str) -> ProblemKind:
    for kind in KINDS:
        if kind.name == name:
            return ProblemKind(
                type=f"{PLACE}/{name}",
                title=kind.title,
                status=kind.status,
                remedy=kind.remedy,
                example=Problem(**example(kind)),
            )
    raise NotFoundError(f"there is no problem of that name; there are {', '.join(kind.name for kind in KINDS)}")
