"""Whether training pictures with drawn artefacts keep a model from taking a marking for a melanoma.

Twice, always on the role validation: a head on frozen features (`quick`), seconds a run, with and without marked copies
of the training pictures; and two bundles that were trained alike but for `augmentation.artefacts`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int

from dermoscope.core.cases import Case
from dermoscope.core.errors import InputError
from dermoscope.core.study import Measured, Row
from dermoscope.data.artefacts import apply
from dermoscope.data.images import read_image
from dermoscope.data.store import write_file
from dermoscope.evaluate.intervals import Difference, holm
from dermoscope.predict.predictor import Predictor
from dermoscope.studies.base import Context
from dermoscope.studies.material import Material, embedded, quick, whole_field
from dermoscope.studies.winkler2019_drawn import (
    CLEAN,
    DRAWN,
    MARKING,
    STUDY_NAME,
    Arm,
    Bench,
    seed_of,
)
from dermoscope.studies.winkler2019_figures import (
    Lesions,
    Weights,
    auc_of,
    difference,
    estimate,
    levels,
    mean,
)
from dermoscope.studies.winkler2019_scores import Looked

TAUGHT = ("ink", "ruler", "patch", "dark_corners")
"""Artefacts that marked copies of training pictures have, one each, at an intensity drawn from 0.2 to 1."""

ARMS = (*(Arm(MARKING, value) for value in (0.6, 1.0)), *(Arm(name, 0.6) for name in TAUGHT[1:]), Arm("bubbles", 0.6))
"""What both ways are measured on; bubbles are taught to none of the heads."""

SENSITIVITY = 0.95
"""Of clean melanomas: every head refers from the score at which it reaches that."""

SEEDS = 3
KINDS = {"quick": "Heads taught marks", "trained": "Networks taught marks"}
WITHOUT, WITH = "without marked copies", "with marked copies"


@dataclass(frozen=True, eq=False)
class Heads:
    """Scores of melanoma against nevus by heads of one kind: arm -> [seeds, cases], `CLEAN.words` among the arms."""

    lesions: Lesions
    scores: Mapping[str, Float[np.ndarray, "seeds cases"]]

    def false_positives(self, arm: str) -> Float[np.ndarray, " draws"]:
        """Share of nevi of an arm at or above the score that `SENSITIVITY` of the clean melanomas reach, mean of seeds.

        That score is found anew in every resample.
        """
        part, weights = self.lesions.melanoma, self.lesions.weights
        found = [
            false_positive_rate(clean[part], shown[~part], weights[part], weights[~part])
            for clean, shown in zip(self.scores[CLEAN.words], self.scores[arm], strict=True)
        ]
        return np.asarray(np.mean(found, axis=0))

    def auc(self, arm: str) -> Float[np.ndarray, " draws"]:
        """AUC of an arm, mean of seeds."""
        part, weights = self.lesions.melanoma, self.lesions.weights
        found = [auc_of(shown[part], shown[~part], weights[part], weights[~part]) for shown in self.scores[arm]]
        return np.asarray(np.mean(found, axis=0))


def false_positive_rate(
    melanomas: Float[np.ndarray, " melanomas"],
    nevi: Float[np.ndarray, " nevi"],
    of_melanomas: Weights,
    of_nevi: Weights,
) -> Float[np.ndarray, " draws"]:
    """Share of nevi that reach the score that `SENSITIVITY` of the melanomas reach, in every draw."""
    order = np.argsort(-melanomas, kind="stable")
    reached = np.cumsum(of_melanomas[order], axis=0)
    last = (reached >= SENSITIVITY * reached[-1] - 1e-9).argmax(axis=0)
    limits = melanomas[order][last]
    ranked = np.sort(nevi)
    above = np.cumsum(of_nevi[np.argsort(nevi, kind="stable")][::-1], axis=0)
    count = len(nevi) - np.searchsorted(ranked, limits, side="left")
    held = np.concatenate([np.zeros((1, above.shape[1])), above])
    return np.asarray(held[count, np.arange(len(count))] / above[-1])


def quick_rows(context: Context, cases: Material, settings: Mapping[str, str]) -> list[Row]:
    """Heads on frozen features, with and without marked copies, on validation lesions clean and marked."""
    recipe = quick(settings)
    features = _Features(context, recipe, cases)
    kept = [k for k, case in enumerate(cases.validation) if case.diagnosis in ("MEL", "NV")]
    shown = [case for k, case in enumerate(cases.validation) if k in set(kept)]
    arms = (CLEAN, *ARMS)
    validation = {arm.words: features.of(shown, arm) for arm in arms}
    ways = {
        words: Heads(Lesions.of(shown), _scores(context, recipe, cases, marked, (features, validation)))
        for words, marked in ((WITHOUT, False), (WITH, True))
    }
    split = f"{cases.name}, role validation, whole field"
    note = (
        f"frozen ImageNet features of {recipe.backbone} at {recipe.size} px, linear head, mean of {SEEDS} seeds; each "
        f"training picture twice: clean and clean, or clean and with one of {', '.join(TAUGHT)} drawn on it; false "
        f"positives where {SENSITIVITY:.0%} of the clean melanomas are referred".replace("%", " %")
    )
    return _mended_rows(ways, split, note)


def _mended_rows(ways: Mapping[str, Heads], split: str, note: str, kind: str = "quick") -> list[Row]:
    without, with_ = ways[WITHOUT], ways[WITH]
    lesions = with_.lesions
    nevi, n = int(lesions.nevus.sum()), len(lesions.names)
    figures: dict[str, tuple[Callable[[Heads, str], np.ndarray], int]] = {
        f"nevi referred at {SENSITIVITY:.0%} of clean melanomas".replace("%", " %"): (Heads.false_positives, nevi),
        "AUC": (Heads.auc, n),
    }
    arms = [CLEAN.words, *(arm.words for arm in ARMS)]
    gains = {
        name: [difference(of(with_, arm) - of(without, arm), count) for arm in arms]
        for name, (of, count) in figures.items()
    }
    adjusted = {name: holm([d.p_value for d in found]) for name, found in gains.items()}
    rows = []
    for k, arm in enumerate(arms):
        measured = [
            Measured(name, estimate(of(heads, arm), count), split, words)
            for name, (of, count) in figures.items()
            for words, heads in ways.items()
        ]
        measured += [
            Measured(name, found[k].estimate, split, WITH, WITHOUT, found[k].p_value, adjusted[name][k])
            for name, found in gains.items()
        ]
        title = f"{KINDS[kind]}, on {arm}"
        rows.append(Row(STUDY_NAME, DRAWN, f"{kind}: {arm}", title, (), tuple(measured), note))
        note = ""
    return rows


@dataclass(frozen=True, eq=False)
class _Features:
    """Embeddings of clean and marked whole-field copies; marked ones are drawn into the folder of the run."""

    context: Context
    recipe: Any
    cases: Material

    @cached_property
    def clean(self) -> Float[np.ndarray, "cases features"]:
        """Of the training pictures as they are."""
        return self._embedded([whole_field(case) for case in self.cases.training])

    @cached_property
    def marked(self) -> Float[np.ndarray, "cases features"]:
        """Of the same, each with one artefact; what and how strong follows from its id."""
        paths = []
        for case in self.cases.training:
            rng = np.random.default_rng(seed_of("taught", case.image_id))
            name, intensity = TAUGHT[int(rng.integers(len(TAUGHT)))], float(rng.uniform(0.2, 1.0))
            paths.append(self._file(case, Arm(name, intensity), "taught"))
        return self._embedded(paths)

    def of(self, cases: Sequence[Case], arm: Arm) -> Float[np.ndarray, "cases features"]:
        """Of some cases as an arm shows them."""
        return self._embedded([self._file(c, arm, arm.words) if arm.artefact else whole_field(c) for c in cases])

    def _embedded(self, paths: Sequence[Path]) -> Float[np.ndarray, "cases features"]:
        return embedded(self.context, self.recipe, paths)

    def _file(self, case: Case, arm: Arm, folder: str) -> Path:
        version = arm.key["drawing"] if folder != "taught" else _taught_version()
        path = self.context.folder / "marked" / f"{folder.replace(' ', '-')}-{version}" / f"{case.image_id}.png"
        if not path.exists():
            pixels = read_image(whole_field(case)).pixels
            seed = seed_of(f"{folder} {arm.artefact}", case.image_id)
            marked = apply(arm.artefact, pixels, intensity=arm.intensity, seed=seed).pixels
            write_file(path, cv2.imencode(".png", marked[..., ::-1])[1].tobytes())
        return path


def _taught_version() -> str:
    return "".join(Arm(name, 1.0).key["drawing"][:4] for name in TAUGHT)


def _scores(
    context: Context,
    recipe: Any,
    cases: Material,
    marked: bool,
    known: tuple[_Features, Mapping[str, Float[np.ndarray, "cases features"]]],
) -> dict[str, Float[np.ndarray, "seeds cases"]]:
    """Log-odds of melanoma against nevus of every arm, by heads of every seed."""
    features, validation = known
    version = _taught_version() if marked else ""

    def make() -> dict[str, np.ndarray]:
        from dermoscope.train.head import Embedded, linear_head

        labels, taxonomy = cases.training.labels, cases.training.taxonomy
        views = np.stack([features.clean, features.marked if marked else features.clean])
        shares = _shares(labels, recipe.balance, len(taxonomy))
        columns = [taxonomy.index("MEL"), taxonomy.index("NV")]
        found: dict[str, list[np.ndarray]] = {words: [] for words in validation}
        for seed in range(SEEDS):
            own = replace(recipe, seed=recipe.seed + seed)
            weight, bias = linear_head(own, Embedded(views, labels, shares), len(taxonomy))
            for words, rows in validation.items():
                logits = (rows @ weight.T + bias)[:, columns]
                found[words].append(logits[:, 0] - logits[:, 1])
        return {words: np.stack(values) for words, values in found.items()}

    arms = {arm.words: arm.key["drawing"] for arm in ARMS}
    return context.piece({"heads": marked, "taught": version, "arms": arms, "recipe": recipe.as_dict()}, make)


def _shares(labels: Int[np.ndarray, " cases"], balance: float, diagnoses: int) -> Float[np.ndarray, " cases"]:
    shares = np.bincount(labels, minlength=diagnoses).astype(float)[labels] ** -balance
    return np.asarray(shares / shares.sum())


def trained_rows(context: Context, cases: tuple[Case, ...], split: str) -> list[Row]:
    """Two bundles, trained without and with artefacts, on validation lesions clean and marked.

    Raises InputError where there are not two, or one of them learnt from the role validation.
    """
    given = [part for part in context.asked.bundle.split(",") if part]
    if len(given) != 2:
        raise InputError(f"--bundle {context.asked.bundle}: give two, trained without and with artefacts: A,B")
    looks: dict[str, dict[str, Looked]] = {}
    names = []
    for words, one in zip((WITHOUT, WITH), given, strict=True):
        predictor = Predictor.load(one)
        if any("validation" in use.roles for use in predictor.bundle.card.data):
            raise InputError(f"{one} learnt from the role validation, on which this is measured; train it without")
        bench = Bench(context, predictor, cases, split)
        looks[words] = {}
        for done, arm in enumerate((CLEAN, *ARMS), start=1):
            looks[words][arm.words] = bench.look(arm)
            context.told(f"trained {words}", done, len(ARMS) + 1)
        names.append(f"{words}: bundle {predictor.bundle.sha256[:12]}")
    lesions = Lesions.of(cases)
    ways = {
        words: Heads(lesions, {arm: look.log_odds[None] for arm, look in found.items()})
        for words, found in looks.items()
    }
    rows = _mended_rows(ways, split, "; ".join(names), "trained")
    rises = {words: _rises(lesions, looks, words) for words in looks[WITH] if words != CLEAN.words}
    adjusted = dict(zip(rises, holm([rise["both"].p_value for rise in rises.values()]), strict=True))
    out = []
    for row, shown in zip(rows, looks[WITH], strict=True):
        found = _rules(lesions, looks, shown, split)
        if shown in rises:
            found += _told(rises[shown], adjusted[shown], split)
        out.append(replace(row, measured=(*row.measured, *found)))
    return out


def _rules(lesions: Lesions, looks: Mapping[str, Mapping[str, Looked]], arm: str, split: str) -> tuple[Measured, ...]:
    """What each bundle's own decision rule does."""
    return tuple(
        Measured(f"{name}, own rule", e, split, words)
        for words, by_arm in looks.items()
        for name, e in levels(lesions, by_arm[arm]).items()
        if name != "AUC"
    )


def _rises(lesions: Lesions, looks: Mapping[str, Mapping[str, Looked]], arm: str) -> dict[str, Difference]:
    """How many more nevi than clean each bundle's own rule refers, and the second's minus the first's."""
    weights, nevi = lesions.weights[lesions.nevus], int(lesions.nevus.sum())
    draws = {}
    for words, by_arm in looks.items():
        more = by_arm[arm].referred.astype(float) - by_arm[CLEAN.words].referred
        draws[words] = mean(more[lesions.nevus], weights)
    draws["both"] = draws[WITH] - draws[WITHOUT]
    return {words: difference(values, nevi) for words, values in draws.items()}


def _told(rise: Mapping[str, Difference], adjusted: float, split: str) -> tuple[Measured, ...]:
    name, both = "nevi referred beyond those referred clean, own rule", rise["both"]
    own = tuple(Measured(name, rise[words].estimate, split, words) for words in (WITHOUT, WITH))
    return (*own, Measured(name, both.estimate, split, WITH, WITHOUT, both.p_value, adjusted))
