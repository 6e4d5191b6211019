"""LaTeX: balanced, escaped, complete, and compiled where there is a LaTeX."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermoscope.core.estimate import Estimate
from dermoscope.report.latex import as_latex, as_table, escape
from dermoscope.report.tables import Table

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figures can be drawn")


@pytest.fixture(scope="module")
def files(measured, provenance):
    return as_latex(measured, provenance)


def environments_close(text: str) -> bool:
    """Whether every \\begin has its \\end, in order, and braces are balanced."""
    stack = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        if what == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    without_comments = re.sub(r"(?m)(?<!\\)%.*$", "", text.replace("\\\\", ""))
    bare = re.sub(r"\\[{}]", "", without_comments)
    return not stack and bare.count("{") == bare.count("}")


def test_main_holds_every_table_and_figure(files, measured):
    main = files["main.tex"].decode()
    assert environments_close(main)
    inputs = re.findall(r"\\input\{(.*?)\}", main)
    drawn = re.findall(r"\\includegraphics\[.*?\]\{(.*?)\}", main)
    assert set(files) == {"main.tex", *inputs, *drawn}
    assert {"tables/headline.tex", "tables/diagnoses.tex", "tables/groups.tex", "tables/melanoma.tex"} <= set(files)
    assert all(files[name].startswith(b"%PDF") for name in drawn)
    assert measured.served["balanced_accuracy"].text() in files["tables/headline.tex"].decode()


def test_every_table_is_booktabs_with_its_notes(files):
    tables = {name: text.decode() for name, text in files.items() if name.startswith("tables/")}
    for name, text in tables.items():
        assert environments_close(text), name
        for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{", r"\label{tab:"):
            assert text.count(rule) == 1, (name, rule)
        assert "|" not in text
        columns = len(
            re.search(r"\\begin\{tabular\}\{((?:[lr]|p\{.*?\})+)\}\n", text)[1].replace("p{0.65\\linewidth}", "p")
        )
        for line in text.splitlines():
            if line.endswith(r"\\") and not line.startswith(r"\multicolumn"):
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1, line
        assert f"bundle {'b' * 12}, split {'5' * 12}, predictions {'a' * 12}" in text
    assert "160 lesions" in tables["tables/headline.tex"]
    assert r"n: lesions with the diagnosis." in tables["tables/diagnoses.tex"]


def test_long_tables_go_on_in_another():
    rows = tuple((f"site {k}", str(k)) for k in range(60))
    table = Table("long", "Sixty rows. And a sentence.", ("a", "b"), (("One", rows[:10]), ("Two", rows[10:])))
    from dermoscope.report.latex import pieces_of

    pieces = pieces_of(table)
    assert [part.name for part in pieces] == ["long-1", "long-2", "long-3", "long-4"]
    assert [row for part in pieces for row in part.rows] == list(rows)
    assert pieces[1].caption == "Sixty rows, continued."


def test_what_cannot_be_measured_has_its_reason_below():
    gone = Estimate.not_measurable("no case of SCC & co_", "lesion", 3)
    minus = Estimate(-0.5, -1.0, 0.25, "bootstrap", "lesion", 3)
    text = as_table(Table("t", "C", ("a", "b", "c"), (("", (("[x]", gone, minus),)),)))
    assert r"{}[x] & n.\,m.\textsuperscript{a} & $-$0.500 [$-$1.000, 0.250] \\" in text
    assert r"not measurable: no case of SCC \& co\_." in text


@given(st.text(max_size=40))
@settings(deadline=None)
def test_escaped_text_holds_no_special_character(text):
    escaped = escape(text)
    left = re.sub(r"\\(text[a-z]+\{\}|[{}$&#%_,]|ldots\{\})|\$(-|\\[a-z]+)\$|~|--+", "", escaped)
    assert not re.search(r"[\\{}$&#%_^~]", left), escaped
    assert all(ord(c) < 0x180 for c in escaped)


def test_a_hostile_title_stays_text(measured, provenance):
    where = replace(provenance, title=r"\input{/etc/passwd} 50 % & $x_1$", log=())
    main = as_latex(measured, where)["main.tex"].decode()
    assert r"\textbackslash{}input\{/etc/passwd\} 50 \% \& \$x\_1\$" in main
    assert environments_close(main)
    assert "training.pdf" not in main


def test_it_compiles(files, tmp_path):
    engine = next((name for name in ("pdflatex", "lualatex", "xelatex", "tectonic") if shutil.which(name)), None)
    if engine is None:
        pytest.skip("no LaTeX here: only balance and escapes are checked")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    options = [] if engine == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([engine, *options, "main.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
