"""One dossier, measured once, that the tests of pages, figures and LaTeX share."""

from collections.abc import Callable

import numpy as np
import pytest

from dermoscope.core.card import RunCard
from dermoscope.core.cases import Case
from dermoscope.core.probabilities import Probabilities
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.core.truth import Truth
from dermoscope.data.synthetic import draw
from dermoscope.report.dossier import Given, Measured, Provenance, measure

SHARES = np.array([0.15, 0.5, 0.08, 0.05, 0.12, 0.02, 0.03, 0.05])


def sample(n: int, seed: int = 0) -> Given:
    """Scores of `n` images of 2/3 as many lesions, with what is known of them."""
    rng = np.random.default_rng(seed)
    lesions = [f"L{2 * k // 3}" for k in range(n)]
    labels = rng.choice(8, n, p=SHARES)[[2 * k // 3 for k in range(n)]]
    p = np.exp(rng.normal(size=(n, 8)) + 2 * np.eye(8)[labels])
    ids = tuple(f"ISIC_{k:07d}" for k in range(n))
    probabilities = Probabilities(ids, ISIC2019, p / p.sum(axis=1, keepdims=True))
    cases = [
        Case(
            image,
            source=("rosendahl", "vidir_modern")[k % 2],
            sex=("female", "male", None)[k % 3],
            age=float(5 * (k % 18)),
            site=("back", "face")[k % 5 == 0],
            confirmed_by=("histo", "follow_up")[k % 4 == 0],
        )
        for k, image in enumerate(ids)
    ]
    return Given(probabilities, Truth(ids, ISIC2019, labels, groups=tuple(lesions)), cases=cases, resamples=30)


def run_card(**changes: object) -> RunCard:
    """The card of a run that never was."""
    fields: dict[str, object] = {
        "name": "quick",
        "state": "finished",
        "started": "2026-01-02T03:04:05+00:00",
        "changed": "2026-01-02T03:09:05+00:00",
        "seconds": 300.0,
        "seed": 7,
        "data": {"name": "drawn", "given": "drawn", "sha256": "d" * 64, "split": "5" * 64},
        "recipe": {"backbone": "tf_efficientnet_lite0", "size": 64, "prior": "uniform", "phases": [[8, 128], [2, 64]]},
        "code": {"version": "0.1.0", "commit": "c" * 40},
        "environment": {"python": "3.11", "packages": {"torch": "2.13.0"}},
        "bundles": {"chosen": "b" * 64},
    }
    return RunCard.model_validate(fields | changes)


LOG = [
    {"part": "chosen-run", "stage": stage, "epoch": k, "loss": 2.0 / k, "macro_auc": 0.8 + k / 50, "mel_auc": None}
    for k, stage in enumerate(("head", "all layers", "all layers"), start=1)
]


@pytest.fixture(scope="session")
def given() -> Given:
    """240 images with calibrated probabilities beside the scores."""
    one = sample(240)
    sizes = {i: ("600 × 450 px", "224 × 224 px")[k % 2] for k, i in enumerate(one.truth.ids)}
    return Given(one.scores, one.truth, sample(240, 0).scores, one.cases, sizes, resamples=30)


@pytest.fixture(scope="session")
def measured(given: Given) -> Measured:
    """What is measured of them."""
    return measure(given)


@pytest.fixture(scope="session")
def provenance(measured: Measured) -> Provenance:
    """A run with its log, and pictures of all but one of the images to look at."""
    found = measured.mistakes
    wanted = [one.image for one in (*found.missed, *found.others, *found.uncertain)]
    picture = draw(1, "NV", (96, 72)).jpeg()
    return Provenance(
        "Run quick: validation",
        "240 images of 160 lesions, drawn.",
        "dermoscope report runs/quick --data drawn",
        "0.1.0",
        files=(("predictions", "runs/quick/validation-predictions.csv", "a" * 64),),
        served="the predictions under the prior 'uniform'",
        calibrated="the predictions under the calibration prior",
        data={"name": "Drawn & <lesions>", "licence": "CC0-1.0", "citation": "drawn by dermoscope"},
        run=run_card(),
        log=LOG,
        pictures=dict.fromkeys(wanted[1:], picture),
        no_pictures="1 of 24 pictures are not at hand.",
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Given]:
    """Makes another sample."""
    return sample
