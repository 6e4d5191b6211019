"""Code in the documents runs: Python blocks, marked console blocks and examples, two at a time."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import snippets

EXAMPLES = snippets.examples(service=False)
PYTHON = {b.name: b for d in snippets.documents() for b in snippets.blocks(d) if b.language == "python"}
PAGES = {
    d.relative_to(snippets.ROOT).as_posix(): page
    for d in snippets.documents()
    if (page := [b for b in snippets.blocks(d) if b.language == "console" and b.marked])
}
JOBS: dict[str, Callable[[Path], None]] = {
    **{f"page {name}": lambda folder, p=page: snippets.run_console(p, folder) for name, page in PAGES.items()},
    **{f"example {p.name}": lambda folder, p=p: snippets.run_python(p.read_text(), folder) for p in EXAMPLES},
    **{f"block {name}": lambda folder, b=b: snippets.run_python(b.text, folder) for name, b in PYTHON.items()},
}


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[dict[str, Future[None]]]":
    """The jobs of all selected tests, started together: a machine with two cores runs two."""
    wanted = [i.callspec.params["job"] for i in request.session.items if getattr(i, "originalname", "") == TEST]
    with ThreadPoolExecutor(2) as pool:
        yield {job: pool.submit(JOBS[job], tmp_path_factory.mktemp("snippet")) for job in wanted}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("job", JOBS)
def test_code_in_the_documents_runs(job: str, outcomes: "dict[str, Future[None]]") -> None:
    if shutil.which("bash") is None and job.startswith("page "):
        pytest.skip("no bash here: console blocks cannot be run")
    outcomes[job].result()


TEST = test_code_in_the_documents_runs.__name__


def test_there_is_code_to_run() -> None:
    assert EXAMPLES
    assert any(name.startswith("README.md:") for name in PYTHON)
    assert "docs/start/tutorial.md" in PAGES


def test_console_blocks_are_read_as_the_rules_say(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- run -->\n```console\n$ echo one \\\n    two\none two\n$ false   # exit 1\n$ cat <<'.'\n> three\n> .\n"
        "thr...\n```\n\n```console\n$ make sense\n```\n"
    )
    marked, unmarked = snippets.blocks(page)
    assert (marked.marked, unmarked.marked, unmarked.line) == (True, False, 13)
    echo, failing, cat = snippets.commands(marked)
    assert (echo.text, echo.shown, echo.code) == ("echo one \\\n    two", ("one two",), 0)
    assert failing.code == 1
    assert (cat.text, cat.shown) == ("cat <<'.'\nthree\n.", ("thr...",))


def run(text: str, folder: Path) -> None:
    snippets.run_console([snippets.Block(snippets.ROOT / "x.md", 1, "console", text, True)], folder)


def test_a_console_block_that_is_not_true_fails(tmp_path: Path) -> None:
    run("$ echo one; echo two; echo three\none\n...\nth...e\n", tmp_path)
    run("$ touch left; (exit 2)   # exit 2\n$ ls\nleft\n", tmp_path)
    with pytest.raises(AssertionError, match="not in the output, or not there: 'one'"):
        run("$ echo one; echo two\ntwo\none\n", tmp_path)
    with pytest.raises(AssertionError, match=r"exit code 3, stated 0\nx.md:1: \$ \(exit 3\)"):
        run("$ (exit 3)\n", tmp_path)


def test_a_snippet_that_fails_or_says_nothing_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        snippets.run_python("1 / 0", tmp_path)
    with pytest.raises(AssertionError, match="a snippet prints or asserts something"):
        snippets.run_python("x = 1", tmp_path)
    snippets.run_python("assert 1 + 1 == 2", tmp_path)
