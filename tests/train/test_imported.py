"""Other people's models as bundles: graphs of every kind that is taken, checkpoints, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from dermoscope.core.errors import BundleError, DermoscopeError, InputError
from dermoscope.core.taxonomy import ISIC2018, ISIC2019
from dermoscope.predict.predictor import Predictor
from dermoscope.predict.session import Session
from dermoscope.train.expected import Expected, read_expected
from dermoscope.train.imported import Described, import_checkpoint, import_onnx
from dermoscope.train.networks import build

SIDE = 32
WEIGHT = np.random.default_rng(7).normal(size=(3, 9)).astype(np.float32)
PICTURES = np.random.default_rng(8).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)
IMAGENET = "mean=0.485:0.456:0.406,std=0.229:0.224:0.225"
NINE = f"order={':'.join(ISIC2019.codes)}:-"
HERE = Described("theirs", ISIC2019)


def graph(
    kind: int = TensorProto.FLOAT,
    layout: str = "nchw",
    *,
    softmax: bool = False,
    batch: int | str = "n",
    weight: np.ndarray = WEIGHT,
    reshape: bool = False,
) -> bytes:
    """Mean colour times a matrix, with names that those of this project could clash with."""
    shape = [batch, 3, SIDE, SIDE] if layout == "nchw" else [batch, SIDE, SIDE, 3]
    axes = [2, 3] if layout == "nchw" else [1, 2]
    nodes = [
        helper.make_node("Cast", ["pictures"], ["as_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["as_float"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["product"]),
        helper.make_node("Reshape", ["product", "two"], ["shaped"]),
        helper.make_node("Softmax" if softmax else "Identity", ["shaped" if reshape else "product"], ["logits"]),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, weight.shape[1]]),
        helper.make_tensor_value_info("mean", TensorProto.FLOAT, [batch, 3]),
    ]
    made = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("pictures", kind, shape)],
        outputs,
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(np.array([2, 9]), "two")],
    )
    if not reshape:
        del made.node[3]
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def by_hand(mean: Any = 0.0, std: Any = 1.0, scale: float = 1 / 255) -> np.ndarray:
    """What the graph gives for `PICTURES`, all nine outputs."""
    return ((PICTURES.astype(np.float64) * scale - mean) / std).mean(axis=(1, 2)) @ WEIGHT


def imported(content: bytes, text: str, tmp_path: Path, described: Described = HERE) -> list[Any]:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    bundle = import_onnx(path, read_expected(text), described)
    assert not bundle.manifest.served
    assert bundle.members[0].size == SIDE
    Predictor.load(bundle)
    return Session.load(bundle.graphs["model.onnx"]).run(PICTURES, ("logits", "embedding", "features"))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_normalisation_and_layout_come_into_the_graph(layout: str, kind: int, tmp_path: Path) -> None:
    logits, embedding, features = imported(graph(kind, layout), f"{NINE},{IMAGENET},layout={layout}", tmp_path)
    expected = by_hand([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[:, :8]
    np.testing.assert_allclose(logits, expected, atol=1e-4 if kind == TensorProto.FLOAT else 5e-3)
    assert embedding is features is None


def test_uint8_is_handed_on_as_it_is(tmp_path: Path) -> None:
    logits, *_ = imported(graph(TensorProto.UINT8, "nhwc"), f"{NINE},layout=nhwc", tmp_path)
    np.testing.assert_allclose(logits, by_hand(scale=1.0)[:, :8], rtol=1e-4)


def test_a_batch_that_is_only_said_to_be_fixed_is_freed(tmp_path: Path) -> None:
    logits, *_ = imported(graph(batch=2), NINE, tmp_path)
    np.testing.assert_allclose(logits, by_hand()[:, :8], atol=1e-5)


def test_range_255_and_one_number_for_three(tmp_path: Path) -> None:
    logits, *_ = imported(graph(), f"{NINE},range=255,mean=127.5,std=127.5", tmp_path)
    np.testing.assert_allclose(logits, by_hand(127.5, 127.5, 1.0)[:, :8], atol=1e-4)


def test_diagnoses_in_another_order_and_an_embedding(tmp_path: Path) -> None:
    order = ["-", *reversed(ISIC2019.codes)]
    logits, embedding, _ = imported(graph(), f"order={':'.join(order)},embedding=mean", tmp_path)
    np.testing.assert_allclose(logits, by_hand()[:, :0:-1], atol=1e-5)
    np.testing.assert_allclose(embedding, PICTURES.mean(axis=(1, 2)) / 255, atol=1e-5)


def test_probabilities_become_logits_of_the_same_probabilities(tmp_path: Path) -> None:
    weight = WEIGHT[:, :8]
    content = graph(softmax=True, weight=weight)
    logits, *_ = imported(content, "outputs=probabilities,output=logits", tmp_path)
    exact = np.exp(by_hand()[:, :8])
    np.testing.assert_allclose(np.exp(logits), exact / exact.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "text", "message"),
    [
        (b"no graph", NINE, "not an ONNX file"),
        (b"", NINE, "not an ONNX file"),
        (graph(TensorProto.INT64), NINE, "of another kind than float32, float16 or uint8"),
        (graph(), "", r"which output holds the 8 diagnoses\? it has logits \[0, 9\], mean \[0, 3\]"),
        (graph(), "output=logits", "gives 9 outputs where order= and the taxonomy say 8"),
        (graph(), f"{NINE},output=best", "the graph has no output best; it has logits"),
        (graph(), f"{NINE},size=64", "it reads 32 px, not 64: see size="),
        (graph(), f"{NINE},layout=nhwc", "not nhwc with three channels: see layout="),
        (graph(), "order=MEL:NV", r"order=MEL:NV does not name each diagnosis of isic2019 once \(MEL:NV:BCC"),
        (graph(softmax=True), NINE, "the outputs are probabilities, not logits: --preprocess outputs=probabilities"),
        (graph(), f"{NINE},outputs=probabilities", r"no probabilities, some lie outside \[0, 1\]"),
        (graph(weight=WEIGHT * np.nan), NINE, "raw is not finite for pictures of noise"),
        (graph(batch=2, reshape=True), NINE, "it does not run on one picture and on three"),
    ],
)
def test_what_is_no_model_for_this(content: bytes, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises((BundleError, InputError), match=message) as raised:
        import_onnx(path, read_expected(text), HERE)
    assert str(path) in str(raised.value)


def test_weights_in_another_file_and_old_operators(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(graph())
    model.opset_import[0].version = 9
    path = tmp_path / "old.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"old\.onnx: its operator set is older than 11"):
        import_onnx(path, read_expected(NINE), HERE)
    model = onnx.load_model_from_string(graph(weight=np.zeros((3, 4096), np.float32)))
    path = tmp_path / "split.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(BundleError, match=r"split\.onnx: its weights lie in another file"):
        import_onnx(path, read_expected(NINE), HERE)
    with pytest.raises(BundleError, match=r"none\.onnx: cannot be read"):
        import_onnx(tmp_path / "none.onnx", Expected(), HERE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size", "--preprocess size: expected one of size=..., mean=..."),
        ("colour=bgr", "--preprocess colour=bgr: expected one of"),
        ("size=8", "--preprocess size=8: it must be 16 to 4096 px"),
        ("std=0", "--preprocess std=0: it must be one number above 0 or three"),
        ("mean=1:2", "--preprocess mean=1:2: it must be one number or three"),
        ("range=2", "it must be 1 or 255"),
        ("layout=cn", "it must be nchw or nhwc"),
        ("outputs=scores", "it must be logits or probabilities"),
    ],
)
def test_what_cannot_be_expected(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_expected(text)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return build("test_efficientnet", 7, pretrained=False).eval()


@pytest.mark.parametrize("form", ["plain.pth", "wrapped.pth", "plain.safetensors"])
def test_a_checkpoint_gives_the_logits_of_its_network(form: str, network: torch.nn.Module, tmp_path: Path) -> None:
    path, state = tmp_path / form, network.state_dict()
    if form.endswith(".safetensors"):
        from safetensors.torch import save_file

        save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        prefixed = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
        torch.save(state if form == "plain.pth" else prefixed, path)
    order = tuple(reversed(ISIC2018.codes))
    expected = replace(read_expected(f"{IMAGENET},size={SIDE}"), order=order)
    bundle = import_checkpoint(path, "test_efficientnet", expected, Described("theirs", ISIC2018))
    found = Session.load(bundle.graphs["model.onnx"]).run(PICTURES, ("logits", "embedding"))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (expected.mean, expected.std))
    with torch.inference_mode():
        theirs = network((torch.from_numpy(PICTURES).permute(0, 3, 1, 2) / 255 - mean) / std).numpy()[:, ::-1]
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_allclose(found[0], theirs, atol=0.02 * max(1.0, np.abs(theirs).max()))  # weights of 16 bits
    weight, bias = bundle.arrays["theirs.head_weight"], bundle.arrays["theirs.head_bias"]
    np.testing.assert_allclose(found[1] @ weight.T + bias, found[0], atol=1e-3)


class Code:
    """What a pickle can do when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this ran",))


def test_checkpoints_that_are_not_read(
    network: torch.nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, state = tmp_path / "x.pth", dict(network.state_dict())
    seven = Described("theirs", ISIC2018)

    def refused(content: object, message: str, **more: Any) -> None:
        torch.save(content, path)
        with pytest.raises(DermoscopeError, match=message):
            import_checkpoint(path, more.pop("backbone", "test_efficientnet"), Expected(size=SIDE, **more), seven)

    refused({"state_dict": Code()}, r"x\.pth: holds more than tensors \(code runs when such a file is opened\)")
    assert "this ran" not in capsys.readouterr().out
    refused([1, 2], "holds no weights by name")
    refused({}, "holds no weights by name")
    first, *_ = state
    refused({k: v for k, v in state.items() if k != first}, f"not those of test_efficientnet: missing: {first}")
    refused({**state, "more": torch.ones(1)}, "too many: more; see --backbone and order=")
    refused(state, r"of another shape: classifier.weight \(7, \d+\) for \(9,", order=(*ISIC2018.codes, "-", "-"))
    refused({**state, first: torch.full_like(state[first], torch.nan)}, f"not finite in {first}")
    refused(state, "timm knows no network 'nope'", backbone="nope")
    refused(state, "a checkpoint gives logits", outputs="probabilities")
    path.write_bytes(b"junk")
    with pytest.raises(BundleError, match=r"x\.pth: (no checkpoint|holds more than tensors)"):
        import_checkpoint(path, "test_efficientnet", Expected(size=SIDE), seven)
