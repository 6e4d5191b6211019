"""Published figures that can and cannot stand together."""

import sys

import pytest

from dermoscope.core.errors import MissingDependencyError
from dermoscope.studies.consistency import FigureSet, judge
from dermoscope.studies.published import figure_sets


def test_what_cannot_be_asked_says_why() -> None:
    verdict = judge(FigureSet("s", "t", "u", {"sens": 0.5}, 2, remark="counts are not published"))
    assert (verdict.consistent, verdict.why) == (None, "counts are not published")
    assert set(verdict.as_dict()) == {"study", "title", "source", "scores", "consistent", "why"}


def test_figures_of_one_table_stand_together_and_others_do_not() -> None:
    pytest.importorskip("mlscorecheck", reason="mlscorecheck is not installed: nothing can be asked")
    good = FigureSet("s", "t", "u", {"sens": 0.957, "spec": 0.841}, 3, {"p": 23, "n": 107})
    assert judge(good).consistent is True
    assert judge(FigureSet("s", "t", "u", {"sens": 0.95, "spec": 0.841}, 3, {"p": 23, "n": 107})).consistent is False
    counts = {"a": 50, "b": 30, "c": 20}
    assert judge(FigureSet("s", "t", "u", {"acc": 0.9, "sens": 0.2}, 3, counts, "macro")).consistent is False


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlscorecheck.check.binary", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dermoscope\[studies\]'"):
        judge(FigureSet("s", "t", "u", {"sens": 0.5}, 2, {"p": 2, "n": 2}))


def test_every_figure_set_is_whole() -> None:
    for figures in figure_sets():
        assert figures.scores
        assert figures.counts or figures.remark
        assert all(0 <= value <= 1 for value in figures.scores.values())
