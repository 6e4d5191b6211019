"""The five networks of Steppan & Hanke 2021 (arXiv 2101.03814), as far as the paper says how they were trained.

Read from the paper: the networks and their input sizes; the frame trimmed (fuzz 5 %), 7 px shaved, logos cropped, the
rest padded to a square; rotation to 45 degrees, translation, shear, zoom to 1.05, flips both ways, lighting 0.2, one
cut-out of 16 x 16 px at p = 0.5; a new head on the frozen ImageNet backbone (one-cycle, up to 32 epochs), then all
layers at 1e-4, 1e-5 and 1e-6; the mean over augmented views; probabilities divided by the share of each diagnosis
(the prior `uniform`).

Not published: which ImageNet weights; batch, optimiser, weight decay, dropout and the peak rate of the head; whether
the three rates follow each other (they do here) or belong to parts of the network; the epochs of each; how a training
was ended; the bounds of translation and shear; what `lighting` changes (brightness and contrast here); how many views.
Also not in the recipes: their split by image, which leaked lesions, and the class UNK, which they learned from
clinical photographs (here strangeness is measured, not learned).

Expected: the scores in the docstrings are theirs, on the live test of ISIC 2019, after prior correction and with the
mean over views. They are claims: that test is closed, and nothing here has been measured on it.
Cost: not measured here. They are meant for a GPU.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from dermoscope.train.augment import STILL
from dermoscope.train.settings import Recipe

CUTOUT_PX = 16
HEAD_EPOCHS = 32
EPOCHS = 8
"""Of all layers at each rate; not published."""

SHEAR, SHIFT = 6.0, 0.08
"""Bounds of the shear (degrees) and of the translation (share of the side); not published."""


def _recipe(name: str, backbone: str, size: int, batch: int = 32) -> Recipe:
    """What the five have in common."""
    return Recipe(
        f"steppan2021/{name}",
        backbone=backbone,
        size=size,
        head=((HEAD_EPOCHS, size),),
        phases=((EPOCHS, size),),
        rates=(1e-4, 1e-5, 1e-6),
        average=(),
        ship=(),
        batch=batch,
        balance=0.0,
        ema=0.0,
        mixup=0.0,
        label_smoothing=0.0,
        preprocessing=("trim_border", "shave=7", "crop_logos", "pad"),
        augmentation=replace(
            STILL,
            angle=45.0,
            shear=SHEAR,
            shift=SHIFT,
            zoom=(1.0, 1.05),
            brightness=0.2,
            contrast=0.2,
            cutout=(CUTOUT_PX / size, CUTOUT_PX / size),
            cutout_p=0.5,
            vertical=True,
        ),
    )


SE_RESNEXT101 = _recipe("se-resnext101", "legacy_seresnext101_32x4d", 299)
"""SE-ResNeXt-101 32x4d at 299 px (Hu et al. 2018, arXiv 1709.01507).

Paper: Steppan & Hanke 2021 (arXiv 2101.03814). Expected: 0.582 is their claim on the live test of ISIC 2019.
Cost: not measured. Command: `dermoscope train --recipe steppan2021/se-resnext101 --data isic2019 --out RUN`.
"""

EFFICIENTNET_B4 = _recipe("efficientnet-b4", "tf_efficientnet_b4", 380, batch=16)
"""EfficientNet-B4 at 380 px (Tan & Le 2019, arXiv 1905.11946).

Paper: Steppan & Hanke 2021 (arXiv 2101.03814). Expected: 0.577 is their claim on the live test of ISIC 2019.
Cost: not measured. Command: `dermoscope train --recipe steppan2021/efficientnet-b4 --data isic2019 --out RUN`.
"""

EFFICIENTNET_B5 = _recipe("efficientnet-b5", "tf_efficientnet_b5", 456, batch=16)
"""EfficientNet-B5 at 456 px (Tan & Le 2019, arXiv 1905.11946).

Paper: Steppan & Hanke 2021 (arXiv 2101.03814). Expected: 0.582 is their claim on the live test of ISIC 2019.
Cost: not measured. Command: `dermoscope train --recipe steppan2021/efficientnet-b5 --data isic2019 --out RUN`.
"""

INCEPTION_RESNET_V2 = _recipe("inception-resnet-v2", "inception_resnet_v2", 299)
"""Inception-ResNet-v2 at 299 px (Szegedy et al. 2017, arXiv 1602.07261).

Paper: Steppan & Hanke 2021 (arXiv 2101.03814). Expected: 0.569 is their claim on the live test of ISIC 2019 (0.552
without the external data).
Cost: not measured. Command: `dermoscope train --recipe steppan2021/inception-resnet-v2 --data isic2019 --out RUN`.
"""

NASNET_A_LARGE = _recipe("nasnet-a-large", "nasnetalarge", 299, batch=16)
"""NASNet-A-Large at 299 px (Zoph et al. 2018, arXiv 1707.07012).

Paper: Steppan & Hanke 2021 (arXiv 2101.03814). Expected: 0.504 is their claim on the live test of ISIC 2019: it
diverged, and they left it out of the ensemble.
Cost: not measured. Command: `dermoscope train --recipe steppan2021/nasnet-a-large --data isic2019 --out RUN`.
"""

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (SE_RESNEXT101, EFFICIENTNET_B4, EFFICIENTNET_B5, INCEPTION_RESNET_V2, NASNET_A_LARGE)
    }
)
