"""The threat model names a test for everything that it says stands against a threat, and each of them exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
COMPONENTS = (
    "Pages in the browser",
    "API",
    "Uploads and their decoding",
    "Model and bundles",
    "Database",
    "Files and backups",
    "Audit trail",
    "Logins and OpenID Connect",
    "Operation: container, logs, figures",
)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests of a file, read and not run."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def rows_of(component: str) -> list[list[str]]:
    _, _, section = PAGE.partition(f"\n## {component}\n")
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_component_has_its_table_and_there_is_no_other() -> None:
    assert tuple(re.findall(r"^## (.+)$", PAGE, re.MULTILINE)) == COMPONENTS


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_kind_of_threat_is_thought_of(component: str) -> None:
    assert {row[0] for row in rows_of(component)} == set("STRIDE")


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_mitigation_names_a_test_that_exists(component: str) -> None:
    for row in rows_of(component):
        assert len(row) == 5, row
        assert all(len(cell) > 2 for cell in row[1:]), f"a cell of {row[1]!r} is empty"
        named = NAMED.findall(row[3])
        assert named, f"nothing shows {row[2]!r}"
        assert not NAMED.sub("", row[3]).strip(), f"more than tests: {row[3]!r}"
        for path, name in named:
            assert (ROOT / path).is_file(), path
            assert name in names_in(path), f"{path} has no {name}"


def test_what_is_attacked_is_told() -> None:
    """No test of an attack is written and forgotten here."""
    told = {f"{path}::{name}" for path, name in NAMED.findall(PAGE)}
    for path in sorted((ROOT / "tests" / "serve" / "security").glob("test_*.py")):
        short = path.relative_to(ROOT).as_posix()
        left = {f"{short}::{name}" for name in names_in(short) if name.startswith("test_")} - told
        assert not left
