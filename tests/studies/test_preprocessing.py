"""The study of preprocessing steps, a short form on drawn lesions."""

import pytest

from dermoscope.core.study import Row
from dermoscope.studies import preprocessing
from dermoscope.studies.base import Asked
from dermoscope.studies.results import Results, run_study

pytest.importorskip("torch", reason="torch is not installed: no head can be trained")


def found(rows: tuple[Row, ...], name: str) -> dict[tuple[str, str], float | None]:
    row = next(r for r in rows if r.name == name)
    return {(m.metric, m.against): m.estimate.value for m in row.measured}


def test_every_step_is_compared_with_none(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessing, "VARIANTS", ("trim_border", "shave=20"))
    monkeypatch.setattr(preprocessing, "SEEDS", 2)
    results: Results = run_study(preprocessing.STUDY, asked)
    assert [row.name for row in results.rows] == ["none", "trim_border", "shave=20"]
    none, shaved = (found(results.rows, name) for name in ("none", "shave=20"))
    for metric in preprocessing.HERE:
        assert shaved[metric, "no step"] == pytest.approx(shaved[metric, ""] - none[metric, ""])  # type: ignore[operator]
    assert all(
        m.p_holm is not None and m.p_holm >= m.p_value for r in results.rows[1:] for m in r.measured if m.against
    )
    assert run_study(preprocessing.STUDY, asked).rows == results.rows  # from its pieces


def test_what_a_step_leaves_alone_has_the_same_figures(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessing, "VARIANTS", ("trim_border=0",))
    monkeypatch.setattr(preprocessing, "SEEDS", 1)
    rows = run_study(preprocessing.STUDY, asked).rows
    assert ", ".join(rows[1].note.split("; ")[-1:]).startswith("0 of")
    assert found(rows, "trim_border=0")["MEL.auc", "no step"] == 0.0
