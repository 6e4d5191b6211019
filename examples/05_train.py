"""Train a network of your own, look at its run card, and classify with the bundle (needs the extra `train`)."""

import tempfile
from pathlib import Path

from dermoscope import Predictor, read_cases
from dermoscope.data.synthetic import draw, write_dataset
from dermoscope.train.recipes import recipe
from dermoscope.train.run import Job, train
from dermoscope.train.runs import read_run

# The smallest network, without ImageNet weights, so that this takes seconds; it learns nothing of use.
tiny = {"backbone": "test_efficientnet", "pretrained": "false", "size": "64", "phases": "20x64", "views": "1"}

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    cases = read_cases(write_dataset(folder / "lesions", 8, size=(96, 72)))
    train(Job(recipe("quick").with_settings(tiny), cases, folder / "run", folder / "cache"))
    card = read_run(folder / "run")
    print(card.state, card.name, f"seed {card.seed}, data {card.data['sha256'][:12]}")
    for figures in card.figures:
        print(figures.split, figures.get("isic2018:balanced_accuracy").text())
    predictor = Predictor.load(folder / "run" / "chosen")  # never saw the role validation
    for result in predictor.results(predictor.predict([draw(1, "MEL").pixels])):
        print(result.image, result.answer.kind, result.answer.reasons[0])
