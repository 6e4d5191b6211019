"""Tables of cases as they are found in the world: which column says what, and which word means which diagnosis."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from dermoscope.core.errors import InputError, TableError, some
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, TAXONOMIES, Taxonomy

KNOWN_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "image": ("image", "image_id", "image_name", "isic_id", "file", "filename"),
        "diagnosis": ("diagnosis", "dx", "label"),
        "lesion": ("lesion_id", "lesion"),
        "patient": ("patient_id", "patient"),
        "age": ("age", "age_approx", "age_approximate"),
        "sex": ("sex",),
        "site": ("site", "localization", "anatom_site_general", "anatom_site_general_challenge"),
        "source": ("source", "dataset"),
        "licence": ("licence", "license", "copyright_license"),
        "confirmed_by": ("confirmed_by", "dx_type", "diagnosis_confirm_type"),
    }
)
"""What a table may say of a case, and the column names that say so in HAM10000, the ISIC challenges and the archive."""

_WORDS: Mapping[str, tuple[str, ...]] = {
    "NV": ("nevus", "naevus", "nevi", "naevi", "melanocytic nevi", "melanocytic naevus"),
    "AK": ("actinic keratoses", "solar keratosis"),
    "AKIEC": ("ak", "actinic keratosis", "actinic keratoses", "actinic keratoses and intraepithelial carcinoma"),
    # The benign keratoses of ISIC 2018, Task 3: solar lentigo, seborrheic and lichen planus-like keratosis.
    "BKL": (
        "seborrheic keratosis",
        "seborrhoeic keratosis",
        "pigmented benign keratosis",
        "solar lentigo",
        "lichenoid keratosis",
        "lichen planus like keratosis",
        "benign keratosis like lesions",
    ),
    "VASC": ("vascular lesions", "vascular"),
}
_NOTHING = frozenset({"", "unknown", "na", "n/a", "nan", "none"})


@dataclass(frozen=True)
class Table:
    """A CSV file: its columns, and its rows as text, stripped, blank lines left out."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]

    def one_hot_taxonomy(self, wanted: Taxonomy | None = None) -> Taxonomy | None:
        """The taxonomy whose codes are among the columns, as in the ISIC challenges' truth files; None if none's.

        A table that has a column of diagnoses is not one-hot, whatever else it has.
        """
        candidates = [*TAXONOMIES.values()] if wanted is None else [wanted, *TAXONOMIES.values()]
        if self.column_of("diagnosis", {}):
            return None
        return next((t for t in candidates if set(t.codes) <= set(self.columns)), None)

    def column_of(self, field: str, columns: Mapping[str, str]) -> str | None:
        """The column that holds a field: the one that `columns` names, else the first known name that is here.

        Raises InputError for a field that does not exist and TableError for a named column that is absent.
        """
        strange = [key for key in columns if key not in KNOWN_COLUMNS]
        if strange:
            raise InputError(f"a column map cannot hold {some(strange)}; its keys are {', '.join(KNOWN_COLUMNS)}")
        if field in columns and columns[field] not in self.columns:
            raise TableError(f"{self.path}: no column {columns[field]!r} for the {field}; it has {self._shown()}")
        return columns.get(field) or next((c for c in KNOWN_COLUMNS[field] if c in self.columns), None)

    def by_image(self, columns: Mapping[str, str], key: Callable[[str], str]) -> dict[str, Mapping[str, str]]:
        """Rows by the key of their image. Raises TableError for no image column, an empty cell or an image twice."""
        column = self.column_of("image", columns)
        if column is None:
            raise TableError(
                f"{self.path}: no column names the image; it has {self._shown()}: give columns={{'image': NAME, ...}}"
            )
        keys = [key(row[column]) for row in self.rows]
        empty = [line for line, k in enumerate(keys, 2) if not k]
        if empty:
            raise TableError(f"{self.path}: no image is named in rows {some(empty)}; name it or remove the row")
        twice = [k for k, n in Counter(keys).items() if n > 1]
        if twice:
            raise TableError(f"{self.path}: images stand in more than one row: {some(twice)}; keep one row of each")
        return dict(zip(keys, self.rows, strict=True))

    def _shown(self) -> str:
        return some(self.columns, 20)


def read_table(path: Path | str) -> Table:
    """Read a CSV with a header, separated by comma, semicolon or tab, in UTF-8.

    Raises TableError, naming the file, when it is missing, not UTF-8 text, without rows, or ragged.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.split("\n", 1)[0]
        reader = csv.reader(text.splitlines(), delimiter=max(",;\t", key=header.count), strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cells)]
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: not a CSV table in UTF-8 ({error}); save it again as CSV UTF-8") from None
    if len(lines) < 2:
        raise TableError(f"{path}: no rows; it needs a header and a row for every image")
    columns = tuple(lines[0][1])
    if len(set(columns)) < len(columns):
        twice = [c for c, n in Counter(columns).items() if n > 1]
        raise TableError(f"{path}: columns stand more than once: {some(twice)}; rename or remove one")
    ragged = [number for number, cells in lines[1:] if len(cells) != len(columns)]
    if ragged:
        raise TableError(f"{path}: lines {some(ragged)} do not have {len(columns)} cells; mend or remove them")
    return Table(path, columns, tuple(dict(zip(columns, cells, strict=True)) for _, cells in lines[1:]))


def one_hot_labels(rows: Mapping[str, Mapping[str, str]], taxonomy: Taxonomy, path: Path) -> dict[str, str]:
    """Code of every row of a one-hot truth file, by image; `unknown` of the taxonomy counts as a code.

    Raises TableError, naming the images, for a row that does not hold exactly one 1 among zeros.
    """
    codes = [*taxonomy.codes, *([taxonomy.unknown] if taxonomy.unknown else [])]
    labels, broken = {}, []
    for image, row in rows.items():
        cells = {code: row[code] for code in codes if code in row}
        ones = [code for code, cell in cells.items() if cell in ("1", "1.0")]
        if len(ones) != 1 or any(cell not in ("0", "0.0", "1", "1.0") for cell in cells.values()):
            broken.append(image)
        else:
            labels[image] = ones[0]
    if broken:
        raise TableError(f"{path}: rows that do not hold a single 1 among zeros: {some(broken)}; mend or remove them")
    return labels


def plain(label: str) -> str:
    """A label without case, and with single spaces where it has `_` or `-`."""
    return " ".join(label.replace("_", " ").replace("-", " ").casefold().split())


def label_map(taxonomy: Taxonomy, labels: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Plain label -> code: codes, names, usual words, the map given; the taxonomy's `unknown` and blanks -> None.

    Raises InputError when the map given leads to a code that is not of the taxonomy.
    """
    known: dict[str, str | None] = dict.fromkeys(_NOTHING)
    if taxonomy.unknown:
        known[plain(taxonomy.unknown)] = None
    for diagnosis in taxonomy.diagnoses:
        for word in (diagnosis.code, diagnosis.name, *_WORDS.get(diagnosis.code, ())):
            known[plain(word)] = diagnosis.code
    stray = [f"{word} -> {code}" for word, code in (labels or {}).items() if code not in taxonomy]
    if stray:
        raise InputError(f"a label map leads out of {taxonomy.name} ({some(taxonomy.codes, 20)}): {some(stray)}")
    return known | {plain(word): code for word, code in (labels or {}).items()}


def choose_taxonomy(words: Iterable[str], wanted: Taxonomy | None, labels: Mapping[str, str]) -> Taxonomy:
    """The wanted taxonomy, else the first of ISIC 2019 and ISIC 2018 that knows all the words (ISIC 2019 if none)."""
    if wanted is not None:
        return wanted
    needed = {plain(word) for word in words} - {plain(word) for word in labels}
    for taxonomy in (ISIC2019, ISIC2018):
        if needed <= label_map(taxonomy).keys() and all(code in taxonomy for code in labels.values()):
            return taxonomy
    return ISIC2019


def codes_of(
    words: Mapping[str, str], known: Mapping[str, str | None], taxonomy: Taxonomy, where: Path
) -> dict[str, str | None]:
    """Codes of labels by image. Raises TableError, listing the unknown words and the accepted codes."""
    strange = Counter(word for word in words.values() if plain(word) not in known)
    if strange:
        counted = [f"{word!r} ({n} images)" for word, n in strange.most_common()]
        hint = "; ISIC_2019_Training_GroundTruth.csv as truth= tells AK from SCC" if "akiec" in strange else ""
        raise TableError(
            f"{where}: labels that are no diagnosis of {taxonomy.name}: {some(counted)}. Accepted are "
            f"{accepted(taxonomy)}; give labels={{'LABEL': 'CODE'}} for others{hint}"
        )
    return {image: known[plain(word)] for image, word in words.items()}


def accepted(taxonomy: Taxonomy) -> str:
    """The codes of a taxonomy with their names, for messages."""
    return ", ".join(f"{d.code} ({d.name})" for d in taxonomy.diagnoses)


def value_or_none(value: str) -> str | None:
    """None for an empty cell or a word that says the value is not known."""
    return None if value.casefold() in _NOTHING else value
