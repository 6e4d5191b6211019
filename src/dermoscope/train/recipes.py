"""Recipes: Python values that say everything about a training run; `Recipe` in `settings` says what each setting is.

default            the network that ships: tf_efficientnet_lite0                 dermoscope train --recipe default
quick              frozen features of the same backbone and a trained head       dermoscope train --recipe quick
short/...          three networks in short courses, and joined with ISIC             `train/short.py`, `make train`
steppan2021/...    the five networks of Steppan & Hanke 2021, for a GPU          `train/steppan2021.py`
"""

from collections.abc import Mapping

from dermoscope.core.errors import RecipeError, some
from dermoscope.train import short, steppan2021
from dermoscope.train.settings import Phases as Phases
from dermoscope.train.settings import Recipe as Recipe

DEFAULT = Recipe("default", full={"phases": ((60, 224),), "batch": 128, "rate": 2e-3})
"""EfficientNet-Lite0 with ImageNet weights, head first, then all layers, then averaging.

Exported at 192 px, the size it averaged at: on validation it reached more there than at 224 px.

Paper: two-stage transfer learning and bounded augmentation after Steppan & Hanke 2021 (arXiv 2101.03814).
Expected: balanced accuracy .784 [.732, .830] over seven diagnoses on HAM10000's validation role (774 lesions).
Cost: 91 minutes on two cores that other work shared. `--full` is meant for a GPU and has not been measured.
Command: `dermoscope train --recipe default --data ham10000 --out RUN --ship`.
"""

QUICK = Recipe(
    "quick",
    kind="probe",
    size=224,
    phases=((60, 224),),
    average=(),
    ship=(),
    batch=256,
    rate=3e-3,
    balance=0.5,
    ema=0.0,
    label_smoothing=0.0,
)
"""Frozen ImageNet features of the same backbone, computed once and cached, and a linear head trained on them.

For ablations, seeds and folds: 3 min 40 s the first time on two cores, export and calibration included.
Expected: balanced accuracy .628 [.552, .700] over seven diagnoses on HAM10000's validation role (774 lesions).
Command: `dermoscope train --recipe quick --data ham10000 --out RUN`.
"""

RECIPES: Mapping[str, Recipe] = {
    **{recipe.name: recipe for recipe in (DEFAULT, QUICK)},
    **short.RECIPES,
    **steppan2021.RECIPES,
}


def recipe(name: str) -> Recipe:
    """A recipe by its name. Raises RecipeError, listing what there is."""
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name!r}; there are {some(RECIPES, 12)}")
    return RECIPES[name]
