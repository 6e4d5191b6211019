"""The flow of a case through the API: entered, shown to nobody too early, read, revised, closed, exported."""

import csv
import io
import json
import time

import pytest
from starlette.testclient import TestClient

from dermoscope.data.synthetic import draw

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
LESION = draw(5, "MEL", (320, 240)).jpeg()
R1, R2 = {"X-Reader": "R1"}, {"X-Reader": "R2"}


def new(client: TestClient, pseudonym: str = "P-0417", **more: object) -> int:
    answer = client.post("/api/v1/cases", json={"pseudonym": pseudonym, **more}, headers=R1)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def with_image(client: TestClient, pseudonym: str = "P-0417", **more: object) -> int:
    case = new(client, pseudonym, **more)
    answer = client.post(f"/api/v1/cases/{case}/images", files={"files": ("a.jpg", LESION)}, headers=R1)
    assert answer.status_code == 201, answer.text
    return case


def test_a_case_from_its_entry_to_its_histology(client: TestClient) -> None:
    case = new(client, lesion="left forearm", body_site="upper_extremity")
    place = f"/api/v1/cases/{case}"
    assert client.get(f"{place}/result", headers=R1).status_code == 403
    said = {"kind": "dermoscopic", "captured_on": "2026-01-31", "polarisation": "polarised"}
    files = [("files", ("a.jpg", LESION)), ("files", ("letter.docx", b"PK"))]
    added = client.post(f"{place}/images", files=files, data=said, headers=R1).json()
    assert (added["image_ids"], added["notices"]) == ([1], [])
    assert [error["file"] for error in added["errors"]] == ["letter.docx"]
    overview = client.post(f"{place}/images", files={"files": ("b.jpg", LESION)}, data={"kind": "overview"}).json()
    assert [notice["code"] for notice in overview["notices"]] == ["same_image_same_case"]

    shown = client.get(place, headers=R1).json()
    assert (shown["pseudonym"], shown["lesion"], shown["answer_visible"]) == ("P-0417", "left forearm", False)
    assert [(i["kind"], i["captured_on"], i["polarisation"]) for i in shown["images"]] == [
        ("dermoscopic", "2026-01-31", "polarised"),
        ("overview", None, None),
    ]
    hidden = client.get(f"{place}/result", headers=R1).json()
    assert hidden["detail"] == f"the answer to case {case} appears once your own reading is locked"

    first = {"decision": "low_concern", "diagnosis": "NV", "confidence": 0.6, "experience": "6 years"}
    locked = client.post(f"{place}/readings", json=first, headers=R1).json()
    assert (locked["phase"], locked["aided"], locked["decision"], locked["reader"]) == (
        "first",
        False,
        "low_concern",
        "R1",
    )
    assert client.post(f"{place}/readings", json=first, headers=R1).status_code == 409
    answer = client.get(f"{place}/result", headers={**R1, "Accept-Language": "de"}).json()
    assert len(answer["results"]) == 1
    assert answer["results"][0]["image"] == 1
    assert sum(answer["results"][0]["probabilities"].values()) == pytest.approx(1)
    assert set(answer["of_100"]) == {"melanoma", "malignant"}
    assert answer["notice"].startswith("Forschungssoftware")
    together = "refer" if answer["answer"] == "refer" else locked["resolved"]
    assert locked["resolved"] == together

    revised = client.post(f"{place}/readings", json={"decision": "refer", "phase": "revised"}, headers=R1).json()
    assert (revised["phase"], revised["aided"]) == ("revised", True)
    mine = client.get(f"{place}/readings", headers=R1).json()
    assert (mine["first"]["id"], mine["revised"]["id"], mine["others"]) == (locked["id"], revised["id"], [])
    theirs = client.get(f"{place}/readings", headers=R2).json()
    assert (theirs["first"], len(theirs["others"])) == (None, 2)

    closed = client.post(f"{place}/histology", json={"diagnosis": "MEL", "on": "2026-02-03"}, headers=R1).json()
    assert (closed["histology"], closed["histology_on"], closed["histology_by"]) == ("MEL", "2026-02-03", "R1")
    assert client.post(f"{place}/histology", json={"diagnosis": "NV"}).status_code == 409
    assert client.delete(f"{place}/histology").json()["closed_at"] is None
    assert client.delete(f"{place}/histology").status_code == 409


def test_the_worklist_is_filtered(client: TestClient) -> None:
    for k in range(3):
        with_image(client, f"P{k}", body_site="head_neck" if k else None)
    listed = client.get("/api/v1/cases").json()
    assert [row["id"] for row in listed["cases"]] == [1, 2, 3]
    assert (listed["total"], listed["counts"]["unread"]) == (3, 3)
    assert all(row["answer"] is None for row in listed["cases"])
    client.post("/api/v1/cases/2/readings", json={"decision": "refer"})
    for query, ids in (
        ("tab=unread", [1, 3]),
        ("tab=awaiting", [2]),
        ("text=p2", [3]),
        ("text=100%25_\\", []),
        ("body_site=head_neck", [2, 3]),
        ("tab=closed&page=7", []),
    ):
        assert [row["id"] for row in client.get(f"/api/v1/cases?{query}").json()["cases"]] == ids, query
    (answered,) = client.get("/api/v1/cases?tab=awaiting").json()["cases"]
    assert answered["answer"] in ("refer", "low_concern", "cannot_assess")
    assert client.get("/api/v1/cases?tab=mine").status_code == 422


@sqlite
def test_place_and_images_can_be_corrected_until_they_are_read(client: TestClient) -> None:
    case = with_image(client)
    place = f"/api/v1/cases/{case}"
    changed = client.put(place, json={"body_site": "palms_soles", "intake": ["palm_or_sole"]})
    assert (changed.status_code, changed.json()["intake"]) == (200, ["palm_or_sole"])
    assert client.put(place, json={"body_site": "moon", "intake": []}).status_code == 422
    assert client.delete("/api/v1/images/1").status_code == 204
    assert client.get(place).json()["images"] == []
    client.post(f"{place}/images", files={"files": ("a.jpg", LESION)})
    client.post(f"{place}/readings", json={"decision": "refer"})
    said = client.get(f"{place}/result").json()
    assert (said["answer"], said["cause"]) == ("cannot_assess", "intake.palm_or_sole")
    assert client.put(place, json={"body_site": None, "intake": []}).status_code == 409
    assert client.delete(f"/api/v1/images/{client.get(place).json()['images'][0]['id']}").status_code == 409


@sqlite
def test_pictures_are_given_as_they_are_stored(client: TestClient) -> None:
    with_image(client)
    told = client.get("/api/v1/images/1").json()
    full, thumb = client.get(told["full"]), client.get(told["thumb"], params={"side": 160})
    assert (full.headers["content-type"], thumb.headers["content-type"]) == (told["media"], "image/jpeg")
    assert (told["width"], told["height"]) == (320, 240)
    assert len(thumb.content) < len(full.content)
    assert full.headers["cache-control"] == "no-store"  # what a browser keeps outlives every deletion
    assert thumb.headers["cache-control"] == "private, max-age=3600"
    assert client.get("/api/v1/images/2/full").status_code == 404
    assert client.get("/api/v1/images/1/thumb?side=5000").status_code == 422


def test_a_batch_goes_on_in_the_background(client: TestClient) -> None:
    files = [("files", (name, data)) for name, data in (("a.jpg", LESION), ("b.txt", b"x"), ("c.jpg", LESION))]
    said = {"title": "March", "pseudonyms": ["A", "B", "C"]}
    made = client.post("/api/v1/jobs", files=files, data=said, headers=R1)
    assert made.status_code == 201
    job = made.json()
    ends = time.monotonic() + 60
    while job["state"] == "running" and time.monotonic() < ends:
        time.sleep(0.05)
        job = client.get(f"/api/v1/jobs/{job['id']}").json()
    assert (job["state"], job["total"], job["done"], job["failed"]) == ("finished", 3, 2, 1)
    assert [(i["pseudonym"], i["state"], i["case"] is None) for i in job["items"]] == [
        ("A", "done", False),
        ("B", "failed", True),
        ("C", "done", False),
    ]
    (row,) = client.get("/api/v1/jobs").json()["jobs"]
    assert (row["title"], row["items"]) == ("March", [])
    assert client.delete(f"/api/v1/jobs/{job['id']}").status_code == 409
    assert client.get("/api/v1/jobs/99").status_code == 404
    wrong = client.post("/api/v1/jobs", files=files, data={"pseudonyms": ["A"]})
    assert wrong.json()["detail"] == "1 pseudonyms for 3 files; give one for each, or none"
    many = client.post("/api/v1/jobs", files=files, data={"pseudonyms": [f"P{k}" for k in range(101)]})
    assert many.status_code == 422
    assert many.json()["detail"].startswith("body.pseudonyms: ")


def test_settings_are_changed_and_noted(client: TestClient) -> None:
    before = client.get("/api/v1/settings").json()
    assert (before["mode"], before["order"], before["prevalence"]["name"]) == ("open", "human_first", "referral_centre")
    assert {known["name"] for known in before["known"]} == {"general_practice", "skin_cancer_clinic", "referral_centre"}
    own = {"name": "own", "malignant": 0.2, "melanoma": 0.06}
    after = client.put("/api/v1/settings", json={"prevalence": own, "notice": {"en": "Study 7"}}, headers=R2).json()
    assert (after["mode"], after["prevalence"]["malignant"], after["notice"]["en"]) == ("open", 0.2, "Study 7")
    assert after["notice"]["de"] == before["notice"]["de"]
    changes = client.get("/api/v1/settings/changes").json()["changes"]
    assert {(change["name"], change["made_by"]) for change in changes[:2]} == {("prevalence", "R2"), ("notice", "R2")}
    for wrong in (
        {"mode": "loud"},
        {"prevalence": {"name": "own", "malignant": 0.2}},
        {"prevalence": {"name": "own", "malignant": 0.1, "melanoma": 0.2}},
        {"prevalence": {"name": "moon"}},
        {"colour": "red"},
    ):
        assert client.put("/api/v1/settings", json=wrong).status_code == 422, wrong
    assert client.get("/api/v1/settings").json() == after


@sqlite
def test_in_a_study_everybody_reads_alone(client: TestClient) -> None:
    client.put("/api/v1/settings", json={"mode": "study"})
    case = with_image(client)
    place = f"/api/v1/cases/{case}"
    client.post(f"{place}/readings", json={"decision": "refer"}, headers=R1)
    assert client.get(f"{place}/result", headers=R1).status_code == 200
    assert client.get(f"{place}/result", headers=R2).status_code == 403
    assert client.get(f"{place}/readings", headers=R2).json()["others"] == []
    client.put("/api/v1/settings", json={"mode": "silent"})
    assert client.get(f"{place}/result", headers=R1).status_code == 403
    first = client.get(f"{place}/readings", headers=R1).json()["first"]
    assert (first["resolved"], first["disagrees"]) == (None, None)


@sqlite
def test_exports_are_files(client: TestClient) -> None:
    case = with_image(client)
    client.post(f"/api/v1/cases/{case}/readings", json={"decision": "refer", "diagnosis": "MEL"}, headers=R1)
    client.post(f"/api/v1/cases/{case}/histology", json={"diagnosis": "MEL"}, headers=R1)
    readings = client.get("/api/v1/exports/readings.csv")
    assert readings.headers["content-disposition"] == 'attachment; filename="readings.csv"'
    (row,) = csv.DictReader(io.StringIO(readings.text))
    assert (row["reader"], row["decision"], row["histology"]) == ("R1", "refer", "MEL")
    (picture,) = csv.DictReader(io.StringIO(client.get("/api/v1/exports/history.csv").text))
    assert picture["pseudonym"] == "P-0417"
    told = client.get(f"/api/v1/exports/cases/{case}.json", headers=R1)
    assert told.headers["content-type"] == "application/json"
    assert json.loads(told.text)["case"]["pseudonym"] == "P-0417"
    assert client.get(f"/api/v1/exports/cases/{case}.pdf").content.startswith(b"%PDF-")
    assert client.get("/api/v1/exports/cases/9.pdf").status_code == 404
    report = client.get("/api/v1/silent-report").json()
    assert (report["cases"], report["outcomes"]) == (1, 1)
