"""The database, on SQLite and on PostgreSQL: the same values come back, and writers do not disturb each other."""

from dermoscope.serve.store import Store
from dermoscope.serve.tables import Patient


def test_smoke(store: Store) -> None:
    with store.begin() as session:
        session.add(Patient(pseudonym="P"))
    with store.read() as session:
        assert session.get_one(Patient, 1).pseudonym == "P"
