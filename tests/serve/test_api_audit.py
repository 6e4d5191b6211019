"""The trail by the API: for admins alone, page by page, and as a file that verifies."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from dermoscope.serve import trail
from dermoscope.serve.audit import verify_export
from dermoscope.serve.desk import Service
from dermoscope.serve.tables import Case, Patient

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def recorded(service: Service) -> None:
    """Twenty views of two cases, and a reading."""
    with service.store.begin() as session:
        session.add(Patient(id=1, pseudonym="P"))
        session.flush()
        session.add(Case(id=1, patient_id=1, created_by="r"))
        session.flush()
        for k in range(20):
            trail.record(session, f"R{k % 2}", "case.viewed", f"case/{k % 2 + 1}", part="json")
        trail.record(session, "R1", "reading.locked", "case/1", {"decision": "low_concern"}, visit=1)


def test_lines_come_page_by_page_the_latest_first(client: "TestClient") -> None:
    first = client.get("/api/v1/audit?what=case.viewed&most=15").json()
    second = client.get(f"/api/v1/audit?what=case.viewed&most=15&before={first['before']}").json()
    numbers = [line["number"] for line in (*first["lines"], *second["lines"])]
    assert (len(numbers), numbers, second["before"]) == (20, sorted(numbers, reverse=True), None)
    (line,) = client.get("/api/v1/audit?subject=case/1&who=R1").json()["lines"]
    assert (line["what"], line["details"], line["sealed"], len(line["hash"])) == (
        "reading.locked",
        {"visit": 1},
        True,
        64,
    )
    assert "low_concern" not in client.get("/api/v1/audit").text


def test_whether_it_is_whole_is_told(client: "TestClient", service: Service) -> None:
    assert client.get("/api/v1/audit/verify").json()["wrong"] == []
    with service.store.engine.begin() as connection:
        connection.execute(text("UPDATE events SET who = 'x' WHERE id = 7"))
    found = client.get("/api/v1/audit/verify").json()
    assert (found["ok"], found["wrong"][0][:18]) == (False, "line 7 was changed")


def test_the_export_verifies_and_is_its_last_line(client: "TestClient", tmp_path: Path) -> None:
    answer = client.get("/api/v1/audit/export", headers={"X-Reader": "Ada"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    path = tmp_path / "trail.jsonl"
    path.write_bytes(answer.content)
    assert verify_export(path).ok
    last = json.loads(answer.text.splitlines()[-1])["line"]
    assert (last["who"], last["what"]) == ("Ada", "audit.exported")
    assert "low_concern" not in answer.text
    assert client.get("/api/v1/audit/export?after=999").status_code == 422
    part = client.get(f"/api/v1/audit/export?after={last['number']}")
    assert part.text.count("\n") == 2


def test_only_admins_may(guarded: "People") -> None:
    for place in ("/api/v1/audit", "/api/v1/audit/verify", "/api/v1/audit/export"):
        assert guarded.client("reviewer").get(place).status_code == 403
        assert guarded.client("admin").get(place).status_code == 200
