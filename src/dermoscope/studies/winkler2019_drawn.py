"""The paired protocol of `winkler2019` with drawn artefacts: the same lesions clean, marked, and cropped again."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool

from dermoscope.core.cases import Case
from dermoscope.core.claim import Claim
from dermoscope.core.errors import InputError
from dermoscope.core.study import Measured, Row, RowType
from dermoscope.data.artefacts import ARTEFACTS, Marked, apply
from dermoscope.data.images import read_image
from dermoscope.data.synthetic import draw
from dermoscope.predict.predictor import Predictor
from dermoscope.studies.base import Context
from dermoscope.studies.gains import Gain, corrected
from dermoscope.studies.winkler2019_figures import FIGURES, Lesions, changes, flips, levels
from dermoscope.studies.winkler2019_scores import Looked, Pixels, looked_at

STUDY_NAME = "winkler2019"
DRAWN: RowType = "method check"
INTENSITIES = (0.3, 0.6, 1.0)
MARKING = "ink"
"""The artefact of the paper."""

CORE = 0.4
"""Share of the shorter side, in the middle of a picture, that a crop has to keep."""

_VERSIONS = 6
"""Drawn lesions by which another way to draw an artefact is noticed."""

Window = tuple[int, int, int]
"""Top, left and side of a square, in px."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One way to show all lesions: an artefact (empty: clean) and its intensity."""

    artefact: str = ""
    intensity: float = 0.0

    @property
    def words(self) -> str:
        """`clean`, or `ink 0.6`."""
        return f"{self.artefact} {self.intensity:g}" if self.artefact else "clean"

    @property
    def key(self) -> Mapping[str, str]:
        """Everything that its pictures depend on besides the lesions."""
        return {"arm": self.words, "drawing": _drawing(self.artefact, self.intensity) if self.artefact else ""}

    def of(self, case: Case) -> Marked:
        """The picture of a case as this arm shows it, and where it is marked."""
        pixels = clean(case)
        if not self.artefact:
            return Marked(pixels, np.zeros(pixels.shape[:2], bool))
        return apply(self.artefact, pixels, intensity=self.intensity, seed=seed_of(self.artefact, case.image_id))


CLEAN = Arm()


def every_arm() -> tuple[Arm, ...]:
    """Every artefact but the crop at every intensity."""
    return tuple(Arm(name, value) for name in ARTEFACTS if name != "crop" for value in INTENSITIES)


def clean(case: Case) -> Pixels:
    """The sharpest copy of a case as it is."""
    if case.path is None:
        raise InputError(f"{case.image_id}: no image file; leave it out or give its path")
    return read_image(case.path).pixels


def seed_of(artefact: str, image: str) -> int:
    """One for each artefact and picture, the same at every intensity, on every machine."""
    return int(hashlib.sha256(f"{artefact} {image}".encode()).hexdigest()[:8], 16)


@cache
def _drawing(artefact: str, intensity: float) -> str:
    """What the artefact makes of a few drawn lesions: another way to draw it is another arm."""
    held = [apply(artefact, draw(k, size=(224, 224)).pixels, intensity=intensity, seed=k) for k in range(_VERSIONS)]
    return hashlib.sha256(b"".join(m.pixels.tobytes() + m.mask.tobytes() for m in held)).hexdigest()[:16]


def clear_window(mask: Bool[np.ndarray, "height width"], core: float = CORE) -> Window | None:
    """The largest square without a marked pixel that holds the middle of the picture; of several the most central.

    None where the middle itself, a square of `core` of the shorter side, is marked.
    """
    height, width = mask.shape
    least = max(1, round(core * min(height, width)))
    middle = ((height - least) // 2, (width - least) // 2)
    counted = cv2.integral(mask.astype(np.uint8))
    for side in range(min(height, width), least - 1, -1):
        reach = side - least
        tops = np.arange(max(0, middle[0] - reach), min(middle[0], height - side) + 1)
        lefts = np.arange(max(0, middle[1] - reach), min(middle[1], width - side) + 1)
        inside = (
            counted[np.ix_(tops + side, lefts + side)]
            - counted[np.ix_(tops, lefts + side)]
            - counted[np.ix_(tops + side, lefts)]
            + counted[np.ix_(tops, lefts)]
        )
        if (inside == 0).any():
            off = np.add.outer(np.abs(tops - (height - side) / 2), np.abs(lefts - (width - side) / 2))
            row, column = np.unravel_index(np.where(inside == 0, off, np.inf).argmin(), off.shape)
            return int(tops[row]), int(lefts[column]), side
    return None


def cut_out(pixels: Pixels, window: Window) -> Pixels:
    """The square of a picture."""
    top, left, side = window
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


@dataclass(frozen=True, eq=False)
class Bench:
    """Lesions, a bundle, and where its looks at them are kept; `split` says in words what is looked at."""

    context: Context
    predictor: Predictor
    cases: tuple[Case, ...]
    split: str

    @property
    def lesions(self) -> Lesions:
        """Of the cases."""
        return Lesions.of(self.cases)

    def look(self, arm: Arm) -> Looked:
        """What the bundle says of every case as an arm shows it."""
        by_name = {case.image_id: case for case in self.cases}

        def pictures(names: Sequence[str]) -> list[Pixels]:
            return [arm.of(by_name[name]).pixels for name in names]

        return looked_at(self.context, self.predictor, arm.key, tuple(by_name), pictures)

    def cropped(self, arm: Arm) -> tuple[list[int], Looked, Looked]:
        """Cases whose marks can be cropped off, and what is said of their clean and of their marked picture cropped."""
        windows = {case.image_id: clear_window(arm.of(case).mask) for case in self.cases}
        kept = [row for row, case in enumerate(self.cases) if windows[case.image_id] is not None]
        by_name = {case.image_id: case for case in self.cases}

        def pictures(names: Sequence[str]) -> list[Pixels]:
            found = []
            for name in names:
                kind, _, image = name.partition(" ")
                case, window = by_name[image], windows[image]
                assert window is not None  # only those that have one are named
                found.append(cut_out((arm if kind == "marked" else CLEAN).of(case).pixels, window))
            return found

        names = [f"{kind} {self.cases[row].image_id}" for row in kept for kind in ("clean", "marked")]
        both = looked_at(self.context, self.predictor, {**arm.key, "crop": CORE}, names, pictures)
        return kept, both.take(range(0, len(names), 2)), both.take(range(1, len(names), 2))


def drawn_rows(bench: Bench, arms: Sequence[Arm], claims: Mapping[str, tuple[Claim, ...]], note: str) -> list[Row]:
    """Clean lesions, every arm against them, and the marking cropped off again.

    `claims` of the paper stand beside the rows of these names.
    """
    lesions, before = bench.lesions, bench.look(CLEAN)
    rows = [_row("clean", "Clean", _levels(bench, before, "clean", lesions), f"{_bundle(bench)}; {note}")]
    looks = []
    for done, arm in enumerate(arms, start=1):
        looks.append(bench.look(arm))
        bench.context.told("artefacts", done, len(arms))
    gains = _changes(bench, [(arm.words, lesions, look, before) for arm, look in zip(arms, looks, strict=True)])
    for arm, look, gain in zip(arms, looks, gains, strict=True):
        measured = (*_levels(bench, look, arm.words, lesions), *gain, *_flips(bench, look, before, arm, lesions))
        rows.append(_row(arm.words, f"{arm.artefact.replace('_', ' ')}, intensity {arm.intensity:g}", measured))
    marked = [(arm, look) for arm, look in zip(arms, looks, strict=True) if arm.artefact == MARKING]
    rows += _cropped_rows(bench, marked, before)
    return [replace(row, claims=claims.get(row.name, ())) for row in rows]


def _cropped_rows(bench: Bench, marked: Sequence[tuple[Arm, Looked]], before: Looked) -> list[Row]:
    """The paper's third arm, marks cropped off: against the picture clean and marked, whole."""
    held, pairs, told = [], [], []
    for arm, look in marked:
        kept, plain, after = bench.cropped(arm)
        lesions = bench.lesions.take(kept)
        if lesions.melanoma.any() and lesions.nevus.any():
            held.append((arm, kept, plain, after, lesions))
            others = {"clean": before.take(kept), arm.words: look.take(kept)}
            pairs += [(f"{arm.words}, cropped", lesions, after, other) for other in others.values()]
            told += list(others)
    gains = _changes(bench, pairs, told)
    rows = []
    for k, (arm, kept, plain, after, lesions) in enumerate(held):
        words = f"{arm.words}, cropped"
        measured = (*_levels(bench, after, words, lesions), *(m for gain in gains[2 * k : 2 * k + 2] for m in gain))
        same = int((plain.melanoma == after.melanoma).sum())
        note = (
            f"{len(kept)} of {len(bench.cases)} can be cropped to a square without ink that holds their middle; {same} "
            "of these are then scored as the clean picture with the same crop is"
        )
        rows.append(_row(words, f"{arm.artefact}, intensity {arm.intensity:g}, cropped off", measured, note))
    return rows


def _row(name: str, title: str, measured: tuple[Measured, ...], note: str = "") -> Row:
    return Row(STUDY_NAME, DRAWN, name, title, (), measured, note)


def _bundle(bench: Bench) -> str:
    return f"bundle {bench.predictor.bundle.sha256[:12]}"


def _levels(bench: Bench, look: Looked, words: str, lesions: Lesions) -> tuple[Measured, ...]:
    return tuple(Measured(name, e, bench.split, words) for name, e in levels(lesions, look).items())


def _flips(bench: Bench, look: Looked, before: Looked, arm: Arm, lesions: Lesions) -> tuple[Measured, ...]:
    found = flips(lesions, look, before)
    return tuple(Measured(name, e, bench.split, f"{arm.words}, as served") for name, e in found.items())


def _changes(
    bench: Bench, pairs: Sequence[tuple[str, Lesions, Looked, Looked]], against: Sequence[str] = ()
) -> list[tuple[Measured, ...]]:
    """Paired differences of every pair; Holm's correction runs over the pairs, for each figure by itself."""
    found = [changes(lesions, after, before) for _, lesions, after, before in pairs]
    told = against or ["clean"] * len(pairs)
    by_figure = [
        corrected([[Gain(name, d[name], bench.split, pair[0], what)] for pair, what, d in
                   zip(pairs, told, found, strict=True)])
        for name in FIGURES
    ]  # fmt: skip
    return [tuple(figure[k][0] for figure in by_figure) for k in range(len(pairs))]


def digest_of(paths: Sequence[Path]) -> str:
    """SHA-256 over the content of files."""
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()


def capped(cases: Sequence[Case], most: Mapping[str, int | None]) -> tuple[Case, ...]:
    """At most so many cases of each diagnosis (None: all), by the hash of their lesion; in their order."""
    chosen: set[str] = set()
    for diagnosis, limit in most.items():
        own = [c for c in cases if c.diagnosis == diagnosis]
        own.sort(key=lambda c: hashlib.sha256(c.group.encode()).hexdigest())
        chosen.update(c.image_id for c in own[:limit])
    return tuple(c for c in cases if c.image_id in chosen)
