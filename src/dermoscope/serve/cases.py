"""Lesions and their images: made, changed, scored and closed.

Images are read by the model before the transaction that stores them, so that no one waits for a network; an image and
what was said of it are stored together or not at all.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from dermoscope.core.errors import ConflictError, InputError, NotFoundError, ValueRuleError, some
from dermoscope.predict.predictor import Result as Said
from dermoscope.refine.decision import INTAKE, DecisionRule
from dermoscope.refine.quality import problems
from dermoscope.serve.accounts import Person
from dermoscope.serve.answers import visible
from dermoscope.serve.desk import Desk, Service
from dermoscope.serve.engine import Predicted
from dermoscope.serve.sealing import Keyed
from dermoscope.serve.site import prior_of
from dermoscope.serve.tables import Case, Image, Opening, Patient, Reading, Result, now
from dermoscope.serve.uploads import Upload

Kind = Literal["dermoscopic", "overview"]
KINDS: tuple[Kind, ...] = ("dermoscopic", "overview")
BODY_SITES = (
    "head_neck",
    "anterior_torso",
    "posterior_torso",
    "lateral_torso",
    "upper_extremity",
    "lower_extremity",
    "palms_soles",
    "oral_genital",
)
"""Body sites in the words of the ISIC archive."""
OTHER = "other"
"""Histology that is none of the diagnoses that the model knows."""
TWINS = ("same_image_same_case", "same_image_same_patient", "same_image_other_patient")
"""Codes of notices about an image whose very bytes are stored already."""
_LONGEST = 80


@dataclass(frozen=True)
class NewCase:
    """A lesion as it is entered. Raises ValueRuleError for a pseudonym, lesion, body site or intake that cannot be."""

    pseudonym: str
    lesion: str = "1"
    body_site: str | None = None
    intake: tuple[str, ...] = ()
    sample: bool = False
    job_id: int | None = None

    def __post_init__(self) -> None:
        for name, longest in (("pseudonym", _LONGEST), ("lesion", 40)):
            text = " ".join(str(getattr(self, name)).split())
            object.__setattr__(self, name, text)
            if not 0 < len(text) <= longest or not text.isprintable():
                raise ValueRuleError(f"{name} {text[:longest]!r}: give 1 to {longest} printable characters")
        check_place(self.body_site, self.intake)
        object.__setattr__(self, "intake", in_order(self.intake))


@dataclass(frozen=True)
class Notice:
    """Something that whoever added an image should know, as a code of the catalogue of texts and its figures."""

    code: str
    figures: dict[str, int]


@dataclass(frozen=True)
class Added:
    """Images that were stored, in their order, and what is to be said of them."""

    image_ids: tuple[int, ...]
    notices: tuple[Notice, ...]


def check_place(body_site: str | None, intake: Sequence[str]) -> None:
    """Raise ValueRuleError for a body site or intake that is not known."""
    if body_site is not None and body_site not in BODY_SITES:
        raise ValueRuleError(f"no body site {body_site!r}; there are {', '.join(BODY_SITES)}")
    strange = [flag for flag in intake if flag not in INTAKE]
    if strange:
        raise ValueRuleError(f"intake knows no {some(strange)}; there are {', '.join(INTAKE)}")


def in_order(intake: Sequence[str]) -> tuple[str, ...]:
    """Intake flags once each, in the order of the form."""
    return tuple(flag for flag in INTAKE if flag in intake)


def create(desk: Desk, new: NewCase) -> Case:
    """A new case, without images yet. Raises ConflictError, naming it, where that lesion of the patient has one."""
    patient = desk.session.scalar(select(Patient).where(Patient.pseudonym == new.pseudonym))
    if patient is None:
        patient = Patient(pseudonym=new.pseudonym)
        desk.session.add(patient)
        desk.session.flush()
    held = desk.session.scalar(select(Case.id).where(Case.patient_id == patient.id, Case.lesion == new.lesion))
    if held is not None:
        raise ConflictError(
            f"lesion {new.lesion!r} of {new.pseudonym!r} is case {held} already; add images there, or give this lesion "
            "another name"
        )
    case = Case(
        patient_id=patient.id,
        lesion=new.lesion,
        body_site=new.body_site,
        intake=list(new.intake),
        created_by=desk.person.name,
        sample=new.sample,
        job_id=new.job_id,
    )
    desk.session.add(case)
    desk.session.flush()
    place = {"body_site": case.body_site, "intake": case.intake}
    desk.record("case.created", f"case/{case.id}", place, sample=new.sample, patient=Keyed(new.pseudonym))
    return case


def get(desk: Desk, case_id: int) -> Case:
    """A case by its number. Raises NotFoundError."""
    case = desk.find(Case, case_id)
    if case is None:
        raise NotFoundError(f"there is no case {case_id}; look for it in the worklist")
    return case


def get_image(desk: Desk, image_id: int) -> Image:
    """An image by its number. Raises NotFoundError."""
    image = desk.find(Image, image_id)
    if image is None:
        raise NotFoundError(f"there is no image {image_id}")
    return image


def open_visit(desk: Desk, case: Case) -> int:
    """The visit that images belong to which come now: a new one once somebody has read the last.

    Raises ConflictError for a closed case.
    """
    if case.closed_at is not None:
        raise ConflictError(f"case {case.id} is closed by its histology; reopen it to add images")
    read = select(Reading.id).where(Reading.case_id == case.id, Reading.visit == case.visit).limit(1)
    if desk.session.scalar(read) is not None:
        case.visit += 1
    return case.visit


def add_images(service: Service, person: Person, case_id: int, uploads: Sequence[Upload], kind: Kind) -> Added:
    """Store images with a case; dermoscopic ones are read by the model.

    Raises NotFoundError, ConflictError for a closed case, InputError for no image or another kind.
    """
    if kind not in KINDS:
        raise InputError(f"no kind of image {kind!r}; there are {', '.join(KINDS)}")
    if not uploads:
        raise InputError("no image was given; choose at least one")
    with service.looking(person) as desk:
        get(desk, case_id)
    read = read_uploads(service, uploads) if kind == "dermoscopic" else None
    for upload in uploads:
        service.blobs.put(upload.data)
    with service.desk(person) as desk:
        return store_images(desk, get(desk, case_id), uploads, kind, read)


def read_uploads(service: Service, uploads: Sequence[Upload]) -> Predicted:
    """What the model says of images, before anything is decided."""
    return service.engine.predict([upload.data for upload in uploads])


def store_images(desk: Desk, case: Case, uploads: Sequence[Upload], kind: Kind, read: Predicted | None) -> Added:
    """Images whose files are stored and, where they are dermoscopic, read: into the case, in this transaction."""
    visit = open_visit(desk, case)
    images, notices = [], []
    for upload in uploads:
        notices += _twins(desk, case, upload)
        digest = desk.service.blobs.put(upload.data)  # again, in case what nobody used was swept in between
        desk.service.blobs.use(desk.session, digest, upload.media, len(upload.data))
        image = Image(
            case_id=case.id,
            visit=visit,
            kind=kind,
            digest=digest,
            width=upload.width,
            height=upload.height,
            captured_on=upload.captured_on,
            device=upload.device,
            polarisation=upload.polarisation,
            added_by=desk.person.name,
        )
        desk.session.add(image)
        desk.session.flush()
        desk.record("image.added", f"image/{image.id}", case=case.id, kind=kind, input=Keyed(digest))
        images.append(image)
    if read is not None:
        record_results(desk, case, images, read)
    return Added(tuple(image.id for image in images), tuple(notices))


def record_results(desk: Desk, case: Case, images: Sequence[Image], read: Predicted) -> None:
    """What the model that read images says of them under the settings of this moment, as records that never change."""
    prior = prior_of(desk.site, read.predictor.bundle)
    intake = [tuple(case.intake)] * len(images)
    for image, said in zip(images, read.predictor.results(read, prior, site=prior, intake=intake), strict=True):
        result = _as_record(desk, image, said, read.model)
        result.intake = list(case.intake)
        result.prior = dict(zip(prior.taxonomy.codes, map(float, prior.values), strict=True))
        desk.session.add(result)
        desk.session.flush()
        _note(desk, image, result, read.predictor.bundle.decision)


def _note(desk: Desk, image: Image, result: Result, rule: DecisionRule) -> None:
    """What made a result stands in the trail in the clear, what it says is sealed."""
    desk.record(
        "result.made",
        f"result/{result.id}",
        {"answer": result.answer, "cause": result.cause, "suspected": result.suspected, "intake": result.intake},
        case=image.case_id,
        image=image.id,
        input=Keyed(image.digest),
        model=result.model,
        prior=result.prior,
        prevalence=result.prevalence,
        refer_at=rule.refer_at,
        floor_at=rule.lowest,
        ood_limit=rule.ood_limit,
        mode=result.mode,
        order=result.order,
        quality=[problem.code for problem in problems(result.quality, rule.quality)],
    )


def _as_record(desk: Desk, image: Image, said: Said, model: str) -> Result:
    return Result(
        image_id=image.id,
        model=model,
        mode=desk.site.mode,
        order=desk.site.order,
        prevalence=dict(desk.site.prevalence),
        answer=said.answer.kind,
        cause=said.answer.cause,
        suspected=said.answer.suspected,
        reasons=list(said.answer.reasons),
        figures=dict(said.answer.figures),
        probabilities=said.probabilities,
        calibrated=said.calibrated,
        ood=said.ood,
        quality=said.quality,
        warnings=list(said.warnings),
    )


def _twins(desk: Desk, case: Case, upload: Upload) -> list[Notice]:
    """The very bytes are stored already: told, the nearest case first, and never joined."""
    digest = desk.service.blobs.digest(upload.data)
    held = desk.session.execute(
        select(Case.id, Case.patient_id).join(Image).where(Image.digest == digest).order_by(Case.id).distinct()
    ).all()
    first: dict[str, int] = {}
    for case_id, patient_id in held:
        other = "same_image_same_patient" if patient_id == case.patient_id else "same_image_other_patient"
        first.setdefault("same_image_same_case" if case_id == case.id else other, case_id)
    return [Notice(code, {"case": first[code]}) for code in TWINS if code in first]


def change(service: Service, person: Person, case_id: int, *, body_site: str | None, intake: Sequence[str]) -> None:
    """Correct body site and intake. Where the intake changes, the images of this visit get new results besides the old.

    Raises ConflictError once a reading of this visit is locked, or the case is closed: both stood on the intake; and
    where somebody else changed the case meanwhile.
    """
    check_place(body_site, intake)
    with service.looking(person) as desk:
        case = get(desk, case_id)
        before = list(case.intake)
        rescored = in_order(intake) != tuple(before)
        digests = [i.digest for i in case.images if i.visit == case.visit and i.kind == "dermoscopic"]
    read = service.engine.predict([service.blobs.read(d) for d in digests]) if rescored and digests else None
    with service.desk(person) as desk:
        case = get(desk, case_id)
        images = [i for i in case.images if i.visit == case.visit and i.kind == "dermoscopic"]
        if [i.digest for i in images] != digests or list(case.intake) != before:
            raise ConflictError(f"case {case_id} got other images or another intake in the meantime; try again")
        if case.closed_at is not None or any(r.visit == case.visit for r in case.readings):
            raise ConflictError(f"case {case_id} has been read; what it was read by can be corrected no more")
        case.body_site, case.intake = body_site, list(in_order(intake))
        desk.record("case.changed", f"case/{case_id}", {"body_site": body_site, "intake": case.intake})
        if read is not None:
            record_results(desk, case, images, read)


def remove_image(desk: Desk, image_id: int) -> None:
    """Take an image out that was added by mistake, with its results; the audit trail keeps what they said.

    Raises ConflictError once its visit has been read, the case is closed, or somebody may know the answer to it:
    whoever dislikes an answer cannot take the picture away.
    """
    image = get_image(desk, image_id)
    if any(r.visit == image.visit for r in image.case.readings):
        raise ConflictError(f"image {image_id} has been read; it stays with the readings that stand on it")
    if image.case.closed_at is not None:
        raise ConflictError(f"case {image.case_id} is closed by its histology; reopen it to take images out")
    if image.results and _was_seen(desk, image):
        raise ConflictError(f"the answer to image {image_id} may have been seen; both stay on record")
    said = {"digest": image.digest, "answers": [r.answer for r in image.results]}
    ids = [r.id for r in image.results]
    desk.record("image.removed", f"image/{image_id}", said, case=image.case_id, results=ids, input=Keyed(image.digest))
    for result in list(image.results):
        desk.session.delete(result)
    digest = image.digest
    desk.session.delete(image)
    desk.session.flush()
    desk.service.blobs.release(desk.session, digest)


def _was_seen(desk: Desk, image: Image) -> bool:
    """Whether somebody has seen the answer to the visit of an image, or may see it in a list or an export."""
    shown = select(Opening.id).where(
        Opening.case_id == image.case_id, Opening.visit == image.visit, Opening.answered_at.is_not(None)
    )
    return visible(desk, image.case, image.visit) or desk.session.scalar(shown.limit(1)) is not None


def enter_histology(desk: Desk, case_id: int, code: str, on: datetime.date | None = None) -> Case:
    """The outcome of histology: a diagnosis of the taxonomy, or `other`. It closes the case.

    Raises InputError for another code or a day to come, ConflictError where it is closed already.
    """
    case = get(desk, case_id)
    codes = (*desk.bundle.taxonomy.codes, OTHER)
    if code not in codes:
        raise InputError(f"histology knows no {code!r}; there are {', '.join(codes)}")
    if on is not None and on > now().date() + datetime.timedelta(days=1):
        raise InputError(f"histology of {on}: that day is still to come")
    if case.closed_at is not None:
        raise ConflictError(f"case {case_id} is closed with {case.histology}; reopen it to correct that")
    case.histology, case.histology_on, case.histology_by, case.closed_at = code, on, desk.person.name, now()
    desk.record("histology.entered", f"case/{case_id}", {"histology": code, "on": on and on.isoformat()})
    desk.record("case.closed", f"case/{case_id}")
    return case


def reopen(desk: Desk, case_id: int) -> Case:
    """Open a closed case again; what its histology was stays in the audit trail."""
    case = get(desk, case_id)
    if case.closed_at is None:
        raise ConflictError(f"case {case_id} is open")
    desk.record("case.reopened", f"case/{case_id}", {"histology": case.histology})
    case.histology = case.histology_on = case.histology_by = case.closed_at = None
    return case
