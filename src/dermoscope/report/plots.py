"""Figures of a study: estimates as dots with their intervals, one line of labels below the other (a forest plot)."""

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate
from dermoscope.report.figures import INK, LINE, SOFT, WIDTH, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0068a5", "#c1440e", "#00785a", "#a0508c", "#9a6a00", "#1e2328")
_MARKERS = "osD^vP"
"""Colour and form of each series: apart for colour-blind readers and in print."""

MOST_SERIES = len(_COLOURS)
_PITCH, _STEP, _HEAD, _FOOT = 0.1, 0.105, 0.24, 0.4
"""Inches: between labels, for each series of a label, above the first, below the last for the axis and its name."""


@dataclass(frozen=True, slots=True)
class Point:
    """One estimate: its line (`label`), and its colour where there are several in a line (`series`)."""

    label: str
    estimate: Estimate
    series: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure: `name` for its file, `title` above, `axis` what is measured and its unit, a dotted line at `reference`.

    Lines and series stand in the order in which they come first. Raises ValueRuleError for a plot without points, more
    than six series, two points of one series in one line, or a reference that is not finite.
    """

    name: str
    title: str
    axis: str
    points: tuple[Point, ...]
    reference: float | None = None

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueRuleError(f"plot {self.name!r} has no points")
        if len(self.series) > MOST_SERIES:
            raise ValueRuleError(f"plot {self.name!r} has {len(self.series)} series; at most {MOST_SERIES} can be told")
        places = [(point.label, point.series) for point in self.points]
        twice = next((place for place in places if places.count(place) > 1), None)
        if self.reference is not None and not math.isfinite(self.reference):
            raise ValueRuleError(f"plot {self.name!r} has a reference of {self.reference}")
        if twice:
            raise ValueRuleError(f"plot {self.name!r} has two points at {' / '.join(filter(None, twice))}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The lines, top to bottom."""
        return tuple(dict.fromkeys(point.label for point in self.points))

    @property
    def series(self) -> tuple[str, ...]:
        """The series, top to bottom within a line."""
        return tuple(dict.fromkeys(point.series for point in self.points))


def drawn(plot: Plot, form: Literal["svg", "pdf"] = "svg") -> bytes:
    """The figure as SVG or PDF. Raises MissingDependencyError without matplotlib."""
    found = saved(lambda: _figure(plot), form)
    assert found is not None
    return found


def _figure(plot: Plot) -> "Figure":
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):  # a $ in a label is a dollar
        return _laid_out(plot)


def _laid_out(plot: Plot) -> "Figure":
    from matplotlib.figure import Figure

    line = _PITCH + _STEP * len(plot.series)
    legend = 0.2 if plot.series != ("",) else 0.0
    height = _HEAD + legend + line * len(plot.labels) + _FOOT
    figure = Figure(figsize=(WIDTH, height))
    widest = max(len(part) for label in plot.labels for part in _wrapped(label).split("\n"))
    left, right = min(0.4, 0.03 + 0.0072 * widest), 0.8 if plot.series == ("",) else 0.985
    bottom, top = _FOOT / height, 1 - (_HEAD + legend) / height
    axes: Axes = figure.add_axes((left, bottom, right - left, top - bottom))
    figure.text(0.01, 1 - 0.05 / height, plot.title, fontweight="bold", va="top")
    _points(axes, plot)
    places = [-(k * line + (line - _PITCH) / 2) for k in range(len(plot.labels))]
    axes.set_yticks(places, [_wrapped(label) for label in plot.labels], color=INK)
    axes.set_ylim(-(line * len(plot.labels) - _PITCH / 2), _PITCH / 2)
    axes.set_xlabel(plot.axis)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LINE, lw=0.4)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    if plot.reference is not None:
        axes.axvline(plot.reference, color=SOFT, lw=0.8, ls=(0, (2, 2)), zorder=1)
    if legend:
        axes.legend(loc="lower left", bbox_to_anchor=(-left / (right - left) + 0.01, 1), ncols=len(plot.series),
                    frameon=False, fontsize=6.5, handletextpad=0.2, columnspacing=1.2, borderpad=0.1)  # fmt: skip
    return figure


def _points(axes: "Axes", plot: Plot) -> None:
    line = _PITCH + _STEP * len(plot.series)
    for at, series in enumerate(plot.series):
        colour, marker = _COLOURS[at], _MARKERS[at]
        axes.plot([], [], marker, color=colour, ms=3.5, label=series or None)
        for point in plot.points:
            if point.series != series:
                continue
            y = -(plot.labels.index(point.label) * line + (at + 0.5) * _STEP)
            _dot(axes, point.estimate, y, (colour, marker))
            if plot.series == ("",):
                axes.annotate(_value(point.estimate), (1.02, y), xycoords=("axes fraction", "data"), va="center",
                              fontsize=6.5)  # fmt: skip
    values = [v for p in plot.points for v in (p.estimate.value, p.estimate.low, p.estimate.high) if v is not None]
    low, high = (f(chain(values, [] if plot.reference is None else [plot.reference]), default=0.0) for f in (min, max))
    room = 0.04 * (high - low or 1.0)
    axes.set_xlim(low - room, high + room)


def _dot(axes: "Axes", e: Estimate, y: float, look: tuple[str, str]) -> None:
    if e.value is None:
        axes.annotate("not measurable", (0.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=6,
                      color=SOFT)  # fmt: skip
        return
    colour, marker = look
    if e.low is not None and e.high is not None:
        axes.plot([e.low, e.high], [y, y], color=colour, lw=1.0, solid_capstyle="butt", zorder=2)
    axes.plot([e.value], [y], marker, color=colour, ms=3.5, zorder=3)


def _value(e: Estimate) -> str:
    return "" if e.value is None else e.text().replace("-", "−")


def _wrapped(label: str, most: int = 44) -> str:
    """A long label on two lines, cut where it is longer than both."""
    if len(label) <= most:
        return label
    at = label.rfind(" ", 0, most)
    first, rest = ("", label) if at < 0 else (f"{label[:at]}\n", label[at + 1 :])
    return first + (rest if len(rest) <= most + 7 else f"{rest[: most + 6]}…")
