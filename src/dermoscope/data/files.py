"""The CSV files of the ISIC challenges: submissions (`Scores`) and one-hot truth (`Truth`), read and written.

The rules are those of the official scorer (`isic-challenge-scoring` 5.6, `load_csv.py`), and the messages name the file
and the rows. The module uses `csv`, not pandas, because `classify --csv` has to start fast.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from dermoscope.core.errors import TableError, some
from dermoscope.core.probabilities import Scores
from dermoscope.core.taxonomy import TAXONOMIES, Taxonomy
from dermoscope.core.truth import UNSCORED, Truth, with_unknown

Source = str | Path | TextIO

WEIGHTS = ("score_weight", "validation_weight")
GROUPS = ("lesion_id", "patient_id")


@dataclass(frozen=True)
class _Table:
    """A CSV file as text: its name, its header, and its rows with the line each stands on."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> list[str]:
        at = self.header.index(name)
        return [row[at] for row in self.rows]


def read_scores(source: Source, taxonomy: Taxonomy) -> Scores:
    """Read an ISIC submission: `image` and one column per diagnosis, in any order, values in [0, 1].

    A trailing `.jpg` of an id is cut off, as the official scorer does. Where the taxonomy has an `unknown` code and the
    file a column of it, the result is of `with_unknown(taxonomy)`, since that column takes part in every decision.
    `source` is a path or an open text stream.

    Raises TableError, naming file and rows, for a file that is no CSV, missing, extra or repeated columns, repeated
    ids, and values that are missing, no numbers, not finite or outside [0, 1].
    """
    table = _read(source)
    if taxonomy.unknown is not None and taxonomy.unknown in table.header:
        taxonomy = with_unknown(taxonomy)
    _check_columns(table, required=("image", *taxonomy.codes))
    ids = _ids(table)
    values = np.column_stack([_numbers(table, ids, code) for code in taxonomy.codes])
    outside = np.any((values < 0) | (values > 1), axis=1, keepdims=True)[:, 0]
    _refuse(table, outside, ids, "values outside [0, 1]", "give probabilities, not logits or per cent")
    return Scores(ids, taxonomy, values)


def read_truth(source: Source, taxonomy: Taxonomy) -> Truth:
    """Read a one-hot truth file: `image` and one column per diagnosis, exactly one of them 1 in every row.

    Optional columns: the taxonomy's `unknown` code (label -1), `score_weight`, `validation_weight`, `lesion_id` and
    `patient_id` (where one is empty, the image stands for itself). ISIC_0035068 weighs 0, as in the official scorer.

    Raises TableError, naming file and rows, as `read_scores` does, and for rows that are not one-hot.
    """
    table = _read(source)
    unknown = (taxonomy.unknown,) if taxonomy.unknown in table.header else ()
    codes = (*taxonomy.codes, *unknown)
    _check_columns(table, required=("image", *codes), optional=(*WEIGHTS, *GROUPS))
    ids = _ids(table)
    onehot = np.column_stack([_numbers(table, ids, code) for code in codes])
    broken = ~(np.isin(onehot, (0.0, 1.0)).all(axis=1) & (onehot.sum(axis=1) == 1))
    _refuse(table, broken, ids, "rows that are not one-hot", "write 1 for the diagnosis and 0 for the others")
    labels = onehot.argmax(axis=1)
    labels[labels >= len(taxonomy)] = -1
    score_weight, validation_weight = (_weights(table, ids, name) for name in WEIGHTS)
    lesions = _groups(table, "lesion_id", ids)
    patients = _groups(table, "patient_id", lesions or ids)
    return Truth(ids, taxonomy, labels, score_weight, validation_weight, lesions, patients)


def guess_taxonomy(source: Source) -> Taxonomy:
    """The taxonomy whose diagnoses are all columns of the file: isic2018 (AKIEC) or isic2019 (AK, SCC).

    A stream is read and put back to its start. Raises TableError where none fits.
    """
    table = _read(source)
    if isinstance(source, io.TextIOBase):
        source.seek(0)
    for taxonomy in TAXONOMIES.values():
        if set(taxonomy.codes) <= set(table.header):
            return taxonomy
    known = "; ".join(f"{t.name}: {','.join(t.codes)}" for t in TAXONOMIES.values())
    raise TableError(f"{table.name}: columns {some(table.header, 12)} fit no known taxonomy ({known})")


def write_scores(target: Source, scores: Scores) -> None:
    """Write an ISIC submission: `image` and one column per diagnosis; `read_scores` gives back the same float64.

    A path is written under a temporary name and then moved into place, so that a killed run leaves no half file.
    Raises TableError where the file cannot be written.
    """
    rows = ([image, *map(repr, row)] for image, row in zip(scores.ids, scores.values.tolist(), strict=True))
    _write(target, ("image", *scores.taxonomy.codes), rows)


def write_truth(target: Source, truth: Truth) -> None:
    """Write a one-hot truth file with its weights, and lesion and patient ids where there are any.

    A label of -1 is written in the column of the taxonomy's `unknown` code (else `UNK`). Atomic, as `write_scores`.
    """
    wider = with_unknown(truth.taxonomy)
    columns = len(truth.taxonomy) + int(bool((truth.labels < 0).any()) or truth.taxonomy.unknown is not None)
    onehot = np.eye(len(wider))[truth.labels][:, :columns].tolist()
    extra: list[tuple[str, Sequence[object]]] = [
        ("score_weight", truth.score_weight.tolist()),
        ("validation_weight", truth.validation_weight.tolist()),
    ]
    extra += [(name, ids) for name, ids in zip(GROUPS, (truth.groups, truth.patients), strict=True) if ids is not None]
    rows = (
        [image, *map(repr, row), *(values[at] for _, values in extra)]
        for at, (image, row) in enumerate(zip(truth.ids, onehot, strict=True))
    )
    _write(target, ("image", *wider.codes[:columns], *(name for name, _ in extra)), rows)


def _read(source: Source) -> _Table:
    name = str(source) if isinstance(source, str | Path) else getattr(source, "name", "<stream>")
    try:
        # utf-8-sig: spreadsheet programs write a byte order mark, which would become part of the first column's name.
        text = Path(source).read_text("utf-8-sig") if isinstance(source, str | Path) else source.read()
        return _parse(name, text.removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise TableError(f"{name}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise TableError(f"{name}: cannot be read ({error.strerror or error})") from None
    except csv.Error as error:
        raise TableError(f"{name}: not a CSV file ({error})") from None


def _parse(name: str, text: str) -> _Table:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = tuple(field.strip() for field in next(reader, []))
    if not header:
        raise TableError(f"{name}: the file is empty; it needs a header line and a line per image")
    rows, lines = [], []
    for row in reader:
        if row:
            rows.append(tuple(field.strip() for field in row))
            lines.append(reader.line_num)
    if not rows:
        raise TableError(f"{name}: there is a header but no line below it; it needs a line per image")
    ragged = [line for line, row in zip(lines, rows, strict=True) if len(row) != len(header)]
    if ragged:
        raise TableError(f"{name}: lines {some(ragged)} do not have {len(header)} fields, as the header has")
    return _Table(name, header, tuple(rows), tuple(lines))


def _check_columns(table: _Table, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    twice = [column for column, n in Counter(table.header).items() if n > 1]
    missing = [column for column in required if column not in table.header]
    extra = [column for column in table.header if column not in (*required, *optional)]
    for what, columns in (("repeated", twice), ("missing", missing), ("extra", extra)):
        if columns:
            expected = ",".join(required)
            raise TableError(f"{table.name}: {what} columns: {some(map(repr, columns), 12)}; expected {expected}")


def _ids(table: _Table) -> tuple[str, ...]:
    ids = tuple(i[:-4] if i.lower().endswith(".jpg") else i for i in table.column("image"))
    empty = [line for line, i in zip(table.lines, ids, strict=True) if not i]
    if empty:
        raise TableError(f"{table.name}: no image id on lines {some(empty)}")
    twice = [i for i, n in Counter(ids).items() if n > 1]
    if twice:
        raise TableError(f"{table.name}: images with more than one row: {some(twice)}; keep one row of each")
    return ids


def _numbers(table: _Table, ids: Sequence[str], name: str) -> np.ndarray:
    values = np.array([_number(field) for field in table.column(name)])
    _refuse(table, np.isnan(values), ids, f"no number in column {name!r}", "every field needs one")
    return values


def _number(field: str) -> float:
    # float() also takes 1_000, which no other program reads as a number.
    if "_" in field:
        return np.nan
    try:
        return float(field)
    except ValueError:
        return np.nan


def _refuse(table: _Table, bad: np.ndarray, ids: Sequence[str], what: str, remedy: str) -> None:
    if bad.any():
        named = [f"{ids[row]} (line {table.lines[row]})" for row in np.flatnonzero(bad).tolist()]
        raise TableError(f"{table.name}: {what}: {some(named)}; {remedy}")


def _weights(table: _Table, ids: Sequence[str], name: str) -> np.ndarray:
    values = _numbers(table, ids, name) if name in table.header else np.ones(len(ids))
    bad = ~np.isfinite(values) | (values < 0)
    _refuse(table, bad, ids, f"{name} that is negative or infinite", "give a number from 0 upwards")
    return np.where([i in UNSCORED for i in ids], 0.0, values)


def _groups(table: _Table, name: str, otherwise: Sequence[str]) -> tuple[str, ...] | None:
    if name not in table.header:
        return None
    return tuple(given or own for given, own in zip(table.column(name), otherwise, strict=True))


def _write(target: Source, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    def fill(stream: TextIO) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)

    if isinstance(target, str | Path):
        _write_atomically(Path(target), fill)
    else:
        fill(target)


def _write_atomically(path: Path, fill: Callable[[TextIO], None]) -> None:
    # In the same folder, since a move is atomic only within one file system.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            fill(stream)
        part.replace(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        part.unlink(missing_ok=True)
