"""The decision of a bundle: fitted on the role calibration, stored with what it does there, read from older bundles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import BundleError
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import with_role
from dermoscope.predict.bundle import Bundle, load, save
from dermoscope.predict.fitting import MELANOMA_FLOOR, REFER_AT, SENSITIVITY_FLOOR, refitted
from dermoscope.predict.predictor import Predictor
from dermoscope.refine.operating import operating_point
from dermoscope.refine.prevalence import SITES, values_at


@pytest.fixture(scope="module")
def calibration(synthetic: Path) -> CaseSet:
    return with_role(read_cases(synthetic), "calibration").one_per_lesion()


def without_the_decision(bundle: Bundle) -> Bundle:
    """The bundle as it was written before there was a floor."""
    decision = {k: v for k, v in bundle.manifest.decision.items() if k in ("codes", "refer_at", "sensitivity")}
    arrays = {name: array for name, array in bundle.arrays.items() if not name.startswith("decision_")}
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"decision": decision}), arrays=arrays)


def test_the_floor_refers_the_melanomas_it_was_chosen_for(bundle: Bundle) -> None:
    sample, rule = bundle.sample, bundle.decision
    assert sample is not None
    assert rule.floor == MELANOMA_FLOOR
    melanomas = sample.calibrated.of_codes(rule.codes)[sample.labels == bundle.taxonomy.index("MEL")]
    assert (melanomas >= rule.lowest).mean() >= MELANOMA_FLOOR
    codes = np.isin(sample.labels, [bundle.taxonomy.index(c) for c in rule.codes])
    assert (sample.calibrated.of_codes(rule.codes)[codes] >= rule.lowest).mean() >= SENSITIVITY_FLOOR
    assert rule.refer_at == REFER_AT
    concern = bundle.operating_point["melanoma_sensitivity"]
    assert concern.value is not None
    assert concern.value >= MELANOMA_FLOOR
    assert concern.n == len(melanomas)


def test_the_operating_point_is_that_of_the_rule_as_it_is_served(bundle: Bundle, calibration: CaseSet) -> None:
    kinds = np.array(
        [r.answer.kind for r in Predictor.load(bundle).results(Predictor.load(bundle).predict(calibration))]
    )
    benign = bundle.taxonomy.of_group("benign")[calibration.labels]
    point = bundle.operating_point
    assert point["answered"].value == pytest.approx((kinds != "cannot_assess").mean())
    assert point["specificity"].value == pytest.approx((kinds == "low_concern")[benign].mean())
    assert point["specificity"].n == benign.sum()
    assert bundle.sample is not None
    again = operating_point(
        bundle.decision, bundle.sample, bundle.prior("calibration"), shown=bundle.prior(bundle.manifest.default_prior)
    )
    assert again == point


def test_a_decision_fitted_again_leaves_the_rest_as_it_was(
    bundle: Bundle, calibration: CaseSet, tmp_path: Path
) -> None:
    old = without_the_decision(bundle)
    made = refitted(old, calibration)
    assert made.manifest.decision.keys() == bundle.manifest.decision.keys()
    assert made.decision == bundle.decision
    assert made.operating_point == bundle.operating_point
    assert made.manifest.model_copy(update={"decision": {}}) == old.manifest.model_copy(update={"decision": {}})
    assert made.graphs == old.graphs
    for name, array in old.arrays.items():
        np.testing.assert_array_equal(made.arrays[name], array)
    save(made, tmp_path / "made")
    assert load(tmp_path / "made").sha256 == bundle.sha256 != old.sha256
    with pytest.raises(BundleError, match="has not been calibrated here"):
        refitted(replace(old, manifest=old.manifest.model_copy(update={"served": False})), calibration)


def test_a_bundle_from_before_the_floor_is_read_and_served(bundle: Bundle, images: list[Path], tmp_path: Path) -> None:
    save(without_the_decision(bundle), tmp_path / "old")
    old = load(tmp_path / "old")
    assert (old.sample, old.operating_point) == (None, {})
    assert old.decision.lowest == old.decision.refer_at == bundle.decision.refer_at
    results, _ = Predictor.load(old).classify(images[:4])
    assert all(r.answer.kind in ("refer", "low_concern", "cannot_assess") for r in results)


def test_what_the_decision_was_measured_on_must_fit(bundle: Bundle, tmp_path: Path) -> None:
    short = {**bundle.arrays, "decision_labels": bundle.arrays["decision_labels"][1:]}
    save(replace(bundle, arrays=short), tmp_path / "short")
    with pytest.raises(BundleError, match=r"probabilities, \d+ labels and \d+ marks of what was assessed"):
        load(tmp_path / "short")
    decision = {**bundle.manifest.decision, "operating_point": {"answered": {"value": 1.0}}}
    save(replace(bundle, manifest=bundle.manifest.model_copy(update={"decision": decision})), tmp_path / "half")
    with pytest.raises(BundleError, match="do not fit together"):
        load(tmp_path / "half")


def test_predictive_values_come_from_the_bundle(bundle: Bundle) -> None:
    assert bundle.sample is not None
    found = values_at(SITES["skin_cancer_clinic"], bundle.decision, bundle.sample, bundle.prior("calibration"))
    assert all(e.value is None or 0 <= e.value <= 1 for e in found)
