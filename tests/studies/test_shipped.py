"""What the package came with: it can be read, and the pages of the docs show it."""

from dataclasses import replace
from pathlib import Path

import pytest

from dermoscope.core.errors import InputError
from dermoscope.report.plots import Plot, Point
from dermoscope.studies.registry import find
from dermoscope.studies.results import page_block, publish, shipped_results

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in (ROOT / "docs" / "studies").glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_the_page_shows_the_shipped_results(name: str) -> None:
    found = shipped_results(name)
    assert found is not None
    assert found.study == name
    assert found.card.state in ("running", "finished")
    assert page_block(find(name), found) in (ROOT / "docs" / "studies" / f"{name}.md").read_text()
    for plot in find(name).plots(found.rows):
        svg = (ROOT / "docs" / "studies" / f"{name}-{plot.name}.svg").read_text()
        assert plot.title in svg
        assert plot.axis in svg


def test_what_is_published_shows_its_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: no figure can be drawn")
    found = shipped_results("ood")
    assert found is not None
    point = Point("a", next(m.estimate for row in found.rows for m in row.measured))
    study = replace(find("ood"), plots=lambda rows: (Plot("auc", f"Of {len(rows)} rows", "AUC", (point,)),))
    _, page = publish(tmp_path, study, found)
    assert f"![Of {len(found.rows)} rows](ood-auc.svg)" in page.read_text()
    assert (page.parent / "ood-auc.svg").read_text().startswith("<svg")


def test_a_page_without_a_block_is_named(tmp_path: Path) -> None:
    found = shipped_results("steppan2021")
    assert found is not None
    page = tmp_path / "docs" / "studies" / "steppan2021.md"
    page.parent.mkdir(parents=True)
    page.write_text("# No block\n")
    with pytest.raises(InputError, match=r"steppan2021\.md: no block <!-- figures:study -->"):
        publish(tmp_path, find("steppan2021"), found)
