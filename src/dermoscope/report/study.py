"""A study as a table: what the paper claims beside what was measured here, for the terminal, Markdown and LaTeX."""

from collections.abc import Iterable, Mapping, Sequence

from dermoscope.core.claim import Claim
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row
from dermoscope.report.latex import PREAMBLE, as_table, pieces_of
from dermoscope.report.tables import Cell, Table
from dermoscope.report.tables import Row as Line

TYPES: Mapping[str, str] = {
    "reproduced": "same data and test as in the paper",
    "re-measured": "same method, other data",
    "stand-in": "other network than in the paper",
    "method check": "neither its network nor its data: whether the method does what it says",
}
"""What each type of row means, for those who read a table for the first time."""

_MAIN = f"% Made by dermoscope; compile with pdflatex, bibtex, pdflatex, pdflatex.\n{PREAMBLE}\\begin{{document}}\n"


def study_table(name: str, title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> Table:
    """One section per row of the study; a claim and a measured figure of one metric stand in one line."""
    sections = tuple((_heading(row), tuple(lines_of(row))) for row in rows)
    kinds = [kind for kind in TYPES if any(row.type == kind for row in rows)]
    said = [f"{kind}: {TYPES[kind]}." for kind in kinds]
    said += [f"{row.title}: {row.note}." for row in rows if row.note]
    caption = f"{title}: claimed and measured here. Only reproduced figures may be subtracted from their claims."
    head = ("figure", "claimed", "measured [95 % interval]", "by")
    return Table(name, caption, head, sections, (*said, *notes))


def lines_of(row: Row) -> Iterable[Line]:
    """The lines of one row: claims beside what was measured of the same metric, then the rest of what was measured."""
    left, several = list(row.measured), _split(row) == ""
    for claim in row.claims:
        same = [found for found in left if found.metric == claim.metric and not found.against]
        alone = sum(other.metric == claim.metric for other in row.claims) == 1
        if alone and len(same) == 1:
            left.remove(same[0])
            yield (claim.metric, figure(claim), *_found(same[0], several))
        else:
            yield (claim.metric, figure(claim), "", f"paper: {claim.model}")
    for found in left:
        yield (f"gain in {found.metric}" if found.against else found.metric, "", *_found(found, several))
    for claim, found, value in row.differences:
        yield (f"{claim.metric}: claimed − measured", "", difference(claim, value), found.bundle)


def _heading(row: Row) -> str:
    split = _split(row)
    return f"{row.title} ({row.type}{'; ' if split else ''}{split})"


def _split(row: Row) -> str:
    """On what a row was measured, and how many: empty where its figures differ in that."""
    said = {f"{found.split}, {found.estimate.n:,} {found.estimate.unit}s" for found in row.measured}
    return said.pop() if len(said) == 1 else ""


def as_markdown(table: Table) -> str:
    """The table for a page of the docs: a heading in bold above the lines of each section, notes below."""
    lines = ["| " + " | ".join(table.head) + " |", "|---" * len(table.head) + "|"]
    for heading, rows in table.sections:
        lines.append(f"| **{_cell(heading, table)}** |" + " |" * (len(table.head) - 1))
        lines += ["| " + " | ".join(_cell(cell, table) for cell in row) + " |" for row in rows]
    notes = [*table.notes, *(f"n. m. ({letter}): {why}." for why, letter in table.reasons.items())]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)])


def as_latex(tables: Sequence[Table], bibtex: Mapping[str, str]) -> dict[str, str]:
    """File name -> content: `main.tex`, one `NAME.tex` per table (booktabs), and `studies.bib` by citation key."""
    pieces = [piece for table in tables for piece in pieces_of(table)]
    files = {f"{table.name}.tex": as_table(table) for table in pieces}
    cited = ", ".join(rf"\cite{{{key}}}" for key in bibtex)
    body = [rf"Claims are those of {cited}.", *(rf"\input{{{table.name}.tex}}\clearpage" for table in pieces)]
    ending = "\\bibliographystyle{plain}\n\\bibliography{studies}\n\\end{document}\n"
    files["studies.bib"] = "\n\n".join(bibtex.values()) + "\n"
    files["main.tex"] = _MAIN + "\n\n".join(body) + "\n\n" + ending
    return files


def signed(e: Estimate) -> str:
    """A difference with its sign: `+0.012 [-0.003, +0.027]`."""
    if e.value is None or e.low is None or e.high is None:
        return e.text()
    return f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]".replace("-", "−")


def difference(claim: Claim, value: float) -> str:
    """What a claim exceeds the measured figure by, as text: a share with three digits, a count with none."""
    shown = f"{value:+,.0f}" if claim.value > 1 else f"{value:+.3f}"
    return "0" if claim.value > 1 and not round(value) else shown.replace("-", "−")


def figure(claim: Claim) -> str:
    """A claim as text: a share with three digits, a count with none."""
    return f"{claim.value:,.0f}" if claim.value > 1 else f"{claim.value:.3f}"


def _found(found: Measured, several: bool) -> tuple[Cell, str]:
    e = found.estimate
    shown: Cell = signed(e) if found.against else e
    if e.value is not None and e.method == "counted":
        shown = f"{e.value:,.0f}"
    by = found.bundle
    if found.against:
        by += f", over {found.against}"
        by += "" if found.p_value is None else f"; p {found.p_value:.3f}"
        by += "" if found.p_holm is None else f" (Holm {found.p_holm:.3f})"
    where = "" if not several or e.method == "counted" else f"; {found.split}, {e.n:,} {e.unit}s"
    return shown, by + where


def _cell(cell: Cell, table: Table) -> str:
    if not isinstance(cell, Estimate):
        return cell.replace("|", "\\|")
    return f"n. m. ({table.reason(cell)})" if cell.value is None else cell.text()
