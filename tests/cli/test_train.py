"""`dermoscope train`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermoscope.predict.bundle import load

Cli = Callable[..., Any]
TINY = ("backbone=test_efficientnet", "pretrained=false", "size=64", "phases=3x64", "views=1")


def settings(*pairs: str) -> list[str]:
    return [part for pair in pairs for part in ("--set", pair)]


def test_from_a_folder_to_a_bundle_that_classifies(
    dermoscope: Cli, synthetic: Path, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    out = tmp_path / "run"
    said = dermoscope("train", "--recipe", "quick", "--data", synthetic, "--out", out, *settings(*TINY))
    assert said.code == 0, said.err
    assert f"next: dermoscope classify IMAGES --bundle {out / 'chosen'}" in said.out
    bundle = load(out / "chosen")
    assert f"bundle {out / 'chosen'} (0.2 MB, {bundle.sha256[:12]})" in said.out
    assert bundle.card.data[0].name == synthetic.name
    assert (tmp_path / "home" / "cache").is_dir()
    classified = dermoscope("classify", images[0], "--bundle", out / "chosen", "--json")
    assert len(json.loads(classified.out)) == 1


def test_the_result_as_json_where_a_recipe_has_nothing_to_ship(
    dermoscope: Cli, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    arguments = ("--recipe", "quick", "--data", synthetic, "--out", tmp_path / "run", "--ship", "--json")
    told = json.loads(dermoscope("train", *arguments, *settings(*TINY)).out)
    assert told["bundle"] == str(tmp_path / "run" / "chosen")
    assert told["recipe"] == "quick"
    assert load(told["bundle"]).sha256 == told["sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "best"), "no recipe 'best'; there are default, quick"),
        (("--set", "rate"), "--set takes key=value, for example --set rate=5e-4"),
        (("--set", "epochs=3"), "no setting 'epochs'; settings are name, kind"),
        (("--set", "batch=many"), "setting batch='many': expected something like 32"),
        (("--set", "views=99"), "setting views=99: it must be 1 to 16"),
        (("--set", "augmentation.jpeg=200"), "augmentation has an impossible jpeg"),
        (("--data", "nowhere"), "no data set and no path 'nowhere'; the catalog has ham10000"),
    ],
)
def test_what_cannot_be_trained(arguments: tuple[str, ...], message: str, dermoscope: Cli, tmp_path: Path) -> None:
    said = dermoscope("train", "--out", tmp_path / "run", *arguments)
    assert said.code == 2
    assert said.err.startswith("dermoscope: ")
    assert message in said.err
    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_had_are_told_before_anything_is_written(
    dermoscope: Cli, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    arguments = ("--recipe", "quick", "--data", synthetic, "--out", tmp_path / "run")
    said = dermoscope("train", *arguments, *settings("backbone=test_efficientnet", *TINY[2:]))
    assert said.code == 2
    assert "no ImageNet weights of test_efficientnet could be had" in said.err
    assert "train with --from-scratch" in said.err
    assert not (tmp_path / "run").exists()
    said = dermoscope("train", *arguments, *settings("backbone=test_vit", *TINY[2:]), "--from-scratch", "--json")
    assert said.code == 0, said.err
    bundle = load(tmp_path / "run" / "chosen")
    assert bundle.card.recipe["pretrained"] is False
    assert "ood_centre" in bundle.arrays  # a transformer has an embedding, though no map


def test_a_network_that_timm_does_not_know(
    dermoscope: Cli, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path))
    arguments = ("--recipe", "quick", "--data", synthetic, "--out", tmp_path / "run")
    said = dermoscope("train", *arguments, *settings(*TINY[1:], "backbone=lenet"))
    assert said.code == 2
    assert "timm knows no network 'lenet'" in said.err
