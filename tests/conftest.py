"""What several tests share: a small synthetic data set and one bundle trained on it.

Both are made once per session. The network is the smallest that timm has, so that training and export take seconds;
what the tests say of it holds for every network that the recipes can name.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from dermoscope.predict.bundle import Bundle
    from dermoscope.predict.predictor import Predictor
    from dermoscope.train.recipes import Recipe

SETTINGS = {
    "backbone": "test_efficientnet",
    "pretrained": "false",
    "size": "64",
    "phases": "120x64",
    "rate": "0.2",
    "views": "4",
}


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like HAM10000 with 160 drawn images, twenty of each diagnosis."""
    from dermoscope.data.synthetic import write_dataset

    return write_dataset(tmp_path_factory.mktemp("synthetic") / "data", 20, seed=3, size=(144, 108))


@pytest.fixture(scope="session")
def images(synthetic: Path) -> list[Path]:
    """Its image files."""
    return sorted((synthetic / "images").glob("*.jpg"))


@pytest.fixture(scope="session")
def quick_recipe() -> "Recipe":
    """The recipe `quick` on a tiny network without ImageNet weights."""
    from dermoscope.train.recipes import QUICK

    return QUICK.with_settings(SETTINGS)


@pytest.fixture(scope="session")
def run_folder(synthetic: Path, quick_recipe: "Recipe", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of that recipe on the synthetic data set; its bundle is `chosen`."""
    import torch

    from dermoscope.data.readers import read_cases
    from dermoscope.train.run import train

    torch.set_num_threads(1)  # such small tensors gain nothing from more, and results do not depend on the machine
    out = tmp_path_factory.mktemp("run")
    said = {"name": "synthetic lesions", "licence": "CC0-1.0", "citation": "drawn by dermoscope"}
    train(quick_recipe, read_cases(synthetic), out, cache=tmp_path_factory.mktemp("cache"), data_use=said)
    return out


@pytest.fixture(scope="session")
def bundle_folder(run_folder: Path) -> Path:
    """The bundle of that run, to be read only."""
    return run_folder / "chosen"


@pytest.fixture(scope="session")
def bundle(bundle_folder: Path) -> "Bundle":
    """That bundle, verified and in memory."""
    from dermoscope.predict.bundle import load

    return load(bundle_folder)


@pytest.fixture(scope="session")
def predictor(bundle: "Bundle") -> "Predictor":
    """That bundle, ready to read images."""
    from dermoscope.predict.predictor import Predictor

    return Predictor.load(bundle)


class Said(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def dermoscope(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs a command as the installed script would: `dermoscope("classify", path, "--json")`."""
    from dermoscope.cli.main import main

    def run(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["dermoscope", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        said = capsys.readouterr()
        return Said(code if isinstance(code, int) else 0 if code is None else 1, said.out, said.err)

    return run
