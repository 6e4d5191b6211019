"""What the tests of the pages share: readers who have entered, cases written at once, a page read as words."""

import dataclasses
import datetime
import html
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from people import People
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service
    from dermoscope.serve.options import Options

Enter = Callable[..., "TestClient"]


@pytest.fixture
def reader(client: "TestClient") -> "TestClient":
    """A reader on this machine, whose code name is R7 and who reads English."""
    client.cookies.set("reader", "R7")
    client.cookies.set("language", "en")
    return client


@pytest.fixture
def abroad(options: "Options") -> Iterator["Service"]:
    """The service at an address that others reach, at its first start: silent, and with accounts."""
    from dermoscope.serve.app import close_service, open_service

    opened = open_service(dataclasses.replace(options, host="192.0.2.1", no_login=False))
    yield opened
    close_service(opened)


@pytest.fixture
def people(abroad: "Service") -> Iterator["People"]:
    """Users of that service."""
    from people import People
    from starlette.testclient import TestClient

    from dermoscope.serve.app import create_app

    app = create_app(abroad.options, abroad)
    with TestClient(app, base_url="http://192.0.2.1"):
        yield People(abroad, app, "http://192.0.2.1")


@pytest.fixture
def enter(people: "People") -> Enter:
    """Enter that service as a reader, a reviewer or an admin: `enter("reader", "R7")`."""

    def entered(role: str, name: str = "R7", language: str = "en") -> "TestClient":
        return people.client(role, name, language=language)

    return entered


@pytest.fixture
def words() -> Callable[[str], str]:
    """What a page says, without its marks and with single spaces."""

    def plain(page: str) -> str:
        main = page.partition("<main")[2].partition("</main>")[0] or page
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", f"<main{main}")).split())

    return plain


@pytest.fixture
def write_cases() -> Callable[..., list[int]]:
    """Write many cases with a picture and a result each, at once: lists are tested, not the model."""

    def write(service: "Service", count: int, **reading: object) -> list[int]:
        from dermoscope.serve.tables import Blob, Case, Image, Patient, Reading, Result

        digest = "0" * 64
        with service.store.begin() as session:
            if session.get(Blob, digest) is None:
                session.add(Blob(digest=digest, media="image/jpeg", size=1, references=1))
            start = session.query(Patient).count()
            made = []
            for number in range(start, start + count):
                patient = Patient(pseudonym=f"P{number:04d}")
                case = Case(patient=patient, created_by="admin", body_site="head_neck", intake=[])
                image = Image(case=case, kind="dermoscopic", digest=digest, width=9, height=9, added_by="admin")
                image.results.append(
                    Result(
                        **{"model": "m" * 64, "mode": "open", "order": "human_first", "answer": "refer"},
                        **{"cause": "malignancy", "suspected": "MEL", "reasons": ["because"], "figures": {}},
                        **{"prevalence": {}, "prior": {}, "probabilities": {"MEL": 0.6, "NV": 0.4}, "calibrated": {}},
                        **{"ood": None, "quality": {}, "warnings": [], "intake": []},
                    )
                )
                if reading:
                    case.readings.append(
                        Reading(
                            **{"visit": 1, "phase": "first", "aided": False, "mode": "open", "order": "human_first"},
                            **{"shown": [], "decision": "low_concern", "resolved": "refer", "disagrees": True},
                            **reading,
                        )
                    )
                session.add(case)
                made.append(case)
            session.flush()
            return [case.id for case in made]

    return write


@pytest.fixture
def close_case() -> Callable[..., None]:
    """Enter the histology of a case."""

    def close(service: "Service", case_id: int, code: str) -> None:
        from dermoscope.serve import cases
        from dermoscope.serve.accounts import Person

        with service.desk(Person("admin", "admin")) as desk:
            cases.enter_histology(desk, case_id, code, datetime.date(2026, 11, 2))

    return close
