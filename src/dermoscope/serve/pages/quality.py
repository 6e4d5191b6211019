"""Figures of the pictures and what is to be known of them, in the reader's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dermoscope.serve.answers import CaseAnswer
from dermoscope.serve.texts import Texts

_SHARES = ("bright", "dark_corners", "hair", "ink", "ruler", "coloured")


@dataclass(frozen=True)
class Line:
    """One picture: its place in the visit, its answer, and its figures by name."""

    number: int
    answer: str
    figures: tuple[tuple[str, str], ...]


def lines_of(answer: CaseAnswer, t: Texts) -> tuple[Line, ...]:
    """The figures of every picture of the visit."""
    written = _written(t)
    return tuple(
        Line(
            number,
            result.answer,
            tuple(
                (t(f"quality.{name}"), say(result.quality)) for name, say in written.items() if name in result.quality
            )
            + (() if result.ood is None else ((t("quality.unlike"), t.percent(result.ood)),)),
        )
        for number, result in enumerate(answer.results, start=1)
    )


def _written(t: Texts) -> Mapping[str, Callable[[Mapping[str, float]], str]]:
    shares = {name: lambda q, name=name: t.percent(q[name]) for name in _SHARES}
    return {
        "blur": lambda q: t.number(q["blur"], 2),
        "luminance": lambda q: t.number(q["luminance"], 2),
        **shares,
    }
