"""Ensembles: made of bundles, weighted on validation, calibrated after the mean, and served like any bundle."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermoscope.core.errors import BundleError, InputError, ValueRuleError
from dermoscope.core.prediction import Prediction
from dermoscope.core.taxonomy import ISIC2018, ISIC2019_TO_ISIC2018
from dermoscope.data.images import read_image
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import with_role
from dermoscope.predict.bundle import Bundle, load, save
from dermoscope.predict.ensembling import assembled
from dermoscope.predict.fitting import fitted
from dermoscope.predict.predictor import Predictor
from dermoscope.studies.assembly import Wish, assemble, named_bundles, named_weights
from dermoscope.train.recipes import Recipe
from dermoscope.train.run import Job, train


@pytest.fixture(scope="module")
def second(synthetic: Path, quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Another network, smaller and with other draws."""
    recipe = replace(quick_recipe, seed=5, size=48, phases=((40, 48),))
    out = tmp_path_factory.mktemp("second")
    return train(Job(recipe, read_cases(synthetic), out, tmp_path_factory.mktemp("cache"), data_use={"name": "drawn"}))


@pytest.fixture(scope="module")
def both(bundle: Bundle, second: Bundle, synthetic: Path) -> Any:
    return assemble({"one": bundle, "two": second}, read_cases(synthetic), Wish("pair"))


def test_what_was_assembled_is_an_ordinary_bundle(both: Any, tmp_path: Path, images: list[Path]) -> None:
    save(both.bundle, tmp_path / "pair")
    found = load(tmp_path / "pair")
    assert [m.name for m in found.members] == ["one", "two"]
    assert [m.size for m in found.members] == [64, 48]
    assert sorted(p.name for p in (tmp_path / "pair").glob("*.onnx")) == ["one.onnx", "two.onnx"]
    assert found.manifest.served
    assert found.card.recipe.keys() == {"one", "two"}
    (alone,), _ = Predictor.load(found).classify([images[0]])
    among = Predictor.load(found).classify(images[:3])[0][0]
    assert sum(alone.probabilities.values()) == pytest.approx(1)
    assert alone.probabilities == pytest.approx(among.probabilities, abs=1e-6)


def test_the_mean_is_that_of_the_calibrated_members(
    both: Any, bundle: Bundle, second: Bundle, images: list[Path]
) -> None:
    pixels = [read_image(path).pixels for path in images[:4]]
    prediction = Predictor.load(both.bundle).predict(pixels, views=1)
    assert prediction.members == ("one", "two")
    mean = both.bundle.pipeline.mean(prediction).values
    # of one view, a temperature and biases give the same before the softmax as after it
    parts = [Predictor.load(b) for b in (bundle, second)]
    expected = np.mean([p.refine(p.predict(pixels, views=1), "calibration").values for p in parts], axis=0)
    np.testing.assert_allclose(mean, expected, atol=1e-5)


def test_calibration_is_fitted_after_the_mean(both: Any, synthetic: Path) -> None:
    held = with_role(read_cases(synthetic), "calibration").one_per_lesion()
    prediction = Predictor.load(both.bundle).predict(held)
    rows = np.arange(len(held))
    before = both.bundle.pipeline.mean(prediction).values[rows, held.labels]
    after = both.bundle.pipeline.calibrated(prediction).values[rows, held.labels]
    assert np.log(after).mean() > np.log(before).mean()


def test_what_is_none_of_the_diagnoses_is_not_usual(bundle: Bundle, synthetic: Path) -> None:
    given = read_cases(synthetic)
    held, training = (with_role(given, role).one_per_lesion() for role in ("calibration", "training"))
    half = [replace(c, diagnosis=None) if k % 2 else c for k, c in enumerate(training)]
    mixed, known = (replace(training, cases=tuple(cases)) for cases in (half, half[::2]))
    with_unknown, without = (fitted(bundle, held, cases).arrays for cases in (mixed, known))
    np.testing.assert_allclose(with_unknown["ood_means"], without["ood_means"])


def test_growth_and_gains_are_paired_on_validation(both: Any) -> None:
    assert [s.members for s in both.alone] == [("one",), ("two",)]
    assert [s.members for s in both.growth] == [("one", "two")]
    whole = both.growth[-1].figures
    assert "isic2018:balanced_accuracy" in whole
    assert len(both.gains) == 2 * len(whole)
    for gain in both.gains:
        alone = next(s.figures for s in both.alone if s.members == (gain.member,))
        assert gain.estimate.value == pytest.approx(whole[gain.metric].value - alone[gain.metric].value)
        assert gain.estimate.method == "paired bootstrap"
        assert 0 < gain.p_holm <= 1


@pytest.mark.parametrize("weights", ["fitted", "greedy"])
def test_weights_from_validation(bundle: Bundle, second: Bundle, synthetic: Path, weights: str) -> None:
    made = assemble({"one": bundle, "two": second}, read_cases(synthetic), Wish("pair", weights, "geometric"))
    assert sum(made.weights.values()) == pytest.approx(1)
    assert {m.name: m.weight for m in made.bundle.members} == pytest.approx(made.weights)
    assert made.bundle.manifest.mean == "geometric"
    assert made.chosen_here
    assert made.as_dict()["weights_fitted_here"]


def test_a_bundle_that_is_never_picked_is_left_out(bundle: Bundle, second: Bundle, synthetic: Path) -> None:
    # it takes every diagnosis for the one before it in the list
    member = bundle.members[0].model_copy(update={"merge": (1, 2, 3, 4, 5, 6, 7, 0)})
    wrong = bundle.manifest.model_copy(update={"members": (member,)})
    made = assemble(
        {"bad": replace(bundle, manifest=wrong), "good": second}, read_cases(synthetic), Wish("one", "greedy")
    )
    assert made.weights == {"good": 1.0}
    assert [m.name for m in made.bundle.members] == ["good"]
    assert [s.members for s in made.growth] == [("good",)]


def test_weights_are_fitted_to_what_enters_the_mean(bundle: Bundle, second: Bundle, synthetic: Path) -> None:
    held = read_cases(synthetic)
    # how a bundle is shown says nothing of how it enters: its default prior must not move the weights
    shifted = {
        name: replace(b, manifest=b.manifest.model_copy(update={"default_prior": prior}))
        for name, b, prior in (("one", bundle, "training"), ("two", second, "uniform"))
    }
    plain = assemble({"one": bundle, "two": second}, held, Wish("pair", "fitted"))
    assert assemble(shifted, held, Wish("pair", "fitted")).weights == pytest.approx(plain.weights)


def test_a_model_counts_once_unless_a_weight_says_so(bundle: Bundle, second: Bundle) -> None:
    with pytest.raises(ValueRuleError, match="are the same member; a member counts once"):
        assembled({"a": bundle, "b": bundle}, name="twice")
    found = assembled({"a": bundle, "b": bundle, "c": second}, name="twice", weights={"a": 1, "b": 1, "c": 2})
    assert [m.weight for m in found.members] == [0.25, 0.25, 0.5]
    nested = assembled({"pair": found, "again": second}, name="nested", weights={"pair": 1, "again": 1})
    assert [m.name for m in nested.members] == ["pair-a", "pair-b", "pair-c", "again"]
    assert sum(m.weight for m in nested.members) == pytest.approx(1)
    with pytest.raises(ValueRuleError, match="are the same member"):
        assembled({"pair": assembled({"a": bundle, "c": second}, name="pair"), "a": bundle}, name="hidden")


def test_other_weights_and_means_are_refused(bundle: Bundle, second: Bundle) -> None:
    held = {"a": bundle, "b": second}
    with pytest.raises(ValueRuleError, match="a weight of 0 for b; leave it out"):
        assembled(held, name="x", weights={"a": 1, "b": 0})
    with pytest.raises(ValueRuleError, match="weights of a for the bundles a, b"):
        assembled(held, name="x", weights={"a": 1})
    with pytest.raises(ValueRuleError, match="no mean is called 'median'"):
        assembled(held, name="x", kind="median")


def in_seven(bundle: Bundle) -> Bundle:
    """The bundle as one over ISIC 2018: its network projected."""
    return assembled({"seven": bundle}, name="seven", onto=ISIC2019_TO_ISIC2018)


def test_taxonomies_are_projected_or_refused(bundle: Bundle, second: Bundle, images: list[Path]) -> None:
    seven = in_seven(second)
    with pytest.raises(ValueRuleError, match=r"b is over isic2018, the ensemble over isic2019; name a projection"):
        assembled({"a": bundle, "b": seven}, name="mixed")
    made = assembled({"a": bundle, "b": seven}, name="mixed", onto=ISIC2019_TO_ISIC2018)
    assert made.taxonomy.codes == ISIC2018.codes
    # as arrays: a file is decoded for the largest member, so that a smaller one sees another picture alone
    held = [read_image(path).pixels for path in images[:8]]
    said = made.pipeline.of_members(Predictor.load(made).predict(held, views=1))
    parts = [Predictor.load(b) for b in (bundle, second)]
    # calibrated over its own eight diagnoses, then projected
    a, b = (p.refine(p.predict(held, views=1), "calibration").merged(ISIC2019_TO_ISIC2018) for p in parts)
    np.testing.assert_allclose(said["a"].values, a.values, atol=1e-5)
    np.testing.assert_allclose(said["b"].values, b.values, atol=1e-5)


def test_members_meet_under_one_prior(bundle: Bundle, second: Bundle, images: list[Path]) -> None:
    counts = np.array([5, 50, 10, 5, 10, 5, 5, 10])
    elsewhere = second.manifest.model_copy(update={"calibration_prior": tuple((counts / counts.sum()).tolist())})
    other = replace(second, manifest=elsewhere)
    pair = assembled({"a": bundle, "b": other}, name="pair")
    pixels = [read_image(path).pixels for path in images[:4]]
    said = pair.pipeline.of_members(Predictor.load(pair).predict(pixels, views=1))["b"]
    part = Predictor.load(other)
    expected = part.refine(part.predict(pixels, views=1), bundle.prior("calibration"))
    np.testing.assert_allclose(said.values, expected.values, atol=1e-5)
    nobody = replace(other, manifest=elsewhere.model_copy(update={"served": False}))
    raw = assembled({"b": nobody, "a": bundle}, name="pair").members[0]
    np.testing.assert_allclose(raw.bias, second.pipeline.calibration.bias, atol=1e-12)  # type: ignore[union-attr]


def test_two_members_of_one_name_are_refused(bundle: Bundle, second: Bundle) -> None:
    pair = assembled({"a": bundle, "b": second}, name="pair")
    with pytest.raises(ValueRuleError, match="two members would be called x-a; give a bundle another name"):
        assembled({"x": pair, "x-a": bundle}, name="hidden", weights={"x": 1, "x-a": 1})


def test_what_is_not_calibrated_here_gives_no_answers(bundle: Bundle, second: Bundle, images: list[Path]) -> None:
    raw = assembled({"a": bundle, "b": second}, name="raw")
    assert isinstance(Predictor.load(raw).predict(images[:1]), Prediction)
    with pytest.raises(BundleError, match="bundle 'raw' has not been calibrated here"):
        Predictor.load(raw).classify(images[:1])


def test_members_that_learnt_from_validation_give_no_figures_and_no_weights(
    bundle: Bundle, second: Bundle, synthetic: Path
) -> None:
    use = bundle.card.data[0].model_copy(update={"roles": ("training", "validation")})
    shipped = replace(bundle, card=bundle.card.model_copy(update={"data": (use,)}))
    made = assemble({"one": shipped, "two": second}, read_cases(synthetic))
    assert (made.alone, made.growth, made.gains) == ((), (), ())
    with pytest.raises(InputError, match="one learnt from the validation role, which weights are fitted on"):
        assemble({"one": shipped, "two": second}, read_cases(synthetic), Wish(weights="fitted"))


def test_names_and_weights_from_the_command_line(bundle_folder: Path, tmp_path: Path, bundle: Bundle) -> None:
    save(bundle, tmp_path / "lite 0" / "chosen")
    save(bundle, tmp_path / "other")
    found = named_bundles([str(tmp_path / "lite 0" / "chosen"), str(tmp_path / "other"), str(tmp_path / "other")])
    assert list(found) == ["lite-0", "other", "other-2"]
    assert named_weights("2,1,1", list(found)) == {"lite-0": 2, "other": 1, "other-2": 1}
    with pytest.raises(InputError, match="an ensemble takes two bundles or more"):
        named_bundles([str(bundle_folder)])
    with pytest.raises(InputError, match="2 weights for 3 bundles; give one for each"):
        named_weights("2,1", list(found))
    with pytest.raises(InputError, match="no weights are called 'best'"):
        named_weights("best", list(found))


def test_the_command(
    dermoscope: Callable[..., Any], bundle: Bundle, second: Bundle, synthetic: Path, tmp_path: Path
) -> None:
    for name, one in (("first", bundle), ("second", second)):
        save(one, tmp_path / name)
    arguments = ("ensemble", tmp_path / "first", tmp_path / "second", "--data", synthetic, "--out", tmp_path / "pair")
    said = dermoscope(*arguments, "--views", 2, "--json")
    assert said.code == 0, said.err
    assert len(load(tmp_path / "pair").manifest.views) == 2
    told = json.loads(said.out)
    assert told["sha256"] == load(tmp_path / "pair").sha256
    assert told["weights"] == {"first": 0.5, "second": 0.5}
    shown = dermoscope(*arguments)
    assert shown.code == 0
    for part in ("first + second", "all together minus", "p (Holm)", "next: dermoscope classify"):
        assert part in shown.out
    refused = dermoscope(
        "ensemble", tmp_path / "first", tmp_path / "first", "--out", tmp_path / "x", "--data", synthetic
    )
    assert refused.code == 2
    assert "a member counts once" in refused.err
    assert not (tmp_path / "x").exists()
