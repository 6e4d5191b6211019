"""Commands in the documents exist: `dermoscope` with its options, `make` with its targets."""

import re
from pathlib import Path

import pytest
import snippets
from typer.main import get_command

from dermoscope.cli.main import app

DOCUMENTS = [d for d in snippets.documents() if d.name != "CHANGELOG.md"]  # which names what is gone, too
IDS = [d.relative_to(snippets.ROOT).as_posix() for d in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_commands_and_options_exist(document: Path) -> None:
    found = [(at, snippets.unknown(line, get_command(app))) for at, line in snippets.lines_of(document, "dermoscope")]
    wrong = [f"line {at}: {what}" for at, what in found if what]
    assert not wrong


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_make_targets_exist(document: Path) -> None:
    makefile = (snippets.ROOT / "Makefile").read_text()
    for at, line in snippets.lines_of(document, "make"):
        for target in re.findall(r"(?<= )[a-z][a-z-]*(?= |$)", line.partition("#")[0]):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"line {at}: make {target}"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("dermoscope classify images/ --csv > p.csv", None),
        ("dermoscope --version", None),
        ("dermoscope data", None),
        ("dermoscope bundle info RUN/chosen --json", None),
        ("dermoscope train --set rate=5e-4 --set views=2   # --not an option", None),
        ("dermoscope clasify images/", "dermoscope has no command 'clasify'"),
        ("dermoscope bundle look", "dermoscope bundle has no command 'look'"),
        ("dermoscope classify images/ --xml", "dermoscope classify has no option '--xml'"),
        ("dermoscope train [--fast]", "dermoscope train has no option '--fast'"),
        ("dermoscope train --speed=2", "dermoscope train has no option '--speed=2'"),
    ],
)
def test_what_does_not_exist_is_named(line: str, what: str | None) -> None:
    assert snippets.unknown(line, get_command(app)) == what


def test_command_lines_are_found_where_they_may_stand(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Call `dermoscope one`, or\n\n    DERMOSCOPE_HOME=x dermoscope two\n\n```console\n$ dermoscope three \\\n"
        "    --four | dermoscope five\ndermoscope said\n```\n\ndermoscope is a program\n"
    )
    found = {line.strip() for _, line in snippets.lines_of(page, "dermoscope")}
    assert found == {"dermoscope one", "dermoscope two", "dermoscope three      --four", "dermoscope five"}
