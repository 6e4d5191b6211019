"""Whole runs: from cases to a bundle that can be loaded."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError, LeakError, TrainingError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import Role, role_of, with_role, write_split
from dermoscope.predict.bundle import Bundle, load
from dermoscope.predict.manifest import Member
from dermoscope.predict.predictor import Predictor
from dermoscope.train.batches import plain
from dermoscope.train.checkpoint import kept_weights
from dermoscope.train.pictures import cached
from dermoscope.train.probe import fit_probe
from dermoscope.train.recipes import DEFAULT, Recipe
from dermoscope.train.run import Job, decoded, divide, train
from dermoscope.train.runs import read_run


def lesion(role: Role, number: int = 0) -> str:
    """The id of a lesion that has this role."""
    return next(f"L{k}" for k in range(number * 1000, 10**6) if role_of(f"L{k}") == role)


def case(image: str, role: Role, diagnosis: str | None = "MEL", **fields: object) -> Case:
    known = {"path": Path(f"{image}.jpg"), "lesion_id": lesion(role)} | fields
    return Case(image, diagnosis=diagnosis, **known)  # type: ignore[arg-type]


FOUR = tuple(case(role, role) for role in ("training", "validation", "calibration", "test"))


def cases(*more: Case) -> CaseSet:
    return CaseSet((*FOUR, *more), ISIC2019)


def test_cases_are_divided_by_role() -> None:
    parts = divide(cases())
    assert parts.fitted.ids == ("training",)
    assert parts.watched.ids == ("validation",)
    assert parts.calibration.ids == ("calibration",)


def test_for_shipping_the_validation_role_is_trained_on_and_no_longer_watched() -> None:
    parts = divide(cases(), ("training", "validation"))
    assert parts.fitted.ids == ("training", "validation")
    assert len(parts.watched) == 0


@pytest.mark.parametrize("role", ["calibration", "test"])
def test_calibration_and_test_are_never_trained_on(role: Role) -> None:
    with pytest.raises(InputError, match="only the roles training and validation may be trained on"):
        divide(cases(), ("training", role))


def test_cases_without_diagnosis_or_file_are_left_out() -> None:
    parts = divide(cases(case("bare", "training", None), case("lost", "training", path=None)))
    assert parts.fitted.ids == ("training",)


def test_one_picture_of_each_lesion_is_watched_and_calibrated_on() -> None:
    sharp = case("sharp", "calibration", copies=(Path("sharp-small.jpg"),))
    parts = divide(cases(sharp, case("second", "training")))
    assert parts.calibration.ids == ("sharp",)
    assert parts.fitted.ids == ("training", "second")


@pytest.mark.parametrize("other", ["validation", "calibration", "test"])
def test_a_patient_on_both_sides_is_refused(other: Role) -> None:
    torn = (
        case("here", "training", patient_id="P1", lesion_id=lesion("training", 2)),
        case("there", other, patient_id="P1", lesion_id=lesion(other, 2)),
    )
    with pytest.raises(LeakError, match=r"share 1 patient\(s\): P1"):
        divide(cases(*torn))


def test_parts_that_are_needed() -> None:
    with pytest.raises(InputError, match="no case with a diagnosis and an image file has the role training; give more"):
        divide(CaseSet(FOUR[1:], ISIC2019))
    with pytest.raises(InputError, match="image file has the role calibration; give more lesions"):
        divide(CaseSet((FOUR[0], FOUR[1]), ISIC2019))
    benign = replace(FOUR[2], diagnosis="NV")
    with pytest.raises(InputError, match="no malignant or premalignant case has the role calibration"):
        divide(CaseSet((FOUR[0], benign), ISIC2019))


def test_quick_leaves_a_bundle_that_can_be_loaded(run_folder: Path, synthetic: Path, quick_recipe: Recipe) -> None:
    bundle = load(run_folder / "chosen")
    given = read_cases(synthetic)
    fitted, held = with_role(given, "training"), with_role(given, "calibration").one_per_lesion()
    manifest = bundle.manifest
    assert bundle.taxonomy == ISIC2019
    assert manifest.training_counts == tuple(fitted.counts().values())
    expected = np.maximum(list(held.counts().values()), 1)  # no share may be 0
    np.testing.assert_allclose(manifest.calibration_prior, expected / expected.sum())
    assert manifest.default_prior == "uniform"
    assert len(manifest.views) == 4
    (use,) = bundle.card.data
    assert (use.name, use.roles, use.images) == ("synthetic lesions", ("training",), len(fitted))
    assert use.lesions == len(set(fitted.groups))
    assert bundle.card.recipe["backbone"] == quick_recipe.backbone
    assert not list(run_folder.glob("bundle"))


def test_the_threshold_refers_what_it_was_chosen_for(bundle: Bundle, predictor: Predictor, synthetic: Path) -> None:
    held = with_role(read_cases(synthetic), "calibration").one_per_lesion()
    results, _ = predictor.classify([str(c.path) for c in held], prior="calibration")
    codes = bundle.decision.codes
    assert codes == ("MEL", "BCC", "AK", "SCC")
    concern = [sum(r.probabilities[c] for c in codes) for r in results]
    malignant = np.array([c.diagnosis in codes for c in held])
    reached = np.array(concern) >= bundle.decision.lowest - 1e-6
    assert reached[malignant].mean() >= bundle.decision.sensitivity


def test_the_calibration_lowers_the_log_loss(bundle: Bundle, predictor: Predictor, synthetic: Path) -> None:
    held = with_role(read_cases(synthetic), "calibration").one_per_lesion()
    prediction = predictor.predict(held)
    rows = np.arange(len(held))
    before = -np.log(prediction.probabilities().values[rows, held.labels]).mean()
    after = -np.log(predictor.refine(prediction, "calibration").values[rows, held.labels]).mean()
    assert after < before
    assert set(bundle.manifest.calibration["scale"]) != {1.0}


def test_strangeness_is_ranked_on_the_calibration_role(bundle: Bundle, predictor: Predictor, synthetic: Path) -> None:
    assert bundle.ood is not None
    held = with_role(read_cases(synthetic), "calibration").one_per_lesion()
    embedding = predictor.predict(held).embedding
    assert embedding is not None
    ranks = bundle.ood.rank(embedding)
    assert ranks.min() == pytest.approx(0, abs=1e-3)
    assert ranks.max() == pytest.approx(1, abs=1e-3)


def test_features_are_cached_by_the_content_of_the_pictures(
    synthetic: Path, quick_recipe: Recipe, tmp_path: Path
) -> None:
    few = read_cases(synthetic).where(lambda c: c.diagnosis in ("MEL", "NV"))
    short = replace(quick_recipe, phases=((1, 64),), rate=1e-3)
    told: list[str] = []
    data = decoded(few, 64, tmp_path)

    def run(recipe: Recipe) -> None:
        told.clear()
        fit_probe(recipe, data, tmp_path, lambda phase, _, __: told.append(phase))

    run(short)
    assert "features" in told
    run(short)
    assert "features" not in told
    run(replace(short, seed=1))  # other random weights have other features
    assert "features" in told
    data = replace(data, pictures=replace(data.pictures, key="other content"))
    run(short)
    assert "features" in told


def test_a_head_that_learns_no_numbers(synthetic: Path, quick_recipe: Recipe, tmp_path: Path) -> None:
    data = decoded(read_cases(synthetic).where(lambda c: c.diagnosis in ("MEL", "NV")), 64, tmp_path)
    with pytest.raises(
        TrainingError, match=r"the loss became (nan|inf) in epoch \d+; lower the rate \(--set rate=\.\.\.\)"
    ):
        fit_probe(replace(quick_recipe, rate=1e38), data, tmp_path)


def test_the_cache_is_that_of_the_cases(synthetic: Path, tmp_path: Path) -> None:
    few = read_cases(synthetic).where(lambda c: c.diagnosis == "DF")
    data = decoded(few, 64, tmp_path)
    again = cached([c.path for c in few if c.path], 64, tmp_path)
    assert again.key == data.pictures.key
    assert data.first.tolist() == list(range(len(few)))


def test_a_fine_tuned_run_and_its_continuation_for_shipping(synthetic: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    given = read_cases(synthetic)
    recipe = DEFAULT.with_settings(
        {"backbone": "test_efficientnet", "pretrained": "false", "size": "64", "batch": "16", "views": "2"}
        | {"head": "1x32", "phases": "1x32", "average": "1x32", "ship": "1x64"}
    )
    shipped = train(Job(recipe, given, tmp_path, tmp_path / "cache", ship=True))
    chosen = load(tmp_path / "chosen")
    assert load(tmp_path / "bundle").sha256 == shipped.sha256 != chosen.sha256
    assert chosen.card.data[0].roles == ("training",)
    assert shipped.card.data[0].roles == ("training", "validation")
    assert shipped.card.data[0].images == len(with_role(given, "training", "validation"))
    watched = [json.loads(line) for line in (tmp_path / "chosen-run/log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in watched] == ["head", "all layers", "averaging"]
    assert all("balanced_accuracy" in line for line in watched)
    blind = [json.loads(line) for line in (tmp_path / "ship-run/log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in blind] == ["for shipping"]
    assert "balanced_accuracy" not in blind[0]  # validation is trained on, so there is nothing to watch
    with pytest.raises(TrainingError, match="belongs to another recipe"):
        train(Job(replace(recipe, rate=0.002), given, tmp_path, tmp_path / "cache"))


def test_a_run_goes_on_from_another(synthetic: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    given = read_cases(synthetic)
    recipe = DEFAULT.with_settings(
        {"backbone": "test_efficientnet", "pretrained": "false", "size": "64", "batch": "16", "views": "1", "ema": "0"}
        | {"head": "1x32", "phases": "1x32", "average": "", "ship": ""}
    )
    first, second = tmp_path / "first", tmp_path / "second"
    begun = train(Job(recipe, given, first, tmp_path / "cache"))
    # at a rate of almost nothing the network stays what it was
    still = replace(recipe, head=(), rate=1e-12, weight_decay=0.0)
    train(Job(still, given, second, tmp_path / "cache", start=first))
    then, now = (kept_weights(folder / "chosen-run") for folder in (first, second))
    torch.testing.assert_close(now["network.classifier.weight"], then["network.classifier.weight"])
    assert read_run(second).data["start"] == begun.sha256
    with pytest.raises(TrainingError, match="start"):
        train(Job(still, given, second, tmp_path / "cache"))
    with pytest.raises(InputError, match="takes a finished fine-tuned run of resnet18"):
        train(Job(replace(still, backbone="resnet18"), given, tmp_path / "third", tmp_path / "cache", start=first))
    # what the first learnt from may be what another split calibrates or tests on
    split = write_split(tmp_path / "split.csv", {c.image_id: (c.group, role_of(c.group)) for c in given})
    with pytest.raises(InputError, match="was trained on another split"):
        train(Job(still, given, tmp_path / "fourth", tmp_path / "cache", start=first, split=split))


def test_a_bundle_prepares_pictures_as_its_training_did(synthetic: Path, quick_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(quick_recipe, preprocessing=("shave=20", "shades_of_grey"))
    given = read_cases(synthetic)
    made = train(Job(recipe, given, tmp_path / "run", tmp_path / "cache"))
    assert [step["name"] for step in made.members[0].preprocessing] == ["shave", "shades_of_grey"]
    cases = with_role(given, "validation")
    prediction = Predictor.load(made).predict(cases, views=1)
    # the same pictures from the cache of the training, prepared there, through the same graph
    data = decoded(cases, recipe.size, tmp_path / "cache", steps=recipe.steps)
    squares = plain(data.pictures, data.first, recipe.size)
    logits, _ = Predictor.load(made).sessions[0].run(squares, ("logits", "embedding"))
    assert logits is not None
    np.testing.assert_allclose(prediction.logits[:, 0], logits, atol=0.3)
    bare = replace(made, manifest=made.manifest.model_copy(update={"members": (_without_steps(made),)}))
    other = Predictor.load(bare).predict(cases, views=1)
    assert np.abs(other.logits[:, 0] - logits).max() > 3 * np.abs(prediction.logits[:, 0] - logits).max()


def _without_steps(bundle: Bundle) -> Member:
    return bundle.members[0].model_copy(update={"preprocessing": ()})
