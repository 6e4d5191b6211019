"""Real ink and rulers in ISIC 2017: what is said of a picture whole, and with its marks cropped off.

Which pictures have marks was found by a detector and checked by eye (`results/isic2017-artefacts.csv`). No lesion was
photographed twice, so nothing here is the paper's experiment: marked and clean lesions differ in more than the mark
(who was marked, and why). Cropping alone changes a score, so each marked picture is cropped beside pictures of the same
diagnosis in which nothing was found, by the same square; what cropping does to the marked beyond what it does to them
is what the mark may have done.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row
from dermoscope.data.catalog import load
from dermoscope.data.images import image_size
from dermoscope.evaluate.intervals import rate
from dermoscope.evaluate.resampling import Clusters, cluster, weights_of
from dermoscope.predict.predictor import Predictor
from dermoscope.studies.base import Context
from dermoscope.studies.gains import Gain, corrected
from dermoscope.studies.scorings import log_run
from dermoscope.studies.winkler2019_drawn import DRAWN, STUDY_NAME, Window, clean, clear_window, cut_out
from dermoscope.studies.winkler2019_figures import RESAMPLES, Weights, difference, mean
from dermoscope.studies.winkler2019_scores import Looked, Pixels, looked_at

DATA = "isic2017"
TABLE = "isic2017-artefacts.csv"
KINDS = ("ink", "ruler")
DIAGNOSES: Mapping[str, str] = {"NV": "nevi", "MEL": "melanomas", "BKL": "benign keratoses"}

CONTROLS = 2
"""Pictures without a mark that each marked one is compared with."""

MOST = 100
"""Marked lesions of one kind and diagnosis that are looked at, in the order of a hash."""

FEWEST = 10
"""Marked lesions of a diagnosis that can be cropped, from which a row is made of them."""


@dataclass(frozen=True, eq=False)
class Matched:
    """Marked lesions of one diagnosis, the square without marks of each, and `CONTROLS` others for each of them."""

    kind: str
    diagnosis: str
    marked: tuple[Case, ...]
    windows: tuple[Window, ...]
    controls: tuple[tuple[Case, ...], ...]

    @property
    def names(self) -> list[str]:
        """`whole ID` and `cropped ID` of the marked, then of their controls; a control knows whose square it has."""
        own = [f"{how} {c.image_id} {c.image_id}" for c in self.marked for how in ("whole", "cropped")]
        return own + [
            f"{how} {control.image_id} {c.image_id}"
            for c, others in zip(self.marked, self.controls, strict=True)
            for control in others
            for how in ("whole", "cropped")
        ]


@dataclass(frozen=True, eq=False)
class Shares:
    """One figure of the matched, [lesions] each: marked whole and cropped, and the mean of their controls."""

    whole: Float[np.ndarray, " lesions"]
    cropped: Float[np.ndarray, " lesions"]
    control_whole: Float[np.ndarray, " lesions"]
    control_cropped: Float[np.ndarray, " lesions"]


def real_rows(context: Context, predictor: Predictor) -> list[Row]:
    """One row for each kind of mark and diagnosis; none where ISIC 2017 is not here."""
    found = marked_by_eye()
    try:
        cases = load(DATA).one_per_lesion()
    except InputError:
        return []
    log_run(context, predictor.bundle.sha256, DATA, f"study {STUDY_NAME}")
    sets = [held for kind in KINDS for code in DIAGNOSES for held in [matched(cases, found, kind, code)]]
    sets = [held for held in sets if len(held.marked) >= FEWEST]
    looks = []
    for done, held in enumerate(sets, start=1):
        looks.append(_look(context, predictor, held))
        context.told("real marks", done, len(sets))
    return _rows(predictor, sets, looks)


def marked_by_eye() -> dict[str, dict[str, bool]]:
    """Image -> kind -> whether the eye confirmed what the detector found there."""
    text = (resources.files("dermoscope.studies") / "results" / TABLE).read_text()
    found: dict[str, dict[str, bool]] = {}
    for row in csv.DictReader(text.splitlines()):
        found.setdefault(row["image"], {})[row["kind"]] = row["seen"] == "yes"
    return found


def matched(cases: CaseSet, found: Mapping[str, Mapping[str, bool]], kind: str, code: str) -> Matched:
    """At most `MOST` lesions of a diagnosis with a mark of a kind that can be cropped off, and controls for each.

    Controls have the same diagnosis and size, nothing was found in them, and each serves once. The order is that of a
    hash.
    """
    own = [c for c in cases if c.diagnosis == code and c.path is not None]
    own.sort(key=lambda c: _digest(c.image_id))
    spare = [c for c in own if c.image_id not in found]
    marked: list[Case] = []
    windows: list[Window] = []
    controls: list[tuple[Case, ...]] = []
    for case in own:
        if len(marked) == MOST or not found.get(case.image_id, {}).get(kind):
            continue
        window = clear_window(mask_of(kind, clean(case)))
        others = list(islice((c for c in spare if _size(c) == _size(case)), CONTROLS))
        if window is None or len(others) < CONTROLS:
            continue
        spare = [c for c in spare if c not in others]
        marked.append(case)
        windows.append(window)
        controls.append(tuple(others))
    return Matched(kind, code, tuple(marked), tuple(windows), tuple(controls))


def mask_of(kind: str, pixels: Pixels) -> Bool[np.ndarray, "height width"]:
    """Where a picture shows marks of a kind."""
    from dermoscope.predict.marks import marks_of

    return np.asarray(marks_of(pixels)[kind], bool)


@cache
def _size(case: Case) -> tuple[int, int]:
    assert case.path is not None
    return image_size(case.path)


def _digest(text: str) -> str:
    return hashlib.sha256(f"control {text}".encode()).hexdigest()


def _look(context: Context, predictor: Predictor, held: Matched) -> Looked:
    """Of `held.names`."""
    every = {c.image_id: c for c in (*held.marked, *(c for others in held.controls for c in others))}
    windows = {c.image_id: window for c, window in zip(held.marked, held.windows, strict=True)}

    def pictures(names: Sequence[str]) -> list[Pixels]:
        out = []
        for name in names:
            how, image, owner = name.split(" ")
            pixels = clean(every[image])
            out.append(cut_out(pixels, windows[owner]) if how == "cropped" else pixels)
        return out

    key = {"real": held.kind, "windows": [list(map(int, window)) for window in held.windows]}
    return looked_at(context, predictor, key, held.names, pictures)


def shares(values: Float[np.ndarray, " names"], count: int) -> Shares:
    """One figure in the order of `Matched.names`, for `count` marked lesions."""
    own, others = values[: 2 * count].reshape(count, 2), values[2 * count :].reshape(count, -1, 2).mean(axis=1)
    return Shares(own[:, 0], own[:, 1], others[:, 0], others[:, 1])


_CONTRASTS: Mapping[str, tuple[str, str]] = {
    "whole": ("with marks", "controls without"),
    "own": ("with marks, cropped", "with marks, whole"),
    "control": ("controls, cropped", "controls, whole"),
    "both": ("with marks, cropped minus whole", "controls, cropped minus whole"),
}
"""What is subtracted from what: the first is not paired, and confounded."""


def _contrasts(of: Shares) -> dict[str, Float[np.ndarray, " lesions"]]:
    own, control = of.cropped - of.whole, of.control_cropped - of.control_whole
    return {"whole": of.whole - of.control_whole, "own": own, "control": control, "both": own - control}


def _rows(predictor: Predictor, sets: Sequence[Matched], looks: Sequence[Looked]) -> list[Row]:
    split = "ISIC 2017, never seen by the model"
    groups, levels = [], []
    for held, look in zip(sets, looks, strict=True):
        n = len(held.marked)
        clusters = cluster([c.group for c in held.marked], np.zeros(n, int), "lesion")
        weights = np.concatenate([np.ones((n, 1)), *weights_of(clusters, RESAMPLES, 0)], axis=1)
        figures = {
            "log-odds of melanoma": shares(look.log_odds, n),
            f"{DIAGNOSES[held.diagnosis]} referred": shares(look.referred.astype(float), n),
        }
        groups.append([gain for name, of in figures.items() for gain in _gains(name, of, weights, split)])
        levels.append(_levels(held, look.referred, clusters, split))
    rows = []
    for held, level, gain in zip(sets, levels, corrected(groups), strict=True):
        title = f"Real {held.kind} on {DIAGNOSES[held.diagnosis]}"
        note = (
            f"{len(held.marked)} lesions with {held.kind} seen by eye that can be cropped off, each with {CONTROLS} "
            f"controls of the same diagnosis cropped alike; bundle {predictor.bundle.sha256[:12]}"
        )
        rows.append(Row(STUDY_NAME, DRAWN, f"real: {held.kind}, {held.diagnosis}", title, (), (*level, *gain), note))
    return rows


def _gains(name: str, of: Shares, weights: Weights, split: str) -> list[Gain]:
    return [
        Gain(name, difference(mean(values, weights), len(values)), split, *_CONTRASTS[which])
        for which, values in _contrasts(of).items()
    ]


def _levels(
    held: Matched, referred: Bool[np.ndarray, " names"], clusters: Clusters, split: str
) -> tuple[Measured, ...]:
    """Shares referred: marked and controls, whole and cropped."""
    count, every = len(held.marked), [c for others in held.controls for c in others]
    other = cluster([c.group for c in every], np.zeros(len(every), int), "lesion")
    own, rest = referred[: 2 * count].reshape(-1, 2), referred[2 * count :].reshape(-1, 2)
    found: list[tuple[str, Estimate]] = []
    for column, how in enumerate(("whole", "cropped")):
        for words, hits, of in (("with marks", own, clusters), ("controls", rest, other)):
            ones = np.ones(len(hits))
            found.append((f"{words}, {how}", rate(hits[:, column], ones > 0, ones, of)))
    return tuple(Measured(f"{DIAGNOSES[held.diagnosis]} referred", e, split, words) for words, e in found)
