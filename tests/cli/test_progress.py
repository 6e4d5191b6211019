"""Progress where nobody watches."""

import time

import pytest

from dermoscope.cli.progress import lines, phases, transfers


def test_a_short_phase_leaves_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with phases() as report:
        for done in range(1, 1001):
            report("decoding", done, 1000)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_long_phase_is_heard_of(capsys: pytest.CaptureFixture[str]) -> None:
    report = lines(every=0.5, first=0.2)
    for done in (0, 10, 20, 30, 40, 40):
        report("epoch 1", done, 40)
        time.sleep(0.3)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert said[0].startswith("epoch 1: 10 of 40, 0:0")
    assert said[0].endswith("to go")
    assert said[1].startswith("epoch 1: 30 of 40, 0:01")
    assert said[2].startswith("epoch 1: 40 of 40, 0:01")


def test_a_transfer_is_told_in_a_log_and_what_was_there_before_took_no_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with transfers() as report:
        for step in range(3):
            now = 40.0 * step
            report("a.zip", 9_000 + 100 * step, 10_000)
            report("of unknown size", 5_000 * step, 0)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "a.zip: 9,100 of 10,000, 0:40, 6:00 to go",
        "of unknown size: 5,000, 0:40",
        "a.zip: 9,200 of 10,000, 1:20, 5:20 to go",
        "of unknown size: 10,000, 1:20",
    ]
