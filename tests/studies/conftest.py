"""Drawn lesions, few and small, for the short forms of studies."""

from pathlib import Path

import pytest

from dermoscope.data.synthetic import write_dataset
from dermoscope.studies.base import Asked

SHORT = {"backbone": "test_efficientnet", "size": "64", "phases": "3x64", "pretrained": "false"}


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("drawn") / "set", 36, 7, (64, 64))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all of them: features are computed once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def asked(lesions: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(home))
    return Asked(str(lesions), settings=SHORT)
