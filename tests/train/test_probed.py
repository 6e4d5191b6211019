"""Heads on other people's embeddings: with their encoder an ordinary bundle, without it one that reads embeddings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import BundleError, InputError, TableError
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import with_role
from dermoscope.predict.bundle import Bundle, load, save
from dermoscope.predict.embedded import Embeddings, predict_embeddings, read_embeddings, read_labels
from dermoscope.predict.predictor import Predictor
from dermoscope.train.expected import Expected
from dermoscope.train.imported import Described
from dermoscope.train.probed import probe


@pytest.fixture(scope="module")
def cases(synthetic: Path) -> CaseSet:
    return read_cases(synthetic)


@pytest.fixture(scope="module")
def embeddings(predictor: Predictor, cases: CaseSet) -> Embeddings:
    """Of another scale than the head's optimiser would like."""
    found = predictor.predict(cases, views=1).embedding
    assert found is not None
    return Embeddings(cases.ids, found.astype(np.float32))


@pytest.fixture(scope="module")
def described(cases: CaseSet) -> Described:
    return Described("theirs", cases.taxonomy, data="labels.csv")


def test_without_an_encoder_it_reads_embeddings(
    embeddings: Embeddings, cases: CaseSet, described: Described, tmp_path: Path
) -> None:
    made = probe(embeddings, cases, described)
    save(made, tmp_path / "b")
    again = load(tmp_path / "b")
    assert not again.manifest.served
    prediction = predict_embeddings(again, embeddings)
    found = again.pipeline.calibrated(prediction)
    training = with_role(cases, "training")
    rows = [embeddings.ids.index(i) for i in training.ids]
    assert (found.predicted[rows] == training.labels).mean() > 0.6  # eight diagnoses: chance is 0.125
    assert again.card.data[0].images == len(training)
    assert again.card.data[0].roles == ("training",)
    with pytest.raises(BundleError, match=r"it must read one uint8 tensor"):
        Predictor.load(again)


def test_other_scales_of_the_features_give_the_same_head(
    embeddings: Embeddings, cases: CaseSet, described: Described
) -> None:
    moved = Embeddings(embeddings.ids, embeddings.values * 1000 + 50)
    one, other = (
        (b := probe(given, cases, described)).pipeline.calibrated(predict_embeddings(b, given)).values
        for given in (embeddings, moved)
    )
    np.testing.assert_allclose(one, other, atol=0.02)


def test_with_the_encoder_it_reads_images(
    bundle: Bundle, embeddings: Embeddings, cases: CaseSet, described: Described, images: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(next(iter(bundle.graphs.values())))
    made = probe(embeddings, cases, described, (path, Expected(layout="nhwc", embedding="embedding")))
    assert not made.manifest.served
    prediction = Predictor.load(made).predict(images[:4])
    given = Embeddings(embeddings.ids, embeddings.values)
    by_head = dict(zip(given.ids, predict_embeddings(made, given).logits, strict=True))
    expected = np.array([by_head[i] for i in prediction.ids])
    np.testing.assert_allclose(prediction.logits, expected, atol=1e-3 * max(1.0, np.abs(expected).max()))
    with pytest.raises(InputError, match=r"which output is the embedding\? logits, embedding, features"):
        probe(embeddings, cases, described, (path, Expected(layout="nhwc")))
    path.write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"encoder\.onnx: not an ONNX file"):
        probe(embeddings, cases, described, (path, Expected()))


def test_embeddings_that_do_not_fit(embeddings: Embeddings, cases: CaseSet, described: Described) -> None:
    strangers = Embeddings(tuple(f"x{k}" for k in range(len(embeddings.ids))), embeddings.values)
    with pytest.raises(InputError, match="0 embeddings have a diagnosis and the role training"):
        probe(strangers, cases, described)
    made = probe(embeddings, cases, described)
    narrow = Embeddings(embeddings.ids, embeddings.values[:, :3])
    with pytest.raises(InputError, match="embeddings of 3 features; the bundle reads"):
        predict_embeddings(made, narrow)
    without = replace(made, arrays={})
    with pytest.raises(BundleError, match="holds no head weights"):
        predict_embeddings(without, embeddings)
    with pytest.raises(BundleError, match=r"^absent\.onnx: cannot be read \(No such file or directory\); check the p"):
        probe(embeddings, cases, described, (Path("absent.onnx"), Expected()))


def test_labels_need_no_images(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("image_id,dx,lesion_id\na,mel,l1\nb,nv,l1\nc,,\n")
    found = read_labels(path)
    assert [(c.image_id, c.diagnosis, c.lesion_id) for c in found] == [
        ("a", "MEL", "l1"),
        ("b", "NV", "l1"),
        ("c", None, None),
    ]
    for text, message in (
        ("image,dx\na,mel\na,nv\n", "images with more than one row"),
        ("picture,dx\na,mel\n", "needed are image and diagnosis"),
        ("image,dx\na,wart\n", "wart"),
    ):
        path.write_text(text)
        with pytest.raises(TableError, match=message):
            read_labels(path)


def test_files_of_embeddings(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    ids, values = np.array(["a", "b"]), np.arange(6.0).reshape(2, 3)
    np.savez(path, ids=ids, anything=values)
    assert read_embeddings(path).values.tolist() == values.tolist()
    for arrays, message in (
        ({"x": values}, "needs `ids` as text and one array"),
        ({"ids": ids}, "needs `ids` as text and one array"),
        ({"ids": ids, "x": values, "y": values}, r"beside ids: x float64 \[2, 3\], y float64"),
        ({"ids": ids, "x": values[:1]}, "2 ids for 1 rows of x"),
        ({"ids": ids[[0, 0]], "x": values}, "ids that stand more than once: a"),
        ({"ids": ids, "x": values * np.nan}, "embeddings that are not finite: a, b"),
        ({"ids": ids.astype(object), "x": values}, r"e\.npz: no \.npz of plain arrays"),
    ):
        np.savez(path, **arrays)  # type: ignore[arg-type]
        with pytest.raises(TableError, match=message):
            read_embeddings(path)
    with pytest.raises(TableError, match=r"absent\.npz: cannot be read \(No such file or directory\); check the path"):
        read_embeddings(tmp_path / "absent.npz")
    path.write_bytes(b"PK nothing")
    with pytest.raises(TableError, match=r"no \.npz of plain arrays"):
        read_embeddings(path)
