"""Images for a first look: a folder of one's own, else public-domain ones from the ISIC archive, else drawn ones."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dermoscope.core.errors import DownloadError, InputError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.download import public_samples
from dermoscope.data.images import list_images
from dermoscope.data.store import write_file
from dermoscope.data.synthetic import draw


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a sample: how to credit it, its diagnosis (ISIC 2019 code), and whether it was drawn."""

    attribution: str
    diagnosis: str
    synthetic: bool


@dataclass(frozen=True, slots=True)
class Samples:
    """Images, a unique name for each, one sentence on where they come from, and the origin of those that have one.

    `problem` says why the archive was of no use, where it was not.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    lead: str
    origins: Mapping[str, Origin] = field(default_factory=dict)
    problem: str = ""


def folder_samples(folder: Path) -> Samples:
    """All images of a folder and below it, each called by its file name, or by its place where two share a name.

    Characters that a terminal or a table could stumble over are replaced in the names.
    Raises InputError where the folder does not exist or holds no image.
    """
    paths = list_images(folder)
    if not paths:
        raise InputError(f"{folder}: no image in this folder or below it; give one that holds JPEG, PNG or TIFF files")
    stems = Counter(printable(path.stem) for path in paths)
    names = [printable(p.stem if stems[printable(p.stem)] == 1 else p.relative_to(folder).as_posix()) for p in paths]
    given = Counter(names)  # two may differ only in what was replaced
    names = [n if given[n] == 1 else f"{n} ({position})" for position, n in enumerate(names, start=1)]
    lead = f"{len(paths):,} image{'s' * (len(paths) > 1)} from {printable(str(folder))}."
    return Samples(tuple(paths), tuple(names), lead)


def printable(text: str) -> str:
    """`text` with control characters, text direction marks and undecodable bytes replaced by U+FFFD."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def public_or_drawn_samples(drawn_into: Path, count: int = 12, seconds: float = 5.0) -> Samples:
    """`count` public-domain images from the ISIC archive, else as many synthetic ones, written into `drawn_into`.

    The archive is given up after `seconds` without an answer. Raises InputError where `drawn_into` cannot be written.
    """
    try:
        folder, kept = public_samples(count, seconds=seconds)
    except DownloadError as error:
        return _drawn(drawn_into, count, str(error))
    names = tuple(Path(sample.file).stem for sample in kept)
    origins = {n: Origin(s.attribution, s.diagnosis, False) for n, s in zip(names, kept, strict=True)}
    paths = tuple(folder / sample.file for sample in kept)
    lead = f"{len(kept)} public-domain image{'s' * (len(kept) > 1)} from the ISIC archive."
    return Samples(paths, names, lead, origins)


def _drawn(folder: Path, count: int, why: str) -> Samples:
    codes = [ISIC2019.codes[k % len(ISIC2019)] for k in range(count)]
    images = [draw(number, code) for number, code in enumerate(codes, start=1)]
    paths = tuple(write_file(folder / f"{image.name}.jpg", image.jpeg()) for image in images)
    origins = {i.name: Origin("Drawn by dermoscope, no patient", i.diagnosis, True) for i in images}
    lead = f"The ISIC archive gave no images, so these {count} are synthetic: drawn by dermoscope, of no patient."
    return Samples(paths, tuple(origins), lead, origins, why)
