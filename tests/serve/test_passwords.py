"""Passwords: which are taken, what is one and the same, and how many are hashed at once."""

import threading

import pytest
from argon2 import PasswordHasher

from dermoscope.core.errors import BusyError, ValueRuleError
from dermoscope.serve import passwords


def test_no_more_than_two_passwords_are_hashed_at_once_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, gate = [0], [0], threading.Event()
    own = threading.Lock()

    def slow(*_: object) -> bool:
        with own:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        gate.wait(10)
        with own:
            inside[0] -= 1
        return True

    monkeypatch.setattr(PasswordHasher, "verify", slow)
    waiting = [threading.Thread(target=passwords.verified, args=("x", "y")) for _ in range(12)]
    for thread in waiting:
        thread.start()
    while passwords._line._value:  # type: ignore[attr-defined]
        pass
    with pytest.raises(BusyError, match="too many enter at this moment"):
        passwords.verified("x", "y")
    gate.set()
    for thread in waiting:
        thread.join()
    assert most == [2]


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short words", "12 to 200 characters"),
        ("x" * 201, "12 to 200 characters"),
        ("Dr. Ada Lovelace", "the name is no password"),
        ("dr. ada lovelace", "the name is no password"),
        ("PasswordPassword", "among the first that are guessed"),
        ("aaaabbbbcccc", "among the first that are guessed"),
    ],
)
def test_what_is_near_at_hand_is_no_password(password: str, said: str) -> None:
    with pytest.raises(ValueRuleError, match=said):
        passwords.check(password, "Dr. Ada Lovelace")


@pytest.mark.parametrize("password", ["only small letters", "123456789abc", "ünïcödé 語 パス 🔑", " a b c d e f"])
def test_there_are_no_rules_of_composition(password: str) -> None:
    passwords.check(password, "Ada")


def test_one_password_has_one_form_however_it_was_typed() -> None:
    stored = passwords.hashed("Ma\u0308rz im Garten")
    assert passwords.verified("M\u00e4rz im Garten", stored)
    assert not passwords.verified("Marz im Garten", stored)
    assert not passwords.verified("x", "no hash at all")
