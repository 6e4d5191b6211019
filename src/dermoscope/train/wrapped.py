"""Somebody else's ONNX graph inside one that reads uint8 pictures [n, size, size, 3] and gives logits."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dermoscope.core.errors import BundleError, InputError, MissingDependencyError, some
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.train.expected import Expected

OLDEST = 11
"""Operator set below which the nodes added here mean something else."""

SMALLEST = 1e-30
"""A probability of 0 becomes the logarithm of this."""

_PREFIX = "given/"


def wrapped(content: bytes, expected: Expected, taxonomy: Taxonomy, *, raw: bool = False) -> tuple[bytes, Expected]:
    """The graph with normalisation, layout and the order of diagnoses inside, and `expected` with the size found.

    Probabilities become their logarithms, which are logits of the same probabilities. With `raw` there is an output
    more, `raw`: what the graph gave for the diagnoses before anything was done to it.
    Raises BundleError for what is no ONNX file that stands alone, or whose input or outputs do not fit, InputError
    where `expected` has to say more.
    """
    expected.columns(taxonomy)
    model = loaded(content)
    given = _input(model)
    expected = replace(expected, size=_size(given, expected))
    from onnx import compose

    model = compose.add_prefix(model, _PREFIX)
    outputs = {
        "logits": _PREFIX + _chosen(model, expected, taxonomy),
        **{kind: _PREFIX + getattr(expected, kind) for kind in ("embedding", "features") if getattr(expected, kind)},
    }
    missing = [
        name.removeprefix(_PREFIX) for name in outputs.values() if name not in {o.name for o in model.graph.output}
    ]
    if missing:
        raise InputError(f"the graph has no output {some(missing)}; {_outputs(model)}")
    nodes = [*_before(model, expected), *model.graph.node, *_after(model, outputs, expected, taxonomy)]
    kept = (*outputs, "raw") if raw else tuple(outputs)
    return _assembled(model, nodes, kept, expected.size), expected


def loaded(content: bytes) -> Any:
    """An ONNX model. Raises BundleError for what is none, holds its weights elsewhere, or is too old."""
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(
            "importing needs onnx: `make setup`, or pip install -c constraints.txt -e '.[train]' in the clone"
        ) from error
    try:
        model = onnx.load_model_from_string(content)
        if not model.graph.node:
            raise ValueError("no graph")
    except Exception as error:  # protobuf raises classes of its own
        raise BundleError(f"not an ONNX file ({str(error).partition(chr(10))[0]}); export the model to ONNX") from None
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise BundleError(
            "its weights lie in another file; save it again as one file (onnx.save_model without external)"
        )
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not versions or max(versions) < OLDEST:
        raise BundleError(f"its operator set is older than {OLDEST}; export it again with opset {OLDEST} or later")
    return model


def _input(model: Any) -> Any:
    weights = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    found = ", ".join(f"{i.name} {_shape(i)}" for i in inputs)
    if len(inputs) != 1 or len(_shape(inputs[0])) != 4:
        raise BundleError(f"it reads {found or 'nothing'}; it must read one batch of pictures with four dimensions")
    if inputs[0].type.tensor_type.elem_type not in (1, 2, 10):  # float, uint8, float16
        raise BundleError(f"it reads {found} of another kind than float32, float16 or uint8")
    return inputs[0]


def _shape(value: Any) -> list[int]:
    """Dimensions; 0 where one is not fixed."""
    return [d.dim_value for d in value.type.tensor_type.shape.dim]


def _size(given: Any, expected: Expected) -> int:
    shape = _shape(given)
    sides, channels = (shape[2:], shape[1]) if expected.layout == "nchw" else (shape[1:3], shape[3])
    if channels not in (0, 3):
        raise BundleError(f"it reads {shape} (0: any), which is not {expected.layout} with three channels: see layout=")
    fixed = {side for side in sides if side}
    if expected.size and fixed - {expected.size}:
        raise BundleError(f"it reads {some(sorted(fixed))} px, not {expected.size}: see size=")
    if len(fixed) > 1:
        raise BundleError(f"it reads pictures of {sides[0]} x {sides[1]} px; only squares are cut here")
    if not fixed and not expected.size:
        raise InputError("the graph takes any size; say which it was trained at: --preprocess size=224")
    return expected.size or fixed.pop()


def _outputs(model: Any) -> str:
    told = (f"{o.name.removeprefix(_PREFIX)} {_shape(o)}" for o in model.graph.output)
    return f"it has {some(told, 12)} (0: any)"


def _chosen(model: Any, expected: Expected, taxonomy: Taxonomy) -> str:
    if expected.output:
        return expected.output
    others = {expected.embedding, expected.features}
    names = [o.name.removeprefix(_PREFIX) for o in model.graph.output if o.name.removeprefix(_PREFIX) not in others]
    if len(names) == 1:
        return names[0]
    width = expected.width(taxonomy)
    fitting = [o.name.removeprefix(_PREFIX) for o in model.graph.output if _shape(o)[1:] == [width]]
    if len(fitting) != 1:
        raise InputError(f"which output holds the {width} diagnoses? {_outputs(model)}: --preprocess output=NAME")
    return fitting[0]


def _before(model: Any, expected: Expected) -> list[Any]:
    """uint8 [n, size, size, 3] to what the graph reads."""
    from onnx import helper

    given = _input(model)
    kind = given.type.tensor_type.elem_type
    read, steps = "pictures", []
    if kind != 2:
        mean, std = expected.as_bytes
        _constant(model, "mean", np.array(mean, np.float32))
        _constant(model, "std", np.array(std, np.float32))
        steps += [
            helper.make_node("Cast", [read], ["as_float"], to=1),
            helper.make_node("Sub", ["as_float", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "std"], ["normalised"]),
        ]
        read = "normalised"
    if expected.layout == "nchw":
        steps.append(helper.make_node("Transpose", [read], ["turned"], perm=[0, 3, 1, 2]))
        read = "turned"
    steps.append(helper.make_node("Cast", [read], [given.name], to=kind))
    return steps


def _after(model: Any, outputs: dict[str, str], expected: Expected, taxonomy: Taxonomy) -> list[Any]:
    from onnx import helper

    _constant(model, "columns", np.array(expected.columns(taxonomy), np.int64))
    name, steps = "chosen", []
    steps.append(helper.make_node("Cast", [outputs["logits"]], ["raw"], to=1))
    if expected.outputs == "probabilities":
        _constant(model, "smallest", np.array(SMALLEST, np.float32))
        steps += [
            helper.make_node("Max", ["raw", "smallest"], ["positive"]),
            helper.make_node("Log", ["positive"], ["log"]),
        ]
    steps.append(helper.make_node("Gather", ["log" if steps[1:] else "raw", "columns"], [name], axis=1))
    steps.append(helper.make_node("Identity", [name], ["logits"]))
    for kind in ("embedding", "features"):
        if kind in outputs:
            steps.append(helper.make_node("Cast", [outputs[kind]], [kind], to=1))
    return steps


def _constant(model: Any, name: str, value: np.ndarray) -> None:
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(value, name))


def _assembled(model: Any, nodes: Sequence[Any], outputs: Sequence[str], size: int) -> bytes:
    from onnx import helper

    weights = {t.name for t in model.graph.initializer}
    pictures = helper.make_tensor_value_info("pictures", 2, ["n", size, size, 3])
    kept = [i for i in model.graph.input if i.name in weights]
    ranks = {"logits": 2, "embedding": 2, "features": 4, "raw": 2}
    graph = helper.make_graph(
        list(nodes),
        "imported",
        [pictures, *kept],
        [helper.make_tensor_value_info(name, 1, [None] * ranks[name]) for name in outputs],
        list(model.graph.initializer),
        sparse_initializer=list(model.graph.sparse_initializer),
    )
    made = helper.make_model(graph, opset_imports=list(model.opset_import), functions=list(model.functions))
    made.ir_version = model.ir_version
    return bytes(made.SerializeToString())
