"""Another model while the service runs: nothing is dropped, every record names who spoke, and damage is refused."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from dermoscope.core.errors import BundleError, NotFoundError
from dermoscope.data.synthetic import draw
from dermoscope.predict import bundle as bundles
from dermoscope.predict.bundle import Bundle
from dermoscope.predict.predictor import Predictor
from dermoscope.serve import cases, models
from dermoscope.serve.accounts import Person
from dermoscope.serve.app import open_service
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.tables import Change, Event, Result

ADMIN = Person("anna", "admin")
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def bundled() -> Bundle:
    return bundles.load("default")


@pytest.fixture(scope="module")
def made(bundled: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the same networks that refers at another threshold."""
    decision = {**bundled.manifest.decision, "refer_at": 0.5}
    folder = tmp_path_factory.mktemp("made") / "careful"
    bundles.save(replace(bundled, manifest=bundled.manifest.model_copy(update={"decision": decision})), folder)
    return folder


@pytest.fixture
def careful(made: Path, options: Options) -> str:
    """Its SHA-256, when it lies where it may be chosen."""
    there = options.folder / "bundles" / "careful"
    there.parent.mkdir()
    shutil.copytree(made, there)
    return bundles.load(there).sha256


@pytest.fixture(scope="module")
def lesion() -> bytes:
    return draw(1, "NV", size=(320, 240)).jpeg()


def changed(service: Service) -> list[tuple[str, dict[str, object]]]:
    with service.store.read() as session:
        rows = session.scalars(select(Event).where(Event.what == "model.changed").order_by(Event.id))
        return [(row.who, row.details) for row in rows]


def quick(bundled: Bundle, folder: Path, refer_at: float) -> str:
    """A bundle that looks at a picture once, and refers at a threshold; its SHA-256."""
    decision = {**bundled.manifest.decision, "refer_at": refer_at}
    changed = {"decision": decision, "views": bundled.manifest.views[:1]}
    bundles.save(replace(bundled, manifest=bundled.manifest.model_copy(update=changed)), folder)
    return bundles.load(folder).sha256


def test_two_hundred_requests_while_models_change(live: str, service: Service, bundled: Bundle, lesion: bytes) -> None:
    folder, stop, said = service.options.folder / "bundles", threading.Event(), []
    refers = {quick(bundled, folder / name, at): at for name, at in (("first", 0.2), ("second", 0.3))}

    def change(http: httpx.Client) -> None:
        while not stop.is_set():
            for name in ("first", "second"):
                said.append(http.put("/api/v1/models", json={"bundle": name}, timeout=60).status_code)
                stop.wait(0.5)

    def upload(number: int) -> str | None:
        if number % 4:
            answer = http.post("/api/v1/classify", files={"files": lesion})
            assert answer.status_code == 200, answer.text
            return str(answer.json()["model"])
        case = http.post("/api/v1/cases", json={"pseudonym": f"P{number}"}).json()["id"]
        answer = http.post(f"/api/v1/cases/{case}/images", files={"files": lesion})
        assert answer.status_code == 201, answer.text
        return None

    with httpx.Client(base_url=live, timeout=60) as http, ThreadPoolExecutor(9) as pool:
        assert http.put("/api/v1/models", json={"bundle": "second"}).status_code == 200
        changing = pool.submit(change, http)
        named = {model for model in pool.map(upload, range(200)) if model}
        stop.set()
        changing.result()
    assert (set(said), len(said) >= 4) == ({200}, True)
    assert named == set(refers)
    with service.store.read() as session:
        results = session.scalars(select(Result)).all()
    assert len(results) == 50
    assert {result.model for result in results} == set(refers)
    assert all(result.figures["refer_at"] == refers[result.model] for result in results)  # who is named has spoken


def test_a_choice_is_a_setting_with_its_history(
    client: TestClient, service: Service, careful: str, bundled: Bundle
) -> None:
    before = bundled.sha256
    told = client.put("/api/v1/models", json={"bundle": "careful"}, headers={"X-Reader": "anna"}).json()
    assert [model["sha256"] for model in told["models"]] == [careful]
    assert {row["name"]: (row["sha256"], row["served"]) for row in told["bundles"]} == {
        "careful": (careful, True), "default": (before, False)
    }  # fmt: skip
    client.put("/api/v1/models", json={"bundle": "careful"})
    assert changed(service) == [("anna", {"name": "careful", "before": before, "after": careful})]
    assert client.get("/model-info").json()["sha256"] == careful
    page = client.get("/settings", headers={"X-Reader": "anna"})
    assert (page.status_code, careful[:12] in page.text) == (200, True)
    assert client.get("/api/v1/settings/changes").json()["changes"][0]["value"] == {
        "name": "careful",
        "sha256": careful,
    }


def test_what_an_older_model_said_stays_and_names_it(
    client: TestClient, careful: str, bundled: Bundle, lesion: bytes
) -> None:
    client.post("/api/v1/cases", json={"pseudonym": "P"})
    client.post("/api/v1/cases/1/images", files={"files": lesion})
    client.put("/api/v1/settings", json={"order": "ai_first"})
    client.put("/api/v1/models", json={"bundle": "careful"})
    result = client.get("/api/v1/cases/1/result").json()
    assert bundled.sha256 in json.dumps(result)
    assert careful not in json.dumps(result)
    heat = client.get("/api/v1/images/1/heat", params={"diagnosis": "MEL"})
    assert (heat.status_code, heat.json()["detail"]) == (
        404, "image 1 was read by another model, which is not loaded"
    )  # fmt: skip
    page = client.get("/cases/1", headers={"X-Reader": "anna"})
    assert (page.status_code, bundled.sha256[:12] in page.text) == (200, True)


@pytest.mark.usefixtures("careful")
@pytest.mark.parametrize("name", ["../default", "/etc", "none", "a/b", "..", "careful/"])
def test_only_what_is_known_may_be_chosen(client: TestClient, service: Service, name: str) -> None:
    assert client.put("/api/v1/models", json={"bundle": name}).status_code in (404, 422)
    with pytest.raises(NotFoundError, match="may be served here; there are careful, default"):
        models.read(service.options, name)
    assert changed(service) == []


@pytest.mark.usefixtures("careful")
def test_a_bundle_that_cannot_be_served_is_refused_and_the_old_one_goes_on(
    client: TestClient, service: Service, bundled: Bundle, lesion: bytes
) -> None:
    folder = service.options.folder / "bundles" / "careful"
    graph = folder / bundled.members[0].file
    data = graph.read_bytes()
    graph.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    answer = client.put("/api/v1/models", json={"bundle": "careful"})
    assert (answer.status_code, "changed or damaged" in answer.json()["detail"]) == (422, True)
    rows = {row["name"]: row["problem"] for row in client.get("/api/v1/models").json()["bundles"]}
    assert "changed or damaged" in rows["careful"]
    graph.write_bytes(data)
    manifest = bundled.manifest.model_copy(update={"served": False})
    bundles.save(replace(bundled, manifest=manifest), folder)
    answer = client.put("/api/v1/models", json={"bundle": "careful"})
    assert (answer.status_code, "has not been calibrated here" in answer.json()["detail"]) == (422, True)
    assert service.engine.predictor.bundle.sha256 == bundled.sha256
    assert client.post("/api/v1/classify", files={"files": lesion}).json()["model"] == bundled.sha256
    assert changed(service) == []


def test_other_diagnoses_need_a_service_of_their_own(bundled: Bundle, database: str) -> None:  # noqa: ARG001
    from dermoscope.core.taxonomy import ISIC2018

    with pytest.raises(BundleError, match="a model of other diagnoses needs a service of its own"):
        models.check_same(ISIC2018, bundled)


def test_every_process_follows_and_a_start_too(service: Service, careful: str, bundled: Bundle, caplog) -> None:  # type: ignore[no-untyped-def]
    follower = models.Follower(service.options, service.store, service.engine)
    follower.follow()
    assert service.engine.predictor.bundle.sha256 == bundled.sha256
    with service.store.begin() as session:  # as another process writes it
        models.choose(session, "anna", "careful", models.read(service.options, "careful"), bundled.sha256)
    follower.follow()
    assert service.engine.predictor.bundle.sha256 == careful
    again = open_service(service.options)
    assert again.engine.predictor.bundle.sha256 == careful
    again.engine.close()
    again.store.close()
    (service.options.folder / "bundles" / "careful" / "card.json").write_bytes(b"{}")
    with pytest.raises(BundleError, match="changed or damaged"):
        open_service(service.options)
    with service.store.begin() as session:
        models.choose(session, "anna", "default", bundled, "")
        session.add(Change(name="model", value={"is": {"name": "careful", "sha256": careful}}, made_by="anna"))
    service.engine.swap(Predictor.load(bundled, threads=1))
    for _ in range(2):
        follower.follow()
    assert service.engine.predictor.bundle.sha256 == bundled.sha256
    assert [record.message for record in caplog.records if "the model stays" in record.message][1:] == []
    with service.store.begin() as session:
        session.add(Change(name="model", value={"is": {"name": "default", "sha256": "0" * 64}}, made_by="anna"))
    with pytest.raises(
        BundleError, match=r"is default 000000000000, and the bundle of that name is .* by now; put the"
    ):
        open_service(service.options)


@pytest.mark.usefixtures("careful")
def test_a_record_names_the_model_that_spoke_whichever_is_served_when_it_is_stored(
    service: Service, bundled: Bundle, lesion: bytes
) -> None:
    from dermoscope.serve.uploads import clean

    upload = clean(lesion, "a.jpg")
    read = cases.read_uploads(service, [upload])
    service.engine.swap(Predictor.load(models.read(service.options, "careful"), threads=1))
    with service.desk(ADMIN) as desk:
        case = cases.create(desk, cases.NewCase("P"))
        cases.store_images(desk, case, [upload], "dermoscopic", read)
        assert [r.model for image in case.images for r in image.results] == [bundled.sha256]
