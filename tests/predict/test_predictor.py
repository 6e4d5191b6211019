"""Images -> predictions, probabilities, answers."""

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import BundleError, ImageError, InputError, ValueRuleError
from dermoscope.core.prediction import CAUSES, Prediction
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.data.images import read_image
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.predictor import SQUARES, Predictor
from dermoscope.predict.quality import FIGURES
from dermoscope.refine.prior import shift_prior

FIELDS = ["image", "probabilities", "prior", "ood", "quality", "warnings", "answer", "reasons"]


@pytest.fixture
def broken(tmp_path: Path, images: list[Path]) -> Path:
    path = tmp_path / "broken.jpg"
    path.write_bytes(images[0].read_bytes()[:500])
    return path


def test_path_string_bytes_and_array_are_one_image(predictor: Predictor, images: list[Path]) -> None:
    path = images[0]
    # the array is what the decoder makes of the file at the size that the model asks for
    pixels = read_image(path, at_least=predictor.bundle.manifest.size).pixels
    found = predictor.predict([path, str(path), path.read_bytes(), pixels], names=["a", "b", "c", "d"])
    assert found.ids == ("a", "b", "c", "d")
    for row in range(1, 4):
        np.testing.assert_allclose(found.logits[row], found.logits[0], atol=1e-5)
    assert predictor.predict([path]).ids == (path.stem,)
    assert predictor.predict([pixels, path.read_bytes()]).ids == ("image-1", "image-2")


def test_neither_order_nor_company_changes_an_answer(predictor: Predictor, images: list[Path]) -> None:
    several = images[: SQUARES // 4 * 2 + 3]
    assert len(several) * len(predictor.views()) > 2 * SQUARES  # three batches, the last one short
    together = predictor.predict(several)
    backwards = predictor.predict(several[::-1])
    assert backwards.ids == together.ids[::-1]
    np.testing.assert_allclose(backwards.logits[::-1], together.logits, atol=1e-5)
    for row in (0, len(several) - 1):
        alone = predictor.predict([several[row]])
        np.testing.assert_allclose(alone.logits[0], together.logits[row], atol=1e-5)
        assert alone.embedding is not None
        assert together.embedding is not None
        np.testing.assert_allclose(alone.embedding[0], together.embedding[row], atol=1e-4)
    # and the images are told apart far beyond that
    apart = np.abs(together.logits[:, None] - together.logits[None]).max(axis=(2, 3))
    assert np.median(apart[np.triu_indices(len(several), 1)]) > 0.1


def test_eight_threads_get_what_one_gets(predictor: Predictor, images: list[Path]) -> None:
    expected = predictor.predict(images[:6]).logits
    start = threading.Barrier(8)

    def one(k: int) -> np.ndarray:
        start.wait()
        chosen = images[:6] if k % 2 else images[:6][::-1]
        logits = predictor.predict(chosen).logits
        return logits if k % 2 else logits[::-1]

    with ThreadPoolExecutor(8) as pool:
        for logits in pool.map(one, range(8)):
            np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_views_are_averaged_after_the_softmax(predictor: Predictor, images: list[Path]) -> None:
    found = predictor.predict(images[:2], views=3)
    assert found.logits.shape == (2, 3, 8)
    z = found.logits.astype(float)
    mean = Probabilities(found.ids, ISIC2019, (np.exp(z) / np.exp(z).sum(axis=2, keepdims=True)).mean(axis=1))
    expected = predictor.bundle.pipeline.calibration.apply(mean).values
    np.testing.assert_allclose(predictor.refine(found, "calibration").values, expected, rtol=1e-6)
    assert predictor.predict(images[:1]).logits.shape[1] == 4  # the bundle's own number
    with pytest.raises(InputError, match="99 views per image: give 1 to 16"):
        predictor.predict(images[:1], views=99)


def test_a_turned_picture_gets_the_same_answer_from_all_turns(predictor: Predictor, images: list[Path]) -> None:
    pixels = read_image(images[3]).pixels[:96, :96]
    turned = [np.ascontiguousarray(np.rot90(pixels, k)) for k in range(4)]
    found = predictor.refine(predictor.predict(turned, views=8), "calibration").values
    for row in range(1, 4):
        np.testing.assert_allclose(found[row], found[0], atol=1e-5)


def test_a_prior_shifts_from_the_calibration_prior(predictor: Predictor, images: list[Path]) -> None:
    prediction = predictor.predict(images[:3])
    plain = predictor.refine(prediction, "calibration")
    for name in ("uniform", "training"):
        expected = shift_prior(plain, predictor.bundle.prior("calibration"), predictor.bundle.prior(name))
        np.testing.assert_allclose(predictor.refine(prediction, name).values, expected.values)
    np.testing.assert_array_equal(predictor.refine(prediction).values, predictor.refine(prediction, "uniform").values)
    # a prior from elsewhere is applied even where it is called like that of the bundle
    own = Prior("calibration", ISIC2019, np.array([0.3, *[0.1] * 7]))
    assert (predictor.refine(prediction, own).values != plain.values).any()
    with pytest.raises(BundleError, match="knows no prior 'vienna'"):
        predictor.refine(prediction, "vienna")
    with pytest.raises(ValueRuleError, match="cannot shift isic2019 from a prior over isic2019 to one over isic2018"):
        predictor.refine(prediction, Prior.uniform(ISIC2018))


def test_failures_are_listed_and_the_rest_is_done(predictor: Predictor, images: list[Path], broken: Path) -> None:
    mixed = [images[0], broken, images[1], Path("absent.jpg"), b"junk"]
    steps: list[tuple[int, int]] = []
    results, failures = predictor.classify(mixed, progress=lambda done, total: steps.append((done, total)))
    assert [r.image for r in results] == [images[0].stem, images[1].stem]
    assert [name for name, _ in failures] == ["broken", "absent", "image-5"]
    assert failures[0][1].startswith(str(broken))
    assert failures[1][1] == "absent.jpg: no such file; check the path"
    assert failures[2][1].startswith("image-5: ")
    assert steps[-1] == (5, 5)
    alone, _ = predictor.classify([images[1]])
    assert alone[0].probabilities == pytest.approx(results[1].probabilities, abs=1e-5)


def test_predict_stops_at_the_first_image_that_cannot_be_read(
    predictor: Predictor, images: list[Path], broken: Path
) -> None:
    done: list[int] = []
    with pytest.raises(ImageError, match=str(broken)):
        predictor.predict([broken, *images[:60]], progress=lambda n, _: done.append(n))
    assert done == []


def test_nothing_readable_is_no_result(predictor: Predictor, broken: Path) -> None:
    results, failures = predictor.classify([broken])
    assert results == []
    assert len(failures) == 1
    assert predictor.classify([]) == ([], [])
    assert len(predictor.predict([])) == 0


def test_the_fields_of_a_result(predictor: Predictor, images: list[Path]) -> None:
    (result,), _ = predictor.classify([images[0]], names=["mine"], prior="training")
    told = json.loads(json.dumps(result.as_dict()))
    assert list(told) == FIELDS
    assert told["image"] == "mine"
    assert list(told["probabilities"]) == list(ISIC2019.codes)
    assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-12)
    assert told["prior"] == "training"
    assert 0 <= told["ood"] <= 1
    assert list(told["quality"]) == list(FIGURES)
    assert (told["quality"]["width"], told["quality"]["height"]) == (144.0, 108.0)
    assert told["answer"] in ("refer", "low_concern", "cannot_assess")
    assert told["reasons"]


def test_what_a_record_needs_is_in_a_result(predictor: Predictor, images: list[Path]) -> None:
    prediction = predictor.predict(images[:3])
    for row, result in enumerate(predictor.results(prediction, "uniform")):
        assert result.calibrated == dict(
            zip(ISIC2019.codes, predictor.refine(prediction, "calibration").values[row], strict=True)
        )
        assert result.answer.cause in CAUSES


def test_a_site_and_an_intake_decide_with(predictor: Predictor, images: list[Path]) -> None:
    prediction = predictor.predict(images)
    home = predictor.results(prediction, "calibration")
    values = predictor.prior("calibration").values * np.array([1e6, 1, 1, 1, 1, 1, 1, 1])
    many = predictor.results(prediction, "calibration", site=Prior("many", ISIC2019, values / values.sum()))
    kinds = [(a.answer.kind, b.answer.kind) for a, b in zip(home, many, strict=True)]
    assert {b for a, b in kinds if a != "cannot_assess"} == {"refer"}
    assert {b for a, b in kinds if a == "cannot_assess"} <= {"cannot_assess"}
    assert [a.probabilities for a in home] == [b.probabilities for b in many]
    flagged = predictor.results(prediction, intake=[("nail",)] * len(prediction))
    assert {(r.answer.kind, r.answer.cause) for r in flagged} == {("cannot_assess", "intake.nail")}
    (same,), _ = predictor.classify([images[0]], prior="calibration", site=predictor.prior("calibration"))
    assert same.answer.kind == home[0].answer.kind


def test_small_and_unusual_images_carry_warnings(predictor: Predictor) -> None:
    (tiny,), _ = predictor.classify([np.full((50, 60, 3), 128, np.uint8)])
    assert tiny.warnings[0] == "the shorter side has 50 px; the model reads 64 px, so detail is missing"
    assert tiny.answer.kind == "cannot_assess"
    (strange,), _ = predictor.classify([np.full((200, 200, 3), (255, 0, 255), np.uint8)])
    assert strange.ood == 1
    assert "the image is more unusual than 99 % of the images that the model was calibrated on" in strange.warnings
    assert strange.answer.reasons[-1:] == (
        "the image is unlike every dermoscopic image that the model was calibrated on",
    )


@pytest.mark.parametrize("shape", [(16, 16), (16, 3000), (3000, 17), (40_000, 20), (129, 64)])
def test_images_of_any_shape(shape: tuple[int, int], predictor: Predictor, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    (result,), failures = predictor.classify([tmp_path / "odd.png"], views=16)
    assert failures == []
    assert (result.quality["width"], result.quality["height"]) == (shape[1], shape[0])
    assert all(0 <= result.quality[name] <= 1 for name in FIGURES[2:])
    assert sum(result.probabilities.values()) == pytest.approx(1)


def test_case_sets_are_read_from_their_preferred_copies(predictor: Predictor, images: list[Path]) -> None:
    cases = CaseSet((Case("one", images[0], copies=(images[1],)), Case("two", images[2])), ISIC2019)
    found = predictor.predict(cases)
    assert found.ids == ("one", "two")
    np.testing.assert_allclose(found.logits, predictor.predict([images[0], images[2]]).logits, atol=1e-5)
    with pytest.raises(InputError, match="cases without an image file: bare; leave them out or give their paths"):
        predictor.predict(CaseSet((Case("bare"),), ISIC2019))


def test_names(predictor: Predictor, images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 names for 2 images; give one for each"):
        predictor.predict(images[:2], names=["one"])
    with pytest.raises(ValueRuleError, match="told apart by name, and these stand more than once: same"):
        predictor.predict(images[:2], names=["same", "same"])
    with pytest.raises(ValueRuleError, match=f"more than once: {images[0].stem}"):
        predictor.classify([images[0], tmp_path / images[0].name])


def test_one_image_instead_of_a_list(predictor: Predictor, images: list[Path]) -> None:
    pixels = read_image(images[0]).pixels
    for one in (images[0], str(images[0]), images[0].read_bytes(), pixels):
        with pytest.raises(InputError, match=r"one image \(\w+\) where a list of images is needed; put it into a list"):
            predictor.predict(one)  # type: ignore[arg-type]
    assert predictor.predict(np.stack([pixels, pixels])).ids == ("image-1", "image-2")  # type: ignore[arg-type]


def test_a_bundle_without_embedding_says_nothing_of_strangeness(bundle: Bundle, images: list[Path]) -> None:
    bare = replace(bundle, arrays={k: v for k, v in bundle.arrays.items() if not k.startswith("ood")})
    (result,), _ = Predictor.load(bare).classify([images[0]])
    assert result.ood is None


def test_predictions_from_elsewhere_can_be_answered(predictor: Predictor) -> None:
    results = predictor.results(Prediction(("a",), ISIC2019, np.zeros((1, 1, 8))))
    assert results[0].quality == {}
    assert results[0].ood is None
    assert results[0].warnings == ()


def test_a_graph_of_other_diagnoses_is_refused(bundle: Bundle, images: list[Path]) -> None:
    few = bundle.manifest.model_copy(update={"diagnoses": bundle.manifest.diagnoses[:7]})
    with pytest.raises(ValueRuleError, match="do not fit 1 ids x 7"):
        Predictor.load(replace(bundle, manifest=few)).predict([images[0]])


def test_a_bundle_that_its_graph_does_not_fit_is_refused(bundle: Bundle, images: list[Path]) -> None:
    def changed(**fields: object) -> Predictor:
        member = bundle.members[0].model_copy(update=fields)
        return Predictor.load(replace(bundle, manifest=bundle.manifest.model_copy(update={"members": (member,)})))

    with pytest.raises(BundleError, match=r"quick gives 8 diagnoses and bundle\.json projects 9; install or"):
        changed(merge=(*range(8), 7)).predict([images[0]])
    with pytest.raises(
        BundleError, match=r"the model reads pictures of \[64, 64, 3\], bundle\.json says \[48, 48, 3\]"
    ):
        changed(size=48).predict([images[0]])


def test_loading_by_path_or_value(bundle: Bundle, bundle_folder: Path, images: list[Path]) -> None:
    made = [Predictor.load(bundle_folder, threads=1), Predictor.load(str(bundle_folder)), Predictor.load(bundle)]
    found = [p.predict([images[0]]).logits for p in made]
    for first, second in itertools.pairwise(found):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert made[0].taxonomy == ISIC2019


def test_large_pictures_go_through_with_fewer_others(
    predictor: Predictor, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = predictor.predict(images[:5])
    monkeypatch.setattr("dermoscope.predict.predictor.MOST_HELD", 1)
    np.testing.assert_allclose(predictor.predict(images[:5]).logits, together.logits, atol=1e-4)
