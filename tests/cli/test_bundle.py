"""`dermoscope bundle`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dermoscope.predict.bundle import Bundle

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
