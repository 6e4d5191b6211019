"""What the site has beyond the files of `docs/`: pages made of other files, links that leave `docs/`, unlisted pages.

`CHANGELOG.md`, `ARCHITECTURE.md` and `CONTRIBUTING.md` become pages, `examples/` and the docstrings of the modules one
page each. A link that leads to another file of the repository becomes plain text, because the site does not hold it.
A page that `mkdocs.yml` does not list is appended to the section of its folder.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "tools"))

import reference  # noqa: E402  (it lies beside this file, which mkdocs loads by its path)

FROM_ROOT = {name: f"project/{name.lower()}" for name in ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")}
EXAMPLES, MODULES = "start/examples.md", "reference/modules.md"
ELSEWHERE = {ROOT / name: uri for name, uri in FROM_ROOT.items()} | {
    ROOT / "README.md": "index.md",
    ROOT / "examples": EXAMPLES,
    ROOT / "src" / "dermoscope": MODULES,
}
"""Places outside `docs/` that a link may lead to, and the page that stands for each."""

_LINK = re.compile(r"(\[[^\[\]]*\])\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Append the pages that the navigation does not name to the section of their folder."""
    listed = set(_uris(config.nav))
    for path in sorted(DOCS.rglob("*.md")):
        uri = path.relative_to(DOCS).as_posix()
        if uri not in listed:
            _section(config.nav, posixpath.dirname(uri)).append(uri)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made of files outside `docs/`."""
    from mkdocs.structure.files import File

    made = {uri: (ROOT / name).read_text() for name, uri in FROM_ROOT.items() if (ROOT / name).exists()}
    made |= {EXAMPLES: reference.examples(ROOT / "examples"), MODULES: reference.modules(ROOT / "src" / "dermoscope")}
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to pages of the site, and turn those that cannot into text."""
    uri = page.file.src_uri
    source = next((ROOT / name for name, made in FROM_ROOT.items() if made == uri), DOCS / uri)
    return relink(markdown, source, uri)


def relink(markdown: str, source: Path, uri: str) -> str:
    """`markdown`, written in the file `source`, with its local links as they must read in the page `uri`."""

    def lead(found: "re.Match[str]") -> str:
        text, link, anchor = found[1], found[2], found[3] or ""
        path = (source.parent / link).resolve()
        if not path.exists():
            return found[0]  # mkdocs says that it leads nowhere
        page = path.relative_to(DOCS).as_posix() if path.is_relative_to(DOCS) else ELSEWHERE.get(path)
        if page is None or (path.is_dir() and path.is_relative_to(DOCS)):
            return text.strip("[]")
        return f"{text}({posixpath.relpath(page, posixpath.dirname(uri) or '.')}{anchor})"

    return _LINK.sub(lead, markdown)


def _uris(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [uri for item in (nav.values() if isinstance(nav, dict) else nav) for uri in _uris(item)]


def _section(nav: list[Any], folder: str) -> list[Any]:
    """The list of the section whose pages lie in `folder`, made at the end where there is none."""
    for item in nav:
        if isinstance(item, dict):
            for pages in item.values():
                if isinstance(pages, list) and folder in {posixpath.dirname(p) for p in pages if isinstance(p, str)}:
                    return pages
    made: list[Any] = []
    nav.append({folder.rpartition("/")[2].capitalize() or "More": made})
    return made
