"""The bundled model's own figures: which cases, which names, counted scorings, and the same numbers as `evaluate`."""

import os
from dataclasses import replace

import numpy as np
import pytest

from dermoscope.core.truth import Truth
from dermoscope.data.files import read_scores, read_truth
from dermoscope.data.readers import read_cases
from dermoscope.evaluate.score import evaluate
from dermoscope.studies.headline import Split, figures_of, headline_cases, measure


@pytest.fixture(scope="module")
def split(synthetic):
    cases = read_cases(synthetic)
    return Split("test", "synthetic", "drawn lesions", cases)


@pytest.fixture(scope="module")
def found(predictor, split, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    return out, measure(predictor, split, out=out)


def test_evaluate_prints_the_same_figures_from_the_files_that_are_left(found, split):
    out, figures = found
    taxonomy = split.cases.taxonomy
    again = evaluate(read_scores(out / "test-predictions.csv", taxonomy), read_truth(out / "test-truth.csv", taxonomy))
    for name in ("balanced_accuracy", "macro_average.auc", "NV.recall"):
        assert again[name] == figures[name]


def test_every_figure_has_a_unit_and_an_n(found, split):
    _, figures = found
    assert {"isic2018:balanced_accuracy", "calibration:ece", "calibration:ece_if_perfect"} <= set(figures)
    lesions = len(set(split.cases.groups))
    for name, e in figures.items():
        assert e.unit == "lesion", name
        assert 0 < e.n <= lesions, name


def test_abstentions_count_as_referred_or_as_missed(predictor, split):
    everything_strange = replace(predictor.bundle.decision, ood_limit=0.0)
    bundle = replace(
        predictor.bundle,
        manifest=predictor.bundle.manifest.model_copy(
            update={"decision": {**predictor.bundle.manifest.decision, "ood_limit": everything_strange.ood_limit}}
        ),
    )
    from dermoscope.predict.predictor import Predictor

    figures = measure(Predictor.load(bundle), split)
    if figures["decision.answered"].value == 1.0:
        pytest.skip("the bundle holds no out-of-distribution statistics: too few images")
    assert figures["decision.answered"].value == 0.0
    assert figures["decision.sensitivity"].value == 1.0
    assert figures["decision.sensitivity_abstained_missed"].value == 0.0
    assert figures["decision.sensitivity_answered"].method == (
        "not measurable: no malignant or premalignant case with an answer"
    )
    assert figures["decision.MEL.cannot_assess"].value == 1.0


def test_the_card_holds_the_estimates_unchanged(found, split):
    _, figures = found
    held = figures_of(figures, split, 3)
    assert held.get("balanced_accuracy") == figures["balanced_accuracy"]
    assert held.scorings == 3


@pytest.mark.skipif(
    "DERMOSCOPE_DATA" not in os.environ, reason="DERMOSCOPE_DATA is not set: the real images are needed"
)
def test_the_headline_is_one_sharper_image_of_every_test_lesion():
    from dermoscope.data.catalog import load

    cases = headline_cases(load("ham10000"), "test")
    assert len(cases) == len(set(cases.groups)) == 1189
    assert all(c.path.parent.parent.name == "ham10000-224" for c in cases)
    assert np.all(Truth.from_cases(cases).labels >= 0)


def test_choices_compare_views_and_priors_on_the_validation_role(predictor, synthetic):
    from dermoscope.data.splits import role_of
    from dermoscope.studies.choices import compare

    cases = read_cases(synthetic)
    validation = {c.group for c in cases if role_of(c.group) == "validation"}
    found = list(compare(predictor, cases, views=(1, 4), priors=("uniform", "calibration")))
    assert {(c.views, c.prior) for c in found} == {
        (1, "uniform"),
        (1, "calibration"),
        (4, "uniform"),
        (4, "calibration"),
    }
    assert all(c.balanced_accuracy.n == len(validation) for c in found)
