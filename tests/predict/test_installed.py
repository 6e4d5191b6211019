"""Packages that are there and packages that are not."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dermoscope.predict import installed
from dermoscope.predict.installed import PACKAGES, Check

ROOT = Path(__file__).parents[2]


def of(checks: object, what: str) -> Check:
    (check,) = [c for c in checks if c.what == what]  # type: ignore[attr-defined]
    return check


def test_the_packages_are_those_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {"plain": project["dependencies"], **project["optional-dependencies"]}
    for extra, listed in PACKAGES.items():
        assert set(listed) == {re.match(r"[\w.-]+", line)[0] for line in extras[extra]}  # type: ignore[index]


@pytest.mark.parametrize(
    ("package", "state", "cost"),
    [
        ("onnxruntime", "fail", "dermoscope does not work without it"),
        ("simplejpeg", "absent", "JPEG files are read more slowly"),
        ("timm", "absent", "no training"),
        ("matplotlib", "absent", "no figures in reports"),
        ("fastapi", "absent", "no web service"),
        ("psycopg", "absent", "the web service keeps its records in SQLite only"),
        ("mlflow-skinny", "absent", "runs are not logged to MLflow"),
    ],
)
def test_what_an_absent_package_costs_and_what_mends_it(
    package: str, state: str, cost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "_version", lambda name: None if name == package else "1.0")
    checks = tuple(installed.packages())
    found = of(checks, package)
    assert (found.state, found.detail) == (state, f"not installed: {cost}")
    extra = next(extra for extra, names in PACKAGES.items() if package in names)
    wanted = "'.'" if extra == "plain" else f"'.[{extra}]'"
    assert found.mend.startswith(f"cd {ROOT} && ")
    assert found.mend.endswith(f"-m pip install -c constraints.txt -e {wanted}")
    assert sorted(c.what for c in checks if c.state == "ok") == sorted(PACKAGES.keys() - {extra})
    monkeypatch.setattr(installed, "clone", lambda: None)
    assert of(installed.packages(), package).mend.endswith(f"-m pip install 'dermoscope{wanted[2:-1]}'")


def test_a_package_of_two_extras_is_told_under_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_version", lambda name: None if name == "weasyprint" else "1.0")
    found = [check for check in installed.packages() if check.what == "weasyprint"]
    assert [(c.state, c.detail) for c in found] == [("absent", "not installed: no PDF of reports and cases")] * 2


def test_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"\S+ \S+, \d+ cores?, \d+ GB memory", of(installed.environment(), "machine").detail)
    monkeypatch.setattr(installed, "_memory", lambda: None)
    assert "memory" not in of(installed.environment(), "machine").detail


WITHOUT = """
import sys
from importlib import metadata
GONE = {"numpy", "scipy", "httpx", "filelock", "onnxruntime"}
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
from dermoscope.predict import installed
known = installed._version
installed._version = lambda name: None if name in GONE else known(name)
sys.argv = ["dermoscope", "doctor"]
from dermoscope.cli.main import main
main()
"""


def test_the_doctor_can_speak_of_packages_that_it_lacks() -> None:
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=60)
    assert said.stderr == ""
    assert said.returncode == 1
    missing = [line.split()[1] for line in said.stdout.splitlines() if line.startswith("fail")]
    assert sorted(missing) == ["filelock", "httpx", "numpy", "onnxruntime", "scipy"]
    assert "Missing or damaged, and needed: 5" in said.stdout
