"""A study for the terminal: one block per row, in which what predicted is a heading and every figure takes one line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dermoscope.core.claim import Claim
from dermoscope.core.estimate import Estimate
from dermoscope.core.study import Measured, Row
from dermoscope.report.study import TYPES, difference, figure

GAIN = "gain [95 %], p"
COLUMNS = ("figure", "claimed", "n", "measured [95 %]", GAIN)
"""Every column there is; a block shows those that it fills."""

_NAMES = {"balanced_accuracy": "balanced accuracy", "macro_average.auc": "AUC, mean", "unk.auc": "AUC UNK"}


@dataclass(frozen=True)
class Group:
    """The figures of one predictor on one split: label -> what stands in which column. `heading` may be empty."""

    heading: str
    lines: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Block:
    """One row of a study: title, its type and where it was measured, note, groups.

    `claims` are those without a figure beside them, as (value, what it is of); `paper` is their heading.
    """

    title: str
    about: str
    note: str
    paper: str
    claims: tuple[tuple[str, str], ...]
    groups: tuple[Group, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that any line fills."""
        return tuple(name for name in COLUMNS if any(name in line for group in self.groups for line in group.lines))


@dataclass
class _Figures:
    """What is put together for one group: the first thing it is compared with, and figures by metric."""

    against: str = ""
    lines: dict[str, dict[str, str]] = field(default_factory=dict)
    sizes: set[str] = field(default_factory=set)


_Key = tuple[str, str, str]


def block_of(row: Row, data: str = "") -> Block:
    """One row as a block. `data` is the long name of the data; splits are shown with what stands before its colon."""
    made = _measured(row)
    beside = _claimed(row, made)
    left = [claim for claim in row.claims if claim not in beside]
    sizes = {size for group in made.values() for size in group.sizes}
    common = [{key[k] for key in made} for k in (0, 1)] + [{group.against for group in made.values()}]
    shared = [found.pop() if len(found) == 1 else None for found in common]
    about = [row.type, *_words(shared), *(sizes if len(sizes) == 1 else ())]
    groups = []
    for key, group in made.items():
        differing = [
            value if same is None else None for value, same in zip((*key[:2], group.against), shared, strict=True)
        ]
        if len(sizes) == 1:
            for line in group.lines.values():
                line.pop("n", None)
        groups.append(Group(_short("; ".join(_words(differing)), data), tuple(group.lines.values())))
    note = f"{row.note[0].upper()}{row.note[1:]}." if row.note else ""
    return Block(row.title, _short("; ".join(about), data), note, _of_paper(left), tuple(_alone(left)), tuple(groups))


def page_lines(blocks: Sequence[Block], most: int = 80) -> Iterator[tuple[str, str, int]]:
    """(text, style, indent) of every line of the page; a column is equally wide in all blocks.

    A block whose lines would be wider than `most` letters has columns of its own, and if that is not enough its gains
    stand below their figures.
    """
    common = _widths(blocks)
    for block in blocks:
        yield "", "", 0
        yield block.title, "bold", 0
        yield block.about, "dim", 2
        if block.note:
            yield block.note, "dim", 2
        if block.claims:
            yield block.paper, "", 2
        for value, words in block.claims:
            yield f"{value}  {words}", "", 4
        widths = common if _fits(block.columns, common, most) else _widths([block])
        below = GAIN in block.columns and not _fits(block.columns, widths, most)
        columns = tuple(name for name in block.columns if name != GAIN or not below)
        if block.groups:
            yield _joined(columns, widths, {name: name for name in columns if name != "figure"}), "dim", 2
        for group in block.groups:
            if group.heading:
                yield f"{group.heading}:", "italic", 2
            for line in group.lines:
                yield _joined(columns, widths, line), "", 2
                if below and GAIN in line:
                    yield f"gain {line[GAIN]}", "", 6


def _widths(blocks: Sequence[Block]) -> dict[str, int]:
    """Letters of each column of some blocks."""
    cells = [line for block in blocks for group in block.groups for line in group.lines]
    heads = [name for block in blocks for name in block.columns if name != "figure"]
    return {
        name: max((len(name) * (name in heads), *(len(line.get(name, "")) for line in cells)), default=0)
        for name in COLUMNS
    }


def _fits(columns: Sequence[str], widths: Mapping[str, int], most: int) -> bool:
    return 2 + sum(widths[name] + 2 for name in columns) - 2 <= most


def _joined(columns: Sequence[str], widths: Mapping[str, int], line: Mapping[str, str]) -> str:
    padded = (
        line.get(c, "").rjust(widths[c]) if c in ("claimed", "n") else line.get(c, "").ljust(widths[c]) for c in columns
    )
    return "  ".join(padded).rstrip()


def notes_of(rows: Sequence[Row]) -> list[str]:
    """What a reader has to know to read the blocks: types of rows, short labels, p-values."""
    said = [f"{kind}: {TYPES[kind]}" for kind in TYPES if any(row.type == kind for row in rows)]
    found = [one for row in rows for one in row.measured]
    if any("diagnoses" in one.metric for one in found):
        said.append("balanced accuracy (8): the mean over 8 diagnoses; compare only where the number is the same")
    if any(row.differences for row in rows):
        said.append("difference: claimed − measured; only of what was reproduced")
    if any(one.p_holm is not None for one in found):
        said.append("gain: paired difference; p: Holm's correction for all that were compared together, else (raw)")
    return said


def _measured(row: Row) -> dict[_Key, _Figures]:
    """Groups by what predicted and on which split; a further comparison of the same predictor is one of its own."""
    made: dict[_Key, _Figures] = {}
    for found in row.measured:
        if not found.against:
            group = made.setdefault((found.bundle, found.split, ""), _Figures())
            line = group.lines.setdefault(found.metric, {"figure": _label(found.metric)})
            line["measured [95 %]"] = _value(found)
            _sized(group, line, found)
            for claim, same, value in row.differences:
                if same == found:
                    line = {"figure": "difference", "measured [95 %]": difference(claim, value)}
                    group.lines[f"{found.metric}, claimed − measured"] = line
    for found in row.measured:
        if found.against:
            group = made.setdefault((found.bundle, found.split, ""), _Figures(found.against))
            group.against = group.against or found.against
            if group.against != found.against:
                key = (found.bundle, found.split, found.against)
                group = made.setdefault(key, _Figures(found.against))
            line = group.lines.setdefault(found.metric, {"figure": _label(found.metric)})
            line["gain [95 %], p"] = _gain(found)
            _sized(group, line, found)
    return made


def _sized(group: _Figures, line: dict[str, str], found: Measured) -> None:
    e = found.estimate
    if e.method != "counted":
        group.sizes.add(f"{e.n:,} {e.unit}s")
        line["n"] = f"{e.n:,}"


def _claimed(row: Row, made: dict[_Key, _Figures]) -> list[Claim]:
    """Set claims beside the one measured figure of their metric, and those of the same model below; which they are."""
    metrics = [claim.metric for claim in row.claims]
    if len(set(metrics)) < len(metrics) or len(made) != 1:
        return []
    [group] = made.values()
    models = {claim.model for claim in row.claims if claim.metric in group.lines}
    beside = [claim for claim in row.claims if claim.model in models]
    for claim in beside:
        line = group.lines.setdefault(claim.metric, {"figure": _label(claim.metric)})
        line["claimed"] = figure(claim)
    return beside


def _alone(claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Figure and what it is of, in words; what all have in common, metric or model, is in `_of_paper`."""
    same = len({claim.metric for claim in claims}) == 1
    return [(figure(claim), claim.model if same else _label(claim.metric)) for claim in claims]


def _of_paper(claims: Sequence[Claim]) -> str:
    """What the claims of a block have in common."""
    metrics, models = ({getattr(claim, name) for claim in claims} for name in ("metric", "model"))
    common = metrics if len(metrics) == 1 else models if len(models) == 1 else set()
    return f"the paper, {_label(common.pop())}:" if common else "the paper:"


def _words(values: Sequence[str | None]) -> list[str]:
    """Predictor, split and what it is compared with, in words; None and "" are left out."""
    bundle, split, against = values
    return [*([bundle] if bundle else []), *([split] if split else []), *([f"gain over {against}"] if against else [])]


def _label(metric: str) -> str:
    """A metric in few letters: the number of diagnoses in brackets, names of the JSON in words."""
    metric = _NAMES.get(metric, metric)
    metric = re.sub(r"^([A-Z]+)\.auc$", r"AUC \1", metric)
    metric = re.sub(r", (\d+) diagnoses$", r" (\1)", metric).replace(".auc", ": AUC")
    return re.sub(r"\.(?!\d)", ": ", metric).replace("_", " ")


def _short(words: str, data: str) -> str:
    return words.replace(data, data.partition(":")[0]) if data else words


def _value(found: Measured) -> str:
    e = found.estimate
    return f"{e.value:,.0f}" if e.value is not None and e.method == "counted" else e.text().replace("-", "−")


def _gain(found: Measured) -> str:
    """`+0.016 [0.006, 0.028], p 0.020`: corrected where it was, else `p 0.020 (raw)`."""
    e: Estimate = found.estimate
    if e.value is None:
        return e.text()
    p = "" if found.p_value is None else f", p {found.p_value:.3f} (raw)"
    p = p if found.p_holm is None else f", p {found.p_holm:.3f}"
    between = "" if e.low is None or e.high is None else f" [{e.low:.3f}, {e.high:.3f}]".replace("-", "−")
    return _signed(e.value) + between + p


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
