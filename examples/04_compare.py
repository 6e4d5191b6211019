"""Is one model better than another? Their intervals overlap; the paired difference on the same lesions tells."""

import numpy as np

from dermoscope import ISIC2018, Scores, Truth
from dermoscope.evaluate.intervals import paired_difference
from dermoscope.evaluate.score import evaluate

rng = np.random.default_rng(0)
labels = rng.integers(0, len(ISIC2018), 400)
ids = tuple(f"lesion-{k}" for k in range(400))
hard = rng.normal(size=(400, 7))  # what is hard is hard for both


def model(skill: float) -> Scores:
    logits = hard + skill * np.eye(7)[labels] + 0.2 * rng.normal(size=(400, 7))
    return Scores(ids, ISIC2018, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


truth, ours, theirs = Truth(ids, ISIC2018, labels), model(2.2), model(2.0)
for name, scores in (("ours", ours), ("theirs", theirs)):
    print(f"{name:7} {evaluate(scores, truth, resamples=500)['balanced_accuracy'].text()}")
found = paired_difference(ours, theirs, truth, resamples=500)
print(
    f"ours - theirs: {found.estimate.text()}, p = {found.p_value:.3f} ({found.estimate.method}, n = {found.estimate.n})"
)
