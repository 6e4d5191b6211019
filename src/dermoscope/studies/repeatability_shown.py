"""What the study `repeatability` shows: its figures, and pictures of lesions that were not answered alike."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.study import Measured, Row
from dermoscope.data.catalog import open_cases
from dermoscope.data.images import read_image
from dermoscope.data.splits import with_role
from dermoscope.data.synthetic import write_dataset
from dermoscope.predict.predictor import Predictor, Result
from dermoscope.refine.agreement import opposed
from dermoscope.report.contact import contact_sheet
from dermoscope.report.plots import Plot, Point
from dermoscope.studies.base import Asked
from dermoscope.studies.material import whole_field
from dermoscope.studies.repeatability_rows import ANSWER, BACK, OPPOSED, SD

MOST, LOOKED_AT, TILES = 8, 60, 5
"""Lesions on a contact sheet, lesions that are looked at to find them, pictures of one."""

_COPY = "copy: "
_WHOLE = ("pictures", "pictures, one view")


def plots(rows: tuple[Row, ...]) -> tuple[Plot, ...]:
    """What changes with each copy beside other pictures, how far log-odds lie apart, and what the distance does."""
    found = []
    for name, title, metric, axis in (
        ("changed", "Lesions whose answer changes", f"{ANSWER} changed", "share of lesions"),
        ("back", "Referred from the picture, of low concern from its copy", BACK, "share of the lesions referred"),
        ("spread", "How far log-odds of melanoma lie apart", SD, "SD within a lesion, log-odds of melanoma"),
    ):
        points = tuple(point for row in rows for point in _points(row, metric))
        if points:
            found.append(Plot(name, title, axis, points, 0.0))
    near = [m for row in rows if row.name == "threshold" for m in row.measured if m.metric.startswith(OPPOSED)]
    if near:
        points = tuple(Point(_distance(m), m.estimate) for m in near)
        title = "Referred and of low concern, by the distance of one picture from the threshold"
        found.append(Plot("threshold", title, "share of the lesion's other pictures", points))
    return tuple(found)


def _distance(measured: Measured) -> str:
    return measured.metric.removeprefix(f"{OPPOSED}, ").removesuffix(" from the threshold")


def _points(row: Row, metric: str) -> list[Point]:
    if row.name in _WHOLE:
        label = "another picture"
    elif row.name.startswith(_COPY):
        label = row.title.removeprefix("The same picture, ")
    else:
        return []
    return [Point(label, m.estimate, m.bundle.split(", ")[-1]) for m in row.measured if m.metric == metric]


def sheet(asked: Asked) -> bytes:
    """Lesions of which one picture is referred and another of low concern, side by side.

    They are of the role calibration, or drawn. Raises InputError where none is found among those that are looked at.
    """
    predictor = Predictor.load(asked.bundle or "default")
    if asked.data != "drawn":
        return _sheet(predictor, with_role(open_cases(asked.data or "ham10000")[0], "calibration"))
    with TemporaryDirectory() as folder:
        return _sheet(predictor, open_cases(str(write_dataset(Path(folder) / "drawn", 16, 5, (200, 150))))[0])


def _sheet(predictor: Predictor, cases: CaseSet) -> bytes:
    held: dict[str, list[Case]] = {}
    for case in cases:
        if case.path is not None:
            held.setdefault(case.group, []).append(case)
    rows = []
    mixed = sorted(held, key=lambda lesion: sha256(lesion.encode()).hexdigest())
    lesions = [held[lesion] for lesion in mixed if len(held[lesion]) > 1][:LOOKED_AT]
    if not lesions:
        raise InputError(
            "no lesion of the role calibration has several pictures here; name other data, or --data drawn"
        )
    for own in lesions:
        results = predictor.results(predictor.predict([whole_field(case) for case in own]))
        answers = [result.answer.kind for result in results]
        if any(opposed(a, b) for a in answers for b in answers):
            rows.append((f"{own[0].group}: {own[0].diagnosis}", _tiles(own, results)))
        if len(rows) == MOST:
            break
    if not rows:
        raise InputError(f"among {len(lesions)} lesions with several pictures every one was answered alike")
    return contact_sheet(rows)


def _tiles(cases: Sequence[Case], results: Sequence[Result]) -> list[tuple[str, np.ndarray]]:
    return [
        (
            f"{result.answer.kind.replace('_', ' ')}, MEL {result.calibrated['MEL']:.1%}",
            read_image(whole_field(case)).pixels,
        )
        for case, result in list(zip(cases, results, strict=True))[:TILES]
    ]
