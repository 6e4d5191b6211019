"""Whoever sees something of a patient stands in the trail before it is sent; what cannot be recorded is not shown."""

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from dermoscope.core.errors import BusyError
from dermoscope.data.synthetic import draw
from dermoscope.serve import cases, site, trail, views
from dermoscope.serve.accounts import Person
from dermoscope.serve.app import create_app
from dermoscope.serve.desk import Service
from dermoscope.serve.options import Options
from dermoscope.serve.rules import RULES
from dermoscope.serve.tables import Event
from dermoscope.serve.uploads import clean

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

UNSEEN = {
    # about the service, the site or whoever asks, not about a patient
    *("/openapi.json", "/health", "/ready", "/metrics", "/model-info", "/api/v1/models", "/api/v1/problems"),
    *("/api/v1/problems/{name}", "/api/v1/settings", "/api/v1/settings/changes", "/settings", "/model", "/about"),
    *("/favicon.ico", "/cases/new", "/samples/{number}"),
    # recorded as exports
    *("/api/v1/exports/readings.csv", "/api/v1/exports/history.csv", "/history/readings.csv", "/history/cases.csv"),
    *("/api/v1/audit/export", "/history/trail.jsonl", "/api/v1/audit/verify"),
}
"""What is asked with GET and is no view."""
ACCOUNTS = ("/enter", "/link/", "/account", "/users", "/api/v1/me", "/api/v1/users", "/api/v1/keys")
"""Addresses about accounts begin so; what is done with them is recorded."""


def seen(service: Service) -> list[tuple[str, str, dict[str, object]]]:
    with service.store.read() as session:
        wanted = select(Event).where(Event.what.in_(("case.viewed", "image.viewed", "list.viewed"))).order_by(Event.id)
        return [(event.what, event.subject, event.details) for event in session.scalars(wanted)]


@pytest.fixture
def image(service: Service) -> int:
    """A picture of case 1, whose answer is in view."""
    person = Person("R1", "admin")
    with service.desk(person) as desk:
        site.change(desk, "order", "ai_first")
        cases.create(desk, cases.NewCase("P-1"))
    (made,) = cases.add_images(service, person, 1, [clean(draw(1).jpeg(), "a.jpg")], "dermoscopic").image_ids
    return made


def test_every_address_is_a_view_or_is_said_to_be_none(options: Options) -> None:
    del options
    asked = {path for method, path in RULES if method == "GET" and not path.startswith(ACCOUNTS)}
    assert asked - views.VIEWS.keys() - UNSEEN == set(), "does it show something of a patient? say so in serve/views.py"
    assert views.VIEWS.keys() & UNSEEN == set()


def test_views_of_addresses_that_are_not_there_are_refused(options: Options) -> None:
    app = create_app(options)
    with pytest.raises(ValueError, match=r"views without a route: \['/nothing'\]; unknown verbs: \['case\.seen'\]"):
        views.matched(app, {"/nothing": views.View("case.seen", "case/1")})


PLACES = {
    "/": ("list.viewed", "cases", {}),
    "/cases/1": ("case.viewed", "case/1", {}),
    "/cases/1/result.json": ("case.viewed", "case/1", {"part": "json"}),
    "/cases/1/what-if?setting=general_practice": ("case.viewed", "case/1", {"part": "what-if"}),
    "/images/{}/full": ("image.viewed", "image/{}", {}),
    "/images/{}/thumb?side=640": ("image.viewed", "image/{}", {"part": "small"}),
    "/api/v1/cases": ("list.viewed", "cases", {}),
    "/api/v1/cases/001": ("case.viewed", "case/1", {}),
    "/api/v1/cases/1/result": ("case.viewed", "case/1", {"part": "result"}),
    "/api/v1/images/{}/full": ("image.viewed", "image/{}", {}),
}


def test_what_is_looked_at_is_recorded(client: "TestClient", service: Service, image: int) -> None:
    for place, (what, subject, details) in PLACES.items():
        before = seen(service)
        assert client.get(place.format(image), headers={"X-Reader": "R2"}).status_code == 200, place
        assert seen(service)[len(before) :] == [(what, subject.format(image), details)], place
    with service.store.read() as session:
        last = session.scalars(select(Event).order_by(Event.id.desc())).first()
        assert last is not None
        assert last.who == "R2"


def test_what_is_not_seen_is_not_recorded(client: "TestClient", service: Service, image: int) -> None:
    places = (
        "/images/{}/thumb",
        "/images/{}/thumb?side=320",
        "/cases/77",
        "/api/v1/cases/77",
        "/api/v1/cases/x",
        "/about",
    )
    for place in places:
        client.get(place.format(image), headers={"X-Reader": "R2"})
    client.get("/batches/1", headers={"X-Reader": "R2", "HX-Request": "true"})
    assert seen(service) == []


def test_what_cannot_be_recorded_is_not_shown(
    client: "TestClient", image: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise BusyError("the disk is full")

    monkeypatch.setattr(trail, "record", full)
    for place in ("/cases/1", "/images/{}/full", "/api/v1/cases/1"):
        answer = client.get(place.format(image), headers={"X-Reader": "R2"})
        assert answer.status_code == 503, place
        assert b"P-1" not in answer.content
        assert b"JFIF" not in answer.content
    monkeypatch.undo()  # the end of the service is recorded
