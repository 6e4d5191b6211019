"""Whether bundle, data sets and disk are well, and the command that mends what is not."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dermoscope.core.errors import BundleError, DermoscopeError
from dermoscope.data.catalog import CATALOG, storage
from dermoscope.data.catalog import load as load_cases
from dermoscope.data.fetch import readable
from dermoscope.data.home import home
from dermoscope.data.leftovers import Leftover, leftovers
from dermoscope.data.listing import Listing, listing
from dermoscope.predict.bundle import Bundle, find, load
from dermoscope.predict.installed import Check, State, clone

LITTLE_DISK = 5 * 10**9
"""Bytes of free disk below which there is a warning: ISIC 2018 needs about that while it is unpacked."""


def examine() -> tuple[Check, ...]:
    """Look at the bundle, the data sets, the disk and what was left behind; nothing is changed, nothing is raised."""
    return (*bundle(), *data(), *disk(), *unfinished())


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
        elif entry.downloads:
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
    whole = "" if len(cases) == one.entry.images or not one.entry.downloads else f" of {one.entry.images:,}"
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


def _reinstall() -> str:
    """The command that brings the bundled weights back, however they were installed."""
    try:
        folder: Path | None = find()
    except BundleError:
        folder = None
    root = clone()
    if folder and root and folder.is_relative_to(root) and "site-packages" not in folder.parts:
        return f"git -C {root} checkout -- {folder.relative_to(root)}"
    return f"{f'cd {root} && ' if root else ''}{sys.executable} -m pip install --force-reinstall --no-deps ./weights"


def _going_on(left: Leftover) -> str:
    """The command that goes on with a transfer, where the catalog knows the file."""
    name = left.path.name.removesuffix(".part")
    for entry in CATALOG.values():
        if any(download.path.endswith(f"/{name}") for download in entry.downloads):
            return f"dermoscope data get {entry.name}"
    return ""


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
