"""A training run from cases to a finished bundle, and what it leaves in its folder (see `runs`)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dermoscope.core.card import Figures, RunCard
from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import BundleError, InputError
from dermoscope.core.taxonomy import ISIC2019, ISIC2019_TO_ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.data.files import write_scores, write_truth
from dermoscope.data.preprocess import Step
from dermoscope.data.splits import Role, Split, check_apart, check_split, sharpest_per_lesion, with_role
from dermoscope.evaluate.score import evaluate
from dermoscope.predict.bundle import Bundle, load, save
from dermoscope.predict.fitting import concerning
from dermoscope.predict.predictor import Predictor
from dermoscope.train import checkpoint, runs
from dermoscope.train.batches import TrainingPictures, plain
from dermoscope.train.distributed import processes
from dermoscope.train.finish import Parts, card, device_name, finish
from dermoscope.train.loop import Monitor, Progress, Watch, fit, out_of_memory_told, shipping_stages, stages
from dermoscope.train.networks import Reader, build, tune_allocator
from dermoscope.train.pictures import cached, digests
from dermoscope.train.recipes import Recipe

SERVED = ("balanced_accuracy", "accuracy", "macro_average.auc", "MEL.auc")
"""Figures of a run card under the bundle's default prior; those of `CALIBRATED` are under the calibration prior."""
CALIBRATED = ("accuracy", "MEL.auc", "log_loss", "ece", "ece_if_perfect")


@dataclass(frozen=True)
class Job:
    """What a run is given: a recipe, cases, its folder `out` and the `cache` of decoded pictures; the rest may be left.

    Roles are those of `split`, else of the hash of the lesion. `data_use` has `name`, `given` (name or path as asked
    for), `licence`, `citation` and `lacks` (joined by semicolons) for the cards. `ship` goes on for shipping. `start`
    is the folder of a finished run of the same backbone, whose network that never saw validation is gone on with
    instead of the ImageNet weights.
    """

    recipe: Recipe
    cases: CaseSet
    out: Path
    cache: Path
    split: Split | None = None
    data_use: Mapping[str, str] = field(default_factory=dict)
    ship: bool = False
    start: Path | None = None

    def divided(self, *roles: Role) -> Parts:
        """The cases by what they are used for, trained on `roles`."""
        return divide(self.cases, roles, self.split)


def divide(cases: CaseSet, roles: Sequence[Role] = ("training",), split: Split | None = None) -> Parts:
    """Cases with a diagnosis by role; what is watched after every epoch is empty when validation is trained on.

    Roles are those of `split`, else of the hash of the lesion. Raises LeakError when a lesion or patient stands on
    both sides, InputError when a part that is needed is empty (a calibration part without anything to refer counts as
    that) or `roles` asks to train on calibration or test.
    """
    if set(roles) - {"training", "validation"}:
        raise InputError("only the roles training and validation may be trained on")
    known = cases.where(lambda c: c.diagnosis is not None and c.path is not None)
    if split is not None:
        check_split(known, split)
    watched = sharpest_per_lesion(with_role(known, "validation", split=split))
    parts = Parts(
        with_role(known, *roles, split=split),
        watched if "validation" not in roles else replace(known, cases=()),
        sharpest_per_lesion(with_role(known, "calibration", split=split)),
    )
    check_apart(fitted=parts.fitted, watched=parts.watched, calibration=parts.calibration)
    check_apart(fitted=parts.fitted, test=with_role(known, "test", split=split))
    for role, part in ((" or ".join(roles), parts.fitted), ("calibration", parts.calibration)):
        if not len(part):
            raise InputError(f"no case with a diagnosis and an image file has the role {role}; give more lesions")
    if not any(parts.calibration.counts()[code] for code in concerning(cases.taxonomy)):
        raise InputError(
            "no malignant or premalignant case has the role calibration, and the threshold for referring is chosen on "
            "those; give more lesions"
        )
    return parts


def train(job: Job, *, progress: Progress | None = None, listener: runs.Listener | None = None) -> Bundle:
    """Run a recipe on the training role and leave a bundle in `out/chosen`; with `ship`, go on for shipping.

    The bundle in `out/chosen` has never seen the validation role: choices and its validation figures are made with it.
    `ship` continues the same network on training + validation and leaves that in `out/bundle`. A run that was cut goes
    on where it stopped; one that is finished is only loaded. `runs` says what else `out` holds. With several processes
    each calls this, and the first alone writes.

    Raises TrainingError when another process is at `out`, it holds another run, memory runs out or the loss is no
    number; else as `divide`.
    """
    tune_allocator()
    cv2.setNumThreads(1)  # a pool of threads feeds the loop; threads inside each call would only disturb them
    group = processes()
    first: bool = group.is_main_process
    parts = job.divided("training")
    with runs.sole(job.out, first=first):
        diary = runs.open_diary(job.out, _card_of(job, parts, progress if first else None), writes=first)
        done = _finished(job, diary.card)
        if done is not None:
            return done
        with runs.recorded(diary, listener):
            return _train(job, parts, diary, progress if first else None, listener)


def _train(
    job: Job, parts: Parts, diary: runs.Diary, progress: Progress | None, listener: runs.Listener | None
) -> Bundle:
    def epoch(line: dict[str, Any]) -> None:
        diary.note()
        if listener is not None and diary.writes:
            listener.epoch(line)

    watch = Watch(progress, epoch)
    reader, drawn = _fitted(job, parts, watch)
    described = card(job.recipe, parts, ("training",), job.data_use)
    bundle = _left(reader, job, parts, drawn, job.out / "chosen", described)
    figures = _validated(bundle, parts, job, diary.writes)
    diary.note(bundles={"chosen": bundle.sha256}, figures=figures)
    if not (job.ship and shipping_stages(job.recipe)):
        return bundle
    parts = job.divided("training", "validation")
    data = _decoded_once(parts.fitted, job, progress)
    again = replace(job.recipe, seed=job.recipe.seed + 1)  # other draws than the first epochs had
    reader = fit(again, shipping_stages(job.recipe), data, job.out / "ship-run", start=reader, watch=watch)
    described = card(job.recipe, parts, ("training", "validation"), job.data_use)
    described = described.model_copy(update={"run": {**described.run, "twin": bundle.sha256}})
    shipped = _left(reader, job, parts, drawn, job.out / "bundle", described)
    diary.note(bundles={"chosen": bundle.sha256, "bundle": shipped.sha256})
    return shipped


def _fitted(job: Job, parts: Parts, watch: Watch) -> tuple[Reader, np.ndarray]:
    """The network that never saw validation, and the prior of the pictures that it was shown."""
    recipe = job.recipe
    data = _decoded_once(parts.fitted, job, watch.progress)
    drawn = data.sampling_prior(recipe.balance, masked=recipe.masked)
    if recipe.kind == "probe":
        from dermoscope.train.probe import fit_probe

        # the others find the features that the first has cached
        with processes().main_process_first(), out_of_memory_told(job.out / "chosen-run"):
            return fit_probe(recipe, data, job.cache, watch.progress), drawn
    monitor = _monitor(parts.watched, recipe, drawn, job.cache) if processes().is_main_process else None
    start = _start(job)
    watch = replace(watch, monitor=monitor)
    return fit(recipe, stages(recipe), data, job.out / "chosen-run", start=start, watch=watch), drawn


def _start(job: Job) -> Reader | None:
    """The network of the run that this one goes on from. Raises InputError where it is another network."""
    if job.start is None:
        return None
    before = runs.read_run(job.start)
    theirs = (before.recipe.get("backbone"), before.recipe.get("kind"), before.state)
    if theirs != (job.recipe.backbone, "finetune", "finished"):
        raise InputError(
            f"{job.start} holds a {before.state} {theirs[1]} run of {theirs[0]}; to start from it takes a finished "
            f"fine-tuned run of {job.recipe.backbone}"
        )
    ours = _split_of(job)
    if before.data.get("split") != ours:
        raise InputError(
            f"{job.start} was trained on another split ({before.data.get('split')}, here: {ours}), so that it may have "
            "learnt from what is calibrated or tested on here; give a run on the same split"
        )
    reader = Reader(build(job.recipe.backbone, len(job.cases.taxonomy), pretrained=False, dropout=job.recipe.dropout))
    try:
        reader.load_state_dict(checkpoint.kept_weights(job.start / "chosen-run"))
    except RuntimeError as error:
        raise InputError(f"{job.start} holds another network: {error}; give a run on the same diagnoses") from None
    return reader


def _split_of(job: Job) -> str:
    return job.split.sha256 if job.split else "hash of the lesion"


def _left(reader: Reader, job: Job, parts: Parts, drawn: np.ndarray, folder: Path, described: Any) -> Bundle:
    """The finished bundle in its folder; the first process makes it, the others wait and read it."""
    group = processes()
    if group.is_main_process:
        bundle = save(finish(reader, job.recipe, parts, drawn, described), folder)
    group.wait_for_everyone()
    return bundle if group.is_main_process else load(folder)


def _decoded_once(cases: CaseSet, job: Job, progress: Progress | None) -> TrainingPictures:
    with processes().main_process_first():
        return decoded(cases, job.recipe.size, job.cache, progress, job.recipe.steps)


def decoded(
    cases: CaseSet, size: int, cache: Path, progress: Progress | None = None, steps: Sequence[Step] = ()
) -> TrainingPictures:
    """Every copy of every case in the decoded cache, prepared by `steps`."""
    paths = [path for c in cases for path in (c.path, *c.copies) if path is not None]
    told = None if progress is None else lambda done, total: progress("decoding", done, total)
    copies = np.array([1 + len(c.copies) for c in cases])
    first = np.concatenate([[0], np.cumsum(copies)[:-1]])
    return TrainingPictures(cases, cached(paths, size, cache, told, steps), first, copies)


def _monitor(cases: CaseSet, recipe: Recipe, prior: np.ndarray, cache: Path) -> Monitor | None:
    if not len(cases):
        return None
    from dermoscope.train.watch import score_under_uniform

    data = decoded(cases, recipe.size, cache, steps=recipe.steps)
    pictures = plain(data.pictures, data.first, recipe.size)
    return Monitor(pictures, data.labels, score_under_uniform(prior, cases.taxonomy))


def _card_of(job: Job, parts: Parts, progress: Progress | None) -> RunCard:
    """The card of a run that begins."""
    known = job.cases.where(lambda c: c.diagnosis is not None and c.path is not None)
    if progress is not None:
        progress("checking the data", 0, 1)
    data = {
        "name": job.data_use.get("name", "unnamed"),
        "given": job.data_use.get("given", ""),
        "sha256": data_hash(known),
        "sources": sources_hash(known),
        "images": len(known),
        "lesions": len(set(known.groups)),
        "split": _split_of(job),
        "training": len(parts.fitted),
        "validation": len(parts.watched),
        "calibration": len(parts.calibration),
    }
    if job.start is not None:
        data["start"] = runs.read_run(job.start).bundles.get("chosen", "")
    if progress is not None:
        progress("checking the data", 1, 1)
    settings = json.loads(json.dumps(replace(job.recipe, full={}).as_dict()))
    return RunCard(
        name=job.recipe.name,
        started=runs.now(),
        changed=runs.now(),
        seed=job.recipe.seed,
        data=data,
        recipe=settings,
        code=runs.code_version(),
        environment=runs.environment(device_name(), processes().num_processes),
    )


def data_hash(cases: CaseSet) -> str:
    """SHA-256 over ids, labels, lesions, patients, the content of every file, and what the source of each can hold.

    The order of the cases does not matter. Sources themselves are hashed by `sources_hash`: this hash is older than
    their part in the training, and runs that began with it must still be known again.
    """
    files = digests([path for c in cases for path in (c.path, *c.copies) if path is not None])
    lines, at = [], 0
    for c in cases:
        count = (c.path is not None) + len(c.copies)
        content = " ".join(digest.hex() for digest in files[at : at + count])
        limits = f"\t{sorted(cases.holds[c.source])}" if c.source and c.source in cases.holds else ""
        lines.append(f"{c.image_id}\t{c.diagnosis}\t{c.lesion_id}\t{c.patient_id}\t{content}{limits}")
        at += count
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def sources_hash(cases: CaseSet) -> str:
    """SHA-256 over the source of every case: it decides which copy of an image is drawn how often."""
    lines = sorted(f"{c.image_id}\t{c.source or ''}" for c in cases)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _finished(job: Job, before: RunCard) -> Bundle | None:
    """The bundle of a run that has nothing left to do."""
    which = "bundle" if job.ship and shipping_stages(job.recipe) else "chosen"
    if before.state != "finished" or which not in before.bundles:
        return None
    try:
        found = load(job.out / which)
    except BundleError:
        return None
    return found if found.sha256 == before.bundles[which] else None


def _validated(bundle: Bundle, parts: Parts, job: Job, writes: bool) -> tuple[Figures, ...]:
    """What the bundle reaches on the validation role, and its predictions as files; empty where there is no case."""
    if not len(parts.watched) or not writes:
        return ()
    predictor = Predictor.load(bundle)
    prediction = predictor.predict(parts.watched)
    served, calibrated = predictor.refine(prediction), predictor.refine(prediction, "calibration")
    truth = Truth.from_cases(parts.watched)
    write_scores(job.out / runs.SERVED, served)
    write_scores(job.out / runs.CALIBRATED, calibrated)
    write_truth(job.out / runs.TRUTH, truth)
    found = evaluate(served, truth)
    under = evaluate(calibrated, truth)
    kept = {name: found[name] for name in SERVED if name in found}
    kept |= {f"calibration:{name}": under[name] for name in CALIBRATED if name in under}
    if bundle.taxonomy == ISIC2019:
        merged = evaluate(served.merged(ISIC2019_TO_ISIC2018), truth.merged(ISIC2019_TO_ISIC2018))
        kept["isic2018:balanced_accuracy"] = merged["balanced_accuracy"]
    return (
        Figures(
            title="validation",
            split=f"{job.data_use.get('name', 'unnamed')}, role validation, one image per lesion",
            date=runs.now()[:10],
            scorings=0,
            estimates={name: e.as_dict() for name, e in kept.items()},
        ),
    )
