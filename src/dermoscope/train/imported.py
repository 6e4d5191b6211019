"""Bundles of other people's models: an ONNX graph or the checkpoint of a timm network, run once before it is kept."""

import datetime
import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dermoscope.core.card import Card
from dermoscope.core.errors import BundleError, InputError, some, why
from dermoscope.core.probabilities import Prior
from dermoscope.core.taxonomy import Taxonomy
from dermoscope.predict.bundle import MODEL, Bundle
from dermoscope.predict.fitting import SENSITIVITY_FLOOR, concerning
from dermoscope.predict.manifest import FORMAT, Manifest, Member
from dermoscope.predict.session import Session
from dermoscope.predict.views import first_views
from dermoscope.refine.calibrate import Scaling, calibration_as_dict
from dermoscope.train.backbones import make_backbone
from dermoscope.train.expected import Expected
from dermoscope.train.export import head_weights, to_onnx
from dermoscope.train.networks import Reader, check_size
from dermoscope.train.wrapped import wrapped

_INSIDE = ("state_dict", "model_state_dict", "model", "net")
"""Under which of these a checkpoint may keep its weights, beside an optimiser and the like."""


@dataclass(frozen=True)
class Described:
    """What a bundle says of a model that was made elsewhere."""

    name: str
    taxonomy: Taxonomy
    licence: str = "not stated"
    views: int = 1
    data: str = "not known"


def import_onnx(path: Path, expected: Expected, described: Described) -> Bundle:
    """An unserved bundle of an ONNX graph that reads float or uint8 pictures.

    Raises BundleError, naming the file, for what is no such graph or does not give what it should, InputError where
    `expected` has to say more.
    """
    return import_content(path, content_of(path), expected, described)


def import_content(path: Path, content: bytes, expected: Expected, described: Described) -> Bundle:
    """As `import_onnx`, of a graph in memory; `path` is what messages call it."""
    try:
        checked, expected = wrapped(content, expected, described.taxonomy, raw=True)
        _check_runs(checked, expected, expected.width(described.taxonomy))
        graph, expected = wrapped(content, expected, described.taxonomy)
    except (BundleError, InputError) as error:
        raise type(error)(f"{path}: {error}") from None
    made = bare_bundle(graph, expected.size, described, f"imported: ONNX graph {path.name}, at {expected.size} px")
    return _of_file(made, content)


def import_checkpoint(path: Path, backbone: str, expected: Expected, described: Described) -> Bundle:
    """An unserved bundle of a timm network whose weights lie in a file (`.safetensors`, or what torch saved).

    Only tensors are read, never code. Raises BundleError, naming the file, where they are not those of the network,
    RecipeError for a network that timm does not know, InputError where `expected` has to say more.
    """
    content = content_of(path)
    if expected.outputs != "logits":
        raise InputError("a checkpoint gives logits; outputs=probabilities is for graphs")
    network: Any = make_backbone(backbone, pretrained=False)
    network.reset_classifier(expected.width(described.taxonomy))
    if not isinstance(network.get_classifier(), torch.nn.Linear):
        raise InputError(f"the head of {backbone} is not one linear layer; export the model to ONNX and import that")
    size = expected.size or int(network.pretrained_cfg["input_size"][-1])
    _fill(network, _tensors(path), f"{path}: the weights are not those of {backbone}")
    check_size(network, backbone, size)
    reader = _reader(network, expected, expected.columns(described.taxonomy))
    graph = to_onnx(reader, size)
    _check_runs(graph, replace(expected, size=size), expected.width(described.taxonomy))
    said = f"imported: {backbone}, weights of {path.name}, at {size} px"
    return _of_file(replace(bare_bundle(graph, size, described, said), arrays=_head(reader, described)), content)


def content_of(path: Path) -> bytes:
    """What a file holds. Raises BundleError, naming it, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({why(error)}); check the path") from None


def _tensors(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise BundleError(
            f"{path}: holds more than tensors (code runs when such a file is opened), and is not read; save only the "
            "weights: torch.save(model.state_dict(), ...) or safetensors"
        ) from None
    except Exception as error:  # a damaged file fails in many ways
        raise BundleError(f"{path}: no checkpoint ({str(error).partition(chr(10))[0]})") from None
    for key in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(v, torch.Tensor) for v in found.values()) or not found:
        raise BundleError(f"{path}: holds no weights by name")
    return {str(name).removeprefix("module.").removeprefix("_orig_mod."): value for name, value in found.items()}


def _fill(network: Any, tensors: Mapping[str, torch.Tensor], what: str) -> None:
    own = network.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(value.shape)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    for said, names in (("missing", missing), ("too many", extra), ("of another shape", shapes)):
        if names:
            raise BundleError(f"{what}: {said}: {some(names, 3)}; see --backbone and order=")
    bad = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise BundleError(f"{what}: not finite in {some(bad, 3)}")
    network.load_state_dict(dict(tensors))


def _reader(network: Any, expected: Expected, columns: list[int]) -> Reader:
    """The network with its own normalisation and the diagnoses in their order."""
    head = network.get_classifier()
    width = len(columns)
    weight, bias = (
        head.weight.detach()[columns],
        (torch.zeros(width) if head.bias is None else head.bias.detach()[columns]),
    )
    network.reset_classifier(width)
    with torch.no_grad():
        network.get_classifier().weight.copy_(weight)
        network.get_classifier().bias.copy_(bias)
    reader = Reader(network).eval()
    mean, std = expected.as_bytes
    reader.mean.copy_(torch.tensor(mean).view(1, 3, 1, 1))
    reader.std.copy_(torch.tensor(std).view(1, 3, 1, 1))
    return reader


def _head(reader: Reader, described: Described) -> dict[str, np.ndarray]:
    weight, bias = head_weights(reader)
    return {f"{described.name}.head_weight": weight, f"{described.name}.head_bias": bias}


def _check_runs(graph: bytes, expected: Expected, width: int) -> None:
    """Run a graph once: every output finite, of its shape, one row per picture, and what it was said to be."""
    session = Session.load(graph, threads=1)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, expected.size, expected.size, 3)).astype(np.uint8)
    names = ("raw", "logits", "embedding", "features")
    try:
        alone = session.run(pictures[:1], names)
        three = session.run(pictures, names)
    except Exception as error:  # the runtime raises classes of its own
        why = str(error).partition("\n")[0][:300]
        raise BundleError(
            f"it does not run on one picture and on three ({why}); see order=, or export any batch"
        ) from None
    for name, rank, found, single in zip(names, (2, 2, 2, 4), three, alone, strict=True):
        if found is None or single is None:
            continue
        if found.ndim != rank or len(found) != 3:
            raise BundleError(f"{name} has shape {found.shape} for three pictures; see output=, embedding=, features=")
        if name == "raw" and found.shape[1] != width:
            raise BundleError(f"it gives {found.shape[1]} outputs where order= and the taxonomy say {width}")
        if not np.isfinite(found).all():
            raise BundleError(f"{name} is not finite for pictures of noise; see mean=, std= and range=")
        if np.abs(found[:1] - single).max() > 1e-3 * max(1.0, float(np.abs(found).max())):
            raise BundleError(f"{name} of a picture depends on the others of its batch; export it for inference")
    if three[0] is not None:
        _check_kind(three[0], expected)


def _check_kind(raw: np.ndarray, expected: Expected) -> None:
    likely = bool((raw >= 0).all() and np.allclose(raw.sum(axis=1), 1, atol=1e-3))
    if expected.outputs == "logits" and likely:
        raise BundleError("the outputs are probabilities, not logits: --preprocess outputs=probabilities")
    if expected.outputs == "probabilities" and not ((raw >= 0) & (raw <= 1 + 1e-6)).all():
        raise BundleError("the outputs are no probabilities, some lie outside [0, 1]: --preprocess outputs=logits")


def _of_file(bundle: Bundle, content: bytes) -> Bundle:
    run = {**bundle.card.run, "sha256": hashlib.sha256(content).hexdigest()}
    unknown = ("not known: the model was made elsewhere, and may have seen any public image",)
    return replace(bundle, card=bundle.card.model_copy(update={"run": run, "not_in_training": unknown}))


def bare_bundle(graph: bytes, size: int, described: Described, summary: str) -> Bundle:
    """A bundle of a graph about which nothing has been fitted."""
    taxonomy = described.taxonomy
    manifest = Manifest(
        format=FORMAT,
        name=described.name,
        taxonomy=taxonomy.name,
        diagnoses=tuple((d.code, d.name, d.group) for d in taxonomy.diagnoses),
        members=(Member(name=described.name, file=MODEL, size=size),),
        views=first_views(described.views),
        calibration=calibration_as_dict(Scaling.identity(len(taxonomy))),
        calibration_prior=tuple(Prior.uniform(taxonomy).values),
        training_counts=(1,) * len(taxonomy),
        default_prior="calibration",
        decision={"codes": concerning(taxonomy), "refer_at": 0.5, "sensitivity": SENSITIVITY_FLOOR},
        served=False,
        files={},
    )
    card = Card(
        name=described.name,
        summary=summary,
        licence=described.licence,
        intended_use="Research on dermoscopic images; not a medical device, no diagnosis without a physician.",
        run={"date": datetime.datetime.now(datetime.UTC).date().isoformat()},
    )
    return Bundle(manifest, {MODEL: graph}, {}, card)
