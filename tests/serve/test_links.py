"""Links that are good once, and what wrong ones cost."""

import datetime
import threading
from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher
from people import PASSWORD, People
from sqlalchemy import select

from dermoscope.core.errors import ValueRuleError
from dermoscope.serve import accounts, links, logins, passwords
from dermoscope.serve.store import Store
from dermoscope.serve.tables import User, now
from dermoscope.serve.throttle import TooManyError

Clock = Callable[[float], None]
HOME = "192.0.2.7"


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
        for module in (links, logins):
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


def good(store: Store, token: str) -> bool:
    with store.read() as session:
        return logins.login_of(session, token) is not None


def test_links_set_a_password_once_within_a_day(store: Store, ada: int, clock: Clock) -> None:
    with store.begin() as session:
        token = links.user_link(session, accounts.user_of(session, ada), "Eve")
    before = logins.enter(store, "Ada", PASSWORD, address=HOME).token
    assert links.opened(store, token, HOME) == ("Ada", "admin")
    with pytest.raises(ValueRuleError):
        links.use_link(store, token, "ada", address=HOME)
    made = links.use_link(store, token, "a third lamp under trees", address=HOME)
    assert (made.name, good(store, made.token), good(store, before)) == ("Ada", True, False)
    with pytest.raises(links.NoLinkError):
        links.use_link(store, token, "a fourth lamp under trees", address=HOME)
    with store.begin() as session:
        late = links.user_link(session, accounts.user_of(session, ada), "Eve")
    for seconds in (24 * 3600 + 1, -60):
        clock(seconds)
        with pytest.raises(links.NoLinkError):
            links.opened(store, late, HOME)


def test_the_first_link_makes_one_admin_and_a_new_start_another_link(store: Store) -> None:
    with store.begin() as session:
        first = links.first_link(session)
    with store.begin() as session:
        second = links.first_link(session)
    assert first is not None
    assert second is not None
    with pytest.raises(links.NoLinkError):
        links.opened(store, first, HOME)
    assert links.opened(store, second, HOME) == ("", "admin")
    links.use_link(store, second, PASSWORD, name="Ada", address=HOME)
    with store.begin() as session:
        assert links.first_link(session) is None
        (user,) = session.scalars(select(User))
        assert (user.name, user.role, user.created_by) == ("Ada", "admin", "first start")


def test_of_two_who_use_a_link_at_once_one_does(store: Store) -> None:
    with store.begin() as session:
        token = links.first_link(session)
    assert token is not None
    came: list[str] = []

    def use(name: str) -> None:
        try:
            came.append(links.use_link(store, token, PASSWORD, name=name, address=HOME).name)
        except links.NoLinkError:
            came.append("")

    together = [threading.Thread(target=use, args=(name,)) for name in ("Ada", "Eve")]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert sorted(map(bool, came)) == [False, True]


def test_wrong_links_and_keys_are_counted_and_right_ones_are_not_held_up(guarded: People) -> None:
    nobody, right = guarded.client(), guarded.key("reader", "read")
    wrong = {"Authorization": "Bearer dsk_00000000_guess"}
    said = [nobody.get("/api/v1/me", headers=wrong).status_code for _ in range(51)]
    assert said == [401] * 50 + [429]
    held = nobody.get("/api/v1/me", headers=wrong)
    assert 1 <= int(held.headers["retry-after"]) <= 6
    assert held.json()["type"] == "/api/v1/problems/too-many"
    assert nobody.get("/api/v1/me", headers=right).status_code == 200
    with pytest.raises(TooManyError):
        links.opened(guarded.service.store, "guess", "testclient")
