"""A head trained on other people's embeddings, as a bundle: with their encoder for images, else for embeddings."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dermoscope.core.card import DataUse
from dermoscope.core.cases import CaseSet
from dermoscope.core.errors import BundleError, InputError
from dermoscope.core.probabilities import Prior
from dermoscope.data.splits import check_apart, with_role
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.embedded import Embeddings, predict_embeddings
from dermoscope.predict.fitting import thresholds
from dermoscope.refine.calibrate import calibration_as_dict, fit_bias_corrected
from dermoscope.train.expected import Expected
from dermoscope.train.head import Embedded, linear_head
from dermoscope.train.imported import Described, bare_bundle, content_of, import_content
from dermoscope.train.recipes import QUICK

_WEIGHT, _BIAS, _PRODUCT, _OUTPUT = ("probe.weight", "probe.bias", "probe.product", "probe.logits")


def probe(
    given: Embeddings, cases: CaseSet, described: Described, encoder: tuple[Path, Expected] | None = None
) -> Bundle:
    """An unserved bundle with a linear head, fitted as the recipe `quick` does on embeddings with the role training.

    With an `encoder` (the ONNX graph that made the embeddings, and what it expects; `embedding` names its output where
    there are several) the head is appended to it, and the bundle reads images like any other. Without one it holds no
    network: `predict_embeddings` reads embeddings with it, calibrated on the role calibration of the same cases.

    Raises InputError where embeddings and cases have too little in common, and as `import_onnx` does.
    """
    weight, bias, fitted_on = _head(given, cases)
    if encoder is not None:
        bundle = _with_encoder(encoder, weight, bias, described)
    else:
        bundle = bare_bundle(_graph(weight, bias), 1, described, "a head on embeddings; it reads embeddings, no images")
    name = bundle.members[0].name
    arrays = {f"{name}.head_weight": weight, f"{name}.head_bias": bias}
    counts = tuple(max(1, n) for n in fitted_on.counts().values())
    use = DataUse(
        name=described.data,
        licence="not stated",
        citation="not stated",
        roles=("training",),
        images=len(fitted_on),
        lesions=len(set(fitted_on.groups)),
        images_per_diagnosis=dict(fitted_on.counts()),
    )
    manifest = bundle.manifest.model_copy(update={"training_counts": counts})
    made = replace(bundle, manifest=manifest, arrays=arrays, card=bundle.card.model_copy(update={"data": (use,)}))
    return made if encoder is not None else _calibrated(made, given, cases)


def _head(given: Embeddings, cases: CaseSet) -> tuple[np.ndarray, np.ndarray, CaseSet]:
    training = _known(given, with_role(cases, "training"))
    check_apart(training=training, calibration=with_role(cases, "calibration"), test=with_role(cases, "test"))
    if len(set(training.labels.tolist())) < 2:
        raise InputError(
            f"{len(training)} embeddings have a diagnosis and the role training, of fewer than two diagnoses; the "
            "ids of both files must be the same"
        )
    x = _rows(given, training).astype(np.float64)
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    counts = np.bincount(training.labels, minlength=len(cases.taxonomy)).astype(float)
    shares = counts[training.labels] ** -QUICK.balance
    data = Embedded(((x - mean) / spread).astype(np.float32)[None], training.labels, shares / shares.sum())
    recipe = replace(QUICK, batch=min(QUICK.batch, len(training)))
    weight, bias = linear_head(recipe, data, len(cases.taxonomy))
    scaled = weight / spread
    return scaled.astype(np.float32), (bias - scaled @ mean).astype(np.float32), training


def _known(given: Embeddings, cases: CaseSet) -> CaseSet:
    held = set(given.ids)
    return cases.where(lambda c: c.diagnosis is not None and c.image_id in held)


def _rows(given: Embeddings, cases: CaseSet) -> np.ndarray:
    where = {image: row for row, image in enumerate(given.ids)}
    return given.values[[where[image] for image in cases.ids]]


def _calibrated(bundle: Bundle, given: Embeddings, cases: CaseSet) -> Bundle:
    """Calibrated on the role calibration; still not served, since no image can be read with it."""
    calibration = _known(given, with_role(cases, "calibration")).one_per_lesion()
    codes = bundle.decision.codes
    if not np.isin(calibration.labels, [bundle.taxonomy.index(c) for c in codes]).any():
        raise InputError(f"no embedding of {', '.join(codes)} has the role calibration; give more lesions")
    prediction = predict_embeddings(bundle, Embeddings(calibration.ids, _rows(given, calibration)))
    prior = Prior.from_counts("calibration", bundle.taxonomy, np.maximum(list(calibration.counts().values()), 1))
    calibrator = fit_bias_corrected(bundle.pipeline.mean(prediction), calibration.labels)
    fields: dict[str, Any] = {
        "calibration": calibration_as_dict(calibrator),
        "calibration_prior": tuple(map(float, prior.values)),
    }
    made = replace(bundle, manifest=bundle.manifest.model_copy(update=fields))
    decision = {**made.manifest.decision, **thresholds(made.pipeline.calibrated(prediction), calibration.labels, codes)}
    return replace(made, manifest=made.manifest.model_copy(update={"decision": decision}))


def _graph(weight: np.ndarray, bias: np.ndarray) -> bytes:
    """The head alone: embedding [n, e] to logits [n, d]."""
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["embedding", _WEIGHT], [_PRODUCT]),
            helper.make_node("Add", [_PRODUCT, _BIAS], ["logits"]),
        ],
        "probe",
        [helper.make_tensor_value_info("embedding", 1, ["n", weight.shape[1]])],
        [helper.make_tensor_value_info("logits", 1, ["n", len(weight)])],
        [numpy_helper.from_array(np.ascontiguousarray(weight.T), _WEIGHT), numpy_helper.from_array(bias, _BIAS)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def _with_encoder(encoder: tuple[Path, Expected], weight: np.ndarray, bias: np.ndarray, described: Described) -> Bundle:
    """The encoder's graph with the head behind its embedding."""
    from onnx import helper, numpy_helper

    from dermoscope.train.wrapped import loaded

    path, expected = encoder
    content = content_of(path)
    try:
        model = loaded(content)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    names = [o.name for o in model.graph.output]
    name = expected.embedding or names[0]
    if (len(names) > 1 and not expected.embedding) or name not in names:
        raise InputError(f"{path}: which output is the embedding? {', '.join(names)}: --preprocess embedding=NAME")
    model.graph.node.extend(
        [
            helper.make_node("Cast", [name], ["probe.embedding"], to=1),
            helper.make_node("MatMul", ["probe.embedding", _WEIGHT], [_PRODUCT]),
            helper.make_node("Add", [_PRODUCT, _BIAS], [_OUTPUT]),
        ]
    )
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.ascontiguousarray(weight.T), _WEIGHT), numpy_helper.from_array(bias, _BIAS)]
    )
    model.graph.output.append(helper.make_tensor_value_info(_OUTPUT, 1, [None, len(weight)]))
    said = replace(expected, output=_OUTPUT, embedding=name, outputs="logits", order=())
    return import_content(path, bytes(model.SerializeToString()), said, described)
