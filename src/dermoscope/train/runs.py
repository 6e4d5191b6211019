"""Run folders: what a training run says of itself, to whoever continues, compares or reports it.

run.json                              the run card (`core.card.RunCard`), replaced whole at every change
chosen-run/, ship-run/                checkpoint.pt and log.jsonl (a line per epoch) of the two parts of a run
chosen/                               the bundle that never saw the validation role: choices are made with it
bundle/                               with `--ship`: the same network after some epochs on training + validation
validation-predictions.csv            what `chosen` says of the validation role, under its default prior
validation-predictions-calibration.csv                                          under the calibration prior
validation-truth.csv                  and the truth

Nothing here needs torch.
"""

import datetime
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout
from pydantic import ValidationError

from dermoscope import __version__
from dermoscope.core.card import RunCard
from dermoscope.core.errors import DermoscopeError, InputError, TrainingError, some
from dermoscope.data import store
from dermoscope.data.store import write_file

CARD, LOCK = "run.json", ".lock"
PARTS = ("chosen-run", "ship-run")
SERVED, CALIBRATED, TRUTH = (
    "validation-predictions.csv",
    "validation-predictions-calibration.csv",
    "validation-truth.csv",
)
_PACKAGES = ("torch", "torchvision", "timm", "accelerate", "numpy", "opencv-python-headless", "onnx", "onnxruntime")


class Listener(Protocol):
    """Who wants to hear of a run while it goes on."""

    def begin(self, folder: Path, card: RunCard) -> None:
        """The run begins, or goes on."""

    def epoch(self, line: dict[str, Any]) -> None:
        """An epoch is finished; its line of the log."""

    def end(self, card: RunCard) -> None:
        """The run is finished, or was stopped."""


@dataclass
class Diary:
    """The card of a run in progress. `writes` is False in every process but the first."""

    folder: Path
    card: RunCard
    writes: bool = True
    begun: float = field(default_factory=time.monotonic)

    def note(self, **changes: Any) -> RunCard:
        """Change fields of the card, bring its times up to date, and write it."""
        passed = time.monotonic() - self.begun
        self.begun += passed
        times = {"changed": now(), "seconds": round(self.card.seconds + passed, 1)}
        self.card = RunCard.model_validate(self.card.model_dump() | times | changes)
        if self.writes:
            write_file(self.folder / CARD, (self.card.model_dump_json(indent=1) + "\n").encode())
        return self.card


def read_run(folder: Path | str) -> RunCard:
    """The card of a run. Raises InputError, naming the file, where there is none or it is damaged."""
    path = Path(folder) / CARD
    try:
        return RunCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a folder that `dermoscope train --out` wrote"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"{path}: not a run card ({where}: {first['msg']}); delete it and repeat the `dermoscope train` command, "
            "which goes on from the checkpoint beside it"
        ) from None


def find_runs(root: Path | str) -> list[Path]:
    """Folders of runs: `root` itself, or what lies up to three levels below it; the newest first.

    Raises InputError where there is no such folder.
    """
    base = Path(root)
    if not base.is_dir():
        raise InputError(
            f"{base}: no such folder; give the one that holds the runs (`dermoscope train --out {base}/NAME` makes one)"
        )
    found = [path.parent for depth in range(4) for path in base.glob("*/" * depth + CARD)]
    return sorted(found, key=lambda folder: (folder / CARD).stat().st_mtime, reverse=True)


def state_of(folder: Path, card: RunCard) -> str:
    """`finished`, `stopped`, `running`, or `cut`: not finished, and no process is at it."""
    if card.state != "running":
        return card.state
    if not (folder / LOCK).exists():
        return "cut"
    try:
        with FileLock(folder / LOCK, timeout=0):
            return "cut"
    except Timeout:
        return "running"
    except OSError:  # a folder that may only be read
        return "running"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's epochs in order; `part` says whether they are of chosen-run or ship-run.

    Raises InputError, naming file and line, where a log is damaged.
    """
    lines = []
    for part in PARTS:
        path = folder / part / "log.jsonl"
        if path.is_file():
            content = path.read_text(errors="replace").splitlines()
            lines += [{"part": part, **_line(path, number, text)} for number, text in enumerate(content, start=1)]
    return lines


def _line(path: Path, number: int, text: str) -> dict[str, Any]:
    with suppress(ValueError):
        line = json.loads(text)
        if isinstance(line, dict):
            return line
    raise InputError(f"{path}: line {number} is damaged; delete it, or the file: nothing but the curves are made of it")


def sole(folder: Path, *, first: bool = True) -> AbstractContextManager[None]:
    """Inside, no other process trains into the folder; `first` is False in all processes of a run but one.

    Raises TrainingError when another run is at it, InputError when it cannot be written.
    """
    busy = TrainingError(f"{folder}: another process trains into it; wait, or choose another --out")
    return store.sole(folder / LOCK, busy, "choose another --out") if first else nullcontext()


def open_diary(folder: Path, card: RunCard, *, writes: bool = True) -> Diary:
    """Begin the diary of a run, or go on with the one in the folder.

    Raises TrainingError, naming what differs, when the folder holds a run of another recipe or other data.
    """
    if not (folder / CARD).exists():
        return Diary(folder, card, writes)
    before = read_run(folder)
    differing = differences(before, card)
    if differing:
        told = some(f"{name}: {_brief(old)} there, {_brief(new)} now" for name, (old, new) in differing.items())
        raise TrainingError(
            f"{folder / CARD} belongs to another recipe or other data ({told}): choose another --out, or delete it"
        )
    code = card.code
    if before.code != code:
        earlier = {k: v for k, v in before.code.items() if k != "before"}
        code = {**code, "before": [*before.code.get("before", []), earlier]}
    kept = before.model_copy(update={"code": code, "environment": card.environment})
    return Diary(folder, kept, writes)


@contextmanager
def recorded(diary: Diary, listener: Listener | None = None) -> Iterator[None]:
    """Inside, the run is running; afterwards its card says that it is finished, or what stopped it.

    Raises TrainingError where a file could not be read or written, a full disk for one; else what was raised inside.
    """
    heard = listener if diary.writes else None
    if heard is not None:
        heard.begin(diary.folder, diary.card)
    diary.note(state="running", why="")
    try:
        yield
        diary.note(state="finished")
    except (DermoscopeError, KeyboardInterrupt) as error:
        diary.note(state="stopped", why=str(error) or "interrupted")
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        why = (
            f"a file could not be read or written ({where}{error.strerror or error}); mend that and repeat the command"
        )
        diary.note(state="stopped", why=why)
        raise TrainingError(f"{diary.folder}: {why}, the run goes on where it stopped") from error
    finally:
        if heard is not None:
            heard.end(diary.card)


_SOURCES = "data.sources"
_DATA = {"data": "sha256", _SOURCES: "sources", "split": "split", "start": "start"}
"""What two runs must share besides the recipe: name -> key in `RunCard.data`."""


def differences(a: RunCard, b: RunCard) -> dict[str, tuple[Any, Any]]:
    """Settings and data in which two runs differ: name -> (of a, of b)."""
    ours, theirs = compared(a), compared(b)
    names = dict.fromkeys([*ours, *theirs])
    found = {n: (ours.get(n), theirs.get(n)) for n in names if ours.get(n) != theirs.get(n)}
    if None in found.get(_SOURCES, ()):  # a card from before they were noted may be of the same
        del found[_SOURCES]
    return found


def _brief(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)  # a hash


def settings_of(card: RunCard) -> dict[str, Any]:
    """The recipe's settings under flat names, as `--set` takes them."""
    return _flat(card.recipe)


def compared(card: RunCard) -> dict[str, Any]:
    """`settings_of`, and under further names what the data were."""
    return {**_flat(card.recipe), **{name: card.data.get(key) for name, key in _DATA.items()}}


def _flat(settings: dict[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{before}{key}.")
        else:
            out[before + key] = value
    return out


def now() -> str:
    """The time as run cards hold it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def environment(device: str, processes: int) -> dict[str, Any]:
    """Machine and packages: what may explain that two runs differ in the last bits."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 1,
        "device": device,
        "processes": processes,
        "packages": packages,
    }


@cache
def code_version() -> dict[str, Any]:
    """Version of dermoscope, SHA-256 of its sources, and the commit where it runs from a clone."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    found: dict[str, Any] = {"version": __version__, "sources": digest.hexdigest()[:16]}
    commit = _git(package, "rev-parse", "HEAD")
    if commit and _git(package, "ls-files", "__init__.py"):
        found |= {"commit": commit, "changed": bool(_git(package, "status", "--porcelain", "--", "."))}
    return found


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
