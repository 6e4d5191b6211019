"""A clock that jumps ahead makes everything old at once: nothing goes by age for a day after it."""

import datetime
import time

import pytest
from sqlalchemy import select, update

from dermoscope.serve import steady, trail, worker
from dermoscope.serve.desk import Service
from dermoscope.serve.keeping import Keeping
from dermoscope.serve.steady import Steady
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Event, now
from dermoscope.serve.worker import Worker

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
DAY = datetime.timedelta(days=1)


class Clocks:
    """Both clocks, to be set: that of the wall, and that of seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.ran = now(), 1000.0
        monkeypatch.setattr(steady, "now", lambda: self.wall)
        monkeypatch.setattr(steady.time, "monotonic", lambda: self.ran)

    def go(self, wall: datetime.timedelta, ran: datetime.timedelta) -> None:
        self.wall, self.ran = self.wall + wall, self.ran + ran.total_seconds()


def line(store: Store, days: float) -> None:
    """A line of so many days ago."""
    with store.begin() as session:
        number = trail.record(session, "anna", "entered", "x")
        session.flush()
        session.execute(update(Event).where(Event.id == number).values(at=now() - days * DAY))


@pytest.mark.parametrize(
    ("lines", "held"), [((), False), ((0,), False), ((20, 3, 0), False), ((400, 0), True), ((9.5,), True)]
)
def test_a_long_rest_before_the_start_holds_it_for_a_day(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lines: tuple[float, ...],
    held: bool,
) -> None:
    for days in lines:
        line(store, days)
    clocks = Clocks(monkeypatch)
    clock = Steady(store)
    assert clock.trusted() is not held
    assert ("nothing is deleted by its age for a day: its last line of the audit trail" in caplog.text) == held
    clocks.go(DAY, DAY)
    assert clock.trusted()


def test_a_jump_while_it_runs_holds_it_for_a_day_and_steps_back_do_not(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks(monkeypatch)
    clock = Steady(store)
    for wall, ran in ((0.04, 0.04), (30, 30), (-400, 0.1), (0.05, 0.0)):
        clocks.go(wall * DAY, ran * DAY)
        assert clock.trusted()
    clocks.go(365 * DAY, 0.04 * DAY)
    assert not clock.trusted()
    assert "its clock went 8759 hours ahead; see whether it is" in caplog.text
    clocks.go(0.99 * DAY, 0.99 * DAY)
    assert not clock.trusted()
    clocks.go(0.02 * DAY, 0.02 * DAY)
    assert clock.trusted()


def test_neither_cases_nor_lines_go_by_a_clock_that_jumped(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    line(service.store, 500)
    asked: list[bool] = []
    monkeypatch.setattr(worker, "maintain", lambda _, *, by_age: asked.append(by_age))
    with Worker(service):
        until = time.monotonic() + 10
        while not asked and time.monotonic() < until:
            time.sleep(0.01)
    assert asked == [False]
    Keeping(service, every=0.01).close()
    with service.store.read() as session:
        assert session.scalars(select(Event.what).order_by(Event.id)).all() == ["entered", "started", "stopped"]
