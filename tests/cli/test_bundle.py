"""`dermoscope bundle`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermoscope.data.readers import read_cases
from dermoscope.predict.bundle import Bundle, load
from dermoscope.predict.predictor import Predictor

Cli = Callable[..., Any]


def test_info_in_words(dermoscope: Cli, bundle_folder: Path, bundle: Bundle) -> None:
    said = dermoscope("bundle", "info", bundle_folder)
    assert (said.code, said.err) == (0, "")
    for part in (
        bundle.card.summary,
        f"SHA-256 {bundle.sha256}",
        "Licence of the weights: CC0-1.0",
        "not a medical device",
        "synthetic lesions",
        "roles training",
    ):
        assert part in said.out


def test_info_as_json(dermoscope: Cli, bundle_folder: Path, bundle: Bundle) -> None:
    told = json.loads(dermoscope("bundle", "info", bundle_folder, "--json").out)
    assert list(told) == ["sha256", "manifest", "card"]
    assert told["sha256"] == bundle.sha256
    assert told["manifest"]["format"] == 2
    assert told["manifest"]["diagnoses"][0] == ["MEL", "melanoma", "malignant"]
    assert told["card"]["data"][0]["roles"] == ["training"]


def test_info_verifies_every_file(dermoscope: Cli, bundle_folder: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(bundle_folder, tmp_path / "damaged"))
    (damaged / "model.onnx").write_bytes(b"")
    said = dermoscope("bundle", "info", damaged)
    assert (said.code, said.out) == (2, "")
    assert "model.onnx: its SHA-256 is not the one in bundle.json" in said.err


def test_a_group_alone_shows_its_commands(dermoscope: Cli) -> None:
    said = dermoscope("bundle")
    assert "info" in said.out + said.err


def test_from_a_graph_to_a_bundle_that_is_served(
    dermoscope: Cli, bundle: Bundle, synthetic: Path, images: list[Path], tmp_path: Path
) -> None:
    (graph,) = bundle.graphs.values()
    model, out = tmp_path / "theirs.onnx", tmp_path / "their model"
    model.write_bytes(graph)
    said = dermoscope(
        "bundle", "import", model, "--out", out, "--licence", "MIT", "--views", 2,
        "--preprocess", "layout=nhwc,output=logits,embedding=embedding,features=features",
    )  # fmt: skip
    assert (said.code, said.err) == (0, "")
    assert f"next: dermoscope bundle calibrate {out} --data NAME" in said.out
    made = load(out)
    assert (made.manifest.name, made.manifest.served, made.card.licence) == ("their-model", False, "MIT")
    assert made.members[0].size == 64
    assert np.array_equal(*(Predictor.load(b).predict(images[:3], views=2).logits for b in (made, bundle)))
    told = json.loads(dermoscope("bundle", "calibrate", out, "--data", synthetic, "--json").out)
    served = load(out)
    assert told == {"bundle": str(out), "sha256": served.sha256, "served": True}
    assert served.ood is not None
    again = tmp_path / "again"
    told = json.loads(
        dermoscope("bundle", "calibrate", out, "--data", synthetic, "--decision-only", "--out", again, "--json").out
    )
    assert (
        (load(again).sha256, load(again).operating_point)
        == (served.sha256, served.operating_point)
        == (told["sha256"], served.operating_point)
    )
    said = dermoscope("classify", images[0], "--bundle", out, "--json")
    assert sum(json.loads(said.out)[0]["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("x.onnx", (), "x.onnx: not an ONNX file"),
        ("x.onnx", ("--taxonomy", "isic2020"), "no taxonomy 'isic2020'; there are isic2018, isic2019"),
        ("x.onnx", ("--preprocess", "side=224"), "--preprocess side=224: expected one of size=..."),
        ("x.pth", (), "of which network are these weights? --backbone NAME"),
        ("x.pth", ("--backbone", "test_efficientnet"), "x.pth: "),
    ],
)
def test_what_cannot_be_imported(
    name: str, arguments: tuple[str, ...], message: str, dermoscope: Cli, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    said = dermoscope("bundle", "import", tmp_path / name, "--out", tmp_path / "out", *arguments)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert not (tmp_path / "out").exists()


def test_a_head_on_embeddings(dermoscope: Cli, bundle: Bundle, synthetic: Path, tmp_path: Path) -> None:
    cases = read_cases(synthetic)
    found = Predictor.load(bundle).predict(cases, views=1).embedding
    np.savez(tmp_path / "e.npz", ids=np.array(cases.ids), embeddings=found)
    labels = tmp_path / "labels.csv"  # beside no image at all
    rows = (f"{c.image_id},{c.diagnosis},{c.lesion_id}\n" for c in cases)
    labels.write_text("image,diagnosis,lesion_id\n" + "".join(rows))
    said = dermoscope("bundle", "probe", tmp_path / "e.npz", labels, "--out", tmp_path / "probe")
    assert (said.code, said.err) == (0, "")
    assert f"next: dermoscope bundle apply {tmp_path / 'probe'} EMBEDDINGS.npz" in said.out
    said = dermoscope("bundle", "apply", tmp_path / "probe", tmp_path / "e.npz")
    assert said.code == 0, said.err
    assert said.out.splitlines()[0] == "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC"
    assert len(said.out.splitlines()) == len(cases) + 1
    said = dermoscope("classify", next(iter(cases)).path, "--bundle", tmp_path / "probe")
    assert said.code == 2
