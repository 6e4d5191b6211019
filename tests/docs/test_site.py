"""The site builds without a warning, holds every page, and fetches nothing; generated pages are what is generated."""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import reference
import snippets
from typer.main import get_command

from dermoscope.cli.main import app
from dermoscope.core import errors

ROOT = snippets.ROOT
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: any warning of mkdocs (a link, an anchor, a page outside the navigation) fails it.

    Not with --quiet: that silences warnings before `--strict` counts them.
    """
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed: the site cannot be built (make setup)")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    told = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


class Page(HTMLParser):
    """What a page loads, and where its links lead."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif tag in ("script", "img", "link", "iframe", "source") and given.get("rel") not in (
            "canonical",
            "prev",
            "next",
        ):
            self.loads += [given[name] for name in ("src", "href") if name in given]


def test_every_document_is_a_page_in_the_navigation(site: Path) -> None:
    start = Page(site / "index.html")
    expected = {p.relative_to(DOCS).with_suffix(".html").as_posix() for p in DOCS.rglob("*.md")}
    expected |= {f"project/{name}.html" for name in ("architecture", "changelog", "contributing")}
    expected |= {"start/examples.html", "reference/modules.html"}
    assert {page for page in expected if not (site / page).is_file()} == set()
    assert expected - {link.partition("#")[0] for link in start.links} == set()


def test_nothing_is_fetched_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for path in pages:
        page = Page(path)
        assert not [what for what in page.loads if re.match(r"(https?:)?//", what)], path
        local = [what for what in page.loads if what and not what.startswith("data:") and path.name != "404.html"]
        assert all((path.parent / what.partition("?")[0]).resolve().exists() for what in local), path


def test_styles_fetch_nothing_either(site: Path) -> None:
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", path.read_text()), path


def test_search_works_in_a_page_opened_from_the_disk(site: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: the site cannot be looked at")
    page = f"file://{site}/index.html?q=calibration"
    command = [browser, "--headless", "--no-sandbox", "--virtual-time-budget=20000", "--dump-dom", page]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert re.search(r"\d+ matching documents", done.stdout)
    assert "md-search-result__item" in done.stdout


@pytest.mark.parametrize("name", reference.PAGES)
def test_generated_pages_are_what_is_generated(name: str) -> None:
    assert (ROOT / name).read_text() == reference.PAGES[name](), f"{name} is out of date: run `make docs`"


def names_of(command: Any) -> set[str]:
    return {name for p in command.params for name in (*p.opts, *p.secondary_opts) if name.startswith("--")}


def test_the_reference_has_every_command_and_option() -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    for path, command in reference._commands(get_command(app), "dermoscope"):
        section = re.search(rf"^##+ {path}$(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, path
        assert all(f"`{name}" in section[1] for name in names_of(command) - {"--help"}), path


def test_the_page_of_modules_names_every_module() -> None:
    text = reference.modules(ROOT / "src" / "dermoscope")
    for room in reference.ROOMS:
        for path in (ROOT / "src" / "dermoscope" / room).glob("[!_]*.py"):
            assert f"### dermoscope.{room}.{path.stem}\n" in text


def test_the_page_of_examples_shows_every_example() -> None:
    text = reference.examples(ROOT / "examples")
    for path in (ROOT / "examples").glob("*.py"):
        assert f"## {path.name}\n" in text
        assert path.read_text().splitlines()[-1] in text


def test_the_error_tree_is_that_of_the_code() -> None:
    page = (DOCS / "reference" / "errors.md").read_text()
    drawn = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1]
    assert inspect.cleandoc(drawn) in page
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.DermoscopeError)]
    assert [c.__name__ for c in classes if not re.search(rf"\b{c.__name__} ", drawn)] == []
    assert {c.exit_code for c in classes} == {1, 2}


def test_every_environment_variable_is_documented() -> None:
    named = {n for p in (ROOT / "src").rglob("*.py") for n in re.findall(r"DERMOSCOPE_[A-Z_]+", p.read_text())}
    page = (DOCS / "reference" / "environment.md").read_text()
    assert named
    assert [name for name in sorted(named) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("document", snippets.documents(), ids=lambda d: d.relative_to(ROOT).as_posix())
def test_local_links_lead_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", prose)
    assert [link for link in links if not (document.parent / link).exists()] == []


def relink(markdown: str) -> str:
    spec = importlib.util.spec_from_file_location("mkdocs_hooks", ROOT / "tools" / "mkdocs_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    found: str = hooks.relink(markdown, DOCS / "how-to" / "classify.md", "how-to/classify.md")
    return found


@pytest.mark.parametrize(
    ("written", "on_the_site"),
    [
        ("[a](evaluate.md)", "[a](evaluate.md)"),
        ("[a](../model-card.md#use)", "[a](../model-card.md#use)"),
        ("[a](../../CONTRIBUTING.md#set-up)", "[a](../project/contributing.md#set-up)"),
        ("[a](../../README.md)", "[a](../index.md)"),
        ("[a](../../examples)", "[a](../start/examples.md)"),
        ("[the `licence`](../../weights/LICENSE)", "the `licence`"),
        ("[a](https://example.org/x)", "[a](https://example.org/x)"),
        ("[a](nowhere.md)", "[a](nowhere.md)"),
        ("![a](../result-page.png)", "![a](../result-page.png)"),
    ],
)
def test_links_that_leave_the_documents(written: str, on_the_site: str) -> None:
    assert relink(f"see {written}.") == f"see {on_the_site}."
