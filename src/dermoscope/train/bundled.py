"""The members of the bundled ensemble, each trained in two steps that two cores can do in an evening.

bundled/liteK           on HAM10000 alone: what is left is the twin for a clinic that was never seen
bundled/liteK-joined    goes on from it with ISIC 2017 beside HAM10000, the softmax restricted to what a source holds

`make train` runs all of them and makes the ensemble. lite0's first step is the recipe `default`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dermoscope.train.settings import Recipe

LITE1 = Recipe(
    "bundled/lite1",
    backbone="tf_efficientnet_lite1",
    phases=((4, 128), (3, 160)),
    average=((2, 192),),
    ship=(),
    seed=1,
)
"""EfficientNet-Lite1 at 192 px in ten epochs: the longer course of `default` learns rare diagnoses by heart.

Expected: balanced accuracy .790 [EXPECTED1] over seven diagnoses on HAM10000's validation role (774 lesions).
Cost: 41 minutes on two cores that other work shared.
Command: `dermoscope train --recipe bundled/lite1 --data ham10000 --out RUN`.
"""

LITE2 = Recipe(
    "bundled/lite2",
    backbone="tf_efficientnet_lite2",
    size=160,
    phases=((3, 128), (2, 160)),
    average=((1, 160),),
    ship=(),
    seed=2,
)
"""EfficientNet-Lite2 at 160 px in seven epochs.

Expected: EXPECTED2.
Cost: COST2.
Command: `dermoscope train --recipe bundled/lite2 --data ham10000 --out RUN`.
"""


def _joined(name: str, backbone: str, size: int, epochs: int, seed: int) -> Recipe:
    return Recipe(
        name, backbone=backbone, size=size, head=(), phases=((epochs, size),), average=(), ship=(), rate=4e-4, seed=seed
    )


LITE0_JOINED = _joined("bundled/lite0-joined", "tf_efficientnet_lite0", 192, 2, 10)
LITE1_JOINED = _joined("bundled/lite1-joined", "tf_efficientnet_lite1", 192, 2, 11)
LITE2_JOINED = _joined("bundled/lite2-joined", "tf_efficientnet_lite2", 160, 1, 12)
"""One or two epochs more, on HAM10000 and the training role of ISIC 2017 together.

Command: `dermoscope train --recipe bundled/lite1-joined --data ham10000+isic2017 --start RUN --out RUN-joined`.
"""

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (LITE1, LITE2, LITE0_JOINED, LITE1_JOINED, LITE2_JOINED)}
)
