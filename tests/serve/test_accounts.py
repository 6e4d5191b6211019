"""Names, roles and accounts: who there is, and that there is always an admin."""

import stat

import pytest
from people import People
from sqlalchemy import select

from dermoscope.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError, ValueRuleError
from dermoscope.serve import accounts, keys, links, logins
from dermoscope.serve.accounts import Person, checked_name, key_of, language_of
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store
from dermoscope.serve.tables import Event, Link

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_the_key_of_cookies_stays_and_is_the_owners_alone(options: Options) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    key = key_of(options.folder)
    assert len(key) == 32
    assert key_of(options.folder) == key
    assert stat.S_IMODE((options.folder / "cookie.key").stat().st_mode) == 0o600


def test_a_key_that_was_cut_off_signs_nothing(options: Options) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "cookie.key").write_bytes(b"")
    assert len(key_of(options.folder)) == 32


@pytest.mark.parametrize("name", ["Anna", "R 7", "reader@site.org", "Ärztin-2"])
def test_names_that_can_stand_in_a_record(name: str) -> None:
    assert checked_name(f"  {name} ") == name


@pytest.mark.parametrize("name", ["", " ", "=cmd()", "-x", "@x", "a\x00b", "a<b", "x" * 80, "a\u202eb"])
def test_names_that_cannot(name: str) -> None:
    with pytest.raises(InputError, match="code name"):
        checked_name(name)


@pytest.mark.parametrize(
    ("cookies", "accepted", "expected"),
    [
        ({}, "", "en"),
        ({}, "de-AT,de;q=0.9,en;q=0.8", "de"),
        ({}, "fr,en;q=0.5,de;q=0.1", "en"),
        ({"language": "en"}, "de", "en"),
        ({"language": "xx"}, "de", "de"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers(
    cookies: dict[str, str], accepted: str, expected: str
) -> None:
    assert language_of(cookies, accepted) == expected


@pytest.mark.parametrize(
    ("role", "may"),
    [("reader", (True, False, False)), ("reviewer", (True, True, False)), ("admin", (True, True, True))],
)
def test_each_role_may_do_what_those_before_it_may(role: accounts.Role, may: tuple[bool, ...]) -> None:
    for needed, allowed in zip(accounts.ROLES, may, strict=True):
        assert Person("a", role).may(needed) == allowed
        if not allowed:
            with pytest.raises(ForbiddenError, match=f"needs the role {needed}, and yours is {role}"):
                Person("a", role).require(needed)


def test_a_name_that_looks_like_another_is_that_one_or_none(store: Store) -> None:
    with store.begin() as session:
        ada = accounts.create_user(session, "Ada", "admin", "terminal")
        assert accounts.user_named(session, "\uff21da") is ada  # a wide A
        with pytest.raises(ConflictError, match="no name is given twice"):
            accounts.create_user(session, "\uff21da", "reader", "Ada")
        with pytest.raises(ConflictError, match="stands in the audit trail"):
            accounts.create_user(session, "\ufb01rst start", "reader", "Ada")
        for name in ("\u0410da", "Ad\u03b1"):  # a Cyrillic A, a Greek alpha
            with pytest.raises(InputError, match="mixes letters of several alphabets"):
                accounts.create_user(session, name, "reader", "Ada")
        for name in ("\u0410\u043d\u043d\u0430 2", "\u540d\u524d A", "A\u0308rztin"):
            assert accounts.create_user(session, name, "reader", "Ada")


def test_a_name_is_given_once_and_stays(store: Store) -> None:
    with store.begin() as session:
        ada = accounts.create_user(session, "  Ada  Ä ", "admin", "terminal")
        assert (ada.name, ada.role, ada.password) == ("Ada Ä", "admin", None)
        assert accounts.user_named(session, "ada  ä") is ada
        for name in ("Ada Ä", "ADA ä"):
            with pytest.raises(ConflictError, match="no name is given twice"):
                accounts.create_user(session, name, "reader", "Ada Ä")
        for name in accounts.RESERVED:
            with pytest.raises(ConflictError, match="stands in the audit trail"):
                accounts.create_user(session, name.upper(), "reader", "Ada Ä")
        with pytest.raises(ValueRuleError, match="no role 'owner'; there are reader, reviewer, admin"):
            accounts.create_user(session, "Ben", "owner", "Ada Ä")
        with pytest.raises(NotFoundError, match="no user 77"):
            accounts.user_of(session, 77)
        with pytest.raises(NotFoundError):
            accounts.user_of(session, 2**40)


def test_there_is_always_an_active_admin(store: Store) -> None:
    with store.begin() as session:
        ada = accounts.create_user(session, "Ada", "admin", "terminal")
        eve = accounts.create_user(session, "Eve", "admin", "terminal")
        accounts.disable(session, eve, "Ada")
        for attempt in (accounts.disable, lambda *given: accounts.change_role(*given[:2], "reviewer", given[2])):
            with pytest.raises(ConflictError, match="Ada is the last active admin; make another admin first"):
                attempt(session, ada, "Ada")
        accounts.change_role(session, eve, "reader", "Ada")  # who is disabled already may be what he likes
        accounts.change_role(session, ada, "admin", "Ada")
        accounts.enable(session, eve, "Ada")
        accounts.change_role(session, eve, "admin", "Ada")
        accounts.disable(session, ada, "Eve")
        assert accounts.active_admins(session) == 1


@sqlite
def test_a_disabled_user_is_out_at_once_and_keys_stay_so(guarded: People) -> None:
    browser, key = guarded.client("reader", "Ben"), guarded.key("reader", name="Ben")
    nobody = guarded.client()
    with guarded.service.store.begin() as session:
        ben = accounts.user_named(session, "Ben")
        assert ben is not None
        link = links.user_link(session, ben, "Ada")
    assert browser.get("/api/v1/settings").status_code == 200
    assert nobody.get("/api/v1/settings", headers=key).status_code == 200
    with guarded.service.store.begin() as session:
        accounts.disable(session, accounts.user_of(session, ben.id), "Ada")
    assert browser.get("/api/v1/settings").status_code == 401
    assert nobody.get("/api/v1/settings", headers=key).status_code == 401
    with guarded.service.store.begin() as session:
        accounts.enable(session, accounts.user_of(session, ben.id), "Ada")
    assert browser.get("/api/v1/settings").status_code == 401
    assert nobody.get("/api/v1/settings", headers=key).status_code == 401
    with pytest.raises(links.NoLinkError):
        links.opened(guarded.service.store, link, "192.0.2.9")
    with guarded.service.store.read() as session:
        told = [event.what for event in session.scalars(select(Event).where(Event.who == "Ada").order_by(Event.id))]
    assert told == ["user.changed", "user.disabled", "login.ended", "key.revoked", "user.changed"]


@sqlite
def test_another_role_counts_at_the_next_request(guarded: People) -> None:
    browser, key = guarded.client("admin", "Ada"), guarded.key("admin", "admin", "read", name="Ada")
    guarded.user("admin", "Eve")
    nobody = guarded.client()
    assert nobody.put("/api/v1/settings", json={"mode": "open"}, headers=key).status_code == 200
    with guarded.service.store.begin() as session:
        ada = accounts.user_named(session, "Ada")
        assert ada is not None
        accounts.change_role(session, ada, "reader", "Eve")
    assert browser.get("/api/v1/settings").status_code == 401, "logins end with the role"
    assert nobody.get("/api/v1/settings", headers=key).status_code == 200
    assert nobody.put("/api/v1/settings", json={"mode": "open"}, headers=key).status_code == 403


def test_no_secret_is_in_the_database(store: Store) -> None:
    with store.begin() as session:
        ada = accounts.create_user(session, "Ada", "admin", "terminal")
        link = links.user_link(session, ada, "terminal")
        key, _ = keys.make_key(session, ada, "a", ["read"], "Ada")
        cookie = logins.begin_login(session, ada, "password").token
        held = [getattr(row, column.name) for table in (Link, keys.ApiKey, logins.Login)
                for row in session.scalars(select(table)) for column in table.__table__.columns]  # fmt: skip
    for secret in (link, cookie, key.split("_", 2)[2]):
        assert not any(secret in value for value in map(str, held))
