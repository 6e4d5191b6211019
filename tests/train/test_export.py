"""Network -> ONNX, against torch."""

import copy

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from dermoscope.core.errors import TrainingError
from dermoscope.predict.session import Session
from dermoscope.train import export
from dermoscope.train.networks import Reader, build

PICTURES = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)


def settled(reader: Reader) -> Reader:
    """With normalisation statistics that are not those of a new network, so that folding has something to fold."""
    torch.manual_seed(0)
    for layer in reader.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return reader.eval()


def torch_outputs(reader: Reader) -> list[np.ndarray]:
    with torch.inference_mode():
        return [out.numpy() for out in reader(torch.from_numpy(PICTURES))]


def onnx_outputs(graph: bytes, pictures: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(list(export.OUTPUTS), {"pictures": pictures})
    return found


@pytest.fixture(scope="module")
def reader() -> Reader:
    torch.manual_seed(0)
    return settled(Reader(build("test_efficientnet", 8, pretrained=False)))


@pytest.fixture(scope="module")
def graph(reader: Reader) -> bytes:
    return export.to_onnx(reader, 64)


def test_every_output_is_that_of_torch(reader: Reader, graph: bytes) -> None:
    exported = export.half_precision(export._folded(reader, 64))
    for ours, theirs in zip(onnx_outputs(graph, PICTURES), torch_outputs(exported), strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-4


def test_weights_of_16_bit_cost_little(reader: Reader, graph: bytes) -> None:
    ours, theirs = onnx_outputs(graph, PICTURES)[0], torch_outputs(reader)[0]
    assert np.abs(ours - theirs).max() < 0.01 * np.abs(theirs).max()


def test_any_number_of_pictures(graph: bytes) -> None:
    whole = onnx_outputs(graph, PICTURES)
    for n in (1, 2, 3):
        for part, all_of_it in zip(onnx_outputs(graph, PICTURES[:n]), whole, strict=True):
            np.testing.assert_allclose(part, all_of_it[:n], atol=1e-5)


def test_the_file_holds_16_bits_per_weight(reader: Reader, graph: bytes) -> None:
    import onnx

    weights = sum(p.numel() for p in reader.parameters())
    held = onnx.load_from_string(graph).graph.initializer
    half = sum(int(np.prod(t.dims)) for t in held if t.data_type == onnx.TensorProto.FLOAT16)
    assert half > 0.9 * weights
    assert len(graph) < 2 * weights + 150_000
    assert b"/src/" not in graph  # no path of the machine that exported it


def test_folding_leaves_no_normalisation_and_the_same_outputs(reader: Reader) -> None:
    folded = export._folded(reader, 64)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in reader.modules())
    for ours, theirs in zip(torch_outputs(folded), torch_outputs(reader), strict=True):
        assert np.abs(ours - theirs).max() < 1e-4 * max(1, np.abs(theirs).max())


@pytest.mark.parametrize(("backbone", "outputs"), [("test_resnet", 3), ("test_convnext", 3), ("test_vit", 2)])
def test_networks_of_other_families(backbone: str, outputs: int) -> None:
    torch.manual_seed(0)
    other = settled(Reader(build(backbone, 8, pretrained=False, sizes=(64,))))
    graph = export.to_onnx(other, 64)
    session = Session.load(graph)
    assert session.outputs == frozenset(export.OUTPUTS[:outputs])  # a transformer has tokens, no map
    logits, embedding, features = session.run(PICTURES, export.OUTPUTS)
    assert logits is not None
    assert embedding is not None
    np.testing.assert_allclose(logits, torch_outputs(other)[0], atol=0.02 * max(1, np.abs(logits).max()))
    assert (features is None) == (outputs == 2)
    weight, bias = export.head_weights(other)
    np.testing.assert_allclose(embedding @ weight.T + bias, logits, atol=1e-3)


class Crossed(nn.Module):
    """Names a normalisation right after a convolution that it does not follow."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=4)
        self.after_second = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, stride=2)
        self.classifier = nn.Linear(6, 8)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.after_second(self.second(self.first(x).relu()))

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        pooled = x.mean(dim=(2, 3))
        return pooled if pre_logits else self.classifier(pooled)

    def get_classifier(self) -> nn.Module:
        return self.classifier


def test_a_network_that_calculates_in_another_order_is_not_folded() -> None:
    torch.manual_seed(1)
    crossed = settled(Reader(Crossed()))
    broken = export._fused(copy.deepcopy(crossed))
    assert np.abs(torch_outputs(broken)[0] - torch_outputs(crossed)[0]).max() > 0.01
    found = onnx_outputs(export.to_onnx(crossed, 64), PICTURES)[0]
    np.testing.assert_allclose(found, torch_outputs(crossed)[0], atol=0.01)


def test_a_graph_that_differs_is_not_written(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(TrainingError, match=r"the exported graph differs from torch by .* nothing written"):
        export.to_onnx(reader, 64)


def test_half_precision_is_a_copy(reader: Reader) -> None:
    before = [p.clone() for p in reader.parameters()]
    rounded = export.half_precision(reader)
    assert all(torch.equal(a, b) for a, b in zip(before, reader.parameters(), strict=True))
    assert all(torch.equal(p, p.half().float()) for p in rounded.parameters())


def test_head_weights_are_those_of_the_graph(reader: Reader, graph: bytes) -> None:
    weight, bias = export.head_weights(reader)
    logits, embedding, _ = onnx_outputs(graph, PICTURES)
    np.testing.assert_allclose(embedding @ weight.T + bias, logits, atol=1e-4)
