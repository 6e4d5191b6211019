"""The folder that `dermoscope data combine` leaves: its files are written whole or not at all, and read back here.

`cases.csv` one row an image, `split.csv` its role, `dropped.csv` what was left out and why, `table.csv` images of each
source and diagnosis, `licences.md` terms and attributions, `combined.json` what was combined and what sources can hold.
Images are not copied: `path` and `copies` say where they lie.
"""

import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError, TableError, some, why
from dermoscope.core.taxonomy import TAXONOMIES
from dermoscope.data.tables import read_table

MANIFEST = "combined.json"
COLUMNS = (
    "image", "path", "copies", "diagnosis", "lesion", "patient", "age", "sex", "site", "source", "licence",
    "confirmed_by", "diagnosis_original", "set", "lesion_published",
)  # fmt: skip
_FIELDS = ("sex", "site", "source", "licence", "confirmed_by", "diagnosis_original")
_BETWEEN = "|"


@dataclass(frozen=True)
class Row:
    """A case of the combination, the set it was read from, and its lesion id as published."""

    case: Case
    set: str
    lesion: str


def is_combined(folder: Path | str) -> bool:
    """Whether a folder was left by `dermoscope data combine`."""
    return (Path(folder) / MANIFEST).is_file()


def read_combined(folder: Path | str) -> tuple[CaseSet, Mapping[str, str]]:
    """The cases of such a folder with what their sources can hold, and what a model card says of them.

    Raises TableError, naming the file, for a manifest or a table that is broken, and for images that are gone.
    """
    folder = Path(folder)
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        taxonomy, described = TAXONOMIES[said["taxonomy"]], dict(said["described"])
        holds = {source: frozenset(codes) for source, codes in said["holds"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(
            f"{folder / MANIFEST}: not what `dermoscope data combine` writes ({why(error)}); repeat it"
        ) from None
    table = read_table(folder / "cases.csv")
    if table.columns != COLUMNS:
        raise TableError(f"{table.path}: columns {some(table.columns, 20)}; repeat `dermoscope data combine`")
    cases = tuple(_case(row, taxonomy.unknown or "") for row in table.rows)
    gone = [str(c.path) for c in cases if not (c.path and c.path.is_file())]
    if gone:
        raise TableError(f"{table.path}: {len(gone):,} images are gone: {some(gone)}; repeat `dermoscope data combine`")
    return CaseSet(cases, taxonomy, holds), described


def cases_table(rows: Iterable[Row], unknown: str) -> bytes:
    """`cases.csv`. A case without a diagnosis whose word is known is `unknown` (UNK): none of the diagnoses."""
    lines = []
    for row in rows:
        case = row.case
        code = case.diagnosis or (unknown if case.diagnosis_original else "")
        paths = (str(case.path), _BETWEEN.join(map(str, case.copies)))
        age = "" if case.age is None else f"{case.age:g}"
        told = [getattr(case, name) or "" for name in _FIELDS]
        lines.append((case.image_id, *paths, code, case.group, case.patient_id or "", age, *told, row.set, row.lesion))
    return as_csv(COLUMNS, lines)


def as_csv(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV in UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return out.getvalue().encode()


def check_place(out: Path) -> None:
    """Raise InputError where `out` holds something else than an earlier combination."""
    if out.exists() and not (out.is_dir() and (is_combined(out) or not any(out.iterdir()))):
        raise InputError(f"{out}: exists and is no combination of data sets; name a new folder")


def place(out: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder with these files into place, whole or not at all; an earlier combination is replaced.

    What a killed run left beside it is removed.

    Raises InputError as `check_place` does, and where the folder cannot be written.
    """
    check_place(out)
    try:
        if out.is_dir() and all((out / n).is_file() and (out / n).read_bytes() == data for n, data in files.items()):
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        for killed in out.parent.glob(f".{out.name}.combining-*"):
            shutil.rmtree(killed, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}.combining-", dir=out.parent))
        unfinished.chmod(0o755)
        aside = unfinished.with_name(f"{unfinished.name}-old")
        try:
            for name, data in files.items():
                (unfinished / name).write_bytes(data)
            if out.exists():  # a folder that holds files cannot be replaced in one step
                out.replace(aside)
            unfinished.replace(out)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from None


def _case(row: Mapping[str, str], unknown: str) -> Case:
    told: dict[str, Any] = {name: row[name] or None for name in _FIELDS}
    return Case(
        image_id=row["image"],
        path=Path(row["path"]),
        diagnosis=None if row["diagnosis"] in ("", unknown) else row["diagnosis"],
        lesion_id=row["lesion"],
        patient_id=row["patient"] or None,
        age=float(row["age"]) if row["age"] else None,
        copies=tuple(Path(p) for p in row["copies"].split(_BETWEEN) if p),
        **told,
    )
