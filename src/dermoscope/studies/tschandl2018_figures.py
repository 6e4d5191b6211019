"""The figures of `tschandl2018`, from its rows, and its contact sheet, from the pictures that are here."""

from hashlib import sha256

import numpy as np

from dermoscope.core.cases import CaseSet
from dermoscope.core.study import Measured, Row
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.report.plots import Plot, Point
from dermoscope.studies.material import whole_field
from dermoscope.studies.tschandl2018_facts import sources_of

TILES = 2
"""Pictures of each diagnosis and source on a contact sheet."""

_BALANCED = "balanced accuracy"


def plots(rows: tuple[Row, ...]) -> tuple[Plot, ...]:
    """What tells the diagnosis but the lesion; the cost of a source left out; accuracy under several priors."""
    told = [m for _, m in _of(rows, "shortcuts")]
    gaps = [(source, m) for source, m in _of(rows, "left out: ") if m.against]
    gaps.sort(key=lambda pair: _place(_line(pair[1])))
    priors = [(source, m) for source, m in _of(rows, "prior: ") if m.metric == "accuracy" and not m.against]
    made = [
        Plot("shortcuts", "What tells the diagnosis but the lesion", "AUC against the rest, out of fold",
             tuple(Point(m.metric.removeprefix("AUC "), m.estimate, m.bundle) for m in told), 0.5) if told else None,
        Plot("sources", "Each source left out of the training", "difference: left out − all sources",
             tuple(Point(_line(m), m.estimate, source) for source, m in gaps), 0.0) if gaps else None,
        Plot("priors", "Each source left out, under several priors", "accuracy on the source",
             tuple(Point(source, m.estimate, _way(m)) for source, m in priors)) if priors else None,
    ]  # fmt: skip
    return tuple(plot for plot in made if plot is not None)


def _of(rows: tuple[Row, ...], name: str) -> list[tuple[str, Measured]]:
    """What the rows of this name measured, with what stands in the name after it: a source."""
    return [(row.name.removeprefix(name), m) for row in rows if row.name.startswith(name) for m in row.measured]


def _place(line: str) -> int:
    """Diagnoses first, in the order of ISIC 2018, then their mean, then balanced accuracy."""
    lines = [*(f"AUC {code}" for code in ISIC2018.codes), "AUC, mean", _BALANCED]
    return lines.index(line) if line in lines else -1


def _line(measured: Measured) -> str:
    return _BALANCED if measured.metric.startswith(_BALANCED) else measured.metric


def _way(measured: Measured) -> str:
    """`always NV` has another diagnosis at another source, and is one series."""
    return "always the commonest" if measured.bundle.startswith("always ") else measured.bundle


def sheet_of(cases: CaseSet) -> bytes:
    """A row for each diagnosis, in it pictures of every source beside each other, so that one sees the cameras."""
    from dermoscope.report.contact import contact_sheet

    names = sources_of(cases)
    made = []
    for code in cases.taxonomy.codes:
        of = [case.source for case in cases if case.diagnosis == code]
        heading = ", ".join(f"{name} {of.count(name):,}" for name in names)
        made.append((f"{code}: {heading}", [tile for name in names for tile in _tiles(cases, code, name)]))
    return contact_sheet(made)


def _tiles(cases: CaseSet, code: str, source: str) -> list[tuple[str, np.ndarray]]:
    """Some lesions, by the hash of their id; white where the source has fewer."""
    from dermoscope.data.images import read_image

    of = [case for case in cases if (case.diagnosis, case.source) == (code, source)]
    of.sort(key=lambda case: sha256(case.group.encode()).hexdigest())
    tiles = [(f"{source} {case.image_id}", read_image(whole_field(case)).pixels) for case in of[:TILES]]
    return tiles + [(f"{source}: no more", np.full((30, 40, 3), 255, np.uint8))] * (TILES - len(tiles))
