"""Settings as a page: changed by an admin, seen by readers, and every change listed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dermoscope.serve.site import read_site

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from dermoscope.serve.desk import Service

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def now_set(service: "Service") -> object:
    with service.store.read() as session:
        return read_site(session)


@pytest.mark.parametrize(
    ("name", "fields", "value", "listed"),
    [
        ("mode", {"value": "study"}, "study", "R7 Mode Study"),
        ("order", {"value": "ai_first"}, "ai_first", "R7 Reading order Answer first"),
        (
            "prevalence",
            {"value": "general_practice"},
            {"name": "general_practice", "malignant": 0.045, "melanoma": 36 / 1436},
            "R7 Prevalence General practice 4.5 % malignant, 2.5 % melanoma",
        ),
        (
            "prevalence",
            {"value": "own", "malignant": "12,5", "melanoma": "4 %"},
            {"name": "own", "malignant": 0.125, "melanoma": 0.04},
            "R7 Prevalence Own numbers 12.5 % malignant, 4.0 % melanoma",
        ),
        ("notice", {"en": " For study  7. ", "de": ""}, {"en": "For study 7."}, "R7 Notice For study 7."),
    ],
)
def test_an_admin_changes_a_setting_and_it_is_listed(
    reader: "TestClient", service: "Service", words: Callable, name: str, fields: dict, value: object, listed: str
) -> None:
    said = reader.post(f"/settings/{name}", data=fields)
    assert said.url.path == "/settings"
    assert getattr(now_set(service), name) == value
    assert listed in words(said.text)
    assert "Saved. It counts from now on." in words(said.text)
    again = reader.post(f"/settings/{name}", data=fields)
    assert "Nothing was changed." in words(again.text)
    assert words(again.text).count(listed) == 1


@pytest.mark.parametrize(("language", "told"), [("en", "Give both shares in per cent"), ("de", "Geben Sie beide")])
def test_own_numbers_that_cannot_be_are_told_beside_them_and_kept(
    reader: "TestClient", service: "Service", words: Callable, language: str, told: str
) -> None:
    reader.cookies.set("language", language)
    before = now_set(service)
    for malignant, melanoma in (("4", "12"), ("0", "0"), ("100", "5"), ("", ""), ("many", "few"), ("nan", "nan")):
        said = reader.post("/settings/prevalence", data={"value": "own", "malignant": malignant, "melanoma": melanoma})
        assert said.status_code == 422
        assert told in words(said.text)
        assert f'name="malignant" maxlength="12" autocomplete="off" value="{malignant}"' in said.text
    assert now_set(service) == before


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("mode", {"value": "loud"}, "This mode is not known."),
        ("order", {}, "This order is not known."),
        ("prevalence", {"value": "moon"}, "Give both shares in per cent"),
        ("notice", {"en": "x" * 601}, "The notice is too long."),
    ],
)
def test_a_setting_that_cannot_be_changes_nothing(
    reader: "TestClient", service: "Service", words: Callable, name: str, fields: dict, told: str
) -> None:
    before = now_set(service)
    said = reader.post(f"/settings/{name}", data=fields)
    assert said.status_code == 422
    assert told in words(said.text)
    assert now_set(service) == before


def test_an_unknown_setting_is_not_there(reader: "TestClient") -> None:
    assert reader.post("/settings/colour", data={"value": "red"}).status_code == 404


def test_a_reader_sees_settings_and_may_not_change_them(enter: Callable, abroad: "Service", words: Callable) -> None:
    ben = enter("reader", "Ben")
    said = ben.get("/settings").text.partition("<main")[2]
    assert "Only an admin can change these settings." in words(said)
    assert "Save" not in words(said)
    assert said.count("disabled") == said.count("<input type") + said.count("<textarea") > 8
    refused = ben.post("/settings/mode", data={"value": "open"})
    assert refused.status_code == 403
    assert "Not for you, or not now" in words(refused.text)
    assert now_set(abroad).mode == "silent"  # type: ignore[attr-defined]
    assert enter("admin", "Ada").post("/settings/mode", data={"value": "study"}).status_code == 200
    assert "Ada Mode Study" in words(ben.get("/settings").text)
    assert "first start Mode Silent" in words(ben.get("/settings").text)


def test_the_notice_stands_on_every_page_once_it_is_set(reader: "TestClient") -> None:
    reader.post("/settings/notice", data={"en": "Only for study 7 & 8.", "de": "Nur für Studie 7."})
    for path in ("/", "/batches", "/settings", "/about", "/enter"):
        assert "Only for study 7 &amp; 8." in reader.get(path).text
    reader.cookies.set("language", "de")
    assert "Nur für Studie 7." in reader.get("/").text


def test_a_study_on_one_machine_says_that_nobody_is_blinded(client: "TestClient") -> None:
    client.cookies.set("reader", "anna")
    client.cookies.set("language", "en")
    assert "must stay blinded" not in client.get("/settings").text
    client.post("/settings/mode", data={"value": "study"})
    assert "must stay blinded" in client.get("/settings").text
