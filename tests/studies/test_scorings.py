"""Scorings of the test roles: logged, counted, and brought into the documents without scoring again."""

import json
import shutil
from pathlib import Path

import pytest

from dermoscope.core.card import Figures
from dermoscope.core.estimate import Estimate
from dermoscope.predict.bundle import load
from dermoscope.report.card import as_markdown
from dermoscope.studies.scorings import LOGGED, counted, log_of, log_scoring, publish_figures, recount


def figures(title: str, scorings: int) -> Figures:
    measured = Estimate(0.8, 0.7, 0.9, "bootstrap", "lesion", 99).as_dict()
    names = ("balanced_accuracy", "calibration:MEL.auc")
    return Figures(
        title=title, split="x", date="2026-01-01", scorings=scorings, estimates=dict.fromkeys(names, measured)
    )


@pytest.fixture
def root(bundle_folder: Path, tmp_path: Path) -> Path:
    """A repository of its own with a bundle whose figures stand in its documents."""
    shutil.copytree(bundle_folder, tmp_path / "bundle")
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# x\n\n<!-- figures:headline -->\n<!-- /figures:headline -->\n")
    log_scoring(log_of(tmp_path), "aaaa", "test", "first look")
    shown = [figures("HAM10000 test", 0), figures("HAM10000 validation", 0)]
    publish_figures(tmp_path, load(tmp_path / "bundle"), shown, tmp_path / "bundle")
    return tmp_path


def test_scorings_are_appended_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "scorings.csv"
    assert log_scoring(log, "aaaa", "test", "first look") == 1
    assert log_scoring(log, "aaaa", "isic2017", "first look") == 1
    assert log_scoring(log, "bbbb", "test", "a reason, with a comma") == 2
    lines = log.read_text().splitlines()
    assert lines[0] == "date,bundle,split,reason"
    assert lines[-1].endswith('bbbb,test,"a reason, with a comma"')
    assert counted(figures("HAM10000 test", 7), log).scorings == 2
    assert counted(figures("HAM10000 validation", 7), log).scorings == 0


def test_a_scoring_of_a_study_is_counted_without_scoring_again(root: Path) -> None:
    before = load(root / "bundle")
    assert [f.scorings for f in before.card.figures] == [1, 0]
    log_scoring(log_of(root), "cccc", "test", "study")
    assert recount(root, root / "bundle")
    after = load(root / "bundle")
    assert [f.scorings for f in after.card.figures] == [2, 0]
    assert [f.estimates for f in after.card.figures] == [f.estimates for f in before.card.figures]
    assert after.sha256 == before.sha256
    assert [f["scorings"] for f in json.loads((root / "docs" / "figures.json").read_text())["figures"]] == [2, 0]
    assert (root / "docs" / "model-card.md").read_text() == as_markdown(after.card, after.sha256)
    assert "HAM10000 test 2" in (root / "README.md").read_text()


def test_figures_of_another_bundle_are_left_alone(root: Path) -> None:
    record = root / "docs" / "figures.json"
    record.write_text(record.read_text().replace(load(root / "bundle").sha256, "0" * 64))
    before = (root / "README.md").read_bytes()
    assert not recount(root, root / "bundle")
    assert (root / "README.md").read_bytes() == before


def test_every_logged_split_has_a_title() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "test-scorings.csv").read_text().splitlines()[1:]
    assert {row.split(",")[2] for row in rows} <= set(LOGGED.values())
