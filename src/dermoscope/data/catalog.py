"""The catalog of public data sets (`data/sets.py`) and how its entries are found and read.

Files are looked for under `$DERMOSCOPE_DATA` (or `root`), else where `dermoscope data get` puts them.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError, TableError, some
from dermoscope.data.dataset import DataSet, Layout
from dermoscope.data.home import home
from dermoscope.data.join import Files, Wording, image_key, join
from dermoscope.data.labels import LEFT_OUT
from dermoscope.data.sets import CATALOG
from dermoscope.data.splits import role_of
from dermoscope.data.tables import Table, one_hot_labels, plain, read_table

__all__ = [
    "CATALOG",
    "Whereabouts",
    "data_root",
    "find",
    "known_groups",
    "load",
    "open_cases",
    "storage",
    "whereabouts",
]

ROOT_VARIABLE = "DERMOSCOPE_DATA"


@dataclass(frozen=True)
class Whereabouts:
    """Which layout of a set is whole below a root (None: none is), its image folders, and what the nearest lacks."""

    layout: Layout | None
    folders: tuple[Path, ...]
    absent: tuple[str, ...]


def find(name: str) -> DataSet:
    """The catalog's entry. Raises InputError for an unknown name."""
    entry = CATALOG.get(name)
    if entry is None:
        raise InputError(f"no data set {name!r} in the catalog; it has {', '.join(CATALOG)}")
    return entry


def load(name: str, root: Path | str | None = None, *, joined: bool = True) -> CaseSet:
    """The labelled cases of a public data set, in the order of its table; no image is opened.

    `root` (default: see `data_root`) holds the set's folders. `ham10000` has eight classes (ISIC 2019), `source` its
    `dataset` column where there is HAM10000_metadata.csv, `confirmed_by` its `dx_type`, `diagnosis_original` its `dx`;
    of an image in several sizes `path` is the copy as published, else the one in `ham10000-224` (224 px, centre
    square), and `copies` are the others. Lesions that are known to show one picture get one lesion id, unless
    `joined` is false.

    Raises InputError for an unknown name, a root that is unset, or files that are missing; else as `data.readers`.
    """
    entry = find(name)
    base = data_root(root)
    here = whereabouts(entry, base)
    if here.layout is None:
        get = f"get it with `dermoscope data get {name}`, or " if entry.downloads else ""
        raise InputError(
            f"data set {name}: {some(here.absent)} missing; {get}put the published files there ({entry.citation})"
        )
    cases = join(_files(here, base), Wording(here.layout.columns, {}, entry.taxonomy))
    groups = known_groups(entry) if joined else {}
    told = (
        replace(
            c,
            source=c.source or entry.source,
            licence=c.licence or entry.licence,
            lesion_id=groups.get(image_key(c.image_id), c.lesion_id),
        )
        for c in cases
    )
    return CaseSet(tuple(told), cases.taxonomy, entry.holds)


def known_groups(entry: DataSet) -> Mapping[str, str]:
    """Image id -> group of the lesions of a set that are known to show one picture; made by `tools/known_groups.py`."""
    if not entry.groups:
        return {}
    table = read_table(Path(__file__).parent / "groups" / f"{entry.groups}.csv")
    return {row["image"]: row["group"] for row in table.rows}


def open_cases(given: str) -> tuple[CaseSet, Mapping[str, str]]:
    """Cases of a data set by its name here or by a path (see `data.readers`), and what a model card says of it.

    The path may be a folder that `dermoscope data combine` left.

    The second value has `name`, and of a data set here `licence`, `citation` and, joined by semicolons, `lacks`.
    Several joined by `+` (`ham10000+isic2017`) are one: the first as it is, of every later one the cases with the role
    training, so that what is chosen, calibrated and tested on stays the first. Cases without a source are then told
    apart by the name of their set, and the card names all sets.

    Raises InputError as `load` and `read_cases` do, for sets of several taxonomies, and for an image in two of them.
    """
    parts = _parts(given)
    sets = [_open_one(part) for part in parts]
    if len(sets) == 1:
        return sets[0]
    _check_joinable(parts, [cases for cases, _ in sets])
    last = [Path(part).name for part in parts]
    names = [short if last.count(short) == 1 else part for part, short in zip(parts, last, strict=True)]
    first, *later = (_with_source(cases, name) for (cases, _), name in zip(sets, names, strict=True))
    whole = sum((cases.where(lambda case: role_of(case.group) == "training") for cases in later), first)
    return whole, described_together({name: said for name, (_, said) in zip(names, sets, strict=True)})


def _open_one(given: str) -> tuple[CaseSet, Mapping[str, str]]:
    entry = CATALOG.get(given)
    if entry is not None:
        said = {"name": entry.title, "licence": entry.licence, "citation": entry.citation}
        more = {"lacks": "; ".join(entry.lacks), "weights_licence": entry.weights_licence}
        return load(given), said | {key: text for key, text in more.items() if text}
    if not given or not Path(given).exists():
        raise InputError(f"no data set and no path {given!r}; the catalog has {', '.join(CATALOG)}")
    from dermoscope.data.combined import is_combined, read_combined
    from dermoscope.data.readers import read_cases

    if is_combined(given):
        return read_combined(given)
    return read_cases(given), {"name": Path(given).name}


def _parts(given: str) -> list[str]:
    """Names and paths that stand joined by `+`; a path that exists may have the sign in its name."""
    pieces, parts = given.split("+"), []
    while pieces:
        ends = range(len(pieces), 0, -1)
        known = (n for n in ends if (one := "+".join(pieces[:n])) in CATALOG or (one and Path(one).exists()))
        taken = next(known, 1)
        parts.append("+".join(pieces[:taken]))
        pieces = pieces[taken:]
    return parts


def _check_joinable(names: Sequence[str], sets: Sequence[CaseSet]) -> None:
    spoken = {name: cases.taxonomy.name for name, cases in zip(names, sets, strict=True)}
    if len(set(spoken.values())) > 1:
        said = ", ".join(f"{name} in {taxonomy}" for name, taxonomy in spoken.items())
        raise InputError(f"sets of several taxonomies cannot be joined: {said}; take sets of one")
    seen: dict[str, str] = {}
    for name, cases in zip(names, sets, strict=True):
        keys = [image_key(i) for i in cases.ids]
        twice = [key for key in keys if key in seen]
        if twice:
            raise InputError(
                f"{seen[twice[0]]} and {name} share {len(twice):,} images ({some(twice)}); "
                "`dermoscope data combine` keeps one of each"
            )
        seen |= dict.fromkeys(keys, name)


def _with_source(cases: CaseSet, name: str) -> CaseSet:
    return replace(cases, cases=tuple(c if c.source else replace(c, source=name) for c in cases))


def described_together(sets: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """What a card says of several sets. What all lack that say so is lacking; weights carry the terms of all."""
    unsaid = "not stated"
    lists = [said["lacks"].split("; ") for said in sets.values() if said.get("lacks")]
    terms = (said.get("weights_licence", said.get("licence", unsaid)) for said in sets.values())
    together = {
        "name": " + ".join(said["name"] for said in sets.values()),
        "licence": "; ".join(f"{name}: {said.get('licence', unsaid)}" for name, said in sets.items()),
        "citation": "; ".join(said.get("citation", f"{name}: {unsaid}") for name, said in sets.items()),
        "lacks": "; ".join(item for item in (lists or [[]])[0] if all(item in other for other in lists)),
        "weights_licence": "; ".join(dict.fromkeys(terms)),
    }
    return {key: text for key, text in together.items() if text}


def storage(root: Path | str | None = None) -> Path:
    """The folder that data sets are put into: `root`, else `$DERMOSCOPE_DATA`, else `data` under DERMOSCOPE_HOME."""
    chosen = root or os.environ.get(ROOT_VARIABLE)
    return Path(chosen) if chosen else home() / "data"


def data_root(root: Path | str | None = None) -> Path:
    """The folder of the data sets, as `storage` finds it. Raises InputError when there is none."""
    chosen = storage(root)
    if chosen.is_dir():
        return chosen
    names = ", ".join(name for name, entry in CATALOG.items() if entry.downloads)
    if root or os.environ.get(ROOT_VARIABLE):
        raise InputError(f"{chosen}: not a folder; set {ROOT_VARIABLE} to the one that holds {names}")
    raise InputError(
        f"no data set here: `dermoscope data get NAME` fetches one ({names}), or set {ROOT_VARIABLE} to the folder "
        f"that holds {names}"
    )


def whereabouts(entry: DataSet, base: Path) -> Whereabouts:
    """Which layout of a set lies whole below `base`, as far as folders and tables show; no table is opened."""
    nearest: tuple[str, ...] | None = None
    for layout in entry.layouts:
        folders = tuple(base / f for f in layout.folders if (base / f).is_dir())
        needed = [f for f in layout.folders if f not in layout.optional] or ([] if folders else layout.folders[:1])
        absent = [str(base / f) for f in needed if not (base / f).is_dir()]
        absent += [str(base / t) for t in layout.needed if not (base / t).is_file()]
        if not absent:
            return Whereabouts(layout, folders, ())
        if nearest is None or len(absent) < len(nearest):
            nearest = tuple(absent)
    return Whereabouts(None, (), nearest or ())


def _files(here: Whereabouts, base: Path) -> Files:
    """The images and tables of a layout, as `join` takes them."""
    layout = here.layout
    assert layout is not None
    about = layout.reader(base, layout) if layout.reader else _metadata(layout, base)
    for column in layout.only:
        if column not in about.columns:
            raise TableError(f"{about.path}: no column {column!r} to tell dermoscopic images by; get the table again")
    if layout.only:
        kept = tuple(r for r in about.rows if all(plain(r[c]) in map(plain, words) for c, words in layout.only.items()))
        about = replace(about, rows=kept)
    if layout.labels is None:
        return Files(here.folders, read_table(base / layout.truth), about, layout.partial)
    about, truth = mapped(about, layout)
    return Files(here.folders, truth, about, layout.partial)


def mapped(table: Table, layout: Layout) -> tuple[Table, Table]:
    """The rows whose word means a code or UNK, and these codes as a truth table.

    Raises TableError for words that the map does not know, and where no row is left.
    """
    assert layout.labels is not None
    column, image = (table.column_of(field, layout.columns) for field in ("diagnosis", "image"))
    if column is None or image is None:
        raise TableError(f"{table.path}: no column {layout.columns.get('diagnosis', 'diagnosis')!r}; get the set again")
    codes = [layout.labels.code(row[column]) for row in table.rows]
    strange = Counter(row[column] for row, code in zip(table.rows, codes, strict=True) if not code)
    if strange:
        said = some(f"{word!r} ({n})" for word, n in strange.items())
        raise TableError(
            f"{table.path}: words that the catalog has no code for: {said}; add them to data/labels.py, or read the "
            "files by their path"
        )
    kept = [(row, code) for row, code in zip(table.rows, codes, strict=True) if code != LEFT_OUT]
    if not kept:
        raise TableError(f"{table.path}: no row says one of the diagnoses; the catalog's map leaves all of them out")
    truth = tuple({"image": row[image], "diagnosis": code} for row, code in kept)
    return replace(table, rows=tuple(r for r, _ in kept)), Table(table.path, ("image", "diagnosis"), truth)


def _metadata(layout: Layout, base: Path) -> Table:
    """The tables of a layout as one: rows of the first, with the columns that the others add."""
    first, *others = (_told(read_table(base / t), layout) for t in layout.tables)
    if layout.stacked:
        return replace(first, rows=(*first.rows, *(row for table in others for row in table.rows)))
    if not others:
        return first
    rows = {key: dict(row) for key, row in first.by_image({}, image_key).items()}
    columns = list(first.columns)
    for table in others:
        fresh = [c for c in table.columns if c not in columns]
        about = table.by_image({}, image_key)
        silent = [key for key in rows if key not in about]
        if silent:
            raise TableError(f"{table.path}: no row for {some(silent)} of {first.path.name}; fetch both files again")
        for key, row in rows.items():
            row.update({c: about[key][c] for c in fresh})
        columns += fresh
    return Table(first.path, tuple(columns), tuple(rows.values()))


def _told(table: Table, layout: Layout) -> Table:
    """A table with its words replaced; a one-hot table becomes `image` and `dx`, in lower case as HAM10000 has it."""
    taxonomy = table.one_hot_taxonomy()
    if taxonomy:
        labels = one_hot_labels(table.by_image({}, image_key), taxonomy, table.path)
        rows = tuple({"image": key, "dx": code.lower()} for key, code in labels.items())
        return Table(table.path, ("image", "dx"), rows)
    words = {column: known for column, known in layout.words.items() if column in table.columns}
    if not words:
        return table
    rows = tuple({c: words.get(c, {}).get(cell, cell) for c, cell in row.items()} for row in table.rows)
    return replace(table, rows=rows)
