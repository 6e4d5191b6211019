"""Who is reading: a code name here, a code elsewhere, and never a way to another host."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_whoever_is_not_known_is_asked_once_and_led_on(client: "TestClient", words: Callable) -> None:
    asked = client.get("/?tab=all&text=P7", headers={"Accept-Language": "en"})
    assert asked.url.path == "/enter"
    assert "Who is reading?" in words(asked.text)
    assert 'name="back" value="/?tab=all&amp;text=P7"' in asked.text
    assert 'name="code"' not in asked.text
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


def test_a_code_is_needed_elsewhere_and_a_wrong_one_enters_nobody(enter: Callable, words: Callable) -> None:
    nobody = enter.nobody  # type: ignore[attr-defined]
    nobody.cookies.set("language", "en")
    asked = nobody.get("/")
    assert asked.url.path == "/enter"
    assert 'type="password" id="code"' in asked.text
    for code in ("", "guess", enter.codes["admin"][:-1]):  # type: ignore[attr-defined]
        said = nobody.post("/enter", data={"name": "R7", "code": code})
        assert said.status_code == 422
        assert "This code is not known." in words(said.text)
        assert 'value="R7"' in said.text
        assert code == "" or code not in said.text
    nobody.cookies.set("reader", "R7")
    assert nobody.get("/").url.path == "/enter", "a bare name is enough on this machine only"


def test_the_role_is_that_of_the_code_and_leaving_ends_it(enter: Callable, abroad: "Service") -> None:
    from dermoscope.serve.tables import Event

    ada = enter("admin", "Ada")
    assert "(admin)" in ada.get("/about").text
    assert "(reader)" in enter("reader", "Ben").get("/about").text
    assert ada.post("/leave").url.path == "/enter"
    assert ada.get("/").url.path == "/enter"
    with abroad.store.read() as session:
        entered = [(e.who, e.details["role"]) for e in session.query(Event).filter(Event.what == "entered")]
    assert entered == [("Ada", "admin"), ("Ben", "reader")]


def test_a_cookie_is_for_this_service_only(enter: Callable) -> None:
    said = enter.nobody.post(  # type: ignore[attr-defined]
        "/enter",
        data={"name": "R7", "code": enter.codes["reader"]},  # type: ignore[attr-defined]
        follow_redirects=False,
    )
    cookie = said.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("session=", "httponly", "samesite=lax", "max-age=43200"))


@pytest.mark.parametrize(
    ("address", "status", "header"),
    [("/cases/new", 303, (b"location", b"/enter?back=/")), ("/api/v1/classify", 401, (b"www-authenticate", b"Bearer"))],
)
@pytest.mark.parametrize("cookie", [b"", b"session=a.b"])
def test_files_of_somebody_unknown_are_not_taken_in(
    enter: Callable, address: str, status: int, header: tuple[bytes, bytes], cookie: bytes
) -> None:
    taken, said = [], []
    start = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'

    async def receive() -> dict:
        taken.append(len(taken))
        return {"type": "http.request", "body": b"x" * 500_000 if taken[-1] else start, "more_body": True}

    async def send(message: dict) -> None:
        said.append(message)

    headers = [(b"host", b"192.0.2.1"), (b"content-type", b"multipart/form-data; boundary=X"), (b"cookie", cookie)]
    scope = {"type": "http", "method": "POST", "path": address, "raw_path": address.encode(), "query_string": b""}
    rest = {"headers": headers, "scheme": "http", "server": ("192.0.2.1", 80), "http_version": "1.1", "root_path": ""}
    with ThreadPoolExecutor(1) as own:  # a browser of other tests may keep a loop running in this thread
        own.submit(asyncio.run, enter.nobody.app(scope | rest, receive, send)).result()
    assert said[0]["status"] == status
    assert header in said[0]["headers"]
    assert len(taken) < 6


def test_leaving_forgets_the_pictures_too(client: "TestClient") -> None:
    answer = client.post("/leave", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/enter")
    assert answer.headers["clear-site-data"] == '"cache"'
