"""The fused augmentation (one affine, one colour matrix) against the same variations in turn in torchvision.

Prints images per second of each on one thread and their ratio; ends with status 1 when the fused one is not faster.
"""

import sys
import time

import cv2
import numpy as np

from dermoscope.data.synthetic import draw
from dermoscope.train.augment import Augmentation, augment
from dermoscope.train.backbones import prepare_torchvision

SIZE, IMAGES, ROUNDS = 224, 60, 5


def main() -> int:
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    prepare_torchvision()
    from torchvision.transforms import v2

    picture = draw(0, "NV", (400, 300)).pixels
    bounds = Augmentation(jpeg_p=0.0, resolution_p=0.0)
    theirs = v2.Compose(
        [
            v2.RandomAffine(
                180, translate=(0.08, 0.08), scale=(0.75, 1.4), shear=6, interpolation=v2.InterpolationMode.BILINEAR
            ),
            v2.CenterCrop(300),
            v2.Resize((SIZE, SIZE), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.ColorJitter(0.15, 0.2, 0.25, 0.02),
            v2.RandomErasing(0.5, scale=(0.01, 0.09)),
        ]
    )
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    rng = np.random.default_rng(0)
    ratios, ours, theirs_rate = [], [], []
    for _ in range(ROUNDS):
        ours.append(rate(lambda: augment(picture, SIZE, bounds, rng)))
        theirs_rate.append(rate(lambda: theirs(tensor)))
        ratios.append(ours[-1] / theirs_rate[-1])
    ratio = float(np.median(ratios))
    print(
        f"fused {np.median(ours):.0f} images/s, torchvision {np.median(theirs_rate):.0f} images/s, one thread: "
        f"{ratio:.1f} times as many"
    )
    return 0 if ratio > 1 else 1


def rate(work) -> float:
    started = time.perf_counter()
    for _ in range(IMAGES):
        work()
    return IMAGES / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
