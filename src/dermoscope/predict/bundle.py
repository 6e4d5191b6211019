"""The bundle: a folder that holds a trained model and everything that turns its output into an answer.

bundle.json   manifest: members, taxonomy, views, calibration, priors, decision, a SHA-256 per file
model.onnx    graph: pictures uint8 [n, size, size, 3] -> logits, embedding, features; one file per member
arrays.npz    head weights and out-of-distribution statistics
card.json     the model card

`manifest.py` says what the manifest holds, and reads the format that came before.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError

from dermoscope.core.card import Card
from dermoscope.core.errors import BundleError, ValueRuleError, some
from dermoscope.core.estimate import Estimate
from dermoscope.core.prediction import Prediction
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import Diagnosis, Taxonomy
from dermoscope.predict.manifest import READ, Manifest, Member, from_format_1, identity, upgraded
from dermoscope.predict.views import check_view
from dermoscope.refine.calibrate import calibration_from_dict
from dermoscope.refine.decision import DecisionRule
from dermoscope.refine.ood import OutOfDistribution
from dermoscope.refine.operating import Sample
from dermoscope.refine.pipeline import MemberRule, Pipeline

MODEL, ARRAYS, CARD, MANIFEST = "model.onnx", "arrays.npz", "card.json", "bundle.json"
_AGAIN = "install or train the bundle again"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle in memory.

    `graphs` maps the file of each member to its content. `arrays` holds the statistics `ood_*` where the bundle has
    them, and for each member `NAME.head_weight` [d, e] and `NAME.head_bias` [d] (in the first format without a name).
    """

    manifest: Manifest
    graphs: Mapping[str, bytes]
    arrays: Mapping[str, np.ndarray]
    card: Card

    @cached_property
    def sha256(self) -> str:
        """Identity of the model: hash of the manifest without its card (whose figures are measured afterwards)."""
        return identity(self.manifest, without=CARD)

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The diagnoses that the model knows."""
        return Taxonomy(
            self.manifest.taxonomy,
            tuple(Diagnosis(*fields) for fields in self.manifest.diagnoses),
            "UNK" if self.manifest.taxonomy == "isic2019" else None,
        )

    @cached_property
    def pipeline(self) -> Pipeline:
        """What turns logits into probabilities."""
        rules = {
            m.name: MemberRule(m.weight)
            if m.scaled_before_merge
            else MemberRule(m.weight, m.temperature, np.array(m.bias) if m.bias else None)
            for m in self.members
        }
        calibration = calibration_from_dict(self.manifest.calibration)
        return Pipeline(rules, self.manifest.mean, calibration, self.prior("calibration"))

    @property
    def members(self) -> tuple[Member, ...]:
        """The networks, at least one."""
        return self.manifest.members

    @cached_property
    def decision(self) -> DecisionRule:
        """The rule from probability to answer."""
        return TypeAdapter(DecisionRule).validate_python(self.manifest.decision)

    @cached_property
    def sample(self) -> Sample | None:
        """The lesions of the calibration role that the decision was fitted on, or None in a bundle without them."""
        if "decision_probabilities" not in self.arrays:
            return None
        rows = self.arrays["decision_probabilities"]
        ids = tuple(f"calibration-{k}" for k in range(1, len(rows) + 1))
        labels, assessed = self.arrays["decision_labels"].astype(int), self.arrays["decision_assessed"].astype(bool)
        return Sample(Probabilities(ids, self.taxonomy, rows), labels, assessed)

    @cached_property
    def operating_point(self) -> Mapping[str, Estimate]:
        """What the rule does to the calibration role as it is served by default; empty where it was not measured."""
        stored = self.manifest.decision.get("operating_point", {})
        return {name: Estimate.from_dict(fields) for name, fields in stored.items()}

    @cached_property
    def ood(self) -> OutOfDistribution | None:
        """Out-of-distribution statistics, or None in an imported bundle without embedding."""
        if "ood_centre" not in self.arrays:
            return None
        return OutOfDistribution(*(self.arrays[f"ood_{k}"] for k in ("centre", "projection", "means", "quantiles")))

    def check_served(self) -> None:
        """Raise BundleError for a bundle that gives no answers before it has been calibrated here."""
        if not self.manifest.served:
            raise BundleError(
                f"bundle {self.manifest.name!r} has not been calibrated here, and its numbers mean nothing until then: "
                "`dermoscope bundle calibrate BUNDLE --data NAME`"
            )

    def prior(self, name: str) -> Prior:
        """`calibration`, `uniform` or `training`. Raises BundleError for another name."""
        if name == "calibration":
            return Prior(name, self.taxonomy, np.array(self.manifest.calibration_prior))
        if name == "uniform":
            return Prior.uniform(self.taxonomy)
        if name == "training":
            return Prior.from_counts(name, self.taxonomy, self.manifest.training_counts)
        raise BundleError(f"the bundle knows no prior {name!r}; there are calibration, uniform, training")


def find(name_or_path: str | Path = "default") -> Path:
    """Folder of a bundle: a path, or the name of an installed one (entry point group `dermoscope.bundles`).

    Raises BundleError, saying how to get one, when there is none of that name.
    """
    path = Path(name_or_path)
    if (path / MANIFEST).is_file():
        return path
    installed = {point.name: point for point in entry_points(group="dermoscope.bundles")}
    if str(name_or_path) in installed:
        return Path(installed[str(name_or_path)].load()())
    if path.is_dir():
        raise BundleError(f"{path} is not a bundle: it has no {MANIFEST}; give the folder that holds one")
    have = f"installed are {some(sorted(installed))}" if installed else "no weights are installed"
    raise BundleError(
        f"no bundle {str(name_or_path)!r}: {have}. `make run` installs the bundled weights (pip install ./weights), "
        "`dermoscope train` makes your own, and a path to a bundle's folder works everywhere a name does"
    )


def load(name_or_path: str | Path = "default") -> Bundle:
    """Read a bundle and verify every file against its SHA-256.

    Raises BundleError where a file is missing, changed, or of another format, or its parts do not fit together.
    """
    folder = find(name_or_path)
    manifest = _manifest(folder)
    content = {name: _verified(folder, name, expected) for name, expected in manifest.files.items()}
    lacking = {ARRAYS, CARD, *(m.file for m in manifest.members)} - set(content)
    if lacking:
        raise BundleError(f"{folder / MANIFEST} does not list {some(sorted(lacking))}; {_AGAIN}")
    try:
        with np.load(io.BytesIO(content[ARRAYS]), allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(f"{folder / ARRAYS} does not hold arrays ({error}); {_AGAIN}") from None
    try:
        card = Card.model_validate_json(content[CARD])
    except ValidationError as error:
        raise BundleError(f"{folder / CARD} is not a model card: {_first(error)}; {_AGAIN}") from None
    if manifest.format == 1:
        manifest = upgraded(manifest)
    bundle = Bundle(manifest, {m.file: content[m.file] for m in manifest.members}, held, card)
    try:
        _check(bundle)
    except (ValueRuleError, TypeError, KeyError, IndexError, ValidationError) as error:
        why = _first(error) if isinstance(error, ValidationError) else error
        raise BundleError(f"{folder}: the parts of the bundle do not fit together: {why}; {_AGAIN}") from None
    return bundle


def _verified(folder: Path, name: str, expected: str) -> bytes:
    path = folder / name
    if Path(name).name != name:
        raise BundleError(f"{folder / MANIFEST} lists {name!r}, which is not a file of the bundle; {_AGAIN}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{folder}: {name} is missing; {_AGAIN}") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); {_AGAIN}") from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise BundleError(f"{path}: its SHA-256 is not the one in {MANIFEST}: changed or damaged; {_AGAIN}")
    return content


def _check(bundle: Bundle) -> None:
    """Make every value that is derived from the manifest and the arrays once, so that none fails later."""
    for prior in ("calibration", "training", bundle.manifest.default_prior):
        bundle.prior(prior)
    diagnoses = len(bundle.taxonomy)
    nothing = Prediction((), bundle.taxonomy, np.zeros((0, len(bundle.members), diagnoses)), members=_names(bundle))
    bundle.pipeline.calibrated(nothing)
    for code in bundle.decision.codes:
        bundle.taxonomy.index(code)
    for name, at in (("refer_at", bundle.decision.refer_at), ("floor_at", bundle.decision.lowest)):
        if not np.isfinite(at):  # nothing reaches NaN: no lesion would be referred
            raise ValueRuleError(f"decision.{name}: {at} is no threshold")
    for view in bundle.manifest.views:
        check_view(view)
    stray = [m.name for m in bundle.members if m.merge and set(m.merge) != set(range(diagnoses))]
    if stray:
        raise ValueRuleError(f"members that are not projected onto the {diagnoses} columns: {some(stray)}")
    ood = bundle.ood
    if ood is not None and ood.projection.shape != (len(ood.centre), ood.means.shape[1]):
        raise ValueRuleError(f"out-of-distribution arrays {ood.centre.shape}, {ood.projection.shape} do not match")
    for key, weight in bundle.arrays.items():
        if key.endswith("head_weight"):
            bias = bundle.arrays[key.replace("weight", "bias")]
            if (weight.shape[0], *bias.shape) != (diagnoses, diagnoses):
                raise ValueRuleError(f"head weights {weight.shape} for {diagnoses} diagnoses")
    _ = bundle.sample, bundle.operating_point


def _names(bundle: Bundle) -> tuple[str, ...]:
    return tuple(m.name for m in bundle.members)


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{folder} is not a bundle: {MANIFEST} cannot be read ({error.strerror}); {_AGAIN}") from None
    except ValueError as error:
        raise BundleError(f"{path} is not JSON: {error}; {_AGAIN}") from None
    if not isinstance(raw, dict) or raw.get("format") not in READ:
        found = raw.get("format") if isinstance(raw, dict) else None
        raise BundleError(
            f"{path}: bundle format {found!r}; this version of dermoscope reads {some(READ)}: install the version "
            "that fits the bundle, or train again"
        )
    try:
        return Manifest.model_validate(from_format_1(raw) if raw["format"] == 1 else raw)
    except (ValidationError, KeyError, TypeError) as error:
        why = _first(error) if isinstance(error, ValidationError) else f"without {error}"
        raise BundleError(f"{path} is not a bundle manifest: {why}; {_AGAIN}") from None


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"


def save(bundle: Bundle, folder: Path) -> Bundle:
    """Write a bundle in place of what was there, and return it with the hashes of its files.

    A process that is killed leaves the old bundle or the new one, never a mixture.
    Raises BundleError where `folder` holds something other than a bundle, or cannot be written.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BundleError(f"{folder} exists and is not a bundle; name another folder, or remove it yourself")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(bundle.arrays))  # type: ignore[arg-type]
    card = bundle.card.model_dump_json(indent=1).encode() + b"\n"
    content = {**bundle.graphs, ARRAYS: buffer.getvalue(), CARD: card}
    manifest = _save_content(bundle.manifest, content, folder)
    return replace(bundle, manifest=manifest)


def save_card(card: Card, folder: Path) -> None:
    """Give a saved bundle another card and leave the files of the model as they are, byte for byte.

    Raises BundleError as `load` and `save` do.
    """
    bundle = load(folder)
    content = {name: (folder / name).read_bytes() for name in bundle.manifest.files}
    content[CARD] = card.model_dump_json(indent=1).encode() + b"\n"
    _save_content(bundle.manifest, content, folder)


def _save_content(manifest: Manifest, content: Mapping[str, bytes], folder: Path) -> Manifest:
    files = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    manifest = manifest.model_copy(update={"files": files})
    try:
        _write_folder(folder, {**content, MANIFEST: manifest.model_dump_json(indent=1).encode() + b"\n"})
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({error.strerror or error}); name another place") from None
    return manifest


def _write_folder(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write files under a temporary name and give the folder its own when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, data in content.items():
            with (temporary / name).open("wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
        temporary.chmod(0o755)
        if not folder.exists():
            temporary.rename(folder)
        elif not _exchanged(temporary, folder):
            old = temporary.with_name(f"{temporary.name}.old")
            folder.rename(old)
            temporary.rename(folder)
            shutil.rmtree(old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchanged(first: Path, second: Path) -> bool:
    """Let two folders change places in one step (`renameat2` of Linux); False where the system does not know how."""
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0


def head_weights(
    bundle: Bundle, member: str | None = None
) -> tuple[Float[np.ndarray, "diagnoses features"], Float[np.ndarray, " diagnoses"]]:
    """Weight and bias of a member's last layer (the first member's), for class activation maps.

    Raises BundleError where they are not held.
    """
    name = member or bundle.members[0].name
    weight, bias = (bundle.arrays.get(key, bundle.arrays.get(f"{name}.{key}")) for key in ("head_weight", "head_bias"))
    if weight is None or bias is None:
        raise BundleError(f"bundle {bundle.manifest.name!r} holds no head weights of {name!r}")
    return weight, bias
