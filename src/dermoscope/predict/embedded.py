"""Embeddings instead of images: what a probe reads, and what a bundle's last layer makes of them."""

import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError, TableError, some, why
from dermoscope.core.prediction import Prediction
from dermoscope.data.tables import choose_taxonomy, codes_of, label_map, read_table, value_or_none
from dermoscope.predict.bundle import Bundle, head_weights


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Ids of images and a row of features for each."""

    ids: tuple[str, ...]
    values: Float[np.ndarray, "images features"]


def read_embeddings(path: Path) -> Embeddings:
    """A `.npz` with `ids` (text) and one array of numbers [images, features] under any other name.

    Raises TableError, naming the file, for anything else, ids that stand twice, and rows that are not finite.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({why(error)}); check the path") from None
    except (ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise TableError(
            f"{path}: no .npz of plain arrays ({error}); np.savez(path, ids=..., embeddings=...)"
        ) from None
    ids = arrays.pop("ids", None)
    found = [(name, a) for name, a in arrays.items() if a.ndim == 2 and a.dtype.kind == "f"]
    if ids is None or ids.ndim != 1 or ids.dtype.kind != "U" or len(found) != 1:
        told = some(f"{name} {a.dtype} {list(a.shape)}" for name, a in arrays.items())
        raise TableError(f"{path}: needs `ids` as text and one array [images, features] of numbers; beside ids: {told}")
    name, values = found[0]
    if len(values) != len(ids) or not len(ids):
        raise TableError(f"{path}: {len(ids)} ids for {len(values)} rows of {name}")
    twice = [i for i, n in Counter(ids.tolist()).items() if n > 1]
    if twice:
        raise TableError(f"{path}: ids that stand more than once: {some(twice)}")
    broken = ~np.isfinite(values).all(axis=1)
    if broken.any():
        raise TableError(f"{path}: embeddings that are not finite: {some(ids[broken])}")
    return Embeddings(tuple(ids.tolist()), values.astype(np.float32))


def read_labels(path: Path) -> CaseSet:
    """Cases without images, from a CSV with an image id and a diagnosis per row, and lesion and patient ids if any.

    The words and column names that are known are those of other tables. Raises TableError, naming the file, where a
    column is missing, an id stands twice, or a word is none of a diagnosis.
    """
    table = read_table(path)
    image, diagnosis, lesion, patient = (
        table.column_of(field, {}) for field in ("image", "diagnosis", "lesion", "patient")
    )
    if image is None or diagnosis is None:
        raise TableError(f"{path}: columns {some(table.columns)}; needed are image and diagnosis (and lesion_id)")
    words = {row[image]: row[diagnosis] for row in table.rows}
    if len(words) < len(table.rows):
        raise TableError(f"{path}: images with more than one row; keep one row of each")
    taxonomy = choose_taxonomy(words.values(), None, {})
    codes = codes_of(words, label_map(taxonomy), taxonomy, path)
    cases = (
        Case(
            row[image],
            diagnosis=codes[row[image]],
            lesion_id=(value_or_none(row[lesion]) if lesion else None),
            patient_id=(value_or_none(row[patient]) if patient else None),
        )
        for row in table.rows
    )
    return CaseSet(tuple(cases), taxonomy)


def predict_embeddings(bundle: Bundle, given: Embeddings) -> Prediction:
    """What the last layer of a bundle's only network says of embeddings.

    Raises InputError for a bundle of several networks or embeddings of another width, BundleError where it holds no
    last layer.
    """
    if bundle.members[1:]:
        raise InputError(
            f"bundle {bundle.manifest.name!r} has {len(bundle.members)} members; embeddings are of one network"
        )
    weight, bias = head_weights(bundle)
    if given.values.shape[1] != weight.shape[1]:
        raise InputError(f"embeddings of {given.values.shape[1]} features; the bundle reads {weight.shape[1]}")
    logits = given.values @ weight.T.astype(np.float32) + bias
    return Prediction(given.ids, bundle.taxonomy, logits[:, None], given.values, members=(bundle.members[0].name,))
