"""The service as a process of its own, for as long as a test or a tool needs it; it can be killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

END = 90.0
"""Seconds that a service may take to finish what it accepted."""


@dataclass(frozen=True, eq=False)
class Running:
    """A service that has said that it is ready: its address, its process, and the file that it logs to."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path

    def kill(self) -> None:
        """SIGKILL: it can finish nothing."""
        self.process.kill()
        self.process.wait()
        self._forget()

    def stop(self) -> int:
        """SIGTERM, and its exit code once it has finished what it accepted. Raises subprocess.TimeoutExpired."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=END)
        self._forget()
        return code

    def _forget(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


def start(folder: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Running:
    """Start a service on a free port of 127.0.0.1, without login unless `flags` say how, and wait until it is ready.

    Raises RuntimeError with its last words where it ends before it is ready.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    command = [sys.executable, "-m", "dermoscope.cli.main", "serve", "--folder", str(folder), "--port", "0"]
    with log.open("a") as writing:
        process = subprocess.Popen(
            [*command, *(flags or ("--no-login",))],
            stdout=subprocess.PIPE,
            stderr=writing,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            break
    else:
        process.wait()
        process.stdout.close()
        raise RuntimeError(f"the service ended before it was ready: {said}{log.read_text()[-2000:]}")
    found = re.search(r"ready: (\S+)", said)
    assert found is not None, said
    return Running(found[1], process, log)


@contextmanager
def serving(folder: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
    """The same, killed at the end where it still runs."""
    running = start(folder, *flags, environment=environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()
