"""The root of the command line: help, version, exit codes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from dermoscope import __version__
from dermoscope.cli.main import app

COMMANDS = [c.name for c in app.registered_commands if not c.hidden] + [g.name for g in app.registered_groups]


def child(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dermoscope.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def test_help_names_every_command(dermoscope: Callable[..., Any]) -> None:
    said = dermoscope("--help")
    assert said.code == 0
    assert "not a medical device" in said.out
    for command in COMMANDS:
        assert f"\n  {command} " in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_in_plain_text(command: str, dermoscope: Callable[..., Any]) -> None:
    said = dermoscope(command, "--help")
    assert said.code == 0
    assert said.out.split()[:3] == ["Usage:", "dermoscope", command]
    assert "\x1b" not in said.out


def test_version(dermoscope: Callable[..., Any]) -> None:
    assert dermoscope("--version")[:2] == (0, f"{__version__}\n")


def test_wrong_usage_ends_with_2(dermoscope: Callable[..., Any]) -> None:
    assert dermoscope("clasify").code == 2
    assert "No such command 'clasify'" in dermoscope("clasify").err
    assert dermoscope("classify").code == 2
    assert dermoscope("classify", "x.jpg", "--views", "many").code == 2


def test_an_error_raised_on_purpose_is_one_sentence() -> None:
    said = child("bundle", "info", "nowhere")
    assert said.returncode == 2
    assert said.stdout == ""
    assert said.stderr.startswith("dermoscope: no bundle 'nowhere': ")
    assert said.stderr.count("\n") == 1


def test_a_closed_pipe_is_no_stack_trace() -> None:
    command = f'"{sys.executable}" -m dermoscope.cli.main doctor | head -c 1'
    said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in said.stderr


def test_an_interrupt_is_one_sentence() -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"ready\n"
    time.sleep(0.2)
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert err == b"dermoscope: stopped\n"


# a shell starts background jobs with SIGINT ignored, and children inherit that
INTERRUPTED = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from dermoscope.cli import main
import typer
@main.app.command("wait")
def wait() -> None:
    import time
    print("ready", flush=True)
    time.sleep(60)
sys.argv = ["dermoscope", "wait"]
main.main()
"""


def test_the_environment_is_not_needed() -> None:
    assert child("--version", env={"PATH": os.environ["PATH"]}).stdout == f"{__version__}\n"
