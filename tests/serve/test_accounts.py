"""Codes, cookies and names: what lets somebody in and what does not."""

import base64
import json
import stat

import pytest

from dermoscope.core.errors import ForbiddenError, InputError
from dermoscope.serve import accounts
from dermoscope.serve.accounts import Person, checked_name, holder, key_of, language_of, new_codes, role_of, ticket
from dermoscope.serve.options import Options
from dermoscope.serve.store import Store

KEY = b"k" * 32


def test_a_code_is_shown_once_and_good_until_it_is_made_anew(store: Store) -> None:
    with store.begin() as session:
        first = new_codes(session)
        assert set(first) == {"reader", "admin"}
        assert new_codes(session) == {}
        assert {role_of(session, code) for code in first.values()} == {"reader", "admin"}
        assert role_of(session, first["admin"] + "x") is None
        assert role_of(session, "") is None
    with store.begin() as session:
        second = new_codes(session, again=True)
        assert role_of(session, first["admin"]) is None
        assert role_of(session, second["admin"]) == "admin"
    assert first["reader"].encode() not in store_bytes(store)


def store_bytes(store: Store) -> bytes:
    with store.read() as session:
        return b"".join(entry.hash + entry.salt for entry in session.query(accounts.Entry))


def test_a_cookie_is_good_for_who_it_was_made_for_and_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.begin() as session:
        new_codes(session)
        value = ticket(session, KEY, "Ärztin Ü", "reader")
        assert holder(session, KEY, value) == ("Ärztin Ü", "reader")
        body, _, signature = value.partition(".")
        content = json.loads(base64.urlsafe_b64decode(body))
        forged = base64.urlsafe_b64encode(json.dumps(content | {"role": "admin"}).encode()).decode()
        for bad in (f"{forged}.{signature}", f"{body}.{signature[:-1]}0", body, "", ".", "a.b", "ü.ü"):
            assert holder(session, KEY, bad) is None
        assert holder(session, b"other", value) is None
        later = content["until"] + 1
        monkeypatch.setattr(accounts.time, "time", lambda: later)
        assert holder(session, KEY, value) is None
        monkeypatch.undo()
        new_codes(session, again=True)
        assert holder(session, KEY, value) is None


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


def test_an_admin_may_do_what_a_reader_may() -> None:
    Person("a", "admin").require("reader")
    Person("a", "reader").require("reader")
    with pytest.raises(ForbiddenError, match="needs the role admin"):
        Person("a", "reader").require("admin")
