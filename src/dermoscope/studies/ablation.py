"""Members, folds and joined data of an ablation with frozen features: what is fitted, and what each member predicts.

One image of every lesion of the roles training and validation, in folds that keep the mix of diagnoses; the roles test
and calibration are not touched. A data set that joins enters with its training role only, as in `train`; its validation
role is the other clinic. Each source of the first set that has enough lesions is also left out once: the third clinic.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import InputError
from dermoscope.data.catalog import CATALOG, data_root, open_cases, whereabouts
from dermoscope.data.splits import check_apart, sharpest_per_lesion, with_role
from dermoscope.predict.views import first_views
from dermoscope.studies.base import Asked, Context, Plan, check_used
from dermoscope.train.recipes import QUICK, Recipe

Joined = Literal["alone", "masked", "plain"]
"""How the set that joins is trained with: not at all, its softmax restricted to what it can hold, or not."""

DEFAULT_DATA = "ham10000+isic2017"
_EPOCHS, _RATE = 12, 1e-2
"""As good on held-out lesions as the 60 epochs at 3e-3 of the recipe `quick`, in a fifth of the time."""
_OWN = ("backbones", "seeds", "folds", "member_views")
"""Settings of the ablation itself."""
_FEWEST = 12
"""Lesions of a diagnosis, inside and outside a source, from which that diagnosis is scored where it is left out."""


@dataclass(frozen=True)
class Settings:
    """Backbones (one member each and seed), seeds, folds and views of the ablation."""

    backbones: tuple[str, ...] = tuple(f"tf_efficientnet_lite{k}" for k in range(3))
    seeds: int = 3
    folds: int = 5
    views: int = 2


@dataclass(frozen=True, eq=False)
class Given:
    """`cases` in `folds`; `joining` and `clinic` are empty where no set joins."""

    recipe: Recipe
    settings: Settings
    cases: CaseSet
    folds: Int[np.ndarray, " cases"]
    joining: CaseSet
    clinic: CaseSet


@dataclass(frozen=True)
class Member:
    """One head: its backbone and seed, how the other set joined, and the cases it was not fitted on."""

    backbone: str
    seed: int
    joined: Joined
    fold: int | None = None
    left_out: str = ""


def plan_ablation(asked: Asked) -> Plan:
    """Open the data and lay out folds. Raises InputError for data without the roles that are needed."""
    from dermoscope.train.run import data_hash

    recipe, settings = _settings(asked)
    names = (asked.data or _held_here()).split("+")
    sets = [open_cases(name)[0].where(lambda c: c.diagnosis is not None and c.path is not None) for name in names]
    cases = _one_each(with_role(sets[0], "training", "validation"))
    none = replace(cases, cases=())
    joining, clinic = (_joined([with_role(s, role) for s in sets[1:]], none) for role in ("training", "validation"))
    if not len(cases):
        raise InputError(f"{names[0]}: no labelled image with the role training or validation; give more lesions")
    check_apart(cases=cases, joining=joining, clinic=clinic)
    given = Given(recipe, settings, cases, folds_of(cases, settings.folds), joining, clinic)
    data = {"name": " + ".join(names), "sha256": data_hash(cases + joining + clinic), "images": len(cases)}
    data |= {"lesions": len(set(cases.groups)), "joining": len(joining), "clinic": len(clinic)}
    held = {"backbones": list(settings.backbones), "seeds": settings.seeds, "folds": settings.folds}
    plain = {key: value for key, value in recipe.as_dict().items() if key not in ("full", "augmentation")}
    return Plan({**plain, **held, "member_views": settings.views}, data, given)


def folds_of(cases: CaseSet, count: int) -> Int[np.ndarray, " cases"]:
    """Fold of each case: lesions of a diagnosis, in the order of their hash, are dealt out in turn."""
    groups = np.array(cases.groups)
    order = np.array([int(hashlib.sha256(f"fold {g}".encode()).hexdigest()[:12], 16) for g in groups])
    fold_of: dict[str, int] = {}
    for label in np.unique(cases.labels):
        rows = np.flatnonzero(cases.labels == label)
        for row in rows[np.argsort(order[rows], kind="stable")]:
            fold_of.setdefault(str(groups[row]), len(fold_of) % count)
    return np.array([fold_of[str(g)] for g in groups])


def members(given: Given, joined: Joined) -> Iterator[Member]:
    """Every member that is scored out of fold."""
    for backbone in given.settings.backbones:
        for seed in range(given.settings.seeds):
            for fold in range(given.settings.folds):
                yield Member(backbone, seed, joined, fold)


def sources_to_leave_out(cases: CaseSet) -> Mapping[str, tuple[str, ...]]:
    """Source -> diagnoses to score there: melanoma and at least three more that are common enough on both sides."""
    sources = np.array([c.source or "" for c in cases])
    found = {}
    for source in sorted({s for s in sources.tolist() if s}):
        inside, outside = (np.bincount(cases.labels[rows], minlength=len(cases.taxonomy))
                           for rows in (sources == source, sources != source))  # fmt: skip
        codes = [c for c, a, b in zip(cases.taxonomy.codes, inside, outside, strict=True) if min(a, b) >= _FEWEST]
        if "MEL" in codes and len(codes) > 3:
            found[source] = tuple(codes)
    return found


def prior_of(labels: Int[np.ndarray, " cases"], held: Bool[np.ndarray, "cases diagnoses"]) -> np.ndarray:
    """The mix of diagnoses that a softmax restricted to `held` learns: shares without regard to the pictures.

    It maximises the likelihood of the labels when nothing but the mix is fitted (the fixed point of Hunter 2004, "MM
    algorithms for generalized Bradley-Terry models", for Luce's choice); where every case can be anything it is the
    counts. A diagnosis without a case counts as half a case; what no source can hold, as in a plain softmax.
    """
    diagnoses = held.shape[1]
    counts = np.maximum(np.bincount(labels, minlength=diagnoses).astype(float), 0.5)
    kinds, of = np.unique(held, axis=0, return_inverse=True)
    sizes = np.bincount(of.ravel(), minlength=len(kinds)).astype(float)
    prior = np.full(diagnoses, 1 / diagnoses)
    for _ in range(2000):
        exposed = kinds.T @ (sizes / (kinds @ prior))
        update = counts / np.where(exposed > 0, exposed, len(labels))
        update /= update.sum()
        if np.abs(update - prior).max() < 1e-12:
            break
        prior = update
    return update


@dataclass(frozen=True, eq=False)
class Lab:
    """The features of one backbone, and what its members make of them."""

    context: Context
    given: Given
    features: Mapping[str, Float[np.ndarray, "cases views features"]]

    @classmethod
    def open(cls, context: Context, given: Given, backbone: str) -> "Lab":
        """Compute or find the features of `cases`, `joining` and `clinic`."""
        from dermoscope.train.embed import embeddings

        recipe = replace(given.recipe, backbone=backbone)
        views = first_views(given.settings.views)
        sets = {"cases": given.cases, "joining": given.joining, "clinic": given.clinic}
        paths = {name: [c.path for c in held if c.path] for name, held in sets.items()}
        found = {
            name: embeddings(recipe, files, views, context.cache, _named(context, name)) if files else _EMPTY
            for name, files in paths.items()
        }
        return cls(context, given, found)

    def logits(self, member: Member) -> dict[str, np.ndarray]:
        """`test` and `clinic` logits [cases, views, diagnoses] of one member, and the `prior` it learnt."""
        return self.context.piece(asdict(member), lambda: self._fitted(member))

    def _fitted(self, member: Member) -> dict[str, np.ndarray]:
        from dermoscope.train.head import Embedded, linear_head

        given = self.given
        out = test_rows(given, member)
        inside = np.flatnonzero(~out)
        joins = member.joined != "alone"
        parts = [self.features["cases"][inside], *([self.features["joining"]] if joins else [])]
        labels = np.concatenate([given.cases.labels[inside], *([given.joining.labels] if joins else [])])
        held = np.concatenate([given.cases.held[inside], *([given.joining.held] if joins else [])])
        masked = member.joined == "masked" and not held.all()
        shares = np.full(len(labels), 1 / len(labels))
        features = np.ascontiguousarray(np.concatenate(parts).swapaxes(0, 1))
        recipe = replace(given.recipe, backbone=member.backbone, seed=member.seed)
        data = Embedded(features, labels, shares, held if masked else None)
        weight, bias = linear_head(recipe, data, len(given.cases.taxonomy))
        prior = prior_of(labels, held if masked else np.ones_like(held))
        found = {"test": self.features["cases"][out] @ weight.T + bias, "prior": prior}
        if len(given.clinic):
            found["clinic"] = self.features["clinic"] @ weight.T + bias
        return found


def test_rows(given: Given, member: Member) -> Bool[np.ndarray, " cases"]:
    """Which cases a member is scored on, and not fitted on."""
    if member.left_out:
        return np.array([c.source == member.left_out for c in given.cases])
    return given.folds == member.fold


_EMPTY = np.zeros((0, 1, 1), np.float32)


def _named(context: Context, name: str) -> Any:
    return lambda phase, done, total: context.told(f"{phase}, {name}", done, total)


def _held_here() -> str:
    names = DEFAULT_DATA.split("+")
    base = data_root()
    return "+".join(name for name in names if whereabouts(CATALOG[name], base).layout is not None) or names[0]


def _one_each(cases: CaseSet) -> CaseSet:
    """One image a lesion, of lesions with a sharper copy where there are any, so that sharpness says nothing."""
    sharper = cases.where(lambda c: bool(c.copies))
    return sharpest_per_lesion(sharper if len(sharper) else cases)


def _joined(sets: Sequence[CaseSet], none: CaseSet) -> CaseSet:
    found = none
    for held in sets:
        found = found + sharpest_per_lesion(held)
    return found


def _settings(asked: Asked) -> tuple[Recipe, Settings]:
    """The recipe and the settings of the ablation; `--set` may name those of both."""
    base = replace(QUICK, balance=0.0, full={})
    if not asked.full:
        base = replace(base, phases=((_EPOCHS, QUICK.size),), rate=_RATE)
    own = {k: v for k, v in asked.settings.items() if k in _OWN}
    recipe = base.with_settings({k: v for k, v in asked.settings.items() if k not in own})
    check_used(asked, *_OWN, "preprocessing", whole=True)
    plain = Settings()
    try:
        settings = Settings(
            tuple(own["backbones"].split(",")) if "backbones" in own else plain.backbones,
            int(own.get("seeds", plain.seeds)),
            int(own.get("folds", plain.folds)),
            int(own.get("member_views", plain.views)),
        )
    except ValueError:
        raise InputError("seeds, folds and member_views are whole numbers, for example --set folds=5") from None
    if settings.folds < 2 or settings.seeds < 1 or not all(settings.backbones):
        raise InputError("an ablation needs 2 folds, 1 seed and 1 backbone at least; `--set folds=5`")
    first_views(settings.views)
    return recipe, settings
