"""Network -> ONNX graph with logits, embedding and features, checked against torch when it is written."""

import copy
import itertools
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dermoscope.core.errors import TrainingError
from dermoscope.train.networks import Reader

TOLERANCE = 1e-4
FOLDING_TOLERANCE = 1e-3
"""Of the largest value: two orders of the same sums differ by 1e-6 or so, another network by about 1."""
OUTPUTS = ("logits", "embedding", "features")


def half_precision(reader: Reader) -> Reader:
    """A copy whose weights are rounded to 16 bit (and kept as 32 bit): what the exported file will hold."""
    rounded = copy.deepcopy(reader)
    with torch.no_grad():
        for tensor in [*rounded.network.parameters(), *rounded.network.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())
    return rounded


def to_onnx(reader: Reader, size: int) -> bytes:
    """The graph as bytes: input `pictures` uint8 [n, size, size, 3], outputs logits, embedding and, if any, features.

    Weights are stored with 16 bits and widened when the graph is loaded; batch normalisation is folded into them first.
    Raises TrainingError when the graph's logits differ from torch's by 1e-4 or more (of the largest, where it is > 1).
    """
    reader = half_precision(_folded(reader, size))
    graph = halved(_exported(reader, size)).SerializeToString()
    difference = _difference(reader, graph, size)
    if not difference < TOLERANCE:
        raise TrainingError(f"the exported graph differs from torch by {difference:.2g} in its logits; nothing written")
    return bytes(graph)


def _folded(reader: Reader, size: int) -> Reader:
    """A copy in which every normalisation that follows a convolution is part of that convolution.

    Which layer follows which is told by the order in which a network names its children. That is the order of the
    calculation in most, not in all: the copy is compared with the network, and left unfolded where they differ.
    """
    plain = copy.deepcopy(reader).eval()
    try:
        folded = _fused(plain)
        generator = torch.Generator().manual_seed(0)
        pictures = torch.randint(0, 256, (2, size, size, 3), generator=generator, dtype=torch.uint8)
        with torch.inference_mode():
            pairs = list(zip(plain(pictures), folded(pictures), strict=True))
    except (RuntimeError, TypeError, AttributeError):  # a layer took the place of one that does something else
        return plain
    same = all(float((a - b).abs().max()) <= FOLDING_TOLERANCE * max(1.0, float(a.abs().max())) for a, b in pairs)
    return folded if same else plain


def _fused(reader: Reader) -> Reader:
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    folded = copy.deepcopy(reader)
    for parent in folded.modules():
        for (name, first), (after, second) in itertools.pairwise(list(parent.named_children())):
            if isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d):
                activation = getattr(second, "act", None)
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, after, activation if activation is not None else torch.nn.Identity())
    return folded


def _exported(reader: Reader, size: int) -> Any:
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        outputs = OUTPUTS[: len(reader(example))]  # not every network makes a map
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        path = Path(folder) / "graph.onnx"
        program = torch.onnx.export(
            reader,
            (example,),
            dynamo=True,
            input_names=["pictures"],
            output_names=list(outputs),
            dynamic_shapes={"pictures": {0: torch.export.Dim("n", min=1, max=4096)}},
            opset_version=18,
            verbose=False,
        )
        program.save(str(path), external_data=False)
        import onnx

        return onnx.load(str(path))


def halved(model: Any) -> Any:
    """The same graph with its large float32 weights stored as float16 and a Cast after each."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for k, tensor in enumerate(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < 64:
            continue
        name = tensor.name
        small = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half")
        model.graph.initializer[k].CopyFrom(small)
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    del model.graph.value_info[:]
    for field in ("producer_name", "producer_version", "doc_string"):
        model.ClearField(field)
    for node in model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    return model


def _difference(reader: Reader, graph: bytes, size: int) -> float:
    import onnxruntime

    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (3, size, size, 3)).astype(np.uint8)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    ours = session.run(["logits"], {"pictures": pictures})[0]
    with torch.inference_mode():
        theirs = reader(torch.from_numpy(pictures))[0].numpy()
    return float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))


def head_weights(reader: Reader) -> tuple[np.ndarray, np.ndarray]:
    """Weight [d, e] and bias [d] of the classifier as the exported graph holds them."""
    head = half_precision(reader).network.get_classifier()
    return head.weight.detach().numpy(), head.bias.detach().numpy()
