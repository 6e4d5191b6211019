"""Folders and tables -> CaseSet: HAM10000 as published, ISIC challenges, a folder per class, any CSV."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError, TableError, some
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.data.join import Files, Wording, case_set, class_folder, image_key, index_images, join, one_folder_each
from dermoscope.data.tables import KNOWN_COLUMNS, Table, accepted, choose_taxonomy, label_map, plain, read_table

_TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab"})
PathLike = Path | str


def read_cases(
    path: PathLike | Sequence[PathLike],
    *,
    truth: PathLike | None = None,
    metadata: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    taxonomy: Taxonomy | None = None,
) -> CaseSet:
    """Read a data set from a folder, several folders (best copies first), or a CSV beside its images.

    Recognised are HAM10000 as published (images + `HAM10000_metadata.csv`; with an ISIC 2019 truth file beside it or
    as `truth`, in eight classes), the ISIC challenges (images + one-hot truth + metadata, ids with or without
    `_downsampled`), a folder per class (codes or names), images alone (no labels), and any CSV whose columns have
    known names or are named by `columns` (keys: image, diagnosis, lesion, patient, age, sex, site, source, licence,
    confirmed_by). `labels` maps words of the files to codes. Without `taxonomy`, ISIC 2019 is taken where it holds
    all labels, else ISIC 2018. An image in several sizes is one case whose `path` is the copy in the first folder,
    within a folder the largest.

    Raises InputError or TableError, naming the file and the rows, for what is missing, unknown, doubled or broken.
    """
    roots = [Path(p) for p in ([path] if isinstance(path, str | Path) else path)]
    wording = Wording(columns or {}, labels or {}, taxonomy)
    files = _locate(roots, truth, metadata, wording)
    if files.truth is None and files.metadata is None:
        return _by_folder(files.folders, wording)
    return join(files, wording)


def _locate(roots: Sequence[Path], truth: PathLike | None, metadata: PathLike | None, wording: Wording) -> Files:
    """Folders to look for images in, and the tables that were named or else found there."""
    absent = [root for root in roots if not root.exists()]
    if absent or not roots:
        raise InputError(f"{some(absent) or 'no folder'}: does not exist; give the folder of the images or their CSV")
    folders = tuple(dict.fromkeys(root.parent if root.is_file() else root for root in roots))
    truths, others = ([read_table(truth)] if truth else []), ([read_table(metadata)] if metadata else [])
    mute: list[Table] = []
    if not (truth and metadata):
        one_hot, telling, mute = _tables_in(roots, wording)
        truths, others = truths or one_hot, others or telling
    for kind, several in (("truth", truths), ("metadata", others)):
        if len(several) > 1:
            raise InputError(f"several tables could be the {kind}: {some(t.path for t in several)}; give {kind}=FILE")
    if not truths and not others:
        _check_mute(mute, folders, wording)
    told = [t for t in truths if any(t.column_of(f, {}) for f in KNOWN_COLUMNS if f != "image")]
    return Files(folders, next(iter(truths), None), next(iter(others or told), None))


def _tables_in(roots: Sequence[Path], wording: Wording) -> tuple[list[Table], list[Table], list[Table]]:
    """One-hot tables, tables that speak of images, and the others: of those among the roots, else in the folders.

    The challenges' archives unpack into folders of their own, so one level below is looked at too. Where any of the
    found tables carries diagnoses, it alone counts: HAM10000's beside the ISIC 2019 metadata of the same images.
    """
    named = [root for root in roots if root.is_file()]
    inside = [p for root in roots for pattern in ("*", "*/*") for p in sorted(root.glob(pattern)) if p.is_file()]
    found = [p for p in inside if p.suffix.lower() in _TABLE_SUFFIXES and not p.name.startswith(".")]
    truths: list[Table] = []
    others: list[Table] = []
    for table in map(read_table, named or dict.fromkeys(found)):
        (truths if table.one_hot_taxonomy(wording.taxonomy) else others).append(table)
    mute: list[Table] = []
    if not named:
        mute = [t for t in others if not _has(t, "image", wording)]
        others = [t for t in others if _has(t, "image", wording) and len(t.columns) > 1]
        others = [t for t in others if _has(t, "diagnosis", wording)] or others
    return truths, others, mute


def _has(table: Table, field: str, wording: Wording) -> bool:
    """Whether a table has a field: in the column that was named for it, else in one of a known name."""
    named = wording.columns.get(field)
    return named in table.columns if named else table.column_of(field, {}) is not None


def _check_mute(tables: Sequence[Table], folders: Sequence[Path], wording: Wording) -> None:
    """Raise TableError where the images would stand without labels beside a table that speaks of them."""
    if "image" in wording.columns:
        column, looked = wording.columns["image"], some(t.path for t in tables) or "no table"
        raise TableError(f"{some(folders)}: no table here has the column {column!r} for the image (found: {looked})")
    images = index_images(folders) if tables else {}
    if any(class_folder(path, folders) for copies in images.values() for path in copies):
        return
    for table in tables:
        for column in table.columns:
            known = sum(image_key(row[column]) in images for row in table.rows)
            if 2 * known >= len(table.rows):
                raise TableError(
                    f"{table.path}: the column {column!r} names the images, but is not called "
                    f"{', '.join(KNOWN_COLUMNS['image'])}; rename it, or give columns={{'image': {column!r}}}"
                )


def _by_folder(folders: Sequence[Path], wording: Wording) -> CaseSet:
    """A folder per class, or images without labels where they lie directly in the folders."""
    images = index_images(folders)
    if not images:
        raise InputError(f"{some(folders)}: no images here; give the folder that holds them")
    said = one_folder_each(images, folders)
    taxonomy = choose_taxonomy(said.values(), wording.taxonomy, wording.labels)
    known = label_map(taxonomy, wording.labels)
    strange = sorted({word for word in said.values() if word and plain(word) not in known})
    bare = [key for key, word in said.items() if not word]
    if strange or (bare and len(bare) < len(said)):
        raise TableError(
            f"{some(folders)}: folders that name no diagnosis: {some(strange) or 'none'}; images outside a class "
            f"folder: {some(bare) or 'none'}. Accepted are {accepted(taxonomy)}; if a table holds the labels, give it "
            "as truth= or metadata="
        )
    cases = []
    for key, copies in sorted(images.items()):
        code, original = known[plain(said[key])], said[key] or None
        cases.append(Case(copies[0].stem, copies[0], code, diagnosis_original=original, copies=tuple(copies[1:])))
    return case_set(cases, taxonomy, folders[0])
