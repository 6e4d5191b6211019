"""Who may ask what: every route of the application, asked by everybody there is, for real."""

import itertools
import re
from dataclasses import replace

import pytest
from fastapi import APIRouter, FastAPI
from people import SAME_ORIGIN, People
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from dermoscope.serve import accounts, app, pages, rules
from dermoscope.serve.accounts import ROLES, SCOPES, Person
from dermoscope.serve.options import Options
from dermoscope.serve.rules import ANYONE, RULES, Place, Rule, matched, routes_of

sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
REFUSALS = ("this needs the role", "and no key is taken", "this needs a key with the scope")
"""What a rule says; what is not to be seen for another reason says something else."""
ACTORS = ("nobody", "disabled", *ROLES, "reader's key", *(f"key {scope}" for scope in SCOPES))


def may(actor: str, rule: Rule) -> bool:
    """The expectation, said another way than the code says it."""
    if rule.role is None:
        return True
    if actor in ("nobody", "disabled"):
        return False
    ranks = {"reader": 0, "reviewer": 1, "admin": 2}
    if actor in ranks:
        return ranks[actor] >= ranks[rule.role]
    if actor == "reader's key":
        return rule.role == "reader" and rule.scope in ("read", "write", "classify", "export", "metrics")
    return rule.scope == actor.removeprefix("key ")


class Visitors:
    """Asks as each of `ACTORS`, with a new login of others for what may end some."""

    def __init__(self, people: People) -> None:
        self.people = people
        assert people.app is not None
        self.client = TestClient(people.app, base_url=people.url, headers=SAME_ORIGIN, follow_redirects=False)
        self.fixed = {role: self.cookie(role) for role in ROLES}
        self.fixed["nobody"] = {}
        self.fixed["disabled"] = self.cookie("reader", "gone")
        self.fixed["reader's key"] = people.key("reader")
        self.fixed |= {f"key {scope}": people.key("admin", scope) for scope in SCOPES}
        with people.service.store.begin() as session:
            gone = accounts.user_named(session, "gone")
            assert gone is not None
            accounts.disable(session, gone, "admin")

    def cookie(self, role: str, name: str = "") -> dict[str, str]:
        return {"Cookie": f"session={self.people.token(role, name)}"}

    def refused(self, actor: str, place: Place) -> bool:
        method, path = place
        again = actor in ROLES and path.endswith(("/leave", "logins/end", "/password"))
        headers = self.cookie(actor, f"{actor} once") if again else self.fixed[actor]
        self.client.cookies.clear()
        said = self.client.request(method, re.sub(r"\{[^}]*\}", "999", path), headers=headers)
        assert said.status_code < 500, (actor, place, said.text)
        if said.status_code == 401 or said.headers.get("location", "").startswith("/enter?back="):
            return True
        return said.status_code == 403 and any(refusal in said.text for refusal in REFUSALS)


@sqlite
def test_every_route_lets_in_whom_its_rule_names_and_nobody_else(guarded: People) -> None:
    assert guarded.app is not None
    places = [place for place, _, _ in routes_of(guarded.app)]
    assert set(places) == set(RULES)
    visitors = Visitors(guarded)
    wrong = [
        (actor, place)
        for place, actor in itertools.product(places, ACTORS)
        if visitors.refused(actor, place) == may(actor, RULES[place])
    ]
    assert wrong == [], wrong


@sqlite
def test_a_key_lets_nobody_in_by_the_cookie_nor_a_cookie_beside_a_key(guarded: People) -> None:
    nobody, key, token = guarded.client(), guarded.key("reader", "read"), guarded.token("admin")
    secret = key["Authorization"].removeprefix("Bearer ")
    assert nobody.get("/api/v1/me", headers={"Cookie": f"session={secret}"}).status_code == 401
    assert nobody.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    both = nobody.get("/api/v1/me", headers={**key, "Cookie": f"session={token}"})
    assert (both.json()["name"], both.json()["by"], both.json()["scopes"]) == ("reader", "key", ["read"])
    wrong = {"Authorization": "Bearer dsk_00000000_x", "Cookie": f"session={token}"}
    assert nobody.get("/api/v1/me", headers=wrong).status_code == 401, "a wrong key is not mended by a cookie"


@sqlite
def test_the_name_is_that_of_the_account_whatever_is_said(guarded: People) -> None:
    said = guarded.client("reader", "Ben").get("/api/v1/me", headers={"X-Reader": "Ada"})
    assert said.json()["name"] == "Ben"
    forged = guarded.client()
    forged.cookies.set("reader", "Ada")
    assert forged.get("/api/v1/me", headers={"X-Reader": "Ada"}).status_code == 401


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch) -> APIRouter:
    """A router that the application takes in besides its own."""
    router, whole = APIRouter(), APIRouter()
    whole.include_router(pages.router)
    whole.include_router(router)
    monkeypatch.setattr(app.pages, "router", whole)
    return router


def test_a_route_without_a_rule_starts_no_service(extra: APIRouter) -> None:
    extra.get("/secret")(lambda: "everything")
    with pytest.raises(ValueError, match="routes without a rule: GET /secret; rules without a route: none"):
        app.create_app(Options())


def test_a_rule_without_a_route_starts_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "RULES", {**RULES, ("GET", "/gone"): ANYONE})
    made = FastAPI()
    made.get("/here")(lambda: "here")
    with pytest.raises(ValueError, match="routes without a rule: none; rules without a route: GET /gone"):
        matched(made, {("GET", "/here"): ANYONE, ("GET", "/gone"): ANYONE, **of_itself()})


def of_itself() -> dict[Place, Rule]:
    return {place: ANYONE for place, _, _ in routes_of(FastAPI())}


def test_a_rule_that_nothing_would_ask_starts_no_service() -> None:
    made = FastAPI()
    made.add_route("/plain", lambda _: PlainTextResponse("x"))
    with pytest.raises(ValueError, match="GET /plain knows no dependencies, so its rule is asked by nothing"):
        matched(made, {("GET", "/plain"): Rule("reader"), **of_itself()})


def test_one_endpoint_has_one_rule() -> None:
    made = FastAPI()

    def endpoint() -> None: ...

    made.get("/a")(endpoint)
    made.get("/b")(endpoint)
    with pytest.raises(ValueError, match="GET /b: its endpoint has another rule at another address"):
        matched(made, {("GET", "/a"): ANYONE, ("GET", "/b"): Rule("admin"), **of_itself()})


@sqlite
def test_a_route_that_was_added_behind_the_table_is_nobodys(guarded: People) -> None:
    assert guarded.app is not None
    guarded.app.get("/api/v1/late")(lambda: "everything")
    said = guarded.client("admin").get("/api/v1/late")
    assert said.status_code == 403
    assert "no rule that says who may ask it" in said.text


@pytest.mark.parametrize("scopes", [None, (), ("read",), SCOPES])
def test_a_key_never_exceeds_its_role(scopes: tuple[accounts.Scope, ...] | None) -> None:
    reader, admin = Person("a", "reader", scopes=scopes), Person("a", "admin", scopes=scopes)
    for rule in RULES.values():
        passed = {who: _passes(rule, person) for who, person in (("reader", reader), ("admin", admin))}
        assert passed["admin"] or not passed["reader"]
        assert not passed["reader"] or _passes(rule, replace(reader, scopes=None))


def _passes(rule: Rule, person: Person) -> bool:
    try:
        rule.check(person)
    except accounts.ForbiddenError:
        return False
    return True
