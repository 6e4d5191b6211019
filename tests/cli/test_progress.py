"""Progress where nobody watches."""

import time

import pytest

from dermoscope.cli.progress import lines, phases


def test_a_log_has_lines_instead_of_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with phases() as report:
        for done in range(1, 1001):
            report("decoding", done, 1000)
        report("head", 0, 3)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "decoding: 1 of 1,000, 0:00\nhead: 0 of 3, 0:00\n"


def test_a_long_phase_is_heard_of_again(capsys: pytest.CaptureFixture[str]) -> None:
    report = lines(every=0.5)
    for done in (0, 10, 20, 30, 40):
        report("epoch 1", done, 40)
        time.sleep(0.3)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "epoch 1: 0 of 40, 0:00"
    assert said[1].startswith("epoch 1: 20 of 40, 0:0")
    assert said[-1] == "epoch 1: 40 of 40, 0:01"
    assert len(said) == 3
