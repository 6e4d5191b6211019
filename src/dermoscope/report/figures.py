"""The drawn figures of a report, as SVG for the page and as PDF for LaTeX, from one drawing by matplotlib.

The same input gives the same bytes: no dates, fixed element ids, and the font that matplotlib brings. In the SVG text
stays text, in the page's own fonts, which are narrower than the one it is measured with.
"""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dermoscope.core.errors import MissingDependencyError
from dermoscope.core.estimate import Estimate
from dermoscope.core.taxonomy import Group
from dermoscope.evaluate.calibration import MALIGNANT
from dermoscope.evaluate.curves import TOP, BandedCurve, ReliabilityBin
from dermoscope.evaluate.mistakes import ConfusionMatrix
from dermoscope.report.dossier import Measured, Provenance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 174 / 25.4
"""Inches: the text width of A4 with margins of 18 mm, and a little less than that of Letter."""

_LEFT, _RIGHT, _GAP, _HEADING, _FOOT = 0.42, 0.06, 0.16, 0.34, 0.38
"""Inches around and between panels: beside them, above each for its name and figure, below the last for its labels."""

INK, SOFT, LINE = "#1e2328", "#5b636b", "#cdcac3"
GROUPS: Mapping[Group, str] = {"malignant": "#c1440e", "premalignant": "#a0508c", "benign": "#0068a5"}
"""Vermilion, purple, blue: apart for colour-blind readers (after Okabe & Ito 2008), and dark enough for thin lines."""

PAGE_FONTS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"

_STYLE: Mapping[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
    "svg.fonttype": "none",
    "svg.hashsalt": "dermoscope",
    "pdf.fonttype": 42,
}
_NO_METADATA: Mapping[str, Mapping[str, None]] = {
    "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
    "pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
}
_NAMES = {
    "loss": "training loss",
    "balanced_log_loss": "balanced log-loss",
    "macro_auc": "AUC, mean",
    "mel_auc": "AUC, melanoma",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
}

Draw = Callable[[Measured, Provenance], "Figure | None"]


def rendered(draw: Draw, measured: Measured, where: Provenance, form: Literal["svg", "pdf"]) -> bytes | None:
    """A figure as SVG (without a prolog, so that it can stand in a page) or PDF; None where there is nothing to draw.

    Raises MissingDependencyError without matplotlib.
    """
    return saved(lambda: draw(measured, where), form)


def saved(make: "Callable[[], Figure | None]", form: Literal["svg", "pdf"]) -> bytes | None:
    """What `make` draws, in the style and with the promises of `rendered`."""
    require()
    from matplotlib import rc_context

    with rc_context(dict(_STYLE)):
        figure = make()
        if figure is None:
            return None
        out = io.BytesIO()
        figure.savefig(out, format=form, metadata=dict(_NO_METADATA[form]))
    if form == "pdf":
        return out.getvalue()
    text = out.getvalue().decode()
    return text[text.index("<svg") :].replace("'DejaVu Sans'", PAGE_FONTS).encode()


def require() -> None:
    """Raise MissingDependencyError, with the remedy, where there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "figures need matplotlib: pip install -c constraints.txt -e '.[report]' in the clone"
        ) from None


def class_balance(measured: Measured, where: Provenance) -> "Figure":
    """How many images and units of each diagnosis were scored."""
    del where
    names = measured.taxonomy.diagnoses
    figure = _figure(0.35 + 0.19 * len(names))
    axes: Axes = figure.subplots()
    counts = [measured.images.get(d.code, 0) for d in names]
    total = max(1, sum(counts))
    rows = np.arange(len(names))
    axes.barh(rows, counts, height=0.62, color=[GROUPS[d.group] for d in names])
    for row, (d, count) in enumerate(zip(names, counts, strict=True)):
        units = "" if measured.unit == "image" else f" of {measured.units[d.code]:,} {measured.unit}s"
        axes.annotate(
            f"{count:,} images{units}, {count / total:.1%}".replace("%", " %"), (count, row), (4, 0),
            textcoords="offset points", va="center", fontsize=6.5, color=SOFT,
        )  # fmt: skip
    axes.set_yticks(rows, [f"{d.name} ({d.code})" for d in names], color=INK)
    axes.set_xlim(0, 1.32 * max(1, *counts))
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines[["bottom"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def roc(measured: Measured, where: Provenance) -> "Figure | None":
    """ROC curve of each diagnosis with its band."""
    del where

    def panel(axes: "Axes", code: str) -> None:
        one = measured.curves[code]
        axes.plot([0, 1], [0, 1], color=LINE, lw=0.6, dashes=(3, 3))
        _curve(axes, one.roc, _colour(measured, code))
        _title(axes, code, f"{one.positives:,} of {one.n:,}", f"AUC {_value(measured.served[f'{code}.auc'])}")

    return _grid(measured, panel, ("1 − specificity", "sensitivity"))


def precision_recall(measured: Measured, where: Provenance) -> "Figure | None":
    """Precision-recall curve of each diagnosis with its band and the prevalence."""
    del where

    def panel(axes: "Axes", code: str) -> None:
        one = measured.curves[code]
        axes.axhline(one.prevalence, color=SOFT, lw=0.6, dashes=(3, 3))
        _curve(axes, one.precision_recall, _colour(measured, code))
        _title(axes, code, f"prevalence {_share(one.prevalence, 1)}", f"AP {_value(measured.served[f'{code}.ap'])}")

    return _grid(measured, panel, ("recall (sensitivity)", "precision (PPV)"))


def confusion(measured: Measured, where: Provenance) -> "Figure":
    """Confusion matrix: counts, and the share of each row as a shade and in per cent."""
    del where
    matrix = measured.confusion
    rows, columns = matrix.counts.shape
    figure = _figure(0.5 + 0.32 * rows)
    axes: Axes = figure.subplots()
    axes.imshow(matrix.shares, cmap=_shades(), vmin=0, vmax=1, aspect="auto")
    _cells(axes, matrix)
    sums = matrix.counts.sum(axis=1)
    axes.set_yticks(range(rows), [f"{name} ({n:,})" for name, n in zip(matrix.rows, sums.tolist(), strict=True)])
    axes.set_xticks(range(columns), list(matrix.columns))
    axes.tick_params(length=0, labelcolor=INK, labelsize=7, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("diagnosis with the highest score", labelpad=5)
    axes.set_ylabel("true diagnosis, images")
    return figure


def reliability(measured: Measured, where: Provenance) -> "Figure | None":
    """Reliability of the highest probability, any malignant and each diagnosis, with counts below."""
    del where
    names = [name for name in (TOP, MALIGNANT, *measured.taxonomy.codes) if name in measured.reliability]
    if not names:
        return None
    rows = -(-len(names) // 3)
    width = (WIDTH - _LEFT - _RIGHT - 2 * _GAP) / 3
    tall, pitch = 1.3, 1.3 + 0.16 + 0.3 + _HEADING + 0.1
    figure = _figure(rows * pitch + _FOOT - 0.1, laid_out=False)
    most = max(b.cases for bins in measured.reliability.values() for b in bins)
    for k, name in enumerate(names):
        left, top = _LEFT + k % 3 * (width + _GAP), _HEADING + k // 3 * pitch
        above = _axes(figure, left, top, width, tall)
        below = _axes(figure, left, top + tall + 0.16, width, 0.3)
        _reliability_panel(measured, name, (above, below), most)
        last = k + 3 >= len(names)
        above.tick_params(labelbottom=False, labelleft=k % 3 == 0)
        below.tick_params(labelbottom=last, labelleft=k % 3 == 0)
        if k % 3 == 0:
            above.set_ylabel("share that came true")
            below.set_ylabel("images")
            figure.align_ylabels([above, below])
        if last:
            below.set_xlabel("probability")
    return figure


def training(measured: Measured, where: Provenance) -> "Figure | None":
    """The log of the run: losses and what was watched on validation, by epoch; None without a log."""
    del measured
    losses = [key for key in ("loss", "balanced_log_loss") if any(_number(line, key) for line in where.log)]
    scores = [key for key in ("macro_auc", "mel_auc", "balanced_accuracy", "accuracy")
              if any(_number(line, key) for line in where.log)]  # fmt: skip
    if not losses + scores:
        return None
    panels = [(names, label) for names, label in ((losses, "nats"), (scores, "on validation")) if names]
    figure = _figure(1.95)
    for axes, (names, label) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _history(axes, where, names)
        axes.set_ylabel(label)
        axes.set_xlabel("epoch")
    return figure


def _figure(height: float, laid_out: bool = True) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained" if laid_out else None)


def _axes(figure: "Figure", left: float, top: float, width: float, height: float) -> "Axes":
    """Axes at a place in inches from the top left corner."""
    whole = figure.get_figheight()
    return figure.add_axes((left / WIDTH, 1 - (top + height) / whole, width / WIDTH, height / whole))


def _grid(measured: Measured, panel: Callable[["Axes", str], None], labels: tuple[str, str]) -> "Figure | None":
    """A square panel for each diagnosis that has curves, four in a row."""
    codes = [code for code in measured.taxonomy.codes if code in measured.curves]
    if not codes:
        return None
    rows = -(-len(codes) // 4)
    side = (WIDTH - _LEFT - _RIGHT - 3 * _GAP) / 4
    pitch = side + _HEADING + 0.14
    figure = _figure(rows * pitch + _FOOT - 0.14, laid_out=False)
    for k, code in enumerate(codes):
        axes = _axes(figure, _LEFT + k % 4 * (side + _GAP), _HEADING + k // 4 * pitch, side, side)
        panel(axes, code)
        last = k + 4 >= len(codes)
        _unit_square(axes)
        axes.tick_params(labelbottom=last, labelleft=k % 4 == 0)
        if last:
            axes.set_xlabel(labels[0])
        if k % 4 == 0:
            axes.set_ylabel(labels[1])
    return figure


def _unit_square(axes: "Axes") -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.005))
    axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))


def _curve(axes: "Axes", curve: BandedCurve, colour: str) -> None:
    if curve.banded:
        axes.fill_between(curve.at, curve.low, curve.high, color=colour, alpha=0.18, lw=0)
    axes.plot(curve.x, curve.y, color=colour, solid_joinstyle="miter", clip_on=False, zorder=3)


def _title(axes: "Axes", name: str, beside: str, below: str) -> None:
    """The name in bold, something beside it, and the figure below: never over the curve."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(name, (0, 1), (0, 14), fontweight="bold", **place)
    axes.annotate(beside, (1, 1), (0, 14), ha="right", color=SOFT, fontsize=6.5, **place)
    axes.annotate(below, (0, 1), (0, 5), **place)


def _cells(axes: "Axes", matrix: ConfusionMatrix) -> None:
    from matplotlib.patches import Rectangle

    for (row, column), count in np.ndenumerate(matrix.counts):
        share = float(matrix.shares[row, column])
        colour = "white" if share > 0.7 else INK if count else LINE
        axes.text(column, row - 0.13 * bool(count), f"{count:,}" if count else "0", ha="center", va="center",
                  color=colour, fontsize=7.5)  # fmt: skip
        if count:
            axes.text(column, row + 0.22, _share(share), ha="center", va="center", color=colour, fontsize=5.5)
        if matrix.rows[row] == matrix.columns[column]:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=INK, lw=0.8, clip_on=False))


def _reliability_panel(measured: Measured, name: str, panels: tuple["Axes", "Axes"], most: int) -> None:
    above, below = panels
    bins = measured.reliability[name]
    colour = INK if name == TOP else GROUPS["malignant"] if name == MALIGNANT else _colour(measured, name)
    above.plot([0, 1], [0, 1], color=LINE, lw=0.6, dashes=(3, 3))
    x = [b.expected for b in bins]
    y, low, high = (np.array([getattr(b.observed, end) for b in bins]) for end in ("value", "low", "high"))
    above.vlines(x, low, high, color=colour, lw=0.8)
    above.plot(x, y, color=colour, lw=0.6, alpha=0.35)
    above.plot(x, y, color=colour, lw=0, marker="o", ms=2.8, mew=0, clip_on=False, zorder=3)
    _unit_square(above)
    below.set_xlim(0, 1)
    below.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    _counts(below, bins, colour, most)
    if name == TOP:
        perfect = measured.calibrated["ece_if_perfect"].value
        beside = "" if perfect is None else f"{perfect:.3f} if true"
        _title(above, "highest probability", beside, f"ECE {_value(measured.calibrated['ece'])}")
    else:
        slope = measured.calibrated[f"{name}.calibration_slope"]
        total = sum(b.cases for b in bins)
        codes = [d.code for d in measured.taxonomy.diagnoses if name in (d.code, d.group)]
        images = sum(measured.images[code] for code in codes)
        shown = "any malignant" if name == MALIGNANT else name
        _title(above, shown, f"{images:,} of {total:,} images", f"slope {_value(slope, 2)}")


def _counts(axes: "Axes", bins: tuple[ReliabilityBin, ...], colour: str, most: int) -> None:
    # From half an image, so that a bin of one image has a bar too.
    width = bins[0].high - bins[0].low
    axes.bar([(b.low + b.high) / 2 for b in bins], [b.cases - 0.5 for b in bins], bottom=0.5, width=0.82 * width,
             color=colour, alpha=0.55, lw=0)  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(0.5, max(20, 1.6 * most))
    ticks = [10**k for k in range(0, 6, 2) if 10**k <= most] if most >= 1000 else [1, 10, 100][: 2 + (most >= 100)]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


def _history(axes: "Axes", where: Provenance, names: list[str]) -> None:
    epochs = np.arange(1, len(where.log) + 1)
    colours = (INK, GROUPS["malignant"], GROUPS["benign"], GROUPS["premalignant"])
    ends = []
    for name, colour in zip(names, colours, strict=False):
        values = np.array([_number(line, name) or np.nan for line in where.log])
        axes.plot(epochs, values, color=colour, marker="o" if len(epochs) == 1 else None, ms=2.6)
        ends.append((float(values[~np.isnan(values)][-1]), _NAMES[name], colour))
    for at in [k for k in range(1, len(where.log)) if _part(where.log[k]) != _part(where.log[k - 1])]:
        axes.axvline(at + 0.5, color=LINE, lw=0.6, dashes=(3, 3))
    low, high = axes.get_ylim()
    gap, place = 0.085 * (high - low), -np.inf
    for value, label, colour in sorted(ends):
        place = max(value, place + gap)
        axes.annotate(f"{label} {value:.3f}", (1, place), (4, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", color=colour, va="center", fontsize=6.5)  # fmt: skip
    axes.locator_params(axis="x", integer=True)


def _part(line: Mapping[str, Any]) -> tuple[object, object]:
    return line.get("part"), line.get("stage")


def _number(line: Mapping[str, Any], key: str) -> float | None:
    value = line.get(key)
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _colour(measured: Measured, code: str) -> str:
    return GROUPS[measured.taxonomy.diagnoses[measured.taxonomy.index(code)].group]


def _shades() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    # One hue from paper to ink: the order of the shades survives a grey printer.
    return LinearSegmentedColormap.from_list("shares", ["#ffffff", "#d5e3ee", "#8db4d2", "#2f74a8", "#0b3c61"])


def _value(estimate: Estimate, digits: int = 3) -> str:
    return estimate.text(digits).replace("-", "−")


def _share(share: float, digits: int = 0) -> str:
    """In per cent, with `digits` places below 10 %."""
    least = 10.0**-digits / 100
    if 0 < share < least:
        return f"< {least:.{digits}%}".replace("%", " %")
    return f"{share:.{digits if share < 0.1 else 0}%}".replace("%", " %")
