"""The recipe cards of CONTRIBUTING.md, applied to a copy of the source as they are written there, and tested."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import snippets

from dermoscope.data.catalog import CATALOG
from dermoscope.train.recipes import RECIPES

ROOT = snippets.ROOT
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
CARDS = re.split(r"^### ", TEXT.partition("## Recipe cards")[2], flags=re.MULTILINE)[1:]
FILES = {name: code for card in CARDS for name, code in re.findall(r'```py title="([^"]+)"\n(.*?)```', card, re.DOTALL)}

NAMED_IN = {
    "src/dermoscope/data/sets.py": (r"^CATALOG: .*? in \((?P<names>[^)]*)\)", "SYNTHETIC"),
    "src/dermoscope/train/recipes.py": (r"^RECIPES: .*? in \((?P<names>[^)]*)\)", "REGNET"),
}
"""Files in which a card says to write a value above a mapping and to name it in the tuple there."""


def add_above(text: str, pattern: str, name: str, code: str) -> str:
    """`text` with `code` above the mapping that `pattern` finds, and `name` at the end of its tuple."""
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    assert found, pattern
    named = f"{text[: found.end('names')].rstrip(', ')}, {name}{text[found.end('names') :]}"
    return named[: found.start()] + f"{code}\n" + named[found.start() :]


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source with every card applied."""
    copy = tmp_path_factory.mktemp("cards")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    for name in ("tests/conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    for name, code in FILES.items():
        path = copy / name
        path.parent.mkdir(exist_ok=True)
        if name in NAMED_IN:
            path.write_text(add_above(path.read_text(), *NAMED_IN[name], code))
        else:
            path.write_text(f"{path.read_text()}\n\n{code}" if path.exists() else code)
    table = copy / "src" / "dermoscope" / "evaluate" / "table.py"
    text = table.read_text()
    assert text.count('"npv", ') == text.count("metrics.npv)") == 1
    table.write_text(text.replace('"npv", ', '"npv", "mcc", ').replace("metrics.npv)", "metrics.npv, metrics.mcc)"))
    return copy


def test_every_card_names_one_file_one_test_and_one_line_of_the_docs() -> None:
    assert [card.splitlines()[0] for card in CARDS] == [
        "Add a data set",
        "Add a metric",
        "Add an architecture",
        "Add a study",
    ]
    for card in CARDS:
        named = re.findall(r'```py title="([^"]+)"', card)
        assert [name.partition("/")[0] for name in named] == ["src", "tests"]
        assert [card.count(f"**The {part}**") for part in ("file", "test", "docs line")] == [1, 1, 1]


def test_the_cards_work(applied: Path) -> None:
    tests = [name for name in FILES if name.startswith("tests/")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "pythonpath=src", *tests],
        cwd=applied,
        env=os.environ | {"PYTHONPATH": str(applied / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b7 passed\b", done.stdout), done.stdout


def test_the_cards_keep_the_style(applied: Path) -> None:
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", *NAMED_IN], cwd=applied, check=True, timeout=60)
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *FILES]
        done = subprocess.run(ruff, cwd=applied, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("how-to/get-data.md", list(CATALOG)),
        ("reference/recipes.md", list(RECIPES)),
        ("reference/studies.md", sorted(p.stem for p in (ROOT / "src/dermoscope/studies").glob("[!_]*.py"))),
    ],
)
def test_the_docs_lines_are_there(page: str, names: list[str]) -> None:
    text = (ROOT / "docs" / page).read_text()
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_figure_of_evaluate_stands_in_the_table() -> None:
    from dermoscope.evaluate.table import CALIBRATION, OFFICIAL, PROBABILITY

    section = (ROOT / "docs" / "reference" / "files.md").read_text().partition("## JSON of `evaluate`")[2]
    named = ("balanced_accuracy", "recall", "validation", "ece_if_perfect", *OFFICIAL, *CALIBRATION, *PROBABILITY)
    assert [name for name in named if f"`{name}`" not in section.partition("\n## ")[0]] == []
