"""An audit of data sets as one self-contained HTML page, and as a summary in Markdown without pictures."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dermoscope.core.audit import ALARM, GRAVITIES, Audit, Finding, Gravity, Share, Shortcut
from dermoscope.core.estimate import Estimate
from dermoscope.report.html import NOTICE, template

HEADINGS: Mapping[Gravity, str] = {
    "grave": "To be mended first",
    "warning": "To be looked at",
    "note": "To be known",
}
METHOD = (
    "AUC of a ridge logistic regression on the property alone (numbers in tenths), out of fold: five folds, no group "
    "of lesion, patient and near-duplicates in two; 95 % interval clustered by that group (Obuchowski 1997), which "
    f"takes the folds as given. .5 is guessing; marked where above {ALARM:.2f} and the interval is above .5."
)
Grid = tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]


def audit_page(whole: Audit, pictures: Mapping[Path, bytes]) -> str:
    """The page as text. `pictures` are small JPEGs by the path of their image; groups without any show names only."""
    encoded = {path: b64encode(data).decode("ascii") for path, data in pictures.items()}
    sections = [(g, HEADINGS[g], [_section(f, encoded) for f in whole.of(g)]) for g in GRAVITIES]
    return template("audit.html.j2").render(
        audit=whole,
        title=" + ".join(whole.given),
        verdict=verdict(whole),
        notice=NOTICE,
        sections=[s for s in sections if s[2]],
        counts=[(name, counts_grid(sources)) for name, sources in whole.counts.items()],
        roles=counts_grid(whole.roles),
        shortcuts=[(name, shortcut_rows(whole.shortcuts, name)) for name in _withins(whole.shortcuts)],
        shares=share_tables(whole.shares),
        method=METHOD,
    )


def audit_markdown(whole: Audit, command: str) -> str:
    """A summary for a repository: numbers with n and intervals, no pictures and no list of images."""
    lines = [
        f"# Audit: {' + '.join(whole.given)}",
        "",
        f"Written on {whole.when} by dermoscope {whole.version}:",
        "",
        f"    {command}",
        "",
        f"{verdict(whole)} " + ", ".join(f"{n:,} {what}" for what, n in whole.sizes.items() if n) + ".",
        "",
    ]
    for gravity in GRAVITIES:
        found = whole.of(gravity)
        lines += [f"## {HEADINGS[gravity]}", "", *(_line(f) for f in found), ""] if found else []
    for name, sources in whole.counts.items():
        lines += [f"## Images per source: {name}", "", *_table("source", counts_grid(sources)), ""]
    if any(whole.roles.values()):
        how = f"split file {whole.split[:12]}" if whole.split else "hash of the lesion"
        lines += [f"## Images per role ({how})", "", *_table("role", counts_grid(whole.roles)), ""]
    for title, unit, grid in share_tables(whole.shares):
        lines += [f"## {title}", "", f"{unit}", "", *_table("diagnosis", grid), ""]
    if whole.shortcuts:
        lines += ["## Shortcuts", "", METHOD, ""]
    for name in _withins(whole.shortcuts):
        rows = shortcut_rows(whole.shortcuts, name)
        cells = tuple((label, tuple(f"**{e}**" if loud else e for e, loud in of)) for label, of in rows[1])
        lines += [f"### {name}", "", *_table("property", (rows[0], cells)), ""]
    return "\n".join(lines).rstrip() + "\n"


def verdict(whole: Audit) -> str:
    """One sentence: how many findings of each gravity, and shortcuts."""
    loud = len({(s.within, s.diagnosis) for s in whole.shortcuts if s.alarming})
    parts = [
        _counted(len(whole.of("grave")), "grave finding"),
        _counted(len(whole.of("warning")), "warning"),
        _counted(loud, "diagnosis with a shortcut", "diagnoses with a shortcut"),
    ]
    return ", ".join(parts) + "."


def counts_grid(counts: Mapping[str, Mapping[str, int]]) -> Grid:
    """Column names and rows of a table of counts, with a row of sums where there are several rows."""
    codes = tuple(dict.fromkeys(code for of in counts.values() for code in of))
    rows = [(name, tuple(f"{of.get(code, 0):,}" for code in codes)) for name, of in counts.items()]
    if len(rows) > 1:
        rows.append(("all", tuple(f"{sum(of.get(code, 0) for of in counts.values()):,}" for code in codes)))
    return codes, tuple(rows)


def shortcut_rows(
    shortcuts: Iterable[Shortcut], within: str
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]]:
    """Diagnoses, and for each property a row of (text, whether it alarms)."""
    own = [s for s in shortcuts if s.within == within]
    codes = tuple(dict.fromkeys(s.diagnosis for s in own))
    rows: dict[str, dict[str, tuple[str, bool]]] = {}
    for s in own:
        rows.setdefault(s.name, {})[s.diagnosis] = (_short(s.auc), s.alarming)
    return codes, tuple((name, tuple(of.get(c, ("-", False)) for c in codes)) for name, of in rows.items())


def share_tables(shares: Sequence[Share]) -> list[tuple[str, str, Grid]]:
    """(title, what is counted, diagnoses x values) for each set and property whose shares were measured."""
    made = []
    for within, name in dict.fromkeys((s.within, s.name) for s in shares):
        own = [s for s in shares if (s.within, s.name) == (within, name)]
        values = tuple(dict.fromkeys(s.value for s in own))
        cells: dict[str, dict[str, str]] = {}
        for s in own:
            cells.setdefault(f"{s.diagnosis} ({s.rate.n:,})", {})[s.value] = _percent(s.rate)
        rows = tuple((d, tuple(of.get(v, "-") for v in values)) for d, of in cells.items())
        unit = "Share of a diagnosis's images in %, 95 % interval; in brackets the number of lesions."
        made.append((f"{name[0].upper()}{name[1:]} per diagnosis: {within}", unit, (values, rows)))
    return made


def _section(finding: Finding, pictures: Mapping[Path, str]) -> dict[str, object]:
    groups = [
        [(m, pictures[m.path]) for m in group if m.path and m.path in pictures]
        for group in finding.groups
        if any(m.path in pictures for m in group)
    ]
    return {"finding": finding, "groups": groups, "first": finding.items[:200], "more": len(finding.items[200:])}


def _line(finding: Finding) -> str:
    text = finding.what[0].upper() + finding.what[1:]
    return f"- {text}. {finding.remedy}".rstrip()


def _table(corner: str, grid: Grid) -> list[str]:
    columns, rows = grid
    lines = [f"| {corner} | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
    return [*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)]


def _short(auc: Estimate) -> str:
    """`.731 [.717, .746]`, or `-` where it cannot be measured."""
    return "-" if auc.value is None else auc.text().replace("0.", ".")


def _percent(rate: Estimate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "-"
    return f"{100 * rate.value:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _withins(shortcuts: Iterable[Shortcut]) -> list[str]:
    return list(dict.fromkeys(s.within for s in shortcuts))


def _counted(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
