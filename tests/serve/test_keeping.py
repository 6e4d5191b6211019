"""Start and stop stand in the trail, an anchor behind them, and old lines go."""

import datetime
import logging
import time
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from dermoscope import __version__
from dermoscope.serve import trail
from dermoscope.serve.anchors import Anchor, read
from dermoscope.serve.audit import verify
from dermoscope.serve.desk import Service
from dermoscope.serve.keeping import Keeping
from dermoscope.serve.tables import Event, now

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def anchored(service: Service) -> list[int]:
    with service.store.read() as session:
        keys = trail.keys_of(session)
    return [one.number for one in read(keys.folder / trail.ANCHORS, keys) if isinstance(one, Anchor)]


def until(service: Service, numbers: list[int]) -> None:
    end = time.monotonic() + 5
    while anchored(service) != numbers and time.monotonic() < end:
        time.sleep(0.01)
    assert anchored(service) == numbers


def test_start_and_stop_are_recorded_with_version_and_model(service: Service) -> None:
    keeping = Keeping(service, every=0.02)
    until(service, [1])
    with service.store.begin() as session:
        trail.record(session, "r", "list.viewed", "cases")
    until(service, [1, 2])
    keeping.close()
    with service.store.read() as session:
        lines = list(session.scalars(select(Event).order_by(Event.id)))
    assert [(line.who, line.what, line.subject) for line in lines] == [
        ("service", "started", "service"),
        ("r", "list.viewed", "cases"),
        ("service", "stopped", "service"),
    ]
    assert lines[0].details == {"version": __version__, "model": service.engine.predictor.bundle.sha256}
    found = verify(service.store)
    assert (found.ok, found.anchors, anchored(service)) == (True, 3, [1, 2, 3])


def test_old_lines_go_by_themselves(service: Service) -> None:
    with service.store.begin() as session:
        trail.record(session, "r", "list.viewed", "cases")
        session.flush()
        session.execute(update(Event).values(at=now() - datetime.timedelta(days=5)))
    Keeping(replace(service, options=replace(service.options, audit_days=0))).close()
    assert verify(service.store).first == 1
    Keeping(replace(service, options=replace(service.options, audit_days=4))).close()
    assert verify(service.store).first == 2


def test_a_database_that_is_gone_at_the_end_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    keeping = Keeping(service)
    until(service, [1])
    with service.store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_head RENAME TO gone")
    with caplog.at_level(logging.WARNING):
        keeping.close()
    assert "the end of the service is not in the audit trail" in caplog.text
