"""Logins: how long they are good, how they end, and what a wrong password costs whom."""

import datetime
import threading
from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher
from people import PASSWORD, People
from sqlalchemy import select

from dermoscope.core.errors import BusyError, NotFoundError, ValueRuleError
from dermoscope.serve import accounts, keys, links, logins, passwords, throttle
from dermoscope.serve.logins import WrongError
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Attempt, Event, Login, now
from dermoscope.serve.throttle import TooManyError

Clock = Callable[[float], None]
HOME, AWAY = "192.0.2.7", "198.51.100.9"


@pytest.fixture
def database() -> str:
    """SQLite alone: nothing here differs on PostgreSQL."""
    return ""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hashes that cost little; `test_passwords` has real ones."""
    passwords._nobodys.cache_clear()
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield
    passwords._nobodys.cache_clear()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set the clock of all that is about accounts to so many seconds from now; negative ones are the past."""

    def put(seconds: float) -> None:
        moved = datetime.timedelta(seconds=seconds)
        for module in (accounts, keys, links, logins, throttle):
            monkeypatch.setattr(module, "now", lambda: now() + moved)

    return put


@pytest.fixture
def ada(store: Store) -> int:
    """A user with a password."""
    made = passwords.hashed(PASSWORD)
    with store.begin() as session:
        user = accounts.create_user(session, "Ada", "admin", "terminal")
        user.password = made
        return user.id


def enter(store: Store, password: str = PASSWORD, name: str = "Ada", address: str = HOME) -> str:
    return logins.enter(store, name, password, address=address, browser="Firefox").token


def good(store: Store, token: str) -> bool:
    with store.read() as session:
        return logins.login_of(session, token) is not None


def events(store: Store, what: str) -> list[Event]:
    with store.read() as session:
        return list(session.scalars(select(Event).where(Event.what == what).order_by(Event.id)))


def test_every_login_has_a_token_of_its_own_and_the_table_none(store: Store, ada: int) -> None:
    tokens = {enter(store) for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) >= 43 for token in tokens)
    with store.read() as session:
        rows = list(session.scalars(select(Login)))
        assert {row.digest for row in rows} == {logins.digest_of(token) for token in tokens}
        assert len(logins.own_logins(session, ada)) == 3
    assert [event.details for event in events(store, "login.succeeded")] == [{"by": "password", "role": "admin"}] * 3


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("seconds", "still"), [(59 * 60, True), (61 * 60, False), (-4, True), (-60, False), (13 * 3600, False)]
)
def test_an_idle_login_ends_and_so_does_one_of_the_future(
    store: Store, clock: Clock, seconds: float, still: bool
) -> None:
    token = enter(store)
    assert good(store, token)
    clock(seconds)
    assert good(store, token) == still


@pytest.mark.usefixtures("ada")
def test_a_login_ends_after_twelve_hours_however_busy(store: Store, clock: Clock) -> None:
    token = enter(store)
    for hours, still in ((11.9, True), (12.1, False)):
        clock(hours * 3600)
        with store.begin() as session:
            session.scalars(select(Login)).one().seen_at = logins.now()
        assert good(store, token) == still


def test_the_last_request_is_noted_once_a_minute(guarded: People) -> None:
    browser, past = guarded.client("reader"), now() - datetime.timedelta(seconds=90)
    for seen, noted in ((past, True), (now() - datetime.timedelta(seconds=30), False)):
        with guarded.service.store.begin() as session:
            session.scalars(select(Login)).one().seen_at = seen
        assert browser.get("/api/v1/me").status_code == 200
        with guarded.service.store.read() as session:
            assert (session.scalars(select(Login)).one().seen_at > seen) == noted


def test_logins_end_one_by_one_or_all_but_this(store: Store, ada: int) -> None:
    first, second, third = (enter(store) for _ in range(3))
    with store.begin() as session:
        number = logins.login_of(session, first).id  # type: ignore[union-attr]
        logins.end_login(session, ada, number, "Ada")
        with pytest.raises(NotFoundError):
            logins.end_login(session, ada + 1, number, "Eve")
    assert [good(store, one) for one in (first, second, third)] == [False, True, True]
    with store.begin() as session:
        keep = logins.login_of(session, third).id  # type: ignore[union-attr]
        assert accounts.end_logins(session, accounts.user_of(session, ada), "Eve", "admin", but=keep) == 1
    assert [good(store, one) for one in (first, second, third)] == [False, False, True]
    assert [event.who for event in events(store, "login.ended")] == ["Ada", "Eve"]


def test_changing_the_password_asks_for_the_old_and_ends_other_logins(store: Store, ada: int) -> None:
    here, there = enter(store), enter(store)
    with store.read() as session:
        keep = logins.login_of(session, here).id  # type: ignore[union-attr]
    new = "a second lamp under trees"
    with pytest.raises(WrongError, match="the old password is not right"):
        logins.change_password(store, ada, "guess", new, address=HOME)
    with pytest.raises(ValueRuleError, match="that is the password that you have"):
        logins.change_password(store, ada, PASSWORD, PASSWORD, address=HOME)
    logins.change_password(store, ada, PASSWORD, new, address=HOME, keep=keep)
    assert (good(store, here), good(store, there)) == (True, False)
    with pytest.raises(WrongError):
        enter(store)
    assert enter(store, new)


def test_a_password_is_hashed_anew_where_parameters_have_changed(
    store: Store, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())
    enter(store)
    with store.read() as session:
        stored = accounts.user_of(session, ada).password
    assert stored is not None
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert not passwords.outdated(stored)
    assert enter(store)


def test_an_unknown_name_costs_what_a_wrong_password_costs(
    store: Store, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords._nobodys()
    asked: list[str] = []
    real = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", lambda self, *given: (asked.append(given[0]), real(self, *given))[1])
    with store.begin() as session:
        accounts.create_user(session, "Ben", "reader", "Ada")  # has no password yet
        eve = accounts.create_user(session, "Eve", "reader", "Ada")
        eve.password = accounts.user_of(session, ada).password
        accounts.disable(session, eve, "Ada")
    for name in ("Ada", "Nobody", "Ben", "Eve", "\0", "x" * 999):
        with pytest.raises(WrongError, match=r"^this name and this password do not belong together; check both$"):
            enter(store, "guess", name)
    assert len(asked) == 6, "one hash for each of them"
    assert len({stored.rpartition("$")[0].rpartition("$")[0] for stored in asked}) == 1, "of the same parameters"
    assert [event.who for event in events(store, "login.failed")] == ["Ada", "nobody", "Ben", "Eve", "nobody", "nobody"]


@pytest.mark.usefixtures("ada")
def test_waiting_begins_with_the_fifth_failure_doubles_and_ends(store: Store, clock: Clock) -> None:
    at, waits = 0.0, []
    for count in range(1, 16):
        with pytest.raises(WrongError):
            enter(store, "guess")
        try:
            with store.begin() as session:
                throttle.begin(session, "ada", HOME)
            with store.begin() as session:  # nothing to wait for: take the look back
                session.scalars(select(Attempt).where(Attempt.bucket.startswith("name:"))).one().count -= 1
            waits.append(0)
        except TooManyError as error:
            waits.append(error.seconds)
        at += waits[-1] + 1
        clock(at)
        assert len(waits) == count
    rounded = [5 * round(seconds / 5) for seconds in waits]
    assert rounded == [0, 0, 0, 0, 5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]
    enter(store)
    assert events(store, "login.failed")[0].details == {"by": "password"}
    with pytest.raises(WrongError):
        enter(store, "guess")
    assert enter(store), "a success forgets what failed"


@pytest.mark.usefixtures("ada")
def test_while_one_waits_the_right_password_is_not_tried_and_nothing_is_hashed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "FIRST", 600)  # a slow machine is not to outwait it
    for _ in range(5):
        with pytest.raises(WrongError):
            enter(store, "guess")
    monkeypatch.setattr(passwords, "verified", None)
    with pytest.raises(TooManyError, match=r"too many attempts to enter failed; try again in \d+ s"):
        enter(store)


@pytest.mark.usefixtures("ada")
def test_nobody_is_locked_out_where_he_is_known(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FIRST", 600)  # a slow machine is not to outwait it
    enter(store, address=HOME)
    for _ in range(5):
        with pytest.raises(WrongError):
            enter(store, "guess", address=AWAY)
    with pytest.raises(TooManyError):
        enter(store, address=AWAY)
    with pytest.raises(TooManyError):
        enter(store, address="203.0.113.5")
    assert enter(store, address=HOME)
    with pytest.raises(TooManyError):
        enter(store, address=AWAY)


@pytest.mark.usefixtures("ada")
def test_an_address_that_tries_many_names_waits_too(store: Store) -> None:
    with store.begin() as session:
        for number in range(50):
            throttle.begin(session, f"name {number}", AWAY)
        with pytest.raises(TooManyError):
            throttle.begin(session, "another", AWAY)
        throttle.begin(session, "another", HOME)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("write", ["Ada{0}", "{0}ADA", "\uff21da{0}"])
def test_a_name_is_one_however_it_is_written(store: Store, write: str) -> None:
    with store.begin() as session:
        for number in range(5):
            throttle.begin(session, write.format(" " * number), f"198.51.100.{number}")
        with pytest.raises(TooManyError):
            throttle.begin(session, "ada", "203.0.113.5")


@pytest.mark.usefixtures("ada")
def test_many_at_once_are_many(store: Store) -> None:
    refused: list[str] = []

    def guess() -> None:
        try:
            enter(store, "guess")
        except (WrongError, TooManyError, BusyError) as error:
            refused.append(type(error).__name__)

    together = [threading.Thread(target=guess) for _ in range(12)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert refused.count("WrongError") == 5
    assert refused.count("TooManyError") == 7


@pytest.mark.usefixtures("ada")
def test_what_could_not_be_tried_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(store)
    with monkeypatch.context() as full:
        full.setattr(passwords, "_line", threading.BoundedSemaphore(1))
        assert passwords._line.acquire()
        for _ in range(8):
            with pytest.raises(BusyError) as told:
                enter(store)
            assert not isinstance(told.value, TooManyError)
    assert enter(store)


@pytest.mark.usefixtures("ada")
def test_a_clock_that_was_set_back_makes_nobody_wait_longer(store: Store, clock: Clock) -> None:
    for _ in range(5):
        with pytest.raises(WrongError):
            enter(store, "guess")
    clock(-24 * 3600)
    with pytest.raises(TooManyError) as waiting:
        enter(store)
    assert waiting.value.seconds <= 6


@pytest.mark.usefixtures("ada")
def test_names_and_addresses_do_not_stand_in_the_table(store: Store) -> None:
    with pytest.raises(WrongError):
        enter(store, "guess", "my password by mistake", AWAY)
    with store.read() as session:
        held = " ".join(row.bucket for row in session.scalars(select(Attempt)))
    assert "mistake" not in held
    assert AWAY not in held
    assert all(
        "mistake" not in str((event.who, event.subject, event.details)) for event in events(store, "login.failed")
    )


def test_a_person_asks_generously_and_not_without_end() -> None:
    allowance = throttle.Allowance(a_second=0.001, at_once=3)
    for _ in range(3):
        allowance.take(1)
    with pytest.raises(TooManyError, match="this account asks too often"):
        allowance.take(1)
    allowance.take(2)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_is_that_of_one_customer(host: str, address: str) -> None:
    from starlette.requests import Request

    assert throttle.address_of(Request({"type": "http", "client": (host, 1)})) == address
