"""What `dermoscope report` reads before it measures: a run or a pair of files, their cases and pictures."""

import hashlib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dermoscope import __version__
from dermoscope.core.card import RunCard
from dermoscope.core.cases import Case
from dermoscope.core.errors import ImageError, InputError
from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import TAXONOMIES, Taxonomy
from dermoscope.core.truth import Truth, plain_id
from dermoscope.data.catalog import open_cases
from dermoscope.data.files import guess_taxonomy, read_scores, read_truth
from dermoscope.data.images import image_size
from dermoscope.data.thumbnails import thumbnail
from dermoscope.evaluate.matching import brought_to
from dermoscope.evaluate.resampling import RESAMPLES, clusters_of
from dermoscope.report.dossier import Given, Measured, Provenance
from dermoscope.train.runs import CALIBRATED, SERVED, TRUTH, read_log, read_run

SIDE = 360
"""Pixels of the longer side of a picture in the page: 300 dpi at a quarter of the text's width need 510, 200 do."""


@dataclass(frozen=True)
class Asked:
    """The arguments of the command."""

    subject: str
    truth: str | None = None
    data: str | None = None
    calibrated: str | None = None
    title: str | None = None
    taxonomy: str | None = None
    resamples: int = RESAMPLES
    seed: int = 0

    @property
    def command(self) -> str:
        """The command that makes the same page again."""
        words = ["dermoscope", "report", self.subject, *([self.truth] if self.truth else [])]
        given = {"--data": self.data, "--calibrated": self.calibrated, "--taxonomy": self.taxonomy}
        words += [word for name, value in given.items() if value for word in (name, value)]
        words += ["--title", self.title] if self.title else []
        words += ["--resamples", str(self.resamples)] if self.resamples != RESAMPLES else []
        return shlex.join(words + (["--seed", str(self.seed)] if self.seed else []))


@dataclass(frozen=True)
class Sources:
    """The files of a report, and the run they are of."""

    predictions: Path
    truth: Path
    calibrated: Path | None
    run: RunCard | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Known:
    """What a data set says of the images: cases under the ids of the truth, the set in words, or why nothing."""

    cases: Sequence[Case] = ()
    said: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def gather(asked: Asked) -> tuple[Given, Provenance, list[str]]:
    """What is to be measured, where it comes from (without pictures), and warnings.

    Raises InputError, naming the file, for a run without its files or files that do not fit together.
    """
    sources = find(asked)
    scores, calibrated, truth, warnings = _read(sources, asked.taxonomy)
    known = _known(asked, sources, truth)
    warnings += [known.problem] if known.problem else []
    if truth.groups is None and any(case.lesion_id for case in known.cases):
        groups = {case.image_id: case.group for case in known.cases}
        truth = replace(truth, groups=tuple(groups.get(i, i) for i in truth.ids))
    sizes = _sizes(known.cases)
    given = Given(scores, truth, calibrated, known.cases, sizes, asked.resamples, asked.seed)
    return given, _provenance(asked, sources, truth, known), warnings


def find(asked: Asked) -> Sources:
    """The files that a report is made from. Raises InputError for a folder that is no run, or lacks them."""
    subject = Path(asked.subject)
    calibrated = Path(asked.calibrated) if asked.calibrated else None
    if asked.truth is not None:
        if subject.is_dir():
            raise InputError(f"{subject} is a folder: a run needs no truth file; else give PREDICTIONS.csv TRUTH.csv")
        return Sources(subject, Path(asked.truth), calibrated)
    if subject.is_file():
        raise InputError(f"{subject} is a file: give its truth too, dermoscope report {subject} TRUTH.csv")
    card = read_run(subject)
    absent = [name for name in (SERVED, TRUTH) if not (subject / name).is_file()]
    if absent:
        raise InputError(
            f"{subject}: {' and '.join(absent)} missing (the run is {card.state}); they are written when a run is "
            "finished: repeat the `dermoscope train` that made it, or report PREDICTIONS.csv TRUTH.csv"
        )
    if calibrated is None and (subject / CALIBRATED).is_file():
        calibrated = subject / CALIBRATED
    return Sources(subject / SERVED, subject / TRUTH, calibrated, card, subject)


def with_pictures(
    where: Provenance, given: Given, measured: Measured, progress: Callable[[str, int, int], None]
) -> Provenance:
    """The provenance with a small copy of every picture that the page shows and that is at hand."""
    paths = {case.image_id: case.path for case in given.cases if case.path is not None}
    found = measured.mistakes
    wanted = list(dict.fromkeys(one.image for one in (*found.missed, *found.others, *found.uncertain)))
    pictures: dict[str, bytes] = {}
    for done, image in enumerate(wanted, start=1):
        try:
            if image in paths:
                pictures[image] = thumbnail(paths[image], SIDE)
        except ImageError:
            pass  # counted below
        progress("pictures", done, len(wanted))
    missing = len(wanted) - len(pictures)
    if not wanted or not missing or where.no_pictures:
        return replace(where, pictures=pictures)
    said = f"{missing} of {len(wanted)} pictures are not at hand."
    return replace(where, pictures=pictures, no_pictures=said)


def _read(sources: Sources, taxonomy: str | None) -> tuple[Scores, Scores | None, Truth, list[str]]:
    if taxonomy is not None and taxonomy not in TAXONOMIES:
        raise InputError(f"--taxonomy {taxonomy}: unknown; choose {' or '.join(TAXONOMIES)}")
    of_truth = guess_taxonomy(sources.truth)
    truth = read_truth(sources.truth, of_truth)
    target = of_truth if taxonomy is None else TAXONOMIES[taxonomy]
    scores, labels, warnings = _brought(sources.predictions, truth, target)
    if sources.calibrated is None:
        return scores, None, labels, warnings
    calibrated, _, _ = _brought(sources.calibrated, truth, target)
    return scores, calibrated, labels, warnings


def _brought(path: Path, truth: Truth, target: Taxonomy) -> tuple[Scores, Truth, list[str]]:
    return brought_to(read_scores(path, guess_taxonomy(path)), truth, target)


def _known(asked: Asked, sources: Sources, truth: Truth) -> Known:
    """The cases of the data set; one that only the run names may be elsewhere, one that was asked for may not."""
    name = asked.data or (str(sources.run.data.get("given", "")) if sources.run else "")
    if not name:
        return Known()
    try:
        cases, said = open_cases(name)
    except InputError as error:
        if asked.data:
            raise
        return Known(problem=f"the data set of the run is not at hand ({error}); --data names it")
    by_id = {plain_id(case.image_id): case for case in cases}
    found = [replace(by_id[plain_id(i)], image_id=i) for i in truth.ids if plain_id(i) in by_id]
    if not found:
        text = f"none of the {len(truth):,} images of {sources.truth} is in the data set {name}"
        if asked.data:
            raise InputError(f"--data {name}: {text}; name the set that they are from")
        return Known(problem=text)
    return Known(found, said)


def _sizes(cases: Iterable[Case]) -> dict[str, str]:
    """Width and height of every image file that is at hand, in words; nothing where all are alike."""
    sizes = {}
    for case in cases:
        try:
            if case.path is not None:
                sizes[case.image_id] = "{} × {} px".format(*image_size(case.path))
        except ImageError:
            continue
    return sizes if len(set(sizes.values())) > 1 else {}


def _provenance(asked: Asked, sources: Sources, truth: Truth, known: Known) -> Provenance:
    files = [("predictions", sources.predictions), ("truth", sources.truth)]
    if sources.calibrated is not None:
        files.insert(1, ("calibrated predictions", sources.calibrated))
    hashed = [(what, str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for what, path in files]
    without = "" if known.cases else "Without pictures: --data names the data set that holds them."
    if known.problem:
        without = f"Without pictures: {known.problem}."
    title, lead = _words(sources, truth, known)
    prior = sources.run.recipe.get("prior") if sources.run else None
    served = f"the predictions under the prior {prior!r}" if prior else f"the predictions in {sources.predictions.name}"
    of_calibrated = "the predictions under the calibration prior"
    if sources.calibrated is not None and sources.run is None:
        of_calibrated = f"the calibrated predictions in {sources.calibrated.name}"
    return Provenance(
        asked.title or title,
        lead,
        asked.command,
        __version__,
        hashed,
        served,
        of_calibrated,
        known.said,
        sources.run,
        read_log(sources.folder) if sources.folder else (),
        no_pictures=without,
    )


def _words(sources: Sources, truth: Truth, known: Known) -> tuple[str, str]:
    """A title, and what was scored in a sentence."""
    clusters = clusters_of(truth)
    amount = f"{len(truth):,} images"
    if clusters.unit != "image":
        amount += f" of {len(clusters):,} {clusters.unit}s"
    data = (str(sources.run.data.get("name", "")) if sources.run else "") or known.said.get("name", "")
    of_data = f" of {data.partition(':')[0]}" if data else ""  # the rest of a title would be read as the count
    if sources.run is None:
        return f"Report on {sources.predictions.name}", f"{amount}{of_data}, predictions from elsewhere."
    digest = sources.run.bundles.get("chosen", "")[:12]
    by = f"by the bundle {digest}" if digest else "by the bundle"
    lead = f"{amount}{of_data}, role validation, {by} of this run, which was not trained on them."
    return f"Run {sources.run.name}: validation", lead
