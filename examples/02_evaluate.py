"""Score the predictions of any model: every figure with its interval, its unit and its n."""

import numpy as np

from dermoscope import ISIC2018, Scores, Truth
from dermoscope.evaluate.score import evaluate

rng = np.random.default_rng(0)
ids = tuple(f"image-{k}" for k in range(300))
labels = rng.integers(0, len(ISIC2018), 300)
scores = np.clip(rng.random((300, 7)) * 0.5 + np.eye(7)[labels] * 0.3, 0, 1)
lesions = tuple(f"lesion-{k // 2}" for k in range(300))  # two images each: resampled together

weights = np.ones(300)
found = evaluate(Scores(ids, ISIC2018, scores), Truth(ids, ISIC2018, labels, weights, weights, lesions))
for name in ("balanced_accuracy", "macro_average.auc", "MEL.auc", "MEL.recall"):
    print(f"{name:20} {found[name].text()}  {found[name].unit}, n = {found[name].n}, {found[name].method}")
