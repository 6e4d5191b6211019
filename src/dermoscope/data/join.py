"""Images found by their id in folders + rows found by their image in tables -> CaseSet.

Every published layout is read by this one join. What differs between them is a value: which columns, which labels,
which table names the cases.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import ImageError, InputError, TableError, ValueRuleError, some
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018, Taxonomy
from dermoscope.data.images import image_size, list_images
from dermoscope.data.tables import (
    KNOWN_COLUMNS,
    Table,
    choose_taxonomy,
    codes_of,
    label_map,
    one_hot_labels,
    value_or_none,
)

_DOWNSAMPLED = "_downsampled"
_NO_PICTURE_FOLDERS = frozenset({"masks", "mask", "segmentations", "superpixels"})
_NO_PICTURE_STEMS = ("_segmentation", "_superpixels", "_mask")


@dataclass(frozen=True)
class Files:
    """Where the images lie, the best copies first, and the tables that speak of them.

    `metadata` names the cases where it has a diagnosis column or stands alone; else `truth` does. With `partial`, rows
    without an image are left out; without it they are an error.
    """

    folders: tuple[Path, ...]
    truth: Table | None = None
    metadata: Table | None = None
    partial: bool = False


@dataclass(frozen=True)
class Wording:
    """How the tables speak: field -> column, label -> code, and the taxonomy asked for (None: the one that fits)."""

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    taxonomy: Taxonomy | None = None


def join(files: Files, wording: Wording) -> CaseSet:
    """Join images and tables to cases, in the order of the table that names them.

    Raises InputError or TableError, naming the file and the rows, for images that are missing, labels that are unknown
    or missing, rows that are doubled, and values that break the rules of `CaseSet`.
    """
    about = files.metadata.by_image(wording.columns, image_key) if files.metadata else {}
    columns = {f: files.metadata.column_of(f, wording.columns) if files.metadata else None for f in KNOWN_COLUMNS}
    own = {key: row[columns["diagnosis"]] for key, row in about.items()} if columns["diagnosis"] else {}
    words, spoken = (own, None) if files.truth is None else _truth(files.truth, wording)
    names = files.metadata if files.metadata and (own or files.truth is None) else files.truth
    if names is None:
        raise InputError(f"{some(files.folders)}: no table names the cases; give truth= or metadata=")
    images = index_images(files.folders)
    keys = _with_image(about if names is files.metadata else words, images, names, files)
    unlabelled = [key for key in keys if key not in words]
    if unlabelled and files.truth:
        raise TableError(f"{files.truth.path}: no label for {some(unlabelled)}; give the truth file of these images")
    said = {key: words.get(key, "") for key in keys}
    taxonomy = spoken or choose_taxonomy(said.values(), wording.taxonomy, wording.labels)
    codes = codes_of(said, label_map(taxonomy, wording.labels), taxonomy, (files.truth or names).path)
    cases = [
        _case(key, images[key], (codes[key], own.get(key) or said[key]), _values(about.get(key, {}), columns))
        for key in keys
    ]
    return in_taxonomy(case_set(cases, taxonomy, names.path), wording.taxonomy)


def image_key(name: str) -> str:
    """What one image is called everywhere: its file name without folder, extension and `_downsampled`."""
    path = Path(name)
    known = path.suffix.lower() in {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
    return (path.stem if known else path.name).removesuffix(_DOWNSAMPLED)


def index_images(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Copies of each image by its key: those of the first folder first, within a folder the largest (in pixels) first.

    Lesion masks and superpixels, which carry the ids of their images, are left out.
    """
    index: dict[str, list[Path]] = {}
    for folder in folders:
        here: dict[str, list[Path]] = {}
        for path in list_images(folder):
            between = {part.lower() for part in path.relative_to(folder).parts[:-1]}
            if not (between & _NO_PICTURE_FOLDERS or path.stem.endswith(_NO_PICTURE_STEMS)):
                here.setdefault(image_key(path.name), []).append(path)
        for key, copies in here.items():
            fresh = [c for c in copies if c not in index.get(key, ())]
            index.setdefault(key, []).extend(fresh if len(fresh) < 2 else sorted(fresh, key=_pixels, reverse=True))
    return index


def class_folder(path: Path, folders: Iterable[Path]) -> str:
    """Name of the folder directly below the given one in which an image lies; empty where it lies in none."""
    for folder in folders:
        if path.is_relative_to(folder):
            parts = path.relative_to(folder).parts
            return parts[0] if len(parts) > 1 else ""
    return ""


def case_set(cases: Iterable[Case], taxonomy: Taxonomy, where: Path) -> CaseSet:
    """A CaseSet whose rule errors name the file that the cases came from."""
    cases = tuple(cases)
    nameless = [in_text(c.path.name) for c in cases if c.path and not is_text(c.path.name)]
    if nameless:
        raise TableError(f"{where}: image files whose names are no UTF-8 text: {some(nameless)}; rename them")
    try:
        return CaseSet(cases, taxonomy)
    except ValueRuleError as error:
        raise TableError(f"{where}: {error}; mend these rows") from None


def one_folder_each(images: Mapping[str, Sequence[Path]], folders: Sequence[Path]) -> dict[str, str]:
    """`class_folder` of every image id; raises TableError for one that lies in several: which holds is not known."""
    classes = {key: {class_folder(path, folders) for path in copies} for key, copies in images.items()}
    torn = [f"{key} ({', '.join(sorted(names))})" for key, names in classes.items() if len(names) > 1]
    if torn:
        raise TableError(f"{some(folders)}: one image id in several class folders: {some(torn)}; rename or remove one")
    return {key: min(names) for key, names in classes.items()}


def is_text(name: str) -> bool:
    """Whether a file name can be written as UTF-8: any bytes are a name to Linux."""
    return in_text(name) == name


def in_text(name: str) -> str:
    """A file name with the bytes that are no UTF-8 written as `\\udc..`."""
    return name.encode("utf-8", "backslashreplace").decode()


def in_taxonomy(cases: CaseSet, wanted: Taxonomy | None) -> CaseSet:
    """The cases in the taxonomy asked for: ISIC 2019 can be merged into ISIC 2018, nothing else into anything.

    Warns where an SCC that HAM10000 did not label `akiec` becomes AKIEC: it may be invasive. Raises InputError.
    """
    if wanted is None or wanted == cases.taxonomy:
        return cases
    if (cases.taxonomy, wanted) != (ISIC2019, ISIC2018):
        raise InputError(
            f"labels of {cases.taxonomy.name} cannot be turned into {wanted.name}; give another truth file"
        )
    invasive = [c.image_id for c in cases if c.diagnosis == "SCC" and (c.diagnosis_original or "").lower() != "akiec"]
    if invasive:
        warnings.warn(f"SCC that may be invasive counted as AKIEC: {some(invasive)}", UserWarning, stacklevel=2)
    return cases.merged(ISIC2019_TO_ISIC2018)


def _truth(table: Table, wording: Wording) -> tuple[dict[str, str], Taxonomy | None]:
    """Label of every image of a truth file, and the taxonomy that its header speaks (None where it has one column)."""
    taxonomy = table.one_hot_taxonomy(wording.taxonomy)
    if taxonomy:
        return one_hot_labels(table.by_image({}, image_key), taxonomy, table.path), taxonomy
    column = table.column_of("diagnosis", {})
    if column is None:
        raise TableError(
            f"{table.path}: neither a column for each diagnosis of one taxonomy nor one named diagnosis, dx or label; "
            f"it has {some(table.columns, 20)}"
        )
    return {key: row[column] for key, row in table.by_image({}, image_key).items()}, None


def _with_image(named: Iterable[str], images: Mapping[str, list[Path]], table: Table, files: Files) -> list[str]:
    """Keys that have an image. Raises where some have none, unless the files are said to be partial."""
    keys = list(named)
    missing = [key for key in keys if key not in images]
    if len(missing) == len(keys) or (missing and not files.partial):
        raise TableError(
            f"{table.path}: no image for {len(missing)} of {len(keys)} rows: {some(missing)}. "
            f"Put them under {some(files.folders)} or remove the rows"
        )
    return [key for key in keys if key in images]


def _values(row: Mapping[str, str], columns: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f: value_or_none(row.get(c, "")) if c else None for f, c in columns.items()}


def _case(key: str, copies: list[Path], label: tuple[str | None, str], said: Mapping[str, str | None]) -> Case:
    try:
        age = None if said["age"] is None else float(said["age"])
    except ValueError:
        raise TableError(
            f"{copies[0].stem}: the age {said['age']!r} is not a number of years; mend the table"
        ) from None
    return case_of(key, copies, label, age, said)


def case_of(
    key: str,
    copies: Sequence[Path],
    label: tuple[str | None, str],
    age: float | None,
    said: Mapping[str, str | None],
) -> Case:
    """The case of a row: its image files (the first is read), its label as code and word, and what else `said` tells.

    It is called by its first file, by `key` where it has none.
    """
    code, word = label
    return Case(
        image_id=copies[0].stem if copies else key,
        path=copies[0] if copies else None,
        diagnosis=code,
        lesion_id=said["lesion"],
        patient_id=said["patient"],
        age=age,
        sex=said["sex"],
        site=said["site"],
        source=said["source"],
        licence=said["licence"],
        confirmed_by=said["confirmed_by"],
        diagnosis_original=word or None,
        copies=tuple(copies[1:]),
    )


def _pixels(path: Path) -> int:
    try:
        width, height = image_size(path)
        return width * height
    except ImageError:  # a damaged copy must not stand before a sound one
        return 0
