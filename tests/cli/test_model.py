"""`dermoscope model`: what may be chosen, and the choice."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("sqlalchemy", reason="the service is not installed: pip install 'dermoscope[serve]'")

from dermoscope.cli.main import app
from dermoscope.core.errors import InputError, NotFoundError
from dermoscope.predict.bundle import find, load
from dermoscope.serve.models import choice_of
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["model", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_a_bundle_below_the_folder_is_listed_and_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    with pytest.raises(InputError, match="no service has stored anything here"):
        said("list", "--folder", str(folder))
    Store.open(Options(folder=folder)).close()
    shutil.copytree(find("default"), folder / "bundles" / "mine")
    broken = folder / "bundles" / "broken"
    shutil.copytree(find("default"), broken)
    (broken / "card.json").write_bytes(b"{}")
    sha256 = load("default").sha256
    told = json.loads(said("list", "--folder", str(folder), "--json"))
    assert told["chosen"] is None
    assert {row["name"]: row["sha256"] for row in told["bundles"]} == {
        "broken": None,
        "default": sha256,
        "mine": sha256,
    }
    assert "None is chosen: the service serves the bundle of its start (default)." in said(
        "list", "--folder", str(folder)
    )
    assert f"mine {sha256[:12]} is the model of this service" in said("use", "mine", "--folder", str(folder))
    with pytest.raises(NotFoundError, match="there are broken, mine, default"):
        said("use", "../mine", "--folder", str(folder))
    with pytest.raises(InputError, match="changed or damaged"):
        said("use", "broken", "--folder", str(folder))
    store = Store.open(Options(folder=folder))
    with store.read() as session:
        chosen = choice_of(session)
    store.close()
    assert chosen is not None
    assert (chosen.name, chosen.sha256) == ("mine", sha256)
