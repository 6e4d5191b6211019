"""What the small studies of one question train and measure on: few cases, frozen features, a head in seconds.

Training role: one image of each lesion, at most `MOST` lesions of a diagnosis (by the hash of their id), so that a
question costs minutes. Validation role: one image of each lesion. Another clinic: the validation role of ISIC 2017,
where it is here and HAM10000 is trained on. The test role is never touched. Of an image that is here in two copies the
whole field is read, because what stands at its edges is asked about, and because which lesions have the sharper copy
depends on the diagnosis.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.data.catalog import load, open_cases
from dermoscope.data.splits import with_role
from dermoscope.studies.base import Asked, Context

MOST = 900
"""Training lesions of one diagnosis at most: nevi are two thirds of HAM10000."""

ELSEWHERE = "isic2017"

SIZE = "160"
"""Input in px: about what the small whole-field copies have, and half the time of 224."""


@dataclass(frozen=True, eq=False)
class Material:
    """Cases to train on, to measure on, and of another clinic (none where it is not here)."""

    name: str
    training: CaseSet
    validation: CaseSet
    elsewhere: CaseSet | None

    @property
    def paths(self) -> list[Path]:
        """The file of every case: training, validation, elsewhere."""
        return [whole_field(case) for part in self.parts for case in part]

    @property
    def parts(self) -> tuple[CaseSet, ...]:
        """Training, validation, and the other clinic where there is one."""
        return (self.training, self.validation, *([self.elsewhere] if self.elsewhere else []))

    def divided(self, values: np.ndarray) -> list[np.ndarray]:
        """Rows for `paths`, divided into those of `parts`."""
        return np.split(values, np.cumsum([len(part) for part in self.parts])[:-1])

    def told(self) -> dict[str, Any]:
        """`name`, `sha256` and the number of cases of each part, for a plan."""
        from dermoscope.train.run import data_hash

        hashes = "".join(data_hash(part) for part in self.parts)
        counts = {f"{part}_cases": len(cases) for part, cases in zip(_NAMES, self.parts, strict=False)}
        return {"name": self.name, "sha256": sha256(hashes.encode()).hexdigest(), **counts}


_NAMES = ("training", "validation", "elsewhere")


def whole_field(case: Case) -> Path:
    """The copy of an image that shows most of it: the last one."""
    path = case.copies[-1] if case.copies else case.path
    if path is None:
        raise InputError(f"{case.image_id}: no image file; leave it out or give its path")
    return path


def material(asked: Asked) -> Material:
    """The cases of a study. Raises InputError where training or validation role has none."""
    given = asked.data or "ham10000"
    cases, described = open_cases(given)
    known = cases.where(lambda c: c.diagnosis is not None and c.path is not None)
    training, validation = (with_role(known, role).one_per_lesion() for role in ("training", "validation"))  # type: ignore[arg-type]
    if not len(training) or not len(validation):
        raise InputError(f"{given}: no case with a diagnosis and a file in the role training or validation")
    elsewhere = _elsewhere() if given == "ham10000" else None
    return Material(str(described.get("name", given)), _capped(training), validation, elsewhere)


def _elsewhere() -> CaseSet | None:
    try:
        return with_role(load(ELSEWHERE), "validation").one_per_lesion()
    except InputError:
        return None


def _capped(cases: CaseSet) -> CaseSet:
    chosen: set[str] = set()
    counts: Counter[str | None] = Counter()
    for case in sorted(cases, key=lambda c: sha256(c.group.encode()).hexdigest()):
        counts[case.diagnosis] += 1
        if counts[case.diagnosis] <= MOST:
            chosen.add(case.image_id)
    return cases.where(lambda c: c.image_id in chosen)


def fitted(
    recipe: Any, features: Float[np.ndarray, "cases features"], labels: np.ndarray, diagnoses: int
) -> tuple[Float[np.ndarray, "diagnoses features"], Float[np.ndarray, " diagnoses"], Float[np.ndarray, " diagnoses"]]:
    """Weight and bias of a head that was trained as the recipe says, and the prior it was shown (0: no case)."""
    from dermoscope.train.head import Embedded, linear_head

    counts = np.bincount(labels, minlength=diagnoses).astype(float)
    shares = counts[labels] ** -recipe.balance
    shares /= shares.sum()
    weight, bias = linear_head(recipe, Embedded(features[None], labels, shares), diagnoses)
    return weight, bias, np.bincount(labels, shares, minlength=diagnoses)


def embedded(context: Context, recipe: Any, paths: Sequence[Path]) -> Float[np.ndarray, "pictures features"]:
    """Embeddings of the centre square of every picture, from the cache where they are there."""
    from dermoscope.predict.views import first_views
    from dermoscope.train.embed import embeddings

    return embeddings(recipe, paths, first_views(1), context.cache, context.told)[:, 0]


def quick(settings: Mapping[str, str]) -> Any:
    """The recipe `quick` at the input size of these studies, changed by what was asked for."""
    from dermoscope.train.recipes import QUICK

    return QUICK.with_settings({"size": SIZE, **settings})
