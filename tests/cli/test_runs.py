"""`dermoscope runs`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermoscope.train.runs import CARD, read_run

Cli = Callable[..., Any]


@pytest.fixture
def runs(run_folder: Path, tmp_path: Path) -> Path:
    """A folder with a finished run and one that was cut."""
    shutil.copytree(run_folder, tmp_path / "runs" / "whole")
    cut = read_run(run_folder).model_copy(update={"state": "running", "figures": (), "bundles": {}})
    (tmp_path / "runs" / "cut").mkdir()
    (tmp_path / "runs" / "cut" / CARD).write_text(cut.model_dump_json())
    return tmp_path / "runs"


def test_list(dermoscope: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = dermoscope("runs", "list", runs)
    assert said.code == 0
    (whole,) = [line for line in said.out.splitlines() if "whole" in line]
    reached = read_run(runs / "whole").figures[0].get("isic2018:balanced_accuracy").text()
    reached = reached.replace("0.", ".")
    assert "finished" in whole
    assert reached in whole
    (cut,) = [line for line in said.out.splitlines() if line.split()[0].endswith("cut")]
    assert cut.split()[2] == "cut"
    told = json.loads(dermoscope("runs", "list", runs, "--json").out)
    assert {Path(r["run"]).name: r["state"] for r in told} == {"whole": "finished", "cut": "cut"}


def test_a_folder_without_runs(dermoscope: Cli, tmp_path: Path) -> None:
    said = dermoscope("runs", "list", tmp_path)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"no runs below {tmp_path}; dermoscope train --out {tmp_path}/NAME makes one\n"
    said = dermoscope("runs", "list", tmp_path / "absent")
    assert said.code == 2
    assert "no such folder; give the one that holds the runs" in said.err


def test_a_damaged_run_does_not_hide_the_others(dermoscope: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (runs / "damaged").mkdir()
    (runs / "damaged" / CARD).write_text("{")
    said = dermoscope("runs", "list", runs)
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()[1:3]] == ["cut", "whole"]
    assert said.err.startswith(f"dermoscope: warning: {runs / 'damaged' / CARD}: not a run card (the file: Invalid")
    assert len(json.loads(dermoscope("runs", "list", runs, "--json").out)) == 2


def test_nothing_is_hidden_on_a_narrow_terminal(dermoscope: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs / "whole").rename(runs / "name[red]")
    for width in ("40", "80"):
        monkeypatch.setenv("COLUMNS", width)
        assert "…" not in dermoscope("runs", "list", runs).out
    assert "name[red]" in dermoscope("runs", "list", runs).out
    assert "name[red]" in dermoscope("runs", "show", runs / "name[red]").out.replace("\n", "")
    pair = dermoscope("runs", "compare", runs / "name[red]", runs / "name[red]")
    assert "Against" in pair.out
    assert pair.out.count("[red]") >= 3


def test_show(dermoscope: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = dermoscope("runs", "show", runs / "whole")
    assert said.code == 0
    card = read_run(runs / "whole")
    for part in (card.data["sha256"][:12], card.bundles["chosen"][:12], "test_efficientnet", "120x64", "one image per"):
        assert part in said.out
    assert card.figures[0].get("balanced_accuracy").text() in said.out
    cut = dermoscope("runs", "show", runs / "cut").out
    assert "goes on where it stopped when the same `dermoscope train` command is repeated" in cut
    told = json.loads(dermoscope("runs", "show", runs / "whole", "--json").out)
    assert (told["state"], told["epochs"]) == ("finished", [])
    assert dermoscope("runs", "show", runs).code == 2


def test_show_draws_the_epochs(dermoscope: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (runs / "whole" / "chosen-run").mkdir()
    lines = [
        {"stage": "head", "epoch": k + 1, "size": 64, "loss": loss, "mel_auc": auc, "seconds": 1.0}
        for k, (loss, auc) in enumerate(((2.0, None), (1.0, 0.5), (0.5, 0.9)))
    ]
    (runs / "whole" / "chosen-run" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = dermoscope("runs", "show", runs / "whole").out
    loss = next(line for line in out.splitlines() if line.startswith("loss"))
    assert loss.split() == ["loss", "█▃▁", "2.000", "0.500", "2.000", "0.500"]
    (runs / "whole" / "ship-run").mkdir()
    last = {"stage": "for shipping", "epoch": 1, "size": 64, "loss": 0.4, "seconds": 1.0}  # nothing is watched there
    (runs / "whole" / "ship-run" / "log.jsonl").write_text(json.dumps(last) + "\n")
    shipped = dermoscope("runs", "show", runs / "whole").out
    assert next(line for line in shipped.splitlines() if line.startswith("mel_auc")).split()[-1] == "0.900"
    shutil.rmtree(runs / "whole" / "ship-run")
    auc = next(line for line in out.splitlines() if line.startswith("mel_auc"))
    assert auc.split() == ["mel_auc", "▁█", "0.500", "0.500", "0.900", "0.900"]
    told = json.loads(dermoscope("runs", "show", runs / "whole", "--json").out)
    assert [e["loss"] for e in told["epochs"]] == [2.0, 1.0, 0.5]


def test_compare(dermoscope: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    said = dermoscope("runs", "compare", runs / "whole", runs / "cut", runs / "whole")
    assert said.code == 0, said.err
    assert "has no validation figures: it is cut" in said.out
    assert "+0.000 [+0.000, +0.000]" in said.out
    told = json.loads(dermoscope("runs", "compare", runs / "whole", runs / "whole", "--json").out)
    assert {d["metric"] for d in told["differences"]} >= {"balanced_accuracy", "calibration:log_loss"}
    assert dermoscope("runs", "compare", runs / "whole").code == 2
