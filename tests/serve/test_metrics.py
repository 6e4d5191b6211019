"""/metrics: what it counts, who may read it, and that several processes tell one story."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from dermoscope.data.synthetic import draw
from dermoscope.serve.app import create_app
from dermoscope.serve.metrics import Metrics
from dermoscope.serve.trail import record

if TYPE_CHECKING:
    from people import People

    from dermoscope.serve.desk import Service

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LESION = draw(5, "MEL", (160, 120)).jpeg()
PSEUDONYM = "Erika-1964"


def figures(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels."""
    return {
        (sample.name.removeprefix("dermoscope_"), tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ask(client: TestClient, **more: object) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = client.get("/metrics", **more)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    return figures(answer.text)


def test_what_was_asked_read_answered_and_noted_is_counted(client: TestClient, service: "Service") -> None:
    made = client.post("/api/v1/cases", json={"pseudonym": PSEUDONYM}).json()["id"]
    sent = client.post(f"/api/v1/cases/{made}/images", files={"files": (f"{PSEUDONYM}.jpg", LESION)})
    assert sent.status_code == 201
    client.get("/api/v1/cases/999")
    client.get(f"/{PSEUDONYM}")
    found = ask(client)
    model = service.engine.predictor.bundle.sha256[:12]
    assert found["http_requests_total", ("GET", "/api/v1/cases/{case_id}", "4xx")] == 1
    assert found["http_requests_total", ("POST", "/api/v1/cases", "2xx")] == 1
    assert found["http_requests_total", ("GET", "(none)", "4xx")] == 1
    assert found["http_request_seconds_count", ("POST", "/api/v1/cases/{case_id}/images")] == 1
    assert found["images_read_total", ()] == 1
    assert (found["images_waiting", ()], found["images_busy", ()]) == (0, 0)
    assert found["answers_total", (model,)] == 1
    assert found["events_total", ("case.created",)] == 1
    assert found["events_total", ("login.failed",)] == 0
    assert (found["cases", ()], found["images", ()], found["batch_images_waiting", ()]) == (1, 1, 0)
    assert found["images_bytes", ()] > 1000
    assert found["database_bytes", ()] > 10_000
    assert found["audit_lines_total", ()] >= 3
    assert {part: v for (name, part), v in found.items() if name == "ready"} == dict.fromkeys(
        [("bundle",), ("database",), ("folder",), ("clock",), ("audit",)], 1
    )
    assert found["process_resident_memory_bytes", ()] > 10**7
    assert not any(PSEUDONYM in str(labels) for labels in found)


@sqlite
def test_what_is_rolled_back_is_not_counted(client: TestClient, service: "Service") -> None:
    with pytest.raises(KeyError), service.store.begin() as session:  # noqa: PT012
        record(session, "r", "exported", "cases")
        session.flush()
        raise KeyError
    with service.store.begin() as session:
        record(session, "r", "setting.changed", "site")
    found = ask(client)
    assert ("events_total", ("exported",)) not in found
    assert found["events_total", ("setting.changed",)] == 1


@sqlite
def test_a_busy_service_says_how_often_it_refused(
    client: TestClient, service: "Service", monkeypatch: pytest.MonkeyPatch
) -> None:
    from dermoscope.core.errors import BusyError

    def full(*_: object, **__: object) -> None:
        raise BusyError("400 images wait already")

    monkeypatch.setattr(service.engine, "predict", full)
    monkeypatch.setattr(service.engine, "each", full)
    assert client.post("/api/v1/classify", files={"files": ("a.jpg", LESION)}).status_code == 503
    assert ask(client)["busy_refusals_total", ()] == 1


@sqlite
def test_a_failed_login_is_counted(guarded: "People") -> None:
    nobody = guarded.client()
    assert nobody.post("/enter", data={"name": "anna", "password": "wrong"}).status_code == 422
    assert ask(nobody, headers=guarded.key("reader", "metrics"))["events_total", ("login.failed",)] == 1


@sqlite
def test_who_may_read_it(guarded: "People") -> None:
    nobody = guarded.client()  # comes from `testclient`, which is no address of this machine
    assert nobody.get("/metrics").status_code == 401
    assert nobody.get("/metrics", headers=guarded.key("admin", "read", "export", "admin")).status_code == 403
    assert nobody.get("/metrics", headers=guarded.key("reader", "metrics")).status_code == 200
    assert guarded.client("reader").get("/metrics").status_code == 200
    here = TestClient(guarded.app, base_url="http://127.0.0.1", client=("127.0.0.1", 5000))
    assert here.get("/metrics").status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert here.get("/metrics", headers={header: "203.0.113.9"}).status_code == 401


@sqlite
@pytest.mark.parametrize(
    ("given", "status"), [({"metrics_open": True}, 200), ({"public_url": "https://derma.example"}, 401)]
)
def test_a_proxy_brings_nobody_near_unless_that_is_said(
    service: "Service", given: dict[str, object], status: int
) -> None:
    options = replace(service.options, no_login=False, **given)  # type: ignore[arg-type]
    with TestClient(
        create_app(options, replace(service, options=options)), base_url="http://127.0.0.1", client=("127.0.0.1", 5000)
    ) as here:
        assert here.get("/metrics").status_code == status


PROCESS = """
import os, sys
from pathlib import Path
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.desk import Service
from dermoscope.serve.engine import Load
from dermoscope.serve.metrics import Metrics
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.watch import Seen
import types
folder, waiting = Path(sys.argv[1]), int(sys.argv[2])
options = Options(folder=folder, no_login=True)
engine = types.SimpleNamespace(load=Load(0, waiting, 10))
told = Metrics(Service(options, Store.open(options), Blobs(folder), engine, b""))
for _ in range(3):
    told.seen(Seen("GET", "/api/v1/cases", 200, 0.02, 100))
print("counted", flush=True)
sys.stdin.read()
"""


@sqlite
def test_several_processes_tell_one_story(service: "Service", tmp_path: Path) -> None:
    shared = tmp_path / "metrics"
    shared.mkdir()
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)}
    command = [sys.executable, "-c", PROCESS, str(service.options.folder)]
    started = [
        subprocess.Popen([*command, n], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in ("2", "5")
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "counted\n"
        assert told(service, shared) == (6.0, 20.0, 7.0)
        started[0].communicate("", timeout=30)
        assert told(service, shared) == (6.0, 20.0, 5.0), "what it counted stays, what waited in it does not"
    finally:
        for process in started:
            process.kill()
            process.communicate()


def told(service: "Service", shared: Path) -> tuple[float, float, float]:
    """Requests, images read and images waiting, as this process says them of all."""
    metrics = Metrics(service)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PROMETHEUS_MULTIPROC_DIR", str(shared))
        found = figures(metrics.text().decode())
    metrics.close()
    counted = found["http_requests_total", ("GET", "/api/v1/cases", "2xx")]
    return counted, found["images_read_total", ()], found["images_waiting", ()]
