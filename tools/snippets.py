"""Code in the documents: where it stands, and running it. The tests call this; `CONTRIBUTING.md` states the rules.

- A ```python block runs alone, in a fresh process and an empty folder, without real data; it must end well, and print
  or assert something.
- A ```console block below a line `<!-- run -->` is run: lines after `$ ` are commands (`> ` continues one), the lines
  below a command must occur in its output in that order, `...` standing for anything. The blocks of one page share a
  folder. A command ends with 0, or says otherwise: `# exit 2`.
- A ```py block is only shown.
- What asks a running service (the examples that import `dermoscope.client`, the page about the API) is run by
  `tests/serve`, against one.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUN = "<!-- run -->"
SECONDS = 120

_FENCE = re.compile(r"^(`{3,})(\w*)[^\n`]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_EXIT = re.compile(r"#.*\bexit (\d+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: document, line, language and text, and whether `<!-- run -->` stands above it."""

    document: Path
    line: int
    language: str
    text: str
    marked: bool

    @property
    def name(self) -> str:
        """What a test is called that runs this block: `docs/index.md:12`."""
        return f"{self.document.relative_to(ROOT).as_posix()}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a console block, the exit code it states, and the output that is shown below it."""

    text: str
    code: int
    shown: tuple[str, ...]


def examples(*, service: bool) -> list[Path]:
    """The numbered examples that ask a running service, or those that stand alone."""
    return [p for p in sorted((ROOT / "examples").glob("*.py")) if ("dermoscope.client" in p.read_text()) is service]


def documents() -> list[Path]:
    """Every document of the repository."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = document.read_text()
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        marked = before.rstrip().endswith(RUN)
        found.append(Block(document, before.count("\n") + 1, match[2], match[3], marked))
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a console block with what is shown below each."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif found and not found[-1][1] and (line.startswith("> ") or found[-1][0][-1].endswith("\\")):
            found[-1][0].append(line.removeprefix("> "))
        elif found:
            found[-1][1].append(line)
    return [_command("\n".join(lines), shown) for lines, shown in found]


def _command(text: str, shown: list[str]) -> Command:
    stated = _EXIT.search(text.splitlines()[0])
    return Command(text, int(stated[1]) if stated else 0, tuple(shown))


def run_python(code: str, folder: Path) -> None:
    """Run a snippet in a fresh process in `folder`. Raises AssertionError with what it said when it fails."""
    done = _run([sys.executable, "-c", code], folder)
    assert done.returncode == 0, done.stdout
    shows = done.stdout.strip() or re.search(r"^ *assert ", code, re.MULTILINE)
    assert shows, "a snippet prints or asserts something, or a reader learns nothing from running it"


def run_console(page: list[Block], folder: Path) -> None:
    """Run the commands of a page in order in `folder`. Raises AssertionError, naming the command, when one differs."""
    for block in page:
        for command in commands(block):
            done = _run(["bash", "-c", command.text], folder)
            said = f"{block.name}: $ {command.text}\n{done.stdout}"
            assert done.returncode == command.code, f"exit code {done.returncode}, stated {command.code}\n{said}"
            missing = not_said(command.shown, done.stdout)
            assert missing is None, f"not in the output, or not there: {missing!r}\n{said}"


def not_said(shown: tuple[str, ...], output: str) -> str | None:
    """The first shown line that does not occur in the output after the lines before it; None where all do."""
    said = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in shown:
        pattern = ".*".join(re.escape(part.strip()) for part in " ".join(line.split()).split("..."))
        if pattern.strip(".*") and not any(re.fullmatch(pattern, candidate) for candidate in said):
            return line
    return None


def environment(folder: Path) -> dict[str, str]:
    """What a snippet sees: the tests' own programs, a state folder of its own, no real data and no network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DERMOSCOPE_", "PYTEST_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    away = {"DERMOSCOPE_HOME": str(folder / ".home"), "DERMOSCOPE_ARCHIVE_URL": "http://127.0.0.1:9"}
    return kept | away | {"PATH": path, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}  # two run side by side


def _run(command: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def lines_of(document: Path, program: str) -> Iterator[tuple[int, str]]:
    """Every mention of a program's command line in code: console and shell blocks, indented lines, inline code."""
    text = document.read_text()
    for block in blocks(document):
        if block.language == "console":
            for command in commands(block):
                yield from ((block.line, line) for line in _calls(command.text, program))
        elif block.language in ("", "sh", "bash", "shell", "text"):
            yield from ((block.line, line) for line in _calls(block.text, program))
    prose = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    for at, line in enumerate(prose.splitlines(), start=1):
        if re.match(rf"    (\w+=\S+ )*{program} ", line):
            yield from ((at, call) for call in _calls(line, program))
        yield from ((at, f"{code} ") for code in re.findall(r"`([^`]+)`", line) if re.match(rf"{program} ", code))


def _calls(text: str, program: str) -> Iterator[str]:
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        for part in re.split(r"\|\||&&|[|;]", line):
            call = re.match(rf"\s*(?:\$ )?(?:\w+=\S+ )*({program} .*|{program}$)", part)
            if call:
                yield call[1]


def unknown(line: str, root: Any) -> str | None:
    """What a line `dermoscope ...` names that the command line does not have: a command or an option; else None."""
    words = shlex.split(re.split(r"\s#|\s\d?>|\s\|", line.replace("[", " ").replace("]", " "))[0].replace("'", '"'))[1:]
    command, named = root, "dermoscope"
    while words and getattr(command, "commands", None) and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"{named} has no command {words[0]!r}"
        named = f"{named} {words[0]}"
        command = command.commands[words.pop(0)]
    known = {"--help"} | {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    strange = [w for w in words if re.match(r"--?[a-z]", w) and w.partition("=")[0].rstrip(",.") not in known]
    return f"{named} has no option {strange[0]!r}" if strange else None
