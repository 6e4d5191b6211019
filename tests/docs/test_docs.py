"""What the documents say is what the code does: snippets run, commands exist, figures are of the bundled model."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dermoscope.core.card import Figures
from dermoscope.predict import bundle as bundles
from dermoscope.report.blocks import comparison, rewrite
from dermoscope.report.card import as_markdown

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(example):
    assert run(str(example)).strip()


@pytest.mark.parametrize("document", ["README.md"])
def test_python_snippets_of_documents_run(document):
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        assert run("-c", snippet).strip()


def test_every_command_of_the_command_line_stands_in_the_readme():
    from typer.main import get_command

    from dermoscope.cli.main import app

    commands = get_command(app).commands
    missing = [name for name, c in commands.items() if not c.hidden and not re.search(rf"\b{name}\b", README)]
    assert not missing


def test_every_command_in_the_readme_exists():
    from typer.main import get_command

    from dermoscope.cli.main import app

    named = set(re.findall(r"^    dermoscope (\w+)", README, re.MULTILINE))
    assert named
    assert named <= set(get_command(app).commands)


def test_make_targets_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w[\w-]*)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


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


def test_local_links_of_documents_lead_somewhere():
    for document in (ROOT / "README.md", ROOT / "ARCHITECTURE.md"):
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
