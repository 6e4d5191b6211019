"""Who is reading: a code name without login, name and password with it, and never a way to another host."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("argon2", reason="the service is not installed: pip install 'dermoscope[serve]'")
from people import PASSWORD

if TYPE_CHECKING:
    from people import People
    from starlette.testclient import TestClient

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_whoever_is_not_known_is_asked_once_and_led_on(client: "TestClient", words: Callable) -> None:
    asked = client.get("/?tab=all&text=P7", headers={"Accept-Language": "en"})
    assert asked.url.path == "/enter"
    assert "Who is reading?" in words(asked.text)
    assert 'name="back" value="/?tab=all&amp;text=P7"' in asked.text
    assert 'name="password"' not in asked.text
    entered = client.post("/enter", data={"name": " Müller  7 ", "back": "/?tab=all&text=P7"})
    assert str(entered.url).endswith("/?tab=all&text=P7")
    assert ">Müller 7</span>" in entered.text


def test_a_name_that_cannot_stand_in_a_record_is_refused(client: "TestClient", words: Callable) -> None:
    client.cookies.set("language", "de")
    for name in ("", "   ", "<b>", "x" * 80, "a\nb;c"):
        said = client.post("/enter", data={"name": name, "back": "/batches"})
        assert said.status_code == 422
        assert "Ein Kürzel hat 1 bis 79" in words(said.text)
        assert 'name="back" value="/batches"' in said.text
    assert "reader" not in client.cookies


def test_no_address_leads_elsewhere(client: "TestClient") -> None:
    for back in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        said = client.post("/enter", data={"name": "R7", "back": back}, follow_redirects=False)
        assert (said.status_code, said.headers["location"]) == (303, "/")


def test_a_part_of_a_page_leads_its_whole_page_to_where_one_enters(client: "TestClient") -> None:
    asked = {"HX-Request": "true", "HX-Current-URL": "http://127.0.0.1/batches/7?x=1"}
    said = client.get("/batches/7", headers=asked, follow_redirects=False)
    assert (said.status_code, said.headers["hx-redirect"], said.text) == (204, "/enter?back=/batches/7", "")


def test_a_password_is_needed_and_a_wrong_one_enters_nobody(people: "People", words: Callable) -> None:
    nobody = people.client()
    people.user("reader", "R7", password=PASSWORD)
    asked = nobody.get("/")
    assert asked.url.path == "/enter"
    assert 'type="password" id="password"' in asked.text
    for name, password in (("R7", ""), ("R7", PASSWORD[:-1]), ("R8", PASSWORD)):
        said = nobody.post("/enter", data={"name": name, "password": password})
        assert said.status_code == 422
        assert "Name and password do not belong together" in words(said.text)
        assert f'value="{name}"' in said.text
        assert password == "" or password not in said.text
    nobody.cookies.set("reader", "R7")
    assert nobody.get("/").url.path == "/enter", "a bare name is enough with --no-login only"
    entered = nobody.post("/enter", data={"name": "r7", "password": PASSWORD, "back": "/about"})
    assert entered.url.path == "/about"
    assert ">R7</span>" in entered.text


def test_the_role_is_that_of_the_account_and_leaving_ends_it(people: "People") -> None:
    from dermoscope.serve.tables import Event

    for role, name in (("admin", "Ada"), ("reader", "Ben")):
        people.user(role, name, password=PASSWORD)
        browser = people.client()
        assert browser.post("/enter", data={"name": name, "password": PASSWORD}).status_code == 200
        assert f"({role})" in browser.get("/about").text
        held = dict(browser.cookies)
        assert browser.post("/leave").url.path == "/enter"
        browser.cookies.update(held)
        assert browser.get("/").url.path == "/enter", "a copy of the cookie is good no longer"
    with people.service.store.read() as session:
        entered = [(e.who, e.details["role"]) for e in session.query(Event).filter(Event.what == "login.succeeded")]
    assert entered == [("Ada", "admin"), ("Ben", "reader")]


def test_after_too_many_one_waits_and_is_told_how_long(
    people: "People", words: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermoscope.serve.throttle.FIRST", 600)  # a slow machine is not to outwait it
    people.user("reader", "R7", password=PASSWORD)
    nobody = people.client()
    said = [nobody.post("/enter", data={"name": "R7", "password": "guess"}) for _ in range(6)]
    assert [one.status_code for one in said] == [422] * 5 + [429]
    seconds = said[-1].headers["retry-after"]
    assert 500 < int(seconds) <= 600
    assert f"Too many attempts. Try again in {seconds} seconds." in words(said[-1].text)
    assert nobody.post("/enter", data={"name": "R7", "password": PASSWORD}).status_code == 429


def test_a_cookie_is_for_this_service_only(people: "People") -> None:
    people.user("reader", "R7", password=PASSWORD)
    said = people.client().post("/enter", data={"name": "R7", "password": PASSWORD}, follow_redirects=False)
    cookie = said.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("session=", "httponly", "samesite=lax", "max-age=43200", "path=/"))
    assert "secure" not in cookie


def test_over_https_the_cookie_is_of_this_very_host_alone(people: "People") -> None:
    people.user("reader", "R7", password=PASSWORD)
    safe = replace(people, url="https://192.0.2.1").client()
    said = safe.post("/enter", data={"name": "R7", "password": PASSWORD}, follow_redirects=False)
    cookie = said.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("__host-session=", "secure", "path=/"))
    assert "domain" not in cookie
    assert safe.get("/about").text.count("(reader)") == 1
    mixed = replace(people, url="https://192.0.2.1").client()
    mixed.cookies.set("session", people.token("reader", "R7"))
    assert mixed.get("/").url.path == "/enter", "one that was given over HTTP may have been read on its way"


@pytest.mark.parametrize(
    ("address", "status", "header"),
    [("/cases/new", 303, (b"location", b"/enter?back=/")), ("/api/v1/classify", 401, (b"www-authenticate", b"Bearer"))],
)
@pytest.mark.parametrize("cookie", [b"", b"session=a.b"])
def test_files_of_somebody_unknown_are_not_taken_in(
    people: "People", address: str, status: int, header: tuple[bytes, bytes], cookie: bytes
) -> None:
    taken, said = [], []
    start = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'

    async def receive() -> dict:
        taken.append(len(taken))
        return {"type": "http.request", "body": b"x" * 500_000 if taken[-1] else start, "more_body": True}

    async def send(message: dict) -> None:
        said.append(message)

    headers = [(b"host", b"192.0.2.1"), (b"content-type", b"multipart/form-data; boundary=X"), (b"cookie", cookie)]
    headers.append((b"sec-fetch-site", b"same-origin"))
    scope = {"type": "http", "method": "POST", "path": address, "raw_path": address.encode(), "query_string": b""}
    rest = {"headers": headers, "scheme": "http", "server": ("192.0.2.1", 80), "http_version": "1.1", "root_path": ""}
    with ThreadPoolExecutor(1) as own:  # a browser of other tests may keep a loop running in this thread
        assert people.app is not None
        own.submit(asyncio.run, people.app(scope | rest, receive, send)).result()
    assert said[0]["status"] == status
    assert header in said[0]["headers"]
    assert len(taken) < 6


def test_leaving_forgets_the_pictures_too(client: "TestClient") -> None:
    answer = client.post("/leave", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/enter")
    assert answer.headers["clear-site-data"] == '"cache"'
