"""Member, views, mean, calibration, prior: in this order, and as a value."""

from dataclasses import replace

import numpy as np
import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.refine.calibrate import Scaling
from dermoscope.refine.pipeline import MemberRule, Pipeline

PRIOR = Prior.from_counts("calibration", ISIC2019, [8, 70, 4, 1, 10, 2, 2, 3])
NOTHING = Scaling.identity(8)


def logits(seed: int, views: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (3, views, 8))


def softmax(z: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True))


def two_members() -> Prediction:
    both = np.concatenate([logits(0), logits(1, views=3)], axis=1)
    return Prediction(("a", "b", "c"), ISIC2019, both, members=("one",) * 2 + ("two",) * 3)


def made(kind: str = "arithmetic", calibration: Scaling = NOTHING, **weights: float) -> Pipeline:
    rules = {name: MemberRule(weights.get(name, 1.0)) for name in ("one", "two")}
    return Pipeline(rules, kind, calibration, PRIOR)


def test_members_count_alike_however_many_views_they_have() -> None:
    expected = (softmax(logits(0)).mean(axis=1) + softmax(logits(1, 3)).mean(axis=1)) / 2
    np.testing.assert_allclose(made().mean(two_members()).values, expected, rtol=1e-12)


def test_weights_and_the_geometric_mean() -> None:
    one, two = softmax(logits(0)).mean(axis=1), softmax(logits(1, 3)).mean(axis=1)
    np.testing.assert_allclose(made(one=3.0).mean(two_members()).values, (3 * one + two) / 4, rtol=1e-12)
    product = np.sqrt(one * two)
    expected = product / product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(made("geometric").mean(two_members()).values, expected, rtol=1e-12)


def test_a_member_is_brought_to_its_prior_before_the_mean() -> None:
    bias = np.linspace(-1, 1, 8)
    pipeline = replace(made(), members={"one": MemberRule(1.0, 2.0, bias), "two": MemberRule()})
    expected = (softmax(logits(0) / 2 + bias).mean(axis=1) + softmax(logits(1, 3)).mean(axis=1)) / 2
    np.testing.assert_allclose(pipeline.mean(two_members()).values, expected, rtol=1e-12)


def test_calibration_comes_after_the_mean_and_the_prior_after_that() -> None:
    scaling = Scaling(np.full(8, 1.4), np.linspace(-0.5, 0.5, 8))
    pipeline = made(calibration=scaling)
    prediction = two_members()
    calibrated = pipeline.calibrated(prediction)
    np.testing.assert_array_equal(calibrated.values, scaling.apply(pipeline.mean(prediction)).values)
    target = Prior.uniform(ISIC2019)
    weighted = calibrated.values / PRIOR.values
    expected = weighted / weighted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pipeline.shifted(prediction, target).values, expected, rtol=1e-12)


def test_shifting_to_the_calibration_prior_is_the_identity_bit_for_bit() -> None:
    pipeline, prediction = made(), two_members()
    same = Prior("elsewhere", ISIC2019, PRIOR.values)
    np.testing.assert_array_equal(pipeline.shifted(prediction, same).values, pipeline.calibrated(prediction).values)


def test_one_image_gets_what_it_gets_among_others() -> None:
    pipeline, prediction = made(), two_members()
    alone = replace(prediction, ids=("b",), logits=prediction.logits[1:2])
    np.testing.assert_allclose(
        pipeline.calibrated(alone).values[0], pipeline.calibrated(prediction).values[1], rtol=1e-12
    )


def test_one_member_needs_no_name() -> None:
    pipeline = Pipeline({"only": MemberRule()}, "arithmetic", NOTHING, PRIOR)
    prediction = Prediction(("a", "b", "c"), ISIC2019, logits(0))
    np.testing.assert_allclose(pipeline.mean(prediction).values, softmax(logits(0)).mean(axis=1), rtol=1e-12)


def test_other_members_are_refused() -> None:
    prediction = replace(two_members(), members=("one",) * 2 + ("three",) * 3)
    with pytest.raises(ValueRuleError, match="a prediction of one, three for a pipeline of one, two"):
        made().mean(prediction)
    with pytest.raises(ValueRuleError, match="a pipeline without a member"):
        Pipeline({}, "arithmetic", NOTHING, PRIOR)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight": 0.0}, "a member's weight of 0.0; it must be above 0"),
        ({"temperature": -1.0}, "a member's temperature of -1.0; it must be above 0"),
        ({"bias": np.array([np.nan] * 8)}, "a member's bias is not finite"),
    ],
)
def test_rules_that_are_none(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueRuleError, match=message):
        MemberRule(**fields)  # type: ignore[arg-type]


def test_a_bias_of_another_taxonomy() -> None:
    rule = MemberRule(bias=np.zeros(8))
    few = Prediction(("a",), ISIC2018, np.zeros((1, 1, 7)))
    with pytest.raises(ValueRuleError, match="8 biases for the 7 diagnoses of isic2018"):
        rule.probabilities(few)


def test_what_each_member_says_and_its_first_views() -> None:
    prediction = two_members()
    apart = prediction.by_member()
    assert list(apart) == ["one", "two"]
    np.testing.assert_array_equal(apart["two"].logits, logits(1, 3))
    first = prediction.first_views(1)
    assert first.members == ("one", "two")
    np.testing.assert_array_equal(first.logits[:, 1], logits(1, 3)[:, 0])
    unnamed = Prediction(("a", "b", "c"), ISIC2019, logits(0))
    assert unnamed.first_views(1).logits.shape == (3, 1, 8)
    assert list(unnamed.by_member()) == [""]
    with pytest.raises(ValueRuleError, match="members of 1 views for 2 views"):
        replace(unnamed, members=("one",))
