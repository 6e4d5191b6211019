"""Who may import whom, and what a bare `--help` must not import."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from dermoscope.cli.main import app

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dermoscope"
HEAVY = {"numpy", "pandas", "pydantic", "cv2", "onnxruntime", "torch", "scipy", "PIL", "matplotlib", "rich", "httpx"}


def test_the_import_contracts_hold() -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed: no contracts can be checked")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout
    assert "0 broken" in said.stdout


HELP = """
import sys
from dermoscope.cli.main import main
sys.argv = ["dermoscope", *sys.argv[1:]]
try:
    main()
finally:
    print(*{name.split(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def loaded_by(*arguments: str) -> set[str]:
    """Top-level packages that a command has imported when it ends."""
    said = subprocess.run([sys.executable, "-c", HELP, *arguments], capture_output=True, text=True, check=False)
    assert said.returncode == 0
    assert said.stdout
    return set(said.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    loaded = loaded_by("--help")
    assert "typer" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("arguments", [("--version",), ("classify", "--help"), ("train", "--help")])
def test_help_of_a_command_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    # typer itself (0.28 and later) reads options with pydantic
    assert loaded_by(*arguments) & (HEAVY - {"pydantic"}) == set()


def test_import_dermoscope_is_light() -> None:
    code = "import sys, dermoscope; print(*{name.split('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(said.stdout.split()) & HEAVY == set()


def test_every_public_name_is_there() -> None:
    import dermoscope

    assert all(getattr(dermoscope, name) is not None for name in dermoscope.__all__)
    with pytest.raises(AttributeError, match="module 'dermoscope' has no attribute 'melanoma'"):
        dermoscope.__getattr__("melanoma")


def test_tests_mirror_the_source() -> None:
    rooms = {p.name for p in SOURCE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    tested = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir()}
    assert rooms <= tested | {"studies"}
    assert not list((ROOT / "tests").rglob("__init__.py"))


def commands(app: typer.Typer) -> Iterator[Callable[..., object]]:
    """The functions behind a command and those under it."""
    yield from (command.callback for command in app.registered_commands if command.callback)
    for group in app.registered_groups:
        yield from commands(group.typer_instance)  # type: ignore[arg-type]


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = node.args
    several = [one for one in (given.vararg, given.kwarg) if one is not None]
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, *several)]
    return [name for name in names if name not in ("self", "cls")]


def test_a_function_takes_six_values_at_most() -> None:
    options = {(Path(inspect.getfile(f)), f.__name__) for f in commands(app)}  # these have one for each of the command
    found = [
        (path, node.name, len(parameters(node)))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert options <= {(path, name) for path, name, _ in found}
    many = {f"{path.name}: {name}": n for path, name, n in found if n > 6 and (path, name) not in options}
    assert many == {}, "bundle what belongs together into a frozen dataclass"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_modules_and_functions_fit_a_screen(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert len(path.read_text().splitlines()) <= 400
    assert ast.get_docstring(tree), "a module says what it is for"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 42, f"{node.name} is longer than a screen"
