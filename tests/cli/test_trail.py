"""`dermoscope audit` on a real database: what it prints, and how it exits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

pytest.importorskip("sqlalchemy", reason="the service is not installed: pip install 'dermoscope[serve]'")

from sqlalchemy import text

from dermoscope.cli.main import app
from dermoscope.serve import anchors, trail
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Case, Patient

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of whoever runs the tests is looked at."""
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DERMOSCOPE_DATABASE", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service with five lines, one of them sealed."""
    store = Store.open(Options(folder=tmp_path / "service"))
    with store.begin() as session:
        session.add(Patient(id=1, pseudonym="P"))
        session.flush()
        session.add(Case(id=1, patient_id=1, created_by="r"))
        session.flush()
        for k in range(4):
            trail.record(session, "r", "case.viewed", "case/1", n=k)
        trail.record(session, "r", "reading.locked", "case/1", {"decision": "refer"})
    anchors.add(store)
    store.close()
    return tmp_path / "service"


@pytest.fixture
def run(folder: Path) -> Run:
    def called(*arguments: Any) -> Result:
        return CliRunner().invoke(app, ["audit", *map(str, arguments), "--folder", str(folder)])

    return called


def tamper(folder: Path, statement: str) -> None:
    store = Store.open(Options(folder=folder))
    with store.engine.begin() as connection:
        connection.execute(text(statement))
    store.close()


def test_a_whole_trail_is_said_to_be_so(run: Run) -> None:
    said = run("verify")
    assert said.exit_code == 0
    assert said.stdout.startswith(
        "The audit trail is whole: 5 lines, 1 to 5.\n  sealed by this service; 1 anchor agrees\n"
    )
    found = json.loads(run("verify", "--json").stdout)
    assert (found["ok"], found["lines"], found["wrong"]) == (True, 5, [])


def test_a_change_is_named_and_the_exit_code_is_1(run: Run, folder: Path) -> None:
    tamper(folder, "UPDATE events SET who = 'x' WHERE id = 3")
    said = run("verify")
    assert said.exit_code == 1
    first, last = said.stdout.splitlines()
    assert first.startswith("The audit trail was changed: line 3 was changed, or line 2 before it: its hash does not")
    assert last == "Keep a copy of database and folder as they are, and look for who could write to them."
    said = run("verify", "--json")
    assert (said.exit_code, json.loads(said.stdout)["ok"]) == (1, False)


def test_an_export_is_a_line_of_the_trail_and_verifies_elsewhere(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "trail.jsonl"
    assert run("export", "--out", out).exit_code == 0
    lines = out.read_text().splitlines()
    assert [json.loads(line)["line"]["what"] for line in lines[1:]][-1] == "audit.exported"
    assert "refer" not in out.read_text()
    alone = CliRunner().invoke(app, ["audit", "verify", "--file", str(out)])
    assert (alone.exit_code, alone.stdout.splitlines()[1]) == (
        0,
        "  chained without a gap; who wrote it only the key of its service tells (--folder)",
    )
    assert "sealed by this service" in run("verify", "--file", out).stdout
    out.write_text(out.read_text().replace('"who": "r"', '"who": "s"', 1))
    assert CliRunner().invoke(app, ["audit", "verify", "--file", str(out)]).exit_code == 1


def test_what_was_sealed_is_written_on_demand(run: Run) -> None:
    said = [json.loads(line) for line in run("export", "--open", "--after", "4").stdout.splitlines()]
    assert [line["said"] for line in said if "said" in line] == [{"decision": "refer"}]
    assert next(line["line"] for line in said if "line" in line)["number"] == 5


def test_old_lines_are_removed(run: Run) -> None:
    assert run("prune").stdout == "No line is older than 400 days.\n"
    assert json.loads(run("prune", "--days", 3, "--json").stdout) == {"removed": 0, "days": 3}


def test_where_no_service_is_nothing_is_made(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["audit", "verify", "--folder", str(tmp_path / "none")])
    assert str(said.exception).endswith("no service has stored anything here; name its --folder or --database")
    assert not (tmp_path / "none").exists()
