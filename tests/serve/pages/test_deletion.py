"""Deleting for good: by admins, after what goes was named and the pseudonym was typed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("argon2", reason="the service is not installed: pip install 'dermoscope[serve]'")

from dermoscope.serve.tables import Blob, Case, Event, Image, Patient, Reading

if TYPE_CHECKING:
    from people import People
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def cases(service: "Service", write_cases: Callable[..., list[int]]) -> list[int]:
    """Two lesions of P0000 that were read, and one of P0002 that was not."""
    made = write_cases(service, 2, reader="R7") + write_cases(service, 1)
    with service.store.begin() as session:
        session.query(Blob).one().references = 3
        second = session.get_one(Case, made[1])
        alone, second.patient_id, second.lesion = second.patient, session.get_one(Case, made[0]).patient_id, "2"
        session.flush()
        session.refresh(alone)
        session.delete(alone)
    return made


def left(service: "Service") -> tuple[list[int], int, int, list[str]]:
    """Numbers of the cases, how many pictures and readings, and the pseudonyms that are left."""
    with service.store.read() as session:
        return (
            [case.id for case in session.query(Case).order_by(Case.id)],
            session.query(Image).count(),
            session.query(Reading).count(),
            [patient.pseudonym for patient in session.query(Patient).order_by(Patient.id)],
        )


def test_a_case_goes_once_its_pseudonym_is_typed(
    reader: "TestClient", service: "Service", cases: list[int], words: Callable[[str], str]
) -> None:
    place = f"/cases/{cases[0]}/delete"
    assert f'href="/cases/{cases[2]}/delete"' in reader.get(f"/cases/{cases[2]}").text
    asked = words(reader.get(place).text)
    assert "This case: lesion 1 one picture, one reading, one answer of the model" in asked
    assert "Everything of this patient: 2 cases 2 pictures, 2 readings, 2 answers of the model" in asked
    assert "Nobody can take this back." in asked
    for typed, reason, told in (
        ("P0001", "withdrawn", "What you typed is not the pseudonym of this case. Nothing was deleted."),
        ("", "withdrawn", "What you typed is not the pseudonym of this case."),
        ("P0000", "  ", "Say why in at most 200 characters"),
        ("P0000", "consent of p0000 withdrawn", "without the pseudonym"),
        ("P0000", "x" * 201, "Say why in at most 200 characters"),
    ):
        refused = reader.post(place, data={"of": "case", "typed": typed, "reason": reason})
        assert refused.status_code == 422
        assert told in words(refused.text)
    assert left(service)[0] == cases
    said = reader.post(place, data={"of": "case", "typed": " P0000 ", "reason": "consent withdrawn"})
    assert said.url.path == "/"
    assert "The case is deleted: pictures, readings and answers are gone." in words(said.text)
    assert left(service) == (cases[1:], 2, 1, ["P0000", "P0002"])
    assert reader.get(f"/cases/{cases[0]}").status_code == 404
    with service.store.read() as session:
        noted = session.query(Event).filter(Event.what == "case.deleted").one()
    assert (noted.who, noted.details["reason"]) == ("R7", "consent withdrawn")


def test_everything_of_a_patient_goes_at_once(
    reader: "TestClient", service: "Service", cases: list[int], words: Callable[[str], str]
) -> None:
    said = reader.post(f"/cases/{cases[1]}/delete", data={"of": "patient", "typed": "P0000", "reason": "asked for it"})
    assert "Everything of the patient is deleted: 2 cases are gone." in words(said.text)
    assert left(service) == ([cases[2]], 1, 0, ["P0002"])


def test_only_an_admin_deletes(
    guarded: "People", service: "Service", cases: list[int], words: Callable[[str], str]
) -> None:
    place = f"/cases/{cases[0]}/delete"
    for role in ("reader", "reviewer"):
        eve = guarded.client(role)
        assert f'href="/cases/{cases[2]}/delete"' not in eve.get(f"/cases/{cases[2]}").text
        assert eve.get(place).status_code == 403
        assert eve.post(place, data={"of": "case", "typed": "P0000", "reason": "x"}).status_code == 403
    assert left(service)[0] == cases
    chief = guarded.client("admin", language="de")
    said = chief.post(place, data={"of": "case", "typed": "P0000", "reason": "zurückgezogen"})
    assert "Der Fall ist gelöscht" in words(said.text)


def test_what_is_not_there_or_not_known_is_not_deleted(
    reader: "TestClient", service: "Service", cases: list[int]
) -> None:
    assert reader.get("/cases/77/delete").status_code == 404
    given = {"of": "all", "typed": "P0000", "reason": "x"}
    assert reader.post(f"/cases/{cases[0]}/delete", data=given).status_code == 422
    assert left(service)[0] == cases
    assert 'role="status"' not in reader.get("/?deleted=all&gone=3").text.partition("<nav")[2].partition("<form")[0]
