"""What stands in a report and in which order: sections of figures, tables and pictures, each with its caption."""

from collections.abc import Sequence
from dataclasses import dataclass

from dermoscope.evaluate.curves import FEWEST, TOP
from dermoscope.evaluate.mistakes import Looked
from dermoscope.report import figures, tables
from dermoscope.report.dossier import Measured, Provenance
from dermoscope.report.figures import Draw
from dermoscope.report.tables import Table

_COLOURS = "Vermilion: malignant, purple: premalignant, blue: benign."


@dataclass(frozen=True)
class Drawn:
    """A drawn figure. `name` is that of its file for LaTeX; `alt` says in words what there is to see."""

    name: str
    caption: str
    alt: str
    draw: Draw


@dataclass(frozen=True)
class Gallery:
    """Images with their answers; where pictures are missing, the table stands for them."""

    name: str
    caption: str
    images: tuple[Looked, ...]

    @property
    def table(self) -> Table:
        """The same without pictures."""
        return tables.looked_at(self.name, self.caption, self.images)


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and what stands below them."""

    title: str
    paragraphs: tuple[str, ...]
    exhibits: tuple[Drawn | Gallery | Table, ...]


def sections(measured: Measured, where: Provenance) -> list[Section]:
    """All that a report shows; what there is nothing of is left out, with a sentence on why."""
    return [
        _overall(measured),
        _ranking(measured),
        _confusions(),
        _calibration(measured, where),
        _groups(measured),
        _images(measured, where),
        _origin(where),
    ]


def _overall(measured: Measured) -> Section:
    unit = "" if measured.unit == "image" else f" and {measured.unit}s"
    balance = Drawn(
        "balance",
        f"Images{unit} of each diagnosis that were scored. {_COLOURS}",
        "Bars: " + ", ".join(f"{code} {n}" for code, n in measured.images.items()),
        figures.class_balance,
    )
    return Section("Results", measured.remarks, (tables.headline(measured), balance, tables.per_class(measured)))


def _ranking(measured: Measured) -> Section:
    absent = [code for code in measured.taxonomy.codes if code not in measured.curves]
    said = []
    if absent:
        said.append(f"No curve of {', '.join(absent)}: a curve needs cases with the diagnosis and cases without it.")
    if not measured.curves:
        return Section("Ranking", tuple(said), ())
    few = any(not one.roc.banded for one in measured.curves.values())
    band = f"Band: pointwise 95 % interval of {measured.resamples:,} resamples"
    band += f"; none where fewer than {FEWEST} {measured.unit}s are on one side." if few else "."
    each = "each diagnosis against all others"
    roc = Drawn(
        "roc",
        f"ROC curves, {each}, with AUC [95 % interval]; top right: {measured.unit}s with the diagnosis. {band} "
        f"{_COLOURS}",
        f"ROC curves of {', '.join(measured.curves)}",
        figures.roc,
    )
    precision = Drawn(
        "precision-recall",
        f"Precision-recall curves, {each}, with average precision (AP) [95 % interval]. Dashed: prevalence, the "
        f"precision of a useless score. {band}",
        f"Precision-recall curves of {', '.join(measured.curves)}",
        figures.precision_recall,
    )
    melanoma = tables.melanoma(measured)
    return Section("Ranking", tuple(said), (roc, precision, *([melanoma] if melanoma else [])))


def _confusions() -> Section:
    matrix = Drawn(
        "confusion",
        "Confusion matrix of the images: count, and share of the true diagnosis (shade and per cent). Framed: right. A "
        "tied highest score counts as undecided.",
        "Confusion matrix",
        figures.confusion,
    )
    return Section("Confusions", (), (matrix,))


def _calibration(measured: Measured, where: Provenance) -> Section:
    if not measured.reliability:
        why = "Not measurable: rows of the predictions do not sum to 1, so they are scores and not probabilities."
        return Section("Calibration", (why,), ())
    whose = f"Of {where.calibrated}." if measured.two_priors else f"Of {where.served}."
    said = [whose]
    if not measured.two_priors:
        said.append(
            "Where these were shifted to another prior than that of the cases, they cannot come true here: give the "
            "predictions under the prior they were calibrated for (--calibrated)."
        )
    top = "" if TOP in measured.reliability else " There is none of the highest probability: no case has a diagnosis."
    curve = Drawn(
        "reliability",
        "Reliability: how often a probability came true, in equal-width bins (15 of the highest probability, as in the "
        "ECE; 10 of each diagnosis and of any malignant, the sum over the malignant ones), with Wilson's 95 % "
        "interval; below, images in each bin (logarithmic). On the "
        "dashed line probabilities are true. “If true”: the ECE that true probabilities would show here. Slope: "
        f"calibration slope [95 % interval]. {_COLOURS}{top}",
        f"Reliability curves of {', '.join(measured.reliability)}",
        figures.reliability,
    )
    return Section("Calibration", tuple(said), (curve,))


def _groups(measured: Measured) -> Section:
    table = tables.groups(measured)
    if table is None:
        why = "Not measurable: nothing is known of source, sex, age and site of these images (--data names their set)."
        return Section("Groups", (why,), ())
    return Section("Groups", (), (table,))


def _images(measured: Measured, where: Provenance) -> Section:
    found, parts = measured.mistakes, []
    if found.missed:
        some = _count(found.missed, found.missed_in_all)
        parts.append(Gallery("missed", f"Malignant or premalignant, called benign: {some}, the surest first.",
                             found.missed))  # fmt: skip
    if found.others:
        some = _count(found.others, found.wrong_in_all - found.missed_in_all)
        parts.append(Gallery("wrong", f"Other wrong answers: {some}, the surest first.", found.others))
    if found.uncertain:
        caption = f"Nearly another answer: the {len(found.uncertain)} images whose highest score leads by least."
        parts.append(Gallery("uncertain", caption, found.uncertain))
    said = [f"Of {where.served}; at most one image of a lesion. They are here to be looked at, not to be counted."]
    if not found.wrong_in_all:
        said.append("No answer is wrong.")
    if where.no_pictures:
        said.append(where.no_pictures)
    return Section("Mistakes and doubts", tuple(said), tuple(parts))


def _origin(where: Provenance) -> Section:
    parts: list[Drawn | Table] = []
    said = []
    if where.log:
        parts.append(
            Drawn(
                "training",
                "Training: loss, and what was watched on the validation role after every epoch, with the last value. "
                "Dashed: a new stage. These were watched while training and are not the figures of Table 1.",
                f"Training curves over {len(where.log)} epochs",
                figures.training,
            )
        )
    elif where.run is not None:
        said.append("No training curve: the run kept no log of epochs (its network was not trained in epochs).")
    card = tables.run_card(where)
    parts += [card] if card else []
    parts.append(tables.files(where))
    if where.run is None:
        said.append("Nothing is known of how these predictions came about: a report of a run folder would say it.")
    return Section("Origin", tuple(said), tuple(parts))


def _count(shown: Sequence[Looked], total: int) -> str:
    return f"{len(shown)} of {total:,} images" if len(shown) < total else f"all {total:,} images"
