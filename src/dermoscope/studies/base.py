"""What a study is: a paper, its claims as data, and two functions that plan and measure the same thing here.

`plan` says what will be measured and with what: the settings and the data, by which a run is known again. `run`
measures it and returns the rows. Long work goes through `Context.piece`, which keeps every finished piece on disk: a
killed run repeats at most one. torch is imported inside `run`, through `train`, never at the top of a study.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dermoscope.core.claim import Claim
from dermoscope.core.errors import InputError, some
from dermoscope.core.study import Row
from dermoscope.data.store import write_file
from dermoscope.report.plots import Plot
from dermoscope.studies.consistency import FigureSet

Progress = Callable[[str, int, int], None]
Piece = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Paper:
    """Where the claims are from: `citation` for readers, `bibtex` one whole entry whose key is `key`."""

    key: str
    citation: str
    bibtex: str


@dataclass(frozen=True)
class Asked:
    """What `dermoscope study run` was asked for: the data by name or path ("" is the study's own choice), the longer
    form, the bundle to score besides ("" is none), and settings of the recipe as text."""

    data: str = ""
    full: bool = False
    bundle: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


HEAD_SETTINGS = ("pretrained", "size", "phases", "rate", "weight_decay", "batch", "dropout", "label_smoothing")
"""Settings of a recipe by which a linear head on frozen features is fitted, whatever the study."""


def check_used(asked: Asked, *used: str, whole: bool = False) -> None:
    """Raise InputError for what changes nothing in a study: settings beside `HEAD_SETTINGS` and `used`, and but for
    `whole` the longer form and a bundle."""
    takes = (*used, *HEAD_SETTINGS)
    idle = [key for key in asked.settings if key not in takes]
    if not whole and (asked.full or asked.bundle):
        raise InputError(f"{'--full' if asked.full else '--bundle'} changes nothing in this study; leave it out")
    if idle:
        raise InputError(f"--set {some(idle)} changes nothing in this study; it takes {some(takes, 40)}")


@dataclass(frozen=True)
class Plan:
    """What a run will be: `recipe` holds every setting, `data` at least `name` and `sha256`, both JSON-able.

    The two are the key of the run: with the same key it goes on, with another it begins anew. `held` is whatever the
    study's `run` wants to find again, cases for example.
    """

    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    held: Any = None

    @property
    def key(self) -> str:
        """SHA-256 over recipe and data, 16 digits of it."""
        return _hash({"recipe": self.recipe, "data": self.data})[:16]


@dataclass(frozen=True)
class Context:
    """What a running study is given: what was asked for, its plan, a folder for its pieces, the cache of features."""

    asked: Asked
    plan: Plan
    folder: Path
    cache: Path
    progress: Progress | None = None

    def piece(self, key: Mapping[str, Any], make: Callable[[], Piece]) -> dict[str, np.ndarray]:
        """The arrays that `make` returns, from disk where an earlier run with this key has left them.

        `key` is JSON-able and says everything that the piece depends on beyond the plan.
        """
        path = self.folder / "pieces" / f"{_hash(dict(key))[:32]}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as held:
                return dict(held)
        made = {name: np.asarray(value) for name, value in make().items()}
        out = io.BytesIO()
        np.savez(out, **made)  # type: ignore[arg-type]
        write_file(path, out.getvalue())
        return made

    def told(self, phase: str, done: int, total: int) -> None:
        """Report progress, where somebody listens."""
        if self.progress is not None:
            self.progress(phase, done, total)


def _no_plots(_: tuple[Row, ...]) -> tuple[Plot, ...]:
    return ()


@dataclass(frozen=True)
class Study:
    """One paper measured here.

    `claims` are all of the paper's figures that a row may stand beside; `figure_sets` are published figures that are
    asked whether they can stand together (see `consistency`); `diagram` is the method as Mermaid, or empty. `plots` are
    the figures of its rows; `sheet` makes a contact sheet (JPEG) of the pictures that it is about, from those that are
    here.
    """

    name: str
    title: str
    paper: Paper
    claims: tuple[Claim, ...]
    plan: Callable[[Asked], Plan]
    run: Callable[[Context], tuple[Row, ...]]
    figure_sets: tuple[FigureSet, ...] = ()
    diagram: str = ""
    plots: Callable[[tuple[Row, ...]], tuple[Plot, ...]] = _no_plots
    sheet: Callable[[Asked], bytes] | None = None


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
