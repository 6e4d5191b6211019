"""What the tests of the case share: a browser's cookies, drawn lesions, and a case entered in the form."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture(scope="session")
def drawn() -> tuple[bytes, ...]:
    """Three drawn lesions as JPEG."""
    from dermoscope.data.synthetic import draw

    return tuple(draw(seed, code, (400, 300)).jpeg() for seed, code in ((1, "MEL"), (2, "NV"), (3, "BKL")))


@pytest.fixture
def anna(client: "TestClient") -> "TestClient":
    """The application as the reader Anna sees it, in English."""
    client.cookies.set("reader", "Anna")
    client.cookies.set("language", "en")
    return client


@pytest.fixture
def enter(anna: "TestClient", drawn: tuple[bytes, ...]) -> Callable[..., int]:
    """Enter a case with drawn pictures in the form, and give its number."""

    def entered(pseudonym: str = "P1", pictures: tuple[int, ...] = (0,), **fields: object) -> int:
        files = [("files", (f"{n}.jpg", drawn[n], "image/jpeg")) for n in pictures]
        answer = anna.post("/cases/new", data={"pseudonym": pseudonym, **fields}, files=files, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return int(answer.headers["location"].split("?")[0].rsplit("/", 1)[1])

    return entered
