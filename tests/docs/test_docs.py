"""What the documents say of the bundled model is what was measured, and the README names every command."""

import json
import re
from pathlib import Path

from dermoscope.core.card import Figures
from dermoscope.predict import bundle as bundles
from dermoscope.report.blocks import comparison, rewrite
from dermoscope.report.card import as_markdown

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_command_of_the_command_line_stands_in_the_readme():
    from typer.main import get_command

    from dermoscope.cli.main import app

    commands = get_command(app).commands
    missing = [name for name, c in commands.items() if not c.hidden and not re.search(rf"\b{name}\b", README)]
    assert not missing


def test_figures_in_the_documents_are_those_of_the_bundled_model():
    record = json.loads((ROOT / "docs" / "figures.json").read_text())
    bundle = bundles.load("default")
    assert record["bundle"] == bundle.sha256, "the bundle changed: run `make figures`"
    figures = [Figures.model_validate(f) for f in record["figures"]]
    assert tuple(figures) == bundle.card.figures
    assert rewrite(README, {"headline": comparison(figures, bundle.sha256)}) == README
    assert (ROOT / "docs" / "model-card.md").read_text() == as_markdown(bundle.card, bundle.sha256)


def test_scorings_of_the_test_role_are_counted_from_the_log():
    rows = (ROOT / "docs" / "test-scorings.csv").read_text().splitlines()[1:]
    record = json.loads((ROOT / "docs" / "figures.json").read_text())
    for figures, name in zip(record["figures"], ("test", "test-whole", "isic2017"), strict=False):
        assert figures["scorings"] == sum(row.split(",")[2] == name for row in rows)
