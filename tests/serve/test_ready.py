"""/ready: each part that cannot do its work is named, with what to do; the others go on."""

import datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from dermoscope.serve import readiness
from dermoscope.serve.tables import now
from dermoscope.serve.trail import record

if TYPE_CHECKING:
    from dermoscope.serve.desk import Service

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def ask(client: TestClient) -> tuple[int, dict[str, str]]:
    answer = client.get("/ready")
    checks = answer.json()["checks"]
    assert set(checks) == set(readiness.PARTS)
    assert answer.json()["ready"] == (answer.status_code == 200)
    return answer.status_code, {part: said for part, said in checks.items() if said != "ok"}


def test_a_service_that_is_well(client: TestClient, service: "Service") -> None:
    with service.store.begin() as session:
        record(session, "r", "exported", "cases")
    assert ask(client) == (200, {})


@sqlite
def test_a_folder_that_is_gone_or_full(client: TestClient, service: "Service", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LITTLE", 2**62)
    status, said = ask(client)
    assert (status, set(said)) == (503, {"folder"})
    assert "MB are free where images are kept; make room" in said["folder"]
    service.options.folder.rename(service.options.folder.with_name("gone"))  # at once: it is written to meanwhile
    status, said = ask(client)
    assert status == 503
    assert said["folder"] == "the folder cannot be written (No such file or directory); mend its rights or its disk"
    assert client.get("/health").status_code == 200


def test_a_clock_that_went_back(client: TestClient, service: "Service", monkeypatch: pytest.MonkeyPatch) -> None:
    with service.store.begin() as session:
        record(session, "r", "exported", "cases")
    past = now() - datetime.timedelta(hours=1)
    monkeypatch.setattr(readiness, "now", lambda: past)
    status, said = ask(client)
    assert (status, set(said)) == (503, {"clock"})
    assert said["clock"].startswith("the clock is 3")
    assert said["clock"].endswith("s behind the last line of the audit trail; set it right")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_head SET count = count + 1",
        "UPDATE audit_head SET seal = 'broken'",
        "DELETE FROM events WHERE id = (SELECT max(id) FROM events)",
    ],
)
def test_a_trail_that_was_changed(client: TestClient, service: "Service", change: str) -> None:
    with service.store.begin() as session:
        record(session, "r", "exported", "cases")
        record(session, "r", "exported", "cases")
    with service.store.engine.begin() as connection:
        connection.execute(text(change))
    status, said = ask(client)
    assert (status, set(said)) == (503, {"audit"})
    assert "`dermoscope audit verify` says where" in said["audit"]


@sqlite
def test_a_database_that_is_gone(client: TestClient, service: "Service") -> None:
    service.store.engine.dispose()
    (service.options.folder / "dermoscope.sqlite").write_bytes(b"no database " * 100)
    status, said = ask(client)
    assert status == 503
    assert said["database"].startswith("UnavailableError: it cannot be used; the service's log says more")
    assert "bundle" not in said
