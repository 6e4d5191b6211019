"""Rows by their numbers, as they come from an address."""

import pytest
from starlette.testclient import TestClient

from dermoscope.core.errors import NotFoundError
from dermoscope.serve import cases, jobs
from dermoscope.serve.accounts import Person
from dermoscope.serve.desk import Service

READER = Person("ben", "reader")


@pytest.mark.parametrize("number", [-1, 0, 1, 2**31 - 1, 2**31, 2**63, 10**30])
def test_a_number_that_nothing_has_finds_nothing(service: Service, number: int) -> None:
    for find in (cases.get, cases.get_image, jobs.get):
        with service.desk(READER) as desk, pytest.raises(NotFoundError, match=f"there is no .* {number}"):
            find(desk, number)


@pytest.mark.parametrize("place", ["cases", "batches"])
def test_a_page_of_such_a_number_is_not_there(client: TestClient, place: str) -> None:
    answer = client.get(f"/{place}/{10**20}", headers={"X-Reader": "ben"})
    assert answer.status_code == 404
