"""Bundles: written, read back, verified, and replaced whole."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermoscope.core.errors import BundleError
from dermoscope.predict import bundle as bundles
from dermoscope.predict.bundle import Bundle, find, head_weights, load, save
from dermoscope.predict.predictor import Predictor
from dermoscope.refine.calibrate import calibration_as_dict


@pytest.fixture
def copy(bundle_folder: Path, tmp_path: Path) -> Path:
    """A bundle that may be damaged."""
    return Path(shutil.copytree(bundle_folder, tmp_path / "copy"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the manifest in place."""
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return folder


def put(folder: Path, name: str, content: bytes) -> Path:
    """Write a file of the bundle and its hash into the manifest."""
    (folder / name).write_bytes(content)
    return edit(folder, lambda m: m["files"].update({name: hashlib.sha256(content).hexdigest()}))


def test_what_is_written_is_read_back(bundle: Bundle, tmp_path: Path) -> None:
    written = save(bundle, tmp_path / "deep" / "again")
    found = load(tmp_path / "deep" / "again")
    assert found.manifest == written.manifest == bundle.manifest
    assert found.graphs == bundle.graphs
    assert found.card == bundle.card
    assert found.arrays.keys() == bundle.arrays.keys()
    for name, array in bundle.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert found.sha256 == written.sha256 == bundle.sha256
    assert calibration_as_dict(found.pipeline.calibration) == bundle.manifest.calibration
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["again"]


def test_the_hash_is_that_of_the_model_and_not_of_its_card(bundle: Bundle, tmp_path: Path) -> None:
    other_card = replace(bundle, card=bundle.card.model_copy(update={"summary": "measured since"}))
    assert save(other_card, tmp_path / "card").sha256 == bundle.sha256
    assert load(tmp_path / "card").card.summary == "measured since"
    warm = bundle.members[0].model_copy(update={"temperature": 1.5})
    warmer = replace(bundle, manifest=bundle.manifest.model_copy(update={"members": (warm,)}))
    assert save(warmer, tmp_path / "warmer").sha256 != bundle.sha256
    heavier = replace(bundle, arrays={**bundle.arrays, "quick.head_bias": head_weights(bundle)[1] + 1})
    assert save(heavier, tmp_path / "heavier").sha256 != bundle.sha256


def test_priors_by_name(bundle: Bundle) -> None:
    assert bundle.prior("uniform").values.tolist() == [1 / 8] * 8
    assert tuple(bundle.prior("calibration").values) == bundle.manifest.calibration_prior
    counts = np.array(bundle.manifest.training_counts)
    np.testing.assert_allclose(bundle.prior("training").values, counts / counts.sum())
    with pytest.raises(BundleError, match="the bundle knows no prior 'vienna'; there are calibration, uniform, train"):
        bundle.prior("vienna")


def as_format_1(folder: Path, temperature: float, bias: list[float]) -> str:
    """Write a bundle's manifest as the first format had it; returns the identity that it had then."""
    raw = json.loads((folder / "bundle.json").read_text())
    member = raw.pop("members")[0]
    for name in ("calibration", "mean", "served", "known_as"):
        raw.pop(name)
    raw |= {"format": 1, "size": member["size"], "temperature": temperature, "bias": bias}
    with np.load(folder / "arrays.npz") as arrays:
        held = {name.removeprefix("quick."): arrays[name] for name in arrays.files}
    np.savez_compressed(folder / "arrays.npz", **held)
    raw["files"]["arrays.npz"] = hashlib.sha256((folder / "arrays.npz").read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(raw))
    raw["files"].pop("card.json")
    return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()


def test_the_first_format_is_read_and_says_what_it_said(copy: Path, images: list[Path], tmp_path: Path) -> None:
    bias = [0.3, -0.3, 0.1, -0.1, 0.0, 0.2, -0.2, 0.0]
    was = as_format_1(copy, 0.8, bias)
    found = load(copy)
    assert found.sha256 == was
    predictor = Predictor.load(found)
    prediction = predictor.predict(images[:2])
    z = prediction.logits.astype(float) / 0.8 + bias
    before = (np.exp(z) / np.exp(z).sum(axis=2, keepdims=True)).mean(axis=1)
    np.testing.assert_allclose(predictor.refine(prediction, "calibration").values, before, rtol=1e-6)
    assert head_weights(found)[0].shape[0] == 8
    # written again it is of the new format and still the same model, until something of it changes
    save(found, tmp_path / "new")
    assert json.loads((tmp_path / "new/bundle.json").read_text())["format"] == 2
    assert load(tmp_path / "new").sha256 == was
    other = replace(found, manifest=found.manifest.model_copy(update={"default_prior": "training"}))
    assert save(other, tmp_path / "other").sha256 != was


def test_what_is_not_said_to_be_served_is_not(copy: Path, tmp_path: Path) -> None:
    edit(copy, lambda m: m.pop("served"))
    with pytest.raises(BundleError, match="bundle 'quick' has not been calibrated here"):
        load(copy).check_served()
    older = shutil.copytree(copy, tmp_path / "older")
    edit(older, lambda m: m.update(served=True, known_as={}))
    as_format_1(older, 1.0, [0.0] * 8)  # that format had no such word: what was written in it was to be served
    load(older).check_served()


def test_head_weights(bundle: Bundle) -> None:
    weight, bias = head_weights(bundle)
    assert weight.shape[0] == bias.shape[0] == 8
    bare = replace(bundle, arrays={})
    assert bare.ood is None
    with pytest.raises(BundleError, match="bundle 'quick' holds no head weights of 'quick'"):
        head_weights(bare)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing file": (lambda f: (f / "model.onnx").unlink(), "model.onnx is missing; install or train the bundle again"),
    "changed byte": (
        lambda f: (f / "model.onnx").write_bytes((f / "model.onnx").read_bytes()[:-1] + b"?"),
        "model.onnx: its SHA-256 is not the one in bundle.json: changed or damaged; install or train",
    ),
    "cut file": (
        lambda f: (f / "arrays.npz").write_bytes((f / "arrays.npz").read_bytes()[:-9]),
        "arrays.npz: its SHA-256 is not the one in bundle.json",
    ),
    "changed card": (
        lambda f: (f / "card.json").write_text((f / "card.json").read_text().replace("CC0-1.0", "MIT")),
        "card.json: its SHA-256 is not the one in bundle.json",
    ),
    "a folder for a file": (
        lambda f: ((f / "card.json").unlink(), (f / "card.json").mkdir()),
        "card.json: cannot be read",
    ),
    "bad JSON": (lambda f: (f / "bundle.json").write_text('{"format": 1,'), "bundle.json is not JSON: Expecting"),
    "no object": (lambda f: (f / "bundle.json").write_text("[1]"), "bundle format None; this version of dermoscope"),
    "binary manifest": (lambda f: (f / "bundle.json").write_bytes(b"\xff\xfe\x00"), "bundle.json is not JSON"),
    "missing manifest": (lambda f: (f / "bundle.json").unlink(), "is not a bundle: it has no bundle.json"),
    "other format": (
        lambda f: edit(f, lambda m: m.update(format=3)),
        "bundle format 3; this version of dermoscope reads 1, 2: install the version that fits the bundle",
    ),
    "unknown field": (lambda f: edit(f, lambda m: m.update(magic=1)), "is not a bundle manifest: magic: Extra inputs"),
    "missing field": (lambda f: edit(f, lambda m: m.pop("calibration")), "manifest: calibration: Field required"),
    "no member": (lambda f: edit(f, lambda m: m.update(members=[])), "is not a bundle manifest: members: Tuple should"),
    "a member twice": (
        lambda f: edit(f, lambda m: m.update(members=m["members"] * 2)),
        "is not a bundle manifest: members: Value error, two members have the same name",
    ),
    "a step that does not exist": (
        lambda f: edit(f, lambda m: m["members"][0].update(preprocessing=[{"name": "polish", "parameters": {}}])),
        "Value error, no preprocessing step 'polish'",
    ),
    "a member without its file": (
        lambda f: edit(f, lambda m: m["members"][0].update(file="other.onnx")),
        "bundle.json does not list other.onnx",
    ),
    "kind of mean": (lambda f: edit(f, lambda m: m.update(mean="harmonic")), "no mean is called 'harmonic'"),
    "no views": (lambda f: edit(f, lambda m: m.update(views=[])), "is not a bundle manifest: views: Tuple should have"),
    "unlisted file": (lambda f: edit(f, lambda m: m["files"].pop("card.json")), "does not list card.json"),
    "traversal": (
        lambda f: edit(f, lambda m: m["files"].update({"../secret": "0" * 64})),
        "bundle.json lists '../secret', which is not a file of the bundle",
    ),
    "absolute path": (
        lambda f: edit(f, lambda m: m["files"].update({"/etc/hostname": "0" * 64})),
        "lists '/etc/hostname', which is not a file of the bundle",
    ),
    "parent": (lambda f: edit(f, lambda m: m["files"].update({"..": "0" * 64})), "cannot be read"),
    "null byte": (lambda f: edit(f, lambda m: m["files"].update({"a\0b": "0" * 64})), "cannot be read"),
    "no archive": (lambda f: put(f, "arrays.npz", b"nothing"), "arrays.npz does not hold arrays"),
    "one array": (lambda f: put(f, "arrays.npz", _npy()), "arrays.npz does not hold arrays"),
    "pickled array": (lambda f: put(f, "arrays.npz", _npz(x=np.array([{}], object))), "does not hold arrays"),
    "no card": (lambda f: put(f, "card.json", b'{"name": 3}'), "card.json is not a model card: name: "),
    "temperature": (
        lambda f: edit(f, lambda m: m["calibration"]["scale"].__setitem__(0, 0)),
        "the parts of the bundle do not fit together: a calibration scale is not above 0",
    ),
    "one bias": (
        lambda f: edit(f, lambda m: m["members"][0].update(bias=[0.0])),
        "the parts of the bundle do not fit together: 1 biases for the 8 diagnoses of isic2019",
    ),
    "prior": (lambda f: edit(f, lambda m: m.update(calibration_prior=[1.0])), "prior 'calibration': 1 shares for 8"),
    "default prior": (lambda f: edit(f, lambda m: m.update(default_prior="mine")), "the bundle knows no prior 'mine'"),
    "rule": (lambda f: edit(f, lambda m: m["decision"].pop("refer_at")), "do not fit together: refer_at: "),
    "threshold": (lambda f: edit(f, lambda m: m["decision"].update(refer_at="high")), "refer_at: Input should be a"),
    "no threshold": (
        lambda f: edit(f, lambda m: m["decision"].update(refer_at=float("nan"))),
        "decision.refer_at: nan is no threshold",
    ),
    "floor": (
        lambda f: edit(f, lambda m: m["decision"].update(floor_at=float("inf"))),
        "decision.floor_at: inf is no threshold",
    ),
    "an unknown kind of view": (
        lambda f: edit(f, lambda m: m["views"][0].update(spin=3.0)),
        "views: there is no spin, only zoom, angle and flip",
    ),
    "a view of nothing": (
        lambda f: edit(f, lambda m: m["views"][0].update(zoom=0.0)),
        "frames nothing; the zoom must be above 0",
    ),
    "a projection that leaves a diagnosis out": (
        lambda f: edit(f, lambda m: m["members"][0].update(merge=[0] * 8)),
        "members that are not projected onto the 8 columns: quick",
    ),
    "code": (lambda f: edit(f, lambda m: m["decision"].update(codes=["XYZ"])), "'XYZ' is not a diagnosis of isic2019"),
    "head": (
        lambda f: put(f, "arrays.npz", _npz(**{"quick.head_weight": np.zeros((3, 4)), "quick.head_bias": np.zeros(3)})),
        "head weights (3, 4) for 8 diagnoses",
    ),
    "half of the statistics": (
        lambda f: put(f, "arrays.npz", _npz(ood_centre=np.zeros(3))),
        "do not fit together: 'ood_projection'",
    ),
}


def _npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    return out.getvalue()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused_in_a_sentence(damage: str, copy: Path) -> None:
    harm, message = DAMAGES[damage]
    harm(copy)
    with pytest.raises(BundleError) as caught:
        load(copy)
    assert message in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_link_out_of_the_bundle_is_read_as_what_it_is(copy: Path, tmp_path: Path) -> None:
    (copy / "card.json").rename(tmp_path / "elsewhere.json")
    (copy / "card.json").symlink_to(tmp_path / "elsewhere.json")
    assert load(copy).card.name == "quick"


def test_names_and_paths(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(bundle_folder) == bundle_folder
    with pytest.raises(BundleError) as caught:
        find(tmp_path / "absent")
    assert "no bundle " in str(caught.value)
    assert "`dermoscope train` makes your own" in str(caught.value)
    with pytest.raises(BundleError, match=r"is not a bundle: it has no bundle\.json; give the folder that holds one"):
        find(tmp_path)
    # an installed name is not hidden by a folder that is called like it
    monkeypatch.setattr(bundles, "entry_points", lambda group: [_Point(group, bundle_folder)])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert find("mine") == bundle_folder
    with pytest.raises(BundleError, match="no bundle 'other': installed are mine"):
        find("other")


class _Point:
    """An entry point as a weights package declares it."""

    name = "mine"

    def __init__(self, group: str, folder: Path) -> None:
        assert group == "dermoscope.bundles"
        self.folder = folder

    def load(self) -> Callable[[], Path]:
        return lambda: self.folder


def test_saving_replaces_a_bundle(bundle: Bundle, copy: Path) -> None:
    (copy / "old-file").write_text("of the bundle that goes")
    changed = replace(bundle, manifest=bundle.manifest.model_copy(update={"name": "second"}))
    save(changed, copy)
    assert load(copy).manifest.name == "second"
    assert not (copy / "old-file").exists()
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_saving_replaces_a_bundle_where_folders_cannot_change_places(
    bundle: Bundle, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_exchanged", lambda *_: False)
    save(replace(bundle, manifest=bundle.manifest.model_copy(update={"name": "second"})), copy)
    assert load(copy).manifest.name == "second"
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_saving_fills_an_empty_folder_and_spares_any_other(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save(bundle, tmp_path / "empty")
    assert load(tmp_path / "empty").sha256 == bundle.sha256
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("three years")
    with pytest.raises(BundleError, match="home exists and is not a bundle; name another folder"):
        save(bundle, tmp_path / "home")
    assert (tmp_path / "home" / "thesis.txt").read_text() == "three years"
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="file exists and is not a bundle"):
        save(bundle, tmp_path / "file")
    with pytest.raises(BundleError, match=r"file/under: cannot be written \(File exists\)"):
        save(bundle, tmp_path / "file" / "under")


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from dermoscope.predict import bundle as bundles

where, folder = sys.argv[1], Path(sys.argv[2])
given = bundles.load(folder)
changed = replace(given, manifest=given.manifest.model_copy(update={"name": "second"}))
stop = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if where == "while writing":
    os.fsync = stop
elif where == "before the exchange":
    bundles._exchanged = stop
else:
    bundles.shutil.rmtree = stop
bundles.save(changed, folder)
"""


@pytest.mark.parametrize(
    ("where", "name"),
    [("while writing", "quick"), ("before the exchange", "quick"), ("after the exchange", "second")],
)
def test_a_killed_save_leaves_the_old_bundle_or_the_new(where: str, name: str, copy: Path) -> None:
    died = subprocess.run([sys.executable, "-c", KILLED, where, copy], check=False)
    assert died.returncode == -signal.SIGKILL
    assert load(copy).manifest.name == name
    assert len(list(copy.parent.iterdir())) == 2  # what the killed one left lies beside it, hidden
    assert all(p.name.startswith(".") for p in copy.parent.iterdir() if p != copy)


def test_files_can_be_read_by_others(bundle: Bundle, tmp_path: Path) -> None:
    save(bundle, tmp_path / "shared")
    assert (tmp_path / "shared").stat().st_mode & 0o055 == 0o055
    assert os.access(tmp_path / "shared" / "bundle.json", os.R_OK)
