"""Short courses of three networks, and what joining ISIC 2017 adds: the ensemble that was measured and does not ship.

short/liteK           on HAM10000 alone: what is left is the twin for a clinic that was never seen
short/liteK-joined    goes on from it with ISIC 2017 beside HAM10000, the softmax restricted to what a source holds

`make train-ensemble` runs all. They are short because the long course of `default` learns rare diagnoses by heart: on
validation its mean AUC over diagnoses falls after ten epochs.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from dermoscope.train.settings import Recipe

LITE0 = Recipe("short/lite0", size=160, phases=((3, 128), (2, 160)), average=((1, 160),), ship=(), seed=3)
"""EfficientNet-Lite0 at 160 px in seven epochs.

Expected: balanced accuracy .752 [.695, .801] over seven diagnoses, mean AUC .946, on HAM10000's validation role (774
lesions).
Cost: 15 minutes on two cores that other work shared.
Command: `dermoscope train --recipe short/lite0 --data ham10000 --out RUN`.
"""

LITE1 = Recipe(
    "short/lite1",
    backbone="tf_efficientnet_lite1",
    phases=((4, 128), (3, 160)),
    average=((2, 192),),
    ship=(),
    seed=1,
)
"""EfficientNet-Lite1 at 192 px in ten epochs.

Expected: balanced accuracy .790 [.739, .836] over seven diagnoses, mean AUC .944, on HAM10000's validation role (774
lesions).
Cost: 42 minutes on two cores that other work shared.
Command: `dermoscope train --recipe short/lite1 --data ham10000 --out RUN`.
"""

LITE2 = replace(LITE0, name="short/lite2", backbone="tf_efficientnet_lite2", seed=2)
"""EfficientNet-Lite2 at 160 px in seven epochs.

Expected: balanced accuracy .787 [.734, .832] over seven diagnoses, mean AUC .954, on HAM10000's validation role (774
lesions).
Cost: 21 minutes on two cores that other work shared.
Command: `dermoscope train --recipe short/lite2 --data ham10000 --out RUN`.
"""


def _joined(before: Recipe, epochs: int) -> Recipe:
    return Recipe(
        f"{before.name}-joined",
        backbone=before.backbone,
        size=before.size,
        head=(),
        phases=((epochs, before.size),),
        average=(),
        ship=(),
        rate=4e-4,
        seed=before.seed + 10,
    )


LITE0_JOINED, LITE1_JOINED, LITE2_JOINED = _joined(LITE0, 1), _joined(LITE1, 2), _joined(LITE2, 1)
"""One or two epochs more, on HAM10000 and the training role of ISIC 2017 together.

Expected, on HAM10000's validation role (774 lesions), balanced accuracy over seven diagnoses and mean AUC: lite0 .765
[.712, .814], .948; lite1 .794 [.743, .837], .930; lite2 .785 [.732, .831], .955.
Cost: 4, 19 and 6 minutes on two cores that other work shared.
Command: `dermoscope train --recipe short/lite1-joined --data ham10000+isic2017 --start RUN --out RUN-joined`.
"""

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (LITE0, LITE1, LITE2, LITE0_JOINED, LITE1_JOINED, LITE2_JOINED)}
)
