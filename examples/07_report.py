"""Write a report of any model's predictions: one page with intervals, curves, calibration and the worst mistakes."""

from pathlib import Path

import numpy as np

from dermoscope import ISIC2018, Probabilities, Truth
from dermoscope.data.store import write_file
from dermoscope.report.dossier import Given, Provenance, measure
from dermoscope.report.page import report_page

rng = np.random.default_rng(0)
labels = np.repeat(rng.integers(0, len(ISIC2018), 120), 2)  # two images of each lesion
ids, lesions = tuple(f"image-{k}" for k in range(240)), tuple(f"lesion-{k // 2}" for k in range(240))
logits = 1.8 * np.eye(7)[labels] + rng.normal(size=(240, 7))
scores = Probabilities(ids, ISIC2018, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))

measured = measure(Given(scores, Truth(ids, ISIC2018, labels, groups=lesions), resamples=200))
where = Provenance("A model of chance and skill", "240 invented images.", "python examples/07_report.py", "example")
page = write_file(Path("out/report.html"), report_page(measured, where).encode())
print(f"{page}: {measured.n} {measured.unit}s, balanced accuracy {measured.served['balanced_accuracy'].text()}")
