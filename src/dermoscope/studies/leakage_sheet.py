"""A contact sheet of what a random split puts on both sides: images of one lesion, and rotated copies of an image."""

import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.data.catalog import open_cases
from dermoscope.data.images import read_image
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import with_role
from dermoscope.data.synthetic import write_dataset
from dermoscope.predict.views import cut
from dermoscope.report.contact import contact_sheet
from dermoscope.studies.base import Asked
from dermoscope.studies.material import whole_field

PAIRS = 9
"""Lesions shown in two images; half as many are shown with their rotated copies."""

_ACROSS = 6

Tiles = Sequence[tuple[str, np.ndarray]]


def sheet(asked: Asked) -> bytes:
    """Two images of a lesion beside each other, then images with their rotated copies; `drawn` draws lesions.

    Raises InputError where the data have no lesion with two images.
    """
    if asked.data != "drawn":
        return _sheet(open_cases(asked.data or "ham10000")[0])
    with tempfile.TemporaryDirectory() as folder:
        return _sheet(read_cases(write_dataset(Path(folder) / "drawn", 24, 0, (200, 150))))


def _sheet(cases: CaseSet) -> bytes:
    known = with_role(cases.where(lambda c: c.path is not None), "training", "validation")
    lesions = _several(known)
    if not lesions:
        raise InputError("no lesion has two images here; name other data with --data, or --data drawn")
    pairs = list(_pairs(lesions))
    heading = "Two images of one lesion: split image by image, one trains and one tests"
    rows: list[tuple[str, Tiles]] = []
    for start in range(0, len(pairs), _ACROSS):
        rows.append(("" if start else heading, pairs[start : start + _ACROSS]))
    heading = "One image and its copies: rotated before the split, some train and some test"
    for case, *_ in lesions[: PAIRS // 2]:
        rows.append((heading, _copies(case)))
        heading = ""
    return contact_sheet(rows)


def _several(cases: CaseSet) -> list[list[Case]]:
    """Lesions with several images, one of each diagnosis in turn, in the order of their hash."""
    held: dict[str, list[Case]] = {}
    for case in cases:
        held.setdefault(case.group, []).append(case)
    found = [own for _, own in sorted(held.items(), key=lambda item: sha256(item[0].encode()).hexdigest())]
    by_diagnosis: dict[str | None, list[list[Case]]] = {}
    for own in found:
        if len(own) > 1:
            by_diagnosis.setdefault(own[0].diagnosis, []).append(own)
    most = max((len(own) for own in by_diagnosis.values()), default=0)
    return [own[k] for k in range(most) for own in by_diagnosis.values() if k < len(own)]


def _pairs(lesions: Sequence[Sequence[Case]]) -> Iterator[tuple[str, np.ndarray]]:
    for own in lesions[:PAIRS]:
        for case in own[:2]:
            yield f"{case.diagnosis}, {case.lesion_id}", read_image(whole_field(case)).pixels


def _copies(case: Case) -> Tiles:
    from dermoscope.studies.leakage_rotated import ANGLES

    pixels = read_image(whole_field(case)).pixels
    turned = cut(pixels, 160, [{"zoom": 1.0, "angle": angle, "flip": 0.0} for angle in ANGLES])
    return [(f"{case.diagnosis}, {angle:.0f} degrees", own) for angle, own in zip(ANGLES, turned, strict=True)]
