"""Commands beside the service: who stands in the trail for them."""

import pwd

import pytest

from dermoscope.cli.stored import caller


def test_the_name_of_whoever_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "anna")
    assert caller() == "command line (anna)"


def test_a_number_without_a_name_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    named = {user.pw_uid for user in pwd.getpwall()}
    nameless = next(n for n in range(10_001, 20_000) if n not in named)
    monkeypatch.setattr("os.getuid", lambda: nameless)
    assert caller() == f"command line (uid {nameless})"
