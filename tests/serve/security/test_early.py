"""Ways to learn an answer before the own reading, past the pages that hide it."""

from typing import TYPE_CHECKING

import pytest

from dermoscope.data.synthetic import draw

if TYPE_CHECKING:
    from people import People

LESION = draw(5, "MEL", (160, 120)).jpeg()


@pytest.mark.parametrize("mode", ["study", "silent"])
def test_figures_do_not_tell_what_was_answered(guarded: "People", mode: str) -> None:
    assert guarded.client("admin").put("/api/v1/settings", json={"mode": mode}).status_code == 200
    reader = guarded.client("reader")
    case = reader.post("/api/v1/cases", json={"pseudonym": "P-1"}).json()["id"]
    sent = reader.post(f"/api/v1/cases/{case}/images", files={"files": ("a.jpg", LESION)})
    assert sent.status_code == 201
    assert reader.get(f"/api/v1/cases/{case}/result").status_code == 403
    told = reader.get("/metrics").text
    assert "dermoscope_answers_total" in told
    for kind in ("refer", "low_concern", "cannot_assess"):
        assert f'"{kind}"' not in told
