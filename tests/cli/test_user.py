"""`dermoscope user` on a real database: for who is locked out, or has not begun."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("sqlalchemy", reason="the service is not installed: pip install 'dermoscope[serve]'")

from dermoscope.cli.main import app
from dermoscope.core.errors import ConflictError, NotFoundError
from dermoscope.serve import links
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store

Run = Callable[..., Result]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A service that was started once; nothing of whoever runs the tests is looked at."""
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DERMOSCOPE_DATABASE", raising=False)
    Store.open(Options(folder=tmp_path / "service")).close()
    return tmp_path / "service"


@pytest.fixture
def run(folder: Path) -> Run:
    def called(*arguments: Any) -> Result:
        return CliRunner().invoke(app, ["user", *arguments, "--folder", str(folder)])

    return called


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_link_of_a_new_user_sets_the_password(run: Run, folder: Path) -> None:
    assert "Nobody has an account" in run("list").stdout
    made = told(run("add", "Ada", "--role", "admin", "--json"))
    assert (made["user"]["name"], made["user"]["role"], made["user"]["enters"]) == ("Ada", "admin", "link")
    address, _, token = made["link"].rpartition("/link/")
    assert address == "http://127.0.0.1:8000"
    store = Store.open(Options(folder=folder))
    entered = links.use_link(store, token, "blue lamp under seven trees", address="192.0.2.9")
    assert entered.name == "Ada"
    store.close()
    (row,) = told(run("list", "--json"))["users"]
    assert (row["enters"], row["disabled_at"]) == ("password", None)
    assert row["by"].startswith("command line (")
    assert "Ada" in run("list").stdout


def test_a_second_link_ends_the_first(run: Run, folder: Path) -> None:
    run("add", "Ben")
    first, second = (told(run("link", "ben", "--json"))["link"].rpartition("/")[2] for _ in range(2))
    store = Store.open(Options(folder=folder))
    with pytest.raises(links.NoLinkError):
        links.opened(store, first, "192.0.2.9")
    assert links.opened(store, second, "192.0.2.9") == ("Ben", "reader")
    store.close()


def test_an_account_is_disabled_and_enabled_but_the_last_admin(run: Run) -> None:
    run("add", "Ada", "--role", "admin")
    run("add", "Ben")
    assert told(run("disable", "Ben", "--json"))["user"]["disabled_at"] is not None
    assert "disabled" in run("list").stdout
    assert run("enable", "Ben").stdout == "Ben is enabled.\n"
    for arguments, error, said in (
        (("disable", "Ada"), ConflictError, "Ada is the last active admin"),
        (("add", "ada"), ConflictError, "no name is given twice"),
        (("disable", "Eve"), NotFoundError, "there is no user Eve; `dermoscope user list` names all"),
    ):
        failed = run(*arguments)
        assert isinstance(failed.exception, error)
        assert said in str(failed.exception)
        assert failed.stdout == ""
