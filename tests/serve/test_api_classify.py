"""`POST /api/v1/classify`: what the command line says, file by file, and nothing stored."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import People
from PIL import Image
from sqlalchemy import func, select
from starlette.testclient import TestClient

from dermoscope.data.synthetic import draw
from dermoscope.serve import trail
from dermoscope.serve.api.files import unique
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.desk import Service
from dermoscope.serve.options import MOST_FILES, MOST_UPLOAD
from dermoscope.serve.sealing import keyed
from dermoscope.serve.tables import Blob, Event, Table
from dermoscope.serve.tables import Image as Row

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
PLACE = "/api/v1/classify"


@pytest.fixture(scope="module")
def lesions() -> list[bytes]:
    return [draw(seed, code, (240, 180)).jpeg() for seed, code in ((1, "MEL"), (2, "NV"))]


def sent(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", file) for file in files]


def part(name: bytes, data: bytes) -> bytes:
    said = b'form-data; name="files"; filename="' + name + b'"'
    return b"--X\r\nContent-Disposition: " + said + b"\r\n\r\n" + data + b"\r\n--X--\r\n"


@sqlite
def test_it_says_what_the_command_says(
    client: TestClient, lesions: list[bytes], tmp_path: Path, dermoscope: Callable
) -> None:
    for k, data in enumerate(lesions):
        (tmp_path / f"lesion {k}.jpg").write_bytes(data)
    files = sorted(tmp_path.glob("*.jpg"))
    said = json.loads(dermoscope("classify", *files, "--json").out)
    answer = client.post(PLACE, files=sent(*((file.name, file.read_bytes()) for file in files)))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["errors"], told["model"]) == ([], client.get("/model-info").json()["sha256"])
    for position, (entry, expected) in enumerate(zip(told["results"], said, strict=True), start=1):
        assert (entry.pop("file"), entry.pop("position")) == (f"{expected['image']}.jpg", position)
        assert entry.pop("probabilities") == pytest.approx(expected.pop("probabilities"), rel=1e-4)
        assert entry.pop("ood") == pytest.approx(expected.pop("ood"), abs=1e-3)
        assert {name: entry[name] for name in expected} == expected
        assert entry["cause"]
        assert "suspected" in entry


@sqlite
def test_nothing_is_stored_but_a_line_of_the_trail(client: TestClient, service: Service, lesions: list[bytes]) -> None:
    client.post(PLACE, files=sent(("a.jpg", lesions[0]), ("b.txt", b"no")), headers={"X-Reader": "R1"})
    with service.store.read() as session:
        rows: list[type[Table]] = [Row, Blob]
        assert [session.scalar(select(func.count()).select_from(table)) for table in rows] == [0, 0]
        event = session.scalars(select(Event).where(Event.what == "classified")).one()
        assert (event.who, event.subject, event.sealed) == ("R1", "api", None)
        key = trail.keys_of(session).audit
    bundle = service.engine.predictor.bundle
    assert event.details == {
        "images": 1,
        "refused": 1,
        "inputs": [keyed(key, Blobs.digest(lesions[0]))],
        "model": bundle.sha256,
        "prior": {"name": event.details["prior"]["name"], "shares": None},
        "quality": [[]],
        "refer_at": bundle.decision.refer_at,
        "floor_at": bundle.decision.lowest,
        "ood_limit": bundle.decision.ood_limit,
    }
    assert not (service.options.folder / "blobs").exists()


@sqlite
def test_files_of_one_name_are_told_apart(client: TestClient, lesions: list[bytes]) -> None:
    names = ["a.jpg", "a.png", "C:\\clinic\\a.jpg", "a-2.jpg"]
    answer = client.post(PLACE, files=sent(*((name, lesions[k % 2]) for k, name in enumerate(names)))).json()
    assert [(r["position"], r["file"], r["image"]) for r in answer["results"]] == [
        (1, "a.jpg", "a"),
        (2, "a.png", "a-3"),
        (3, "a.jpg", "a-4"),
        (4, "a-2.jpg", "a-2"),
    ]
    first, second, third, fourth = (result["probabilities"] for result in answer["results"])
    assert first == pytest.approx(third, rel=1e-4)
    assert second == pytest.approx(fourth, rel=1e-4)
    assert first != pytest.approx(second, rel=1e-2)


@sqlite
def test_a_bad_file_does_not_spoil_the_others(client: TestClient, lesions: list[bytes]) -> None:
    files = sent(("letter.docx", b"PK"), ("a.jpg", lesions[0]), ("cut.jpg", lesions[1][:900]), ("", b""))
    answer = client.post(PLACE, files=files)
    told = answer.json()
    assert answer.status_code == 200
    assert [(result["file"], result["position"]) for result in told["results"]] == [("a.jpg", 2)]
    assert [(error["file"], error["position"]) for error in told["errors"]] == [("letter.docx", 1), ("cut.jpg", 3)]
    assert told["errors"][0]["detail"].startswith("letter.docx: not an image of a known format")


@sqlite
def test_without_a_readable_file_it_is_a_problem(client: TestClient) -> None:
    one = client.post(PLACE, files=sent(("letter.docx", b"PK"))).json()
    assert (one["status"], one["detail"][:35]) == (422, "letter.docx: not an image of a know")
    two = client.post(PLACE, files=sent(("a.txt", b"a"), ("b.txt", b""))).json()
    assert two["detail"] == "none of the 2 files can be taken; `errors` says why"
    assert [fault["where"] for fault in two["errors"]] == ["a.txt", "b.txt"]
    speck = io.BytesIO()
    Image.new("RGB", (15, 40)).save(speck, "PNG")
    small = client.post(PLACE, files=sent(("speck.png", speck.getvalue()))).json()
    assert (small["status"], small["detail"]) == (
        422,
        "speck.png: 15 x 40 pixels; both sides must have at least 16: give a larger image",
    )


@sqlite
@pytest.mark.parametrize(
    ("request_of", "detail"),
    [
        ({}, "body.files: Field required"),
        ({"data": {"files": ""}}, "no file was sent; send images in the field `files`"),
        ({"data": {"files": "a.jpg"}}, "body.files: text where a file belongs; send each image as a file, with a name"),
        ({"content": part(b"", b"")}, "body.files: Field required"),
    ],
)
def test_no_file_is_a_problem(client: TestClient, request_of: dict[str, object], detail: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=X"} if "content" in request_of else {}
    answer = client.post(PLACE, headers=headers, **request_of)
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


@sqlite
@pytest.mark.parametrize(
    ("name", "file", "image"),
    [
        (b"", "image-1", "image-1"),
        (b"../../etc/x.jpg", "x.jpg", "x"),
        (b".", "image-1", "image-1"),
        (b"a" * 300 + b".jpg", "a" * 60 + "..." + "a" * 13 + ".jpg", "a" * 60 + "..." + "a" * 13),
    ],
)
def test_a_name_is_made_fit_to_be_told(
    client: TestClient, lesions: list[bytes], name: bytes, file: str, image: str
) -> None:
    headers = {"content-type": "multipart/form-data; boundary=X"}
    (result,) = client.post(PLACE, content=part(name, lesions[0]), headers=headers).json()["results"]
    assert (result["file"], result["image"]) == (file, image)


@sqlite
def test_there_are_limits(client: TestClient, lesions: list[bytes]) -> None:
    many = client.post(PLACE, files=sent(*((f"{k}.jpg", b"") for k in range(MOST_FILES + 1))))
    assert (many.status_code, many.json()["detail"]) == (413, "101 files; at most 100 are taken at once")
    far_too_many = client.post(PLACE, files=sent(*((f"{k}.jpg", b"") for k in range(1001))))
    assert far_too_many.status_code == 413
    large = ("large.tif", bytes(MOST_UPLOAD + 1))
    alone = client.post(PLACE, files=sent(large))
    assert (alone.status_code, alone.json()["detail"]) == (
        413,
        "large.tif: 50,000,001 bytes; at most 50,000,000 are taken",
    )
    beside = client.post(PLACE, files=sent(large, ("a.jpg", lesions[0])))
    assert (beside.status_code, beside.json()["errors"][0]["file"]) == (200, "large.tif")


@sqlite
def test_the_prior_can_be_chosen(client: TestClient, lesions: list[bytes]) -> None:
    def asked(prior: str | None) -> dict[str, object]:
        answer = client.post(PLACE, files=sent(("a.jpg", lesions[0])), params={"prior": prior} if prior else {})
        return answer.json() if answer.status_code != 200 else answer.json()["results"][0]

    model = client.get("/model-info").json()
    assert asked(None)["prior"] == model["default_prior"]
    assert asked("calibration")["prior"] == "calibration"
    assert asked("bcn20000")["prior"] == "bcn20000"
    assert asked("site")["prior"] == client.get("/api/v1/settings").json()["prevalence"]["name"]
    assert asked("moon")["status"] == 422


@sqlite
def test_where_readers_are_not_to_see_answers_an_admin_is_answered_only(guarded: People, lesions: list[bytes]) -> None:
    client, held = guarded.client(), {role: guarded.key(role) for role in ("reader", "reviewer", "admin")}
    for mode, others in (("silent", 403), ("study", 403), ("open", 200)):
        assert client.put("/api/v1/settings", json={"mode": mode}, headers=held["admin"]).status_code == 200
        for role, status in (("reader", others), ("reviewer", others), ("admin", 200)):
            answer = client.post(PLACE, files=sent(("a.jpg", lesions[0])), headers=held[role])
            assert answer.status_code == status
            assert (f"the service is in {mode} mode" in answer.text) == (status == 403)
    assert client.post(PLACE, files=sent(("a.jpg", lesions[0]))).status_code == 401
    wrong = client.post(PLACE, files=sent(("a.jpg", lesions[0])), headers={"Authorization": "Bearer x"})
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, "Bearer")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "a-2", "a-3", "b", "b-2", "a-2-2"]), max_size=12))
def test_names_are_made_unique(names: list[str]) -> None:
    found = unique(names)
    assert len(set(found)) == len(found)
    assert all(new == old or new.startswith(f"{old}-") for new, old in zip(found, names, strict=True))
    assert {names[0]} <= set(found) if names else found == []
    assert set(names) <= set(found)
