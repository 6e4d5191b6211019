"""API keys: what they may do, when they end, who may make them."""

import datetime

import pytest
from people import People
from sqlalchemy import select

from dermoscope.core.errors import ConflictError, NotFoundError, ValueRuleError
from dermoscope.serve import accounts, keys
from dermoscope.serve.store import Store
from dermoscope.serve.tables import ApiKey, User, now


@pytest.fixture
def database() -> str:
    """SQLite alone: nothing here differs on PostgreSQL."""
    return ""


def made(store: Store, role: str = "reader", name: str = "Ben") -> int:
    with store.begin() as session:
        return accounts.create_user(session, name, role, "terminal").id


def test_a_key_is_shown_once_and_found_by_its_prefix(store: Store) -> None:
    number = made(store)
    with store.begin() as session:
        token, row = keys.make_key(session, accounts.user_of(session, number), " nightly  export ", ["export"], "Ben")
        assert token.startswith(f"dsk_{row.prefix}_")
        assert len(token.split("_", 2)[2]) >= 43
        assert (row.name, row.scopes, row.used_at) == ("nightly export", ["export"], None)
    with store.read() as session:
        found = keys.key_of_token(session, token)
        assert found is not None
        assert found.user.name == "Ben"
        other = token[:-1] + ("x" if token[-1] != "x" else "y")
        for wrong in (
            other,
            token[:-1],
            token + "x",
            token.replace("dsk", "dsx"),
            "",
            "dsk",
            "dsk_",
            "dsk__x",
            "dsk_ä_x",
        ):
            assert keys.key_of_token(session, wrong) is None


def test_a_key_ends_by_its_date_by_revoking_and_was_not_made_tomorrow(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, hour = made(store), datetime.timedelta(hours=1)
    with store.begin() as session:
        user = accounts.user_of(session, number)
        short, _ = keys.make_key(session, user, "a", ["read"], "Ben", now() + hour)
        long, row = keys.make_key(session, user, "b", ["read"], "Ben")
        with pytest.raises(ValueRuleError, match="would have ended already"):
            keys.make_key(session, user, "c", ["read"], "Ben", now() - hour)
    for moved, good in ((0.9 * hour, (True, True)), (1.1 * hour, (False, True)), (-hour, (False, False))):
        monkeypatch.setattr(keys, "now", lambda moved=moved: now() + moved)
        with store.read() as session:
            assert tuple(keys.key_of_token(session, one) is not None for one in (short, long)) == good
    monkeypatch.undo()
    with store.begin() as session:
        keys.revoke(session, keys.find_key(session, row.id, number), "Ben")
        assert keys.key_of_token(session, long) is None
        with pytest.raises(NotFoundError):
            keys.find_key(session, row.id, number + 1)


def test_what_cannot_be_a_key(store: Store) -> None:
    number = made(store)
    with store.begin() as session:
        user = accounts.user_of(session, number)
        for scopes in ([], ["all"], ["read", "root"]):
            with pytest.raises(
                ValueRuleError, match="at least one scope of read, write, classify, export, admin, metrics"
            ):
                keys.make_key(session, user, "a", scopes, "Ben")
        with pytest.raises(ValueRuleError, match="only an admin's key has the scope admin, and Ben is reader"):
            keys.make_key(session, user, "a", ["read", "admin"], "Ben")
        for name in ("", "  ", "x" * 81, "a\x07b"):
            with pytest.raises(ValueRuleError, match="has a name of 1 to 80"):
                keys.make_key(session, user, name, ["read"], "Ben")
        for count in range(keys.MOST):
            keys.make_key(session, user, f"key {count}", ["read"], "Ben")
        with pytest.raises(ConflictError, match="Ben has 50 keys already"):
            keys.make_key(session, user, "one more", ["read"], "Ben")
        keys.revoke(session, keys.keys_of(session, number)[0], "Ben")
        keys.make_key(session, user, "one more", ["read"], "Ben")


def test_the_last_use_is_noted_once_a_minute(guarded: People) -> None:
    key, nobody, past = guarded.key("reader", "read"), guarded.client(), now() - datetime.timedelta(seconds=90)
    for used, noted in ((None, True), (past, True), (now() - datetime.timedelta(seconds=30), False)):
        with guarded.service.store.begin() as session:
            session.scalars(select(ApiKey)).one().used_at = used
        assert nobody.get("/api/v1/me", headers=key).status_code == 200
        with guarded.service.store.read() as session:
            assert (session.scalars(select(ApiKey)).one().used_at != used) == noted


def test_a_reader_makes_own_keys_and_sees_no_others(guarded: People) -> None:
    ben, ada = guarded.client("reader", "Ben"), guarded.client("admin", "Ada")
    number = guarded.user("reader", "Ben")
    answer = ben.post("/api/v1/keys", json={"name": "mine", "scopes": ["read"]})
    assert answer.status_code == 201
    key, secret = answer.json()["key"], answer.json()["secret"]
    assert (key["user"], key["scopes"], key["good"], key["created_by"]) == (number, ["read"], True, "Ben")
    program = guarded.client()
    assert program.get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).json()["name"] == "Ben"
    assert secret not in ben.get("/api/v1/keys").text
    assert ben.get("/api/v1/keys").json()["keys"][0]["prefix"] == key["prefix"]
    for given in ({"user": guarded.user("admin", "Ada")}, {"user": 999}):
        assert ben.get("/api/v1/keys", params=given).status_code == 403
        assert ben.post("/api/v1/keys", json={"name": "a", "scopes": ["read"], **given}).status_code == 403
    assert ben.post("/api/v1/keys", json={"name": "a", "scopes": ["admin"]}).status_code == 422
    theirs = ada.post("/api/v1/keys", json={"name": "a", "scopes": ["read"]}).json()["key"]["id"]
    assert ben.delete(f"/api/v1/keys/{theirs}").status_code == 404
    assert [one["id"] for one in ada.get("/api/v1/keys", params={"user": number}).json()["keys"]] == [key["id"]]
    assert ada.delete(f"/api/v1/keys/{key['id']}").status_code == 204
    assert program.get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_a_key_makes_no_keys_unless_it_has_the_scope(guarded: People) -> None:
    program, wanted = guarded.client(), {"name": "a", "scopes": ["read"]}
    weak, strong = guarded.key("admin", "read", "write", "export"), guarded.key("admin", "admin")
    assert program.post("/api/v1/keys", json=wanted, headers=weak).status_code == 403
    assert program.post("/api/v1/keys", json=wanted, headers=strong).status_code == 201
    assert program.post("/api/v1/me/password", json={"old": "x", "new": "y"}, headers=strong).status_code == 403


def test_admins_look_after_users_by_the_api(guarded: People) -> None:
    ada = guarded.client("admin", "Ada")
    answer = ada.post("/api/v1/users", json={"name": "Ben", "role": "reader"}).json()
    number, link = answer["user"]["id"], answer["link"]["url"]
    assert (answer["user"]["enters"], link.startswith("http://127.0.0.1/link/")) == ("link", True)
    assert ada.post("/api/v1/users", json={"name": "ben"}).status_code == 409
    assert ada.post("/api/v1/users", json={"name": "Eve", "role": "owner"}).status_code == 422
    place = f"/api/v1/users/{number}"
    assert ada.get(place).json() == answer["user"]
    assert ada.put(f"{place}/role", json={"role": "reviewer"}).json()["role"] == "reviewer"
    ben = guarded.client("reviewer", "Ben")
    assert [one["this"] for one in ben.get("/api/v1/me/logins").json()["logins"]] == [True]
    assert ada.delete(f"{place}/logins").json() == {"ended": 1}
    assert ben.get("/api/v1/me").status_code == 401
    assert ada.post(f"{place}/link").json()["url"] != link
    assert ada.post(f"{place}/disable").json()["disabled_at"] is not None
    assert ada.post(f"{place}/link").status_code == 409
    assert ada.post(f"{place}/enable").json()["disabled_at"] is None
    own = ada.get("/api/v1/me").json()["id"]
    for refused in (
        ada.post(f"/api/v1/users/{own}/disable"),
        ada.put(f"/api/v1/users/{own}/role", json={"role": "reader"}),
    ):
        assert refused.status_code == 409
        assert "the last active admin" in refused.json()["detail"]
    assert [user["name"] for user in ada.get("/api/v1/users").json()["users"]] == ["Ada", "Ben"]
    with guarded.service.store.read() as session:
        assert session.scalars(select(User).where(User.name == "Ben")).one().created_by == "Ada"


def test_without_login_there_is_no_own_account(client) -> None:  # type: ignore[no-untyped-def]
    me = client.get("/api/v1/me", headers={"X-Reader": "R7"}).json()
    assert (me["name"], me["role"], me["by"], me["id"]) == ("R7", "admin", "none", None)
    for answer in (client.get("/api/v1/keys"), client.post("/api/v1/keys", json={"name": "a", "scopes": ["read"]})):
        assert answer.status_code == 409
        assert "--no-login" in answer.json()["detail"]
