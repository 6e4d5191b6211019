"""The tables of a report as values, which the page and LaTeX show alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dermoscope.core.estimate import Estimate
from dermoscope.evaluate.curves import FEWEST
from dermoscope.evaluate.mistakes import Looked
from dermoscope.evaluate.subgroups import FEWEST as FEWEST_IN_GROUP
from dermoscope.report.dossier import Measured, Provenance

Cell = str | Estimate
Row = tuple[Cell, ...]

FEW = "‡"
"""Marks a diagnosis with fewer than `evaluate.curves.FEWEST` units."""


@dataclass(frozen=True)
class Table:
    """A table with its caption: `head` names the columns, `sections` are (heading or "", rows).

    `name` is that of its LaTeX file. An `Estimate` in a cell is shown with its interval; one that cannot be measured
    as a letter that refers to the reason below the table. `words` marks tables without figures, whose cells are
    aligned to the left.
    """

    name: str
    caption: str
    head: tuple[str, ...]
    sections: tuple[tuple[str, tuple[Row, ...]], ...]
    notes: tuple[str, ...] = ()
    words: bool = False
    reasons: dict[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        unmeasured = [
            cell.method.removeprefix("not measurable: ")
            for row in self.rows
            for cell in row
            if isinstance(cell, Estimate) and cell.value is None
        ]
        letters = {why: _letter(k) for k, why in enumerate(dict.fromkeys(unmeasured))}
        object.__setattr__(self, "reasons", letters)

    @property
    def rows(self) -> Iterator[Row]:
        """All rows, of whatever section."""
        return (row for _, rows in self.sections for row in rows)

    def reason(self, estimate: Estimate) -> str:
        """The letter of the reason why a figure cannot be measured."""
        return self.reasons[estimate.method.removeprefix("not measurable: ")]


_HEADLINE = (
    ("balanced_accuracy", "Balanced accuracy"),
    ("validation", "Balanced accuracy, validation weights"),
    ("accuracy", "Accuracy"),
    ("macro_average.auc", "AUC, mean over diagnoses"),
    ("MEL.auc", "AUC, melanoma against all others"),
    ("macro_average.ap", "Average precision, mean over diagnoses"),
    ("log_loss", "Log-loss (nats)"),
    ("brier", "Brier score (0 to 2)"),
    ("ece", "Expected calibration error (ECE)"),
    ("ece_if_perfect", "ECE if the probabilities were true"),
    ("macro_average.calibration_slope", "Calibration slope, mean over diagnoses"),
)
_OF_PROBABILITIES = ("log_loss", "brier", "ece", "ece_if_perfect", "macro_average.calibration_slope")
_GROUP_HEAD = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "macro_average.auc": "AUC, mean",
    "MEL.auc": "AUC, melanoma",
}
_MELANOMA = {
    "MEL.auc": "against all other cases",
    "MEL.auc_against_histo_nevi": "against nevi confirmed by histology",
    "MEL.auc_within_source": "against all others, compared only within a source",
}


def headline(measured: Measured) -> Table:
    """The figures to quote, each with interval, unit, n and method."""
    mark = "\u00a0†" if measured.two_priors else ""
    rows: list[Row] = []
    for name, label in _HEADLINE:
        probabilistic = name in _OF_PROBABILITIES
        of = measured.calibrated if probabilistic else measured.served
        if name not in of or (name == "validation" and of[name] == of["balanced_accuracy"]):
            continue
        e = of[name]
        how = "" if e.value is None else e.method
        rows.append((label + mark * probabilistic, e, f"{e.n:,} {e.unit}s", how))
    notes = [f"Intervals: 95 %, {measured.resamples:,} resamples, seed {measured.seed}."]
    if measured.two_priors:
        notes.append("† Of the calibrated predictions; the other rows of the predictions as they were given.")
    caption = "Headline figures. The ECE is above 0 even for true probabilities: read it beside the row below it."
    return Table("headline", caption, ("figure", "value [95 % interval]", "n", "interval by"), (("", tuple(rows)),),
                 tuple(notes))  # fmt: skip


def per_class(measured: Measured) -> Table:
    """What is said of each diagnosis."""
    columns = ("recall", "auc", "auc_sens_80", "ap")
    rows: list[Row] = []
    for d in measured.taxonomy.diagnoses:
        n = measured.units.get(d.code, 0)
        few = FEW if 0 < n < FEWEST else ""
        figures = [measured.served[f"{d.code}.{name}"] for name in columns]
        slopes = [measured.calibrated[f"{d.code}.{name}"] for name in ("calibration_slope", "calibration_intercept")]
        rows.append((f"{d.code}{few}", d.name, f"{n:,}", *figures, *slopes))
    mark = "\u00a0†" if measured.two_priors else ""
    head = ("code", "diagnosis", "n", "found", "AUC", "AUC above 80 % sens.", "average precision",
            f"calibration slope{mark}", f"intercept{mark}")  # fmt: skip
    caption = (
        "Each diagnosis against all others. Found: share of its cases whose highest score is its own, which balanced "
        "accuracy is the mean of. Slope 1 and intercept 0 are perfect; a slope below 1 means too extreme, an intercept "
        "below 0 too high."
    )
    notes = [f"n: {measured.unit}s with the diagnosis."]
    if any(0 < n < FEWEST for n in measured.units.values()):
        notes.append(f"{FEW} Fewer than {FEWEST}: a bootstrap of so few is too narrow; Wilson's (found) is not.")
    if measured.two_priors:
        notes.append("† Of the calibrated predictions.")
    return Table("diagnoses", caption, head, (("", tuple(rows)),), tuple(notes))


def melanoma(measured: Measured) -> Table | None:
    """The three melanoma AUCs; None where nothing is known of the cases."""
    if not measured.melanoma:
        return None
    rows: list[Row] = []
    for name, label in _MELANOMA.items():
        e = measured.melanoma[name]
        rows.append((label, e, f"{e.n:,} {e.unit}s"))
    caption = (
        "Melanoma AUC, three ways; the lowest is the one to quote. A plain AUC also rewards knowing the clinic, and "
        "nevi that nobody excised are easier than those that somebody doubted."
    )
    head = ("melanomas ranked", "AUC [95 % interval]", "n")
    return Table("melanoma", caption, head, (("", tuple(rows)),))


def groups(measured: Measured) -> Table | None:
    """The headline figures of every group; None where nothing is known of the cases."""
    if not measured.groups:
        return None
    names = [name for name in _GROUP_HEAD if name != "MEL.auc" or "MEL" in measured.taxonomy]
    sections = []
    for attribute, members in measured.groups.items():
        rows: list[Row] = [
            (g.value, f"{g.n:,}", f"{g.diagnoses}", f"{g.melanomas:,}", *(g.estimates[name] for name in names))
            for g in members
        ]
        sections.append((f"By {attribute}", tuple(rows)))
    head = ("group", "n", "diagnoses", "melanomas", *(_GROUP_HEAD[name] for name in names))
    caption = (
        "Groups, each scored on its own cases. Means are over the diagnoses that occur in the group, so balanced "
        "accuracy and mean AUC of two groups compare only where these are the same. The intervals are not those of "
        "differences, and among this many groups some differ by chance: read them beside their n."
    )
    notes = (
        f"n: {measured.unit}s; a group of fewer than {FEWEST_IN_GROUP} has no figures. Not corrected for their number.",
    )
    return Table("groups", caption, head, tuple(sections), notes)


def looked_at(name: str, caption: str, images: Sequence[Looked]) -> Table:
    """Images worth looking at, as a table."""
    rows: list[Row] = [
        (
            one.image,
            one.truth or "none of these",
            f"{one.predicted} {one.score:.3f}",
            f"{one.second} {one.second_score:.3f}",
            "–" if one.truth_score is None else f"{one.truth_score:.3f}",
        )
        for one in images
    ]
    head = ("image", "truth", "highest score", "second", "score of the truth")
    return Table(name, caption, head, (("", tuple(rows)),), words=True)


def run_card(where: Provenance) -> Table | None:
    """What the run was; None for predictions from elsewhere."""
    if where.run is None:
        return None
    card = where.run
    shown: dict[str, object] = {"name": card.name, "state": card.state}
    shown |= {"started (UTC)": card.started, "hours": f"{card.seconds / 3600:.2f}", "seed": card.seed}
    parts: list[tuple[str, dict[str, object]]] = [
        ("Run", shown),
        ("Data", dict(card.data)),
        ("Recipe", dict(card.recipe)),
        ("Code", dict(card.code)),
        ("Environment", dict(card.environment)),
        ("Bundles (SHA-256)", dict(card.bundles)),
    ]
    sections = tuple((title, tuple(_settings(values))) for title, values in parts if values)
    caption = "Run card: data, every setting of the recipe, code and environment."
    return Table("run", caption, ("setting", "value"), sections, words=True)


def files(where: Provenance) -> Table:
    """The files that this report was made from."""
    rows: tuple[Row, ...] = tuple((what, name, digest) for what, name, digest in where.files)
    return Table("files", "Files that this report was made from.", ("what", "file", "SHA-256"), (("", rows),),
                 words=True)  # fmt: skip


def _settings(values: dict[str, object]) -> Iterator[Row]:
    return ((key, _plain(value)) for key, value in values.items())


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        inside = ["×".join(map(str, item)) if isinstance(item, list | tuple) else _plain(item) for item in value]
        return ", ".join(inside) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)


def _letter(k: int) -> str:
    return chr(ord("a") + k) if k < 26 else _letter(k // 26 - 1) + _letter(k % 26)
