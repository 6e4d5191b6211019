"""Forest plots: every estimate and interval where it belongs, and what cannot be drawn is refused."""

import re

import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.estimate import Estimate
from dermoscope.report.plots import MOST_SERIES, Plot, Point, _wrapped, drawn

pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figure can be drawn")


def _point(label: str, value: float, series: str = "") -> Point:
    return Point(label, Estimate(value, value - 0.1, value + 0.2, "bootstrap", "lesion", 9), series)


def _text(svg: bytes) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.decode())


def test_labels_values_and_axis_are_text_in_their_order() -> None:
    few = Point("few", Estimate.not_measurable("no case", "lesion", 0))
    plot = Plot("gap", "The gap", "points", (_point("b", -0.5), _point("a", 0.25), few))
    said = _text(drawn(plot))
    assert [t for t in said if t in ("a", "b", "few")] == ["b", "a", "few"]
    assert {"The gap", "points", "not measurable", "0.250 [0.150, 0.450]", "−0.500 [−0.600, −0.300]"} <= set(said)


def test_a_dot_stands_at_its_value() -> None:
    """The higher of two estimates is further to the right, by as much as their values differ on the axis."""
    plot = Plot("gap", "The gap", "points", (_point("a", 0.0, "s"), _point("a", 1.0, "t"), _point("b", 0.5, "s")))
    svg = drawn(plot).decode()
    blue, red = (
        sorted(float(x) for x in re.findall(rf'<use xlink:href="#[^"]+" x="([\d.]+)" y="[\d.]+" style="fill: {c}', svg))
        for c in ("#0068a5", "#c1440e")
    )
    (_, low, middle), (_, high) = blue, red  # the first is that of the legend
    assert middle - low == pytest.approx((high - low) / 2, rel=1e-3)


def test_the_same_plot_gives_the_same_bytes() -> None:
    plot = Plot("gap", "The gap", "points", (_point("a", 0.1),), reference=0.0)
    assert drawn(plot) == drawn(plot)
    assert drawn(plot, "pdf").startswith(b"%PDF")


def test_dollars_are_no_formula() -> None:
    plot = Plot("gap", "$\\frac{$", "5 $ or 6 $", (_point("$a$", 0.1, "$b$"), _point("c", 0.1, "$\\d$")))
    assert {"$\\frac{$", "5 $ or 6 $", "$a$", "$b$", "$\\d$"} <= set(_text(drawn(plot)))


@pytest.mark.parametrize("label", ["word " * 60, "x" * 300])
def test_a_label_longer_than_its_place_is_cut(label: str) -> None:
    said = "".join(_text(drawn(Plot("gap", "", "", (_point(label, 0.1),)))))
    lines = _wrapped(label).split("\n")
    assert all(line in said for line in lines)
    assert max(map(len, lines)) <= 51
    assert lines[-1].endswith("…")
    assert _wrapped("one " * 11 + "two " * 11).count("…") == 0


@pytest.mark.parametrize("reference", [float("nan"), float("inf")])
def test_a_reference_is_finite(reference: float) -> None:
    with pytest.raises(ValueRuleError, match="plot 'gap' has a reference of"):
        Plot("gap", "The gap", "points", (_point("a", 0.1),), reference)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ((), "no points"),
        (tuple(_point("a", 0.1, str(k)) for k in range(MOST_SERIES + 1)), "7 series; at most 6"),
        ((_point("a", 0.1, "s"), _point("a", 0.2, "s")), "two points at a / s"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(points: tuple[Point, ...], why: str) -> None:
    with pytest.raises(ValueRuleError, match=why):
        Plot("gap", "The gap", "points", points)
