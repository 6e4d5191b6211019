"""Priors from files."""

import csv
import json
from collections import Counter
from pathlib import Path

from dermoscope.core.errors import TableError, ValueRuleError, some, why
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import Taxonomy


def read_prior(path: Path, taxonomy: Taxonomy) -> Prior:
    """Read how common each diagnosis is: JSON `{"MEL": 0.1, ...}` or CSV lines `MEL,0.1`; counts are scaled to shares.

    The prior is called by the file's name. Every diagnosis of the taxonomy needs one number above 0, once.
    Raises TableError, naming the file and the diagnoses.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read ({why(error)}); check the path") from None
    pairs = _from_json(path, text) if text.lstrip().startswith("{") else _from_csv(path, text)
    twice = [code for code, n in Counter(code for code, _ in pairs).items() if n > 1]
    if twice:
        raise TableError(f"{path}: {some(twice)} stand more than once; give one number per diagnosis")
    shares = dict(pairs)
    lacking = [c for c in taxonomy.codes if c not in shares]
    strange = [c for c in shares if c not in taxonomy]
    if lacking or strange:
        raise TableError(
            f"{path}: a prior over {taxonomy.name} needs one number per diagnosis "
            f"(missing: {some(lacking) or 'none'}; unknown: {some(strange) or 'none'})"
        )
    try:
        return Prior.from_counts(path.name, taxonomy, [shares[code] for code in taxonomy.codes])
    except ValueRuleError as error:
        raise TableError(f"{path}: {error}; give numbers above 0") from None


def _from_json(path: Path, text: str) -> list[tuple[str, float]]:
    try:
        # as pairs, because a dict would silently keep the last of two numbers for one diagnosis
        return [(code, float(share)) for code, share in json.loads(text, object_pairs_hook=list)]
    except (ValueError, TypeError) as error:
        raise TableError(f'{path}: not a JSON object of numbers ({error}); write {{"MEL": 0.1, ...}}') from None


def _from_csv(path: Path, text: str) -> list[tuple[str, float]]:
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise TableError(f"{path}: not a CSV file ({error}); write lines of diagnosis,number") from None
    if rows and len(rows[0]) > 1 and not _is_number(rows[0][1]):
        rows = rows[1:]
    bad = [",".join(row) for row in rows if len(row) != 2 or not _is_number(row[1])]
    if bad or not rows:
        raise TableError(f"{path}: not lines of diagnosis,number: {some(bad) or 'the file is empty'}")
    return [(code.strip(), float(share)) for code, share in rows]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
