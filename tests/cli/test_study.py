"""`dermoscope study`: what a reader, a program and a paper get."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermoscope.core.card import RunCard
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row
from dermoscope.studies.registry import STUDIES, find
from dermoscope.studies.results import Results

GAIN = Estimate(0.02, -0.01, 0.03, "paired bootstrap", "lesion", 90)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DERMOSCOPE_HOME with results of one study, made up."""
    claims = find("steppan2021").claims
    auc = [c for c in claims if c.metric in ("AUC MEL", "AUC UNK")]
    found = Measured("AUC MEL", Estimate(0.9, 0.85, 0.93, "bootstrap", "lesion", 90), "folds", "all_9")
    gain = Measured("AUC MEL", GAIN, "folds", "all_9", "lite0", 0.04, 0.12)
    rows = (
        Row("steppan2021", "stand-in", "single", "One network & a view", claims[:2], (), "100 % made up"),
        Row("steppan2021", "reproduced", "auc", "AUC of each diagnosis", tuple(auc), (found, gain)),
    )
    card = RunCard(name="steppan2021", started="2026-01-01", changed="2026-01-02", seed=0, recipe={}, environment={},
                   data={"name": "toys", "sha256": "0" * 64}, code={"version": "0"})  # fmt: skip
    folder = tmp_path / "studies" / "steppan2021"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(Results("steppan2021", card, rows).text)
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("home")
def test_list_names_every_study_and_its_claims(dermoscope: Callable[..., Any]) -> None:
    said = dermoscope("study", "list", "--json")
    rows = {row["study"]: row for row in json.loads(said.out)}
    assert list(rows) == list(STUDIES)
    assert rows["steppan2021"]["claims"] == 32
    assert rows["steppan2021"]["results"]["origin"] == "this machine"
    assert "32 claims; results of 2026-01-02 (this machine)" in dermoscope("study", "list").out


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("columns", [80, 100])
def test_show_sets_claims_beside_what_was_measured(
    columns: int, dermoscope: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    said = dermoscope("study", "show", "steppan2021")
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert all(len(line) <= columns for line in lines)
    assert "    0.582  SE-ResNeXt-101 32x4d at 299 px" in lines
    assert "  100 % made up." in lines
    [line] = [" ".join(text.split()) for text in lines if text.startswith("  AUC MEL ")]
    assert line == "AUC MEL 0.924 0.900 [0.850, 0.930] +0.020 [−0.010, 0.030], p 0.120"
    assert "difference +0.024" in [" ".join(text.split()) for text in lines]
    assert "other network than in the paper" in " ".join(said.out.split())
    assert "(this machine)" in " ".join(said.out.split())


@pytest.mark.parametrize("name", STUDIES)
def test_shipped_results_fit_80_columns_a_figure_a_line(
    name: str, dermoscope: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    said = dermoscope("study", "show", name)
    if said.code == 2 and "no results yet" in said.err:
        pytest.skip(f"{name} ships no results yet")
    bare = r"\s*[+−]?[\d.,]*\s*\[[\d., −]+\][,\s]*(p [\d.]+)?\s*"
    assert not [line for line in said.out.splitlines() if re.fullmatch(bare, line)], "a figure without its name"
    gains = [line for line in said.out.splitlines() if ", p " in line and "[" in line and "95 %" not in line]
    assert all(line.rstrip().rpartition(", p ")[2].split()[0].replace(".", "").isdigit() for line in gains)


@pytest.mark.usefixtures("home")
def test_json_holds_rows_with_what_was_promised(dermoscope: Callable[..., Any]) -> None:
    rows = json.loads(dermoscope("study", "table", "--json").out)
    assert all({"study", "type", "claims", "measured"} <= set(row) for row in rows)
    ours = [row for row in rows if row["study"] == "steppan2021"]
    assert {"value", "low", "high", "n", "unit", "split", "bundle"} <= set(ours[1]["measured"][0])
    assert "differences" not in ours[0]
    shown = json.loads(dermoscope("study", "show", "steppan2021", "--json").out)
    assert shown["rows"] == ours
    assert isinstance(shown["consistency"], list)


def test_mermaid_is_the_diagram_alone(dermoscope: Callable[..., Any]) -> None:
    assert dermoscope("study", "show", "steppan2021", "--mermaid").out.startswith("flowchart LR\n")


def test_latex_compiles_with_its_bibliography(home: Path, dermoscope: Callable[..., Any]) -> None:
    out = home / "tex"
    said = dermoscope("study", "table", "--latex", "--out", out)
    assert said.code == 0, said.err
    assert (out / "steppan2021.tex").read_text().count(r"\toprule") == 1
    assert "{steppan2021," in (out / "studies.bib").read_text()
    if shutil.which("pdflatex") is None or shutil.which("bibtex") is None:
        pytest.skip("pdflatex or bibtex is not installed: the tables are not compiled")
    for command in (["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main"], ["bibtex", "main"],
                    ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main"]):  # fmt: skip
        done = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:]
    assert (out / "main.pdf").stat().st_size > 10_000


def test_what_is_not_there_says_what_to_do(
    dermoscope: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path))
    said = dermoscope("study", "show", "nothing")
    assert (said.code, said.out) == (2, "")
    assert "no study 'nothing'; there are steppan2021" in said.err
    said = dermoscope("study", "run", "steppan2021", "--set", "folds=1")
    assert said.code == 2
    assert "an ablation needs 2 folds, 1 seed and 1 backbone at least" in said.err


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DERMOSCOPE_HOME without results: those that the package came with count."""
    monkeypatch.setenv("DERMOSCOPE_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("bare")
def test_a_contact_sheet_is_a_jpeg_where_it_was_asked_for(dermoscope: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.jpg"
    said = dermoscope("study", "sheet", "repeatability", "--data", "drawn", "--out", out)
    assert (said.code, said.out.strip()) == (0, str(out)), said.err
    assert out.read_bytes().startswith(b"\xff\xd8")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("command", "name", "out", "why"),
    [
        (
            "sheet",
            "steppan2021",
            "s.jpg",
            "study steppan2021 has no contact sheet; `dermoscope study show steppan2021`",
        ),
        ("sheet", "repeatability", "s.png", "s.png: a contact sheet is a JPEG; give a name that ends in .jpg"),
        ("sheet", "repeatability", "", "a contact sheet is a JPEG; give a name that ends in .jpg"),
        ("sheet", "repeatability", "file/s.jpg", "s.jpg: cannot be written"),
        ("sheet", "nothing", "s.jpg", "no study 'nothing'; there are steppan2021"),
        ("figures", "steppan2021", "f", "study steppan2021 has no figures; `dermoscope study show steppan2021`"),
        ("figures", "repeatability", "file", "cannot be written"),
        ("figures", "nothing", "f", "no study 'nothing'; there are steppan2021"),
    ],
)
def test_pictures_that_cannot_be_made_say_why(
    command: str, name: str, out: str, why: str, dermoscope: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    given = ("--data", "drawn") if command == "sheet" else ()
    said = dermoscope("study", command, name, *given, "--out", tmp_path / out)
    assert said.code == 2
    assert why in " ".join(said.err.split())
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".jpg", ".png", ".svg")]


@pytest.mark.usefixtures("bare")
def test_figures_are_svg_in_the_folder(dermoscope: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figure can be drawn")
    said = dermoscope("study", "figures", "repeatability", "--out", tmp_path / "figures")
    files = [Path(line) for line in said.out.split()]
    assert said.code == 0, said.err
    assert sorted(files) == sorted((tmp_path / "figures").iterdir())
    assert all(file.read_text().startswith("<svg") and file.suffix == ".svg" for file in files)
