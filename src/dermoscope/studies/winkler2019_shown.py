"""What `winkler2019` shows: figures of its rows, and contact sheets of the pictures it is about."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dermoscope.core.cases import Case
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Row
from dermoscope.data.artefacts import ARTEFACTS, apply
from dermoscope.data.synthetic import draw
from dermoscope.predict.predictor import Predictor
from dermoscope.report.contact import contact_sheet
from dermoscope.report.plots import Plot, Point
from dermoscope.studies.winkler2019_drawn import CLEAN, INTENSITIES, MARKING, clean, clear_window, cut_out, seed_of
from dermoscope.studies.winkler2019_scores import MELANOMA, Pixels

SHEET_INTENSITIES = (0.6, 1.0)
OF_EACH = 4
"""Lesions of each diagnosis on a sheet."""


def plots(rows: tuple[Row, ...]) -> tuple[Plot, ...]:
    """Nevi referred and the melanoma score by artefact; the paper's three arms; training with artefacts."""
    by_name = {row.name: row for row in rows}
    arms = [(name, value, by_name[f"{name} {value:g}"]) for name in ARTEFACTS for value in INTENSITIES
            if f"{name} {value:g}" in by_name]  # fmt: skip
    found = []
    for name, metric, title, axis in (
        ("nevi", "nevi referred", "Nevi referred, marked minus clean", "percentage points"),
        ("melanomas", "melanomas referred", "Melanomas referred, marked minus clean", "percentage points"),
        ("score", "log-odds of melanoma, nevi", "Melanoma score of nevi, marked minus clean", "log-odds of melanoma"),
    ):
        times = 100 if axis == "percentage points" else 1
        points = [Point(artefact, _times(e, times), f"intensity {value:g}") for artefact, value, row in arms
                  for e in _changed(row, metric, "clean")]  # fmt: skip
        found += _plot(name, title, axis, points, 0.0)
    shown = [by_name[n] for n in ("clean", *(f"{MARKING} {v:g}" for v in INTENSITIES),
                                  f"{MARKING} {INTENSITIES[-1]:g}, cropped") if n in by_name]  # fmt: skip
    levels = [Point(m.metric, m.estimate, row.name) for metric in ("sensitivity", "specificity", "AUC")
              for row in shown for m in row.measured if m.metric == metric and not m.against]  # fmt: skip
    found += _plot("arms", "Clean, inked, and the ink cropped off", "share; AUC", levels, None)
    for name, kind, metric, title in (
        ("mended-quick", "quick", "nevi referred at", "Heads: nevi referred at 95 % of clean melanomas"),
        ("mended-trained", "trained", "nevi referred at", "Networks: nevi referred at 95 % of clean melanomas"),
        ("mended-rule", "trained", "nevi referred beyond", "Networks: nevi referred beyond clean, by their own rule"),
    ):
        taught = [Point(row.name.removeprefix(f"{kind}: "), _times(m.estimate, 100), m.bundle) for row in rows
                  if row.name.startswith(f"{kind}: ") for m in row.measured
                  if m.metric.startswith(metric) and not m.against]  # fmt: skip
        found += _plot(name, title, "% of nevi", taught, 0.0 if "beyond" in metric else None)
    real = [Point(row.title, _times(m.estimate, 100), m.bundle) for row in rows if row.name.startswith("real: ")
            for m in row.measured if m.metric == "nevi referred" and not m.against]  # fmt: skip
    found += _plot("real", "Nevi of ISIC 2017 referred, with real marks and cropped", "% of nevi", real, None)
    return tuple(found)


def _plot(name: str, title: str, axis: str, points: Sequence[Point], reference: float | None) -> list[Plot]:
    return [Plot(name, title, axis, tuple(points), reference)] if points else []


def _changed(row: Row, metric: str, against: str) -> Iterator[Estimate]:
    return (m.estimate for m in row.measured if m.metric == metric and m.against == against)


def _times(e: Estimate, factor: float) -> Estimate:
    if e.value is None or e.low is None or e.high is None:
        return e
    return replace(e, value=factor * e.value, low=factor * e.low, high=factor * e.high)


def sheet(lesions: Sequence[Case] | None, predictor: Predictor) -> bytes:
    """Lesions clean, with every artefact, and cropped, each with the probability of melanoma; None: drawn lesions.

    There are two rows a lesion, one for each of `SHEET_INTENSITIES`.
    """
    rows, tiles = [], []
    for heading, name, pixels in _pictures(lesions):
        for intensity in SHEET_INTENSITIES:
            row = _marked(name, pixels, intensity)
            rows.append((f"{heading}, intensity {intensity:g}", len(row)))
            tiles += row
    prediction = predictor.predict([shown for _, shown in tiles])
    said = [f"{r.calibrated[MELANOMA]:.0%}" for r in predictor.results(prediction)]
    captioned = [(f"{words} {p}", shown) for (words, shown), p in zip(tiles, said, strict=True)]
    ends = np.cumsum([count for _, count in rows]).tolist()
    return contact_sheet([(heading, captioned[end - count : end]) for (heading, count), end in
                          zip(rows, ends, strict=True)])  # fmt: skip


def _marked(name: str, pixels: Pixels, intensity: float) -> list[tuple[str, Pixels]]:
    tiles = [(CLEAN.words, pixels)]
    for artefact in ARTEFACTS:
        if artefact == "crop":
            continue
        marked = apply(artefact, pixels, intensity=intensity, seed=seed_of(artefact, name))
        tiles.append((artefact, marked.pixels))
        window = clear_window(marked.mask) if artefact == MARKING else None
        if window is not None:
            tiles.append((f"{artefact} cropped", cut_out(marked.pixels, window)))
    return tiles


def _pictures(lesions: Sequence[Case] | None) -> Iterator[tuple[str, str, Pixels]]:
    """Heading, name and clean pixels."""
    if lesions is None:
        for seed in range(OF_EACH):
            for code in ("NV", "MEL"):
                lesion = draw(seed, code, (224, 224))
                yield f"{lesion.name}, drawn", lesion.name, lesion.pixels
        return
    for case in lesions:
        yield f"{case.image_id}, {case.diagnosis}", case.image_id, clean(case)
