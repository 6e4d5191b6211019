"""A report for LaTeX: tables as booktabs, figures as vector PDF, and a `main.tex` that holds them all.

Every table can be used alone: it needs booktabs and graphicx only. Text is escaped; what a font of LaTeX may lack is
replaced.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace

from dermoscope.core.estimate import Estimate
from dermoscope.report.dossier import Measured, Provenance
from dermoscope.report.exhibits import Drawn, Gallery, sections
from dermoscope.report.figures import rendered
from dermoscope.report.html import NOTICE, printable
from dermoscope.report.methods import methods
from dermoscope.report.tables import Cell, Row, Table

Progress = Callable[[str, int, int], None]

_LONGEST = 24
"""Rows that fit on a page together; a longer table becomes one for each of its sections or parts."""

_BESIDE = 2
"""Figures of a row up to which intervals stand beside their values; of more they stand below."""

_SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "\u00a0": "~", "\u2009": r"\,", "–": "--", "—": "---", "−": "$-$",
    "×": r"$\times$", "≥": r"$\geq$", "≤": r"$\leq$", "µ": r"$\mu$", "·": r"$\cdot$", "…": r"\ldots{}", "“": "``",
    "”": "''", "’": "'", "‘": "`", "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}",
}  # fmt: skip

_ABSENT = "\u00ad¦ĦħĸĿŀŉŦŧſ"
"""Latin letters and signs that the T1 encoding of LaTeX lacks."""

PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,margin=18mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
"""
"""What every document made here begins with."""

_MAIN = (
    "% Made by dermoscope; compile with pdflatex, lualatex or xelatex.\n"
    + PREAMBLE
    + r"""\graphicspath{{./}{figures/}}
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt}
\begin{document}
"""
)


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; letters beyond Latin are replaced by a question mark.

    >>> escape("50 % of R&D_1")
    '50 \\\\% of R\\\\&D\\\\_1'
    """
    plain = unicodedata.normalize("NFC", str(printable(text))).replace("\n", " ")
    return "".join(_SPECIAL.get(c, c if ord(c) < 0x180 and c not in _ABSENT else "?") for c in plain)


def as_latex(measured: Measured, where: Provenance, progress: Progress | None = None) -> dict[str, bytes]:
    """The files of a report: `main.tex`, `tables/NAME.tex`, `figures/NAME.pdf`; name -> content.

    Raises MissingDependencyError without matplotlib.
    """
    source = _source(where)
    files: dict[str, bytes] = {}
    body = [rf"\section*{{{escape(where.title)}}}", escape(where.lead), rf"\emph{{{escape(NOTICE)}}}"]
    parts = sections(measured, where)
    total, done = sum(len(part.exhibits) for part in parts), 0
    for part in parts:
        body += [rf"\subsection*{{{escape(part.title)}}}", *map(escape, part.paragraphs)]
        for exhibit in part.exhibits:
            if progress is not None:
                progress("drawing for LaTeX", done, total)
            done += 1
            if isinstance(exhibit, Drawn):
                drawn = rendered(exhibit.draw, measured, where, "pdf")
                assert drawn is not None, f"nothing to draw of {exhibit.name}, which has a place"
                files[f"figures/{exhibit.name}.pdf"] = drawn
                body.append(_figure(exhibit))
                continue
            for table in pieces_of(exhibit.table if isinstance(exhibit, Gallery) else exhibit):
                files[f"tables/{table.name}.tex"] = as_table(table, source).encode()
                body.append(rf"\input{{tables/{table.name}.tex}}")
        body.append(r"\clearpage")
    body += [r"\subsection*{How each figure was made}", *_methods(measured, where)]
    files["main.tex"] = (_MAIN + "\n\n".join(body) + "\n\\end{document}\n").encode()
    return files


def as_table(table: Table, source: str = "") -> str:
    """One table with its caption above and its notes below, never wider than the text."""
    align = _alignment(table)
    lines = [" & ".join(map(escape, table.head)) + r" \\", r"\midrule"]
    for k, (heading, rows) in enumerate(table.sections):
        if heading:
            space = r"\addlinespace" + "\n" if k else ""
            lines.append(rf"{space}\multicolumn{{{len(table.head)}}}{{l}}{{\textit{{{escape(heading)}}}}} \\")
        lines += [_row(row, table) for row in rows]
    tabular = "\n".join([rf"\begin{{tabular}}{{{align}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"])
    notes = [*map(escape, table.notes)]
    notes += [rf"\textsuperscript{{{letter}}}n.\,m., not measurable: {escape(why)}." for why, letter in
              table.reasons.items()]  # fmt: skip
    notes += [escape(source)] if source else []
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering\footnotesize",
            rf"\caption{{{escape(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            tabular + "}",
            *([r"\par\smallskip", rf"\parbox{{\linewidth}}{{\scriptsize {' '.join(notes)}}}"] if notes else []),
            r"\end{table}",
            "",
        ]
    )


def _alignment(table: Table) -> str:
    """Words to the left, figures to the right; only the last of two columns of words may need several lines."""
    if table.words:
        return "l" * (len(table.head) - 1) + (r"p{0.65\linewidth}" if len(table.head) == 2 else "l")
    columns = list(zip(*table.rows, strict=True))[1:]
    figures = (any(isinstance(cell, Estimate) or cell[:1].isdigit() for cell in column) for column in columns)
    return "l" + "".join("r" if right else "l" for right in figures)


def _row(row: Row, table: Table) -> str:
    stacked = sum(isinstance(cell, Estimate) for cell in row) > _BESIDE
    cells = " & ".join(_cell(cell, table, stacked) for cell in row)
    # After the end of a row LaTeX takes an opening bracket for its option.
    return ("{}" if cells.startswith(("[", "*")) else "") + cells + r" \\" + ("\n\\addlinespace" if stacked else "")


def _cell(cell: Cell, table: Table, stacked: bool) -> str:
    if not isinstance(cell, Estimate):
        return escape(cell)
    if cell.value is None:
        return rf"n.\,m.\textsuperscript{{{table.reason(cell)}}}"
    value, _, interval = cell.text().replace("-", "−").partition(" ")
    if stacked and interval:
        lines = rf"{escape(value)}\\{{\scriptsize {escape(interval)}}}"
        return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{lines}\end{{tabular}}"
    return escape(f"{value} {interval}".strip())


def pieces_of(table: Table) -> list[Table]:
    """The table in pieces that fit on a page."""
    if sum(1 for _ in table.rows) <= _LONGEST:
        return [table]
    pieces: list[list[tuple[str, tuple[Row, ...]]]] = []
    for heading, rows in table.sections:
        for part in (rows[at : at + _LONGEST] for at in range(0, len(rows), _LONGEST)):
            if not pieces or sum(len(held) for _, held in pieces[-1]) + len(part) > _LONGEST:
                pieces.append([])
            pieces[-1].append((heading, part))
    again = f"{table.caption.split('.')[0]}, continued."
    return [
        replace(table, name=f"{table.name}-{k}", sections=tuple(piece), caption=table.caption if k == 1 else again)
        for k, piece in enumerate(pieces, start=1)
    ]


def _figure(exhibit: Drawn) -> str:
    return "\n".join(
        [
            r"\begin{figure}[htbp]",
            r"\centering",
            rf"\includegraphics[width=\linewidth]{{figures/{exhibit.name}.pdf}}",
            rf"\caption{{{escape(exhibit.caption)}}}",
            rf"\label{{fig:{exhibit.name}}}",
            r"\end{figure}",
        ]
    )


def _methods(measured: Measured, where: Provenance) -> list[str]:
    told = [rf"\textbf{{{escape(what)}.}} {escape(how)}" for what, how in methods(measured)]
    if where.data:
        words = ". ".join(where.data[key] for key in ("name", "licence", "citation") if where.data.get(key))
        told.append(rf"\textbf{{Data.}} {escape(words)}")
    return [*told, rf"\textbf{{Made by.}} \texttt{{{escape(where.command)}}}, dermoscope {escape(where.version)}."]


def _source(where: Provenance) -> str:
    """What every table says of its origin: hashes of split, bundle and files."""
    parts = []
    if where.run is not None:
        parts += [f"bundle {where.run.bundles[name][:12]}" for name in ("chosen",) if name in where.run.bundles]
        split = str(where.run.data.get("split", ""))
        parts += [f"split {split[:12] if _is_hash(split) else split}"] if split else []
    parts += [f"{what} {digest[:12]}" for what, _, digest in where.files if digest]
    return f"SHA-256: {', '.join(parts)}." if parts else ""


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)
