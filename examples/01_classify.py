"""Classify images: a synthetic lesion here, your own files in the same way."""

from dermoscope import Predictor
from dermoscope.data.synthetic import draw

predictor = Predictor.load("default")  # or the folder of a bundle
images = [draw(seed, "MEL").pixels for seed in range(2)]  # paths and bytes work too
prediction = predictor.predict(images)
for prior in ("calibration", "uniform"):
    print(prior, predictor.refine(prediction, prior).values.round(3))
for result in predictor.results(prediction):
    print(result.image, result.answer.kind, result.answer.reasons[0], result.warnings)
