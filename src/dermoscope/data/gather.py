"""Data sets as they are found, for an audit: where a reader would refuse, a finding is made and the rest is read."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dermoscope.core.audit import Finding
from dermoscope.core.cases import Case
from dermoscope.core.errors import InputError, TableError, some
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Taxonomy
from dermoscope.data.catalog import CATALOG, data_root, open_cases, whereabouts
from dermoscope.data.join import case_of, class_folder, image_key, in_text, index_images, is_text
from dermoscope.data.tables import Table, label_map, plain, read_table, value_or_none

_TABLES = ("*.csv", "*.tsv", "*.tab")
_FIELDS = ("lesion", "patient", "age", "sex", "site", "source", "licence", "confirmed_by")
_FOREIGN = frozenset({".heic", ".heif", ".avif", ".dcm", ".dicom", ".jp2", ".psd", ".raw", ".nef", ".cr2", ".pdf"})


@dataclass(frozen=True)
class Gathered:
    """One data set as far as it can be read: its cases (a path of None: the image is missing), and what was wrong.

    `cases` may break the rules of `CaseSet`. `unnamed` are images that no table speaks of; they have no diagnosis.
    """

    name: str
    cases: tuple[Case, ...]
    unnamed: tuple[Case, ...]
    taxonomy: Taxonomy
    findings: tuple[Finding, ...] = ()


@dataclass
class _Notes:
    """Findings while they are gathered."""

    name: str
    lines: dict[str, list[str]] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    def add(self, kind: str, line: str) -> None:
        self.lines.setdefault(kind, []).append(line)

    def findings(self) -> tuple[Finding, ...]:
        made = []
        for kind, (one, what, remedy) in _WORDS.items():
            items = self.lines.get(kind, [])
            if items:
                made.append(
                    Finding(
                        kind,
                        "grave",
                        f"{self.name}: {len(items):,} {what if len(items) > 1 else one}",
                        remedy,
                        tuple(items),
                    )
                )
        return (*self.found, *made)


_WORDS: Mapping[str, tuple[str, str, str]] = {
    "missing file": (
        "row without an image file",
        "rows without an image file",
        "Put the files into the folder or remove the rows.",
    ),
    "image twice": ("image in two rows of a table", "images in two rows of a table", "Keep one row of each."),
    "unknown label": (
        "label that is no diagnosis",
        "labels that are no diagnosis",
        "Rename them, or map them with labels=.",
    ),
    "no single label": (
        "row without a single 1 among zeros",
        "rows without a single 1 among zeros",
        "Mend or remove them.",
    ),
    "bad age": ("age that is no number from 0 to 130", "ages that are no number from 0 to 130", "Mend the table."),
    "nameless row": ("row that names no image", "rows that name no image", "Name the image or remove the row."),
    "broken table": (
        "table that cannot be read whole",
        "tables that cannot be read whole",
        "Mend the lines that are named; the others were read.",
    ),
}


def gather(given: str) -> Gathered:
    """Read a data set by its name in the catalog or by a path.

    Raises InputError only where there is nothing to audit: no such name or path, or no images and no table there.
    """
    folders, tables, partial = _whereabouts(given)
    index = index_images(folders)
    nameless = [key for key, copies in index.items() if not all(is_text(str(path)) for path in copies)]
    strange = tuple(in_text(str(path)) for key in nameless for path in index.pop(key))
    try:
        cases, _ = open_cases(given)
        found = Gathered(given, tuple(cases), (), cases.taxonomy)
    except InputError as error:
        found = _tolerant(given, index, tables, folders, partial, str(error))
    named = {image_key(c.image_id) for c in found.cases}
    unnamed = tuple(
        Case(copies[0].stem, copies[0], copies=tuple(copies[1:]))
        for key, copies in sorted(index.items())
        if key not in named
    )
    more = (*_nameless(given, strange), *_foreign(given, folders))
    return replace(found, unnamed=unnamed, findings=(*found.findings, *more))


def _whereabouts(given: str) -> tuple[tuple[Path, ...], tuple[Path, ...], bool]:
    """Folders of the images, tables beside them, and whether the tables also speak of images of other sets."""
    entry = CATALOG.get(given)
    if entry is not None:
        base = data_root()
        layout = whereabouts(entry, base).layout
        if layout is None:
            open_cases(given)  # its message says what is missing and how to get it
            raise InputError(f"data set {given}: no files under {base}")
        folders = tuple(base / f for f in layout.folders if (base / f).is_dir())
        return folders, tuple(base / t for t in layout.needed), layout.partial
    path = Path(given)
    if not path.exists():
        raise InputError(f"no data set and no path {given!r}; the catalog has {', '.join(CATALOG)}")
    if path.is_file():
        return (path.parent,), (path,), False
    inside = [p for pattern in _TABLES for deep in ("", "*/") for p in sorted(path.glob(deep + pattern))]
    tables = tuple(p for p in inside if p.is_file() and not p.name.startswith("."))
    if not tables and not index_images((path,)):
        raise InputError(f"{path}: no images and no table here; give the folder that holds them")
    return (path,), tables, False


def _tolerant(
    name: str,
    index: Mapping[str, list[Path]],
    paths: Sequence[Path],
    folders: Sequence[Path],
    partial: bool,
    why: str,
) -> Gathered:
    notes = _Notes(name)
    remedy = "Mend it: training would stop here too. The findings below are of what could be read."
    notes.found.append(Finding("refused", "grave", f"{name}: the data set cannot be read as it is", remedy, (why,)))
    rows = _merged([t for p in paths if (t := _table(p, notes)) is not None], notes)
    if not any("diagnosis" in row for row in rows.values()):
        classes = {k: class_folder(copies[0], folders) for k, copies in index.items()}
        for key, word in classes.items():
            if word:
                rows.setdefault(key, {})["diagnosis"] = word
    taxonomy = _spoken({row["diagnosis"] for row in rows.values() if row.get("diagnosis")})
    known = label_map(taxonomy)
    cases = []
    for key, row in rows.items():
        if key in index or not partial:
            cases.append(_case(key, row, index.get(key, []), known, notes))
    return Gathered(name, tuple(cases), (), taxonomy, notes.findings())


def _table(path: Path, notes: _Notes) -> Table | None:
    """A table; of a ragged one the lines that are whole."""
    try:
        return read_table(path)
    except TableError as error:
        notes.add("broken table", str(error))
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    sign = max(",;\t", key=lines[0].count)
    columns = tuple(cell.strip().strip('"') for cell in lines[0].split(sign))
    whole = [[cell.strip().strip('"') for cell in line.split(sign)] for line in lines[1:]]
    rows = tuple(dict(zip(columns, cells, strict=True)) for cells in whole if len(cells) == len(columns))
    return Table(path, columns, rows) if len(set(columns)) == len(columns) and rows else None


def _merged(tables: Sequence[Table], notes: _Notes) -> dict[str, dict[str, str]]:
    """What the tables say of each image, by its key; of two labels that of a one-hot truth file counts."""
    told: dict[str, dict[str, str]] = {}
    for table in sorted(tables, key=lambda t: t.one_hot_taxonomy() is None):
        column = table.column_of("image", {})
        if column is None:
            continue
        label = _labeller(table)
        columns = {f: c for f in _FIELDS if (c := table.column_of(f, {}))}
        seen: set[str] = set()
        for line, row in enumerate(table.rows, start=2):
            key = image_key(row[column])
            if not key:
                notes.add("nameless row", f"{table.path.name}, row {line}")
                continue
            about = {f: row[c] for f, c in columns.items() if row[c]}
            word = label(row)
            if word is None:
                notes.add("no single label", f"{table.path.name}, row {line}: {key}")
            elif word:
                about["diagnosis"] = word
            if key in seen:
                first = told[key].get("diagnosis", "no label")
                notes.add("image twice", f"{key} in {table.path.name}: {first} and {word or 'no label'}")
            seen.add(key)
            told[key] = about | told.get(key, {})
    return told


def _labeller(table: Table) -> Callable[[Mapping[str, str]], str | None]:
    """Reads the label of a row: empty where it has none, None where a one-hot row is broken."""
    taxonomy = table.one_hot_taxonomy()
    column = table.column_of("diagnosis", {})
    if taxonomy is None:
        return lambda row: row[column] if column else ""
    codes = [c for c in (*taxonomy.codes, taxonomy.unknown or "") if c in table.columns]

    def one_hot(row: Mapping[str, str]) -> str | None:
        ones = [c for c in codes if row[c] in ("1", "1.0")]
        return ones[0] if len(ones) == 1 and all(row[c] in ("0", "0.0", "1", "1.0") for c in codes) else None

    return one_hot


def _case(key: str, row: Mapping[str, str], copies: list[Path], known: Mapping[str, str | None], notes: _Notes) -> Case:
    word = row.get("diagnosis", "")
    if plain(word) not in known:
        notes.add("unknown label", f"{key}: {word!r}")
    if not copies:
        notes.add("missing file", key)
    age = value_or_none(row.get("age", ""))
    years: float | None = None
    try:
        years = None if age is None else float(age)
        wrong = years is not None and not 0 <= years <= 130
    except ValueError:
        wrong = True
    if wrong:
        notes.add("bad age", f"{key}: {age}")
        years = None
    said = {f: value_or_none(row.get(f, "")) for f in _FIELDS}
    return case_of(key, copies, (known.get(plain(word)), word), years, said)


def _spoken(words: set[str]) -> Taxonomy:
    """Of ISIC 2019 and ISIC 2018 the one that knows more of the words."""
    return max((ISIC2019, ISIC2018), key=lambda t: sum(plain(w) in label_map(t) for w in words))


def _nameless(name: str, files: tuple[str, ...]) -> tuple[Finding, ...]:
    """Files whose names are no text: no table and no report can hold them."""
    if not files:
        return ()
    what = f"{name}: {len(files):,} image file{'s' * (len(files) > 1)} with a name that is no UTF-8 text, left out here"
    return (Finding("nameless file", "grave", what, "Rename them.", files),)


def _foreign(name: str, folders: Sequence[Path]) -> tuple[Finding, ...]:
    """Files whose extension says that they are pictures, of kinds that are not read."""
    found = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in _FOREIGN)
    if not found:
        return ()
    kinds = some(f"{n} {suffix}" for suffix, n in Counter(p.suffix.lower() for p in found).most_common())
    what = f"{name}: {len(found):,} file{'s' * (len(found) > 1)} of kinds that are not read ({kinds})"
    remedy = "Export them as JPEG, PNG or TIFF where they belong to the set."
    return (Finding("foreign file", "warning", what, remedy, tuple(in_text(str(p)) for p in found)),)
