"""A public data set from its publisher's server to the folder of data sets: fetch, check, unpack, note."""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dermoscope.core.errors import DownloadError, InputError
from dermoscope.data.catalog import load
from dermoscope.data.dataset import DataSet, Download
from dermoscope.data.fetch import (
    Receipt,
    Remote,
    Report,
    digest_of,
    fetch,
    read_receipt,
    require_space,
    write_receipt,
)
from dermoscope.data.leftovers import sole_writer, sweep
from dermoscope.data.sets import BUCKETS
from dermoscope.data.unpack import Limits, tally, unpack

URL_VARIABLE = "DERMOSCOPE_CHALLENGE_URL"


@dataclass(frozen=True, slots=True)
class Got:
    """What became of one file: `fetched` now, `unpacked` from an archive that lay there, `already` here, or `kept` as
    somebody else put it there, unchecked.
    """

    file: str
    path: Path
    state: str
    bytes: int = 0
    sha256: str = ""


def acquire(entry: DataSet, root: Path, report: Report, *, accept_changed: bool = False) -> tuple[Got, ...]:
    """Fetch and unpack what of a data set is not below `root` yet, one file after the other.

    The addresses are those of `data.sets.BUCKETS`, or the one in DERMOSCOPE_CHALLENGE_URL (a mirror of the bucket).
    A file with a receipt is not asked for again; one that somebody else put there is left alone; nothing is done where
    the whole set was put there by somebody else. Raises InputError
    for a set that cannot be fetched, a changed file, a full disk or another `acquire` at work, else DownloadError.
    """
    if not entry.downloads:
        raise InputError(f"data set {entry.name} cannot be fetched by a command: {entry.access}")
    if settled(entry, root):
        return ()
    got = []
    with sole_writer(root):
        sweep(root)
        for download in entry.downloads:
            got.append(_here(download, root) or _bring(download, root, entry.images, report, accept_changed))
    return tuple(got)


def settled(entry: DataSet, root: Path) -> bool:
    """Whether the whole set lies below the root and `acquire` fetched none of it: then there is nothing to do."""
    if any(read_receipt(_file(download, root)) for download in entry.downloads):
        return False
    try:
        return len(load(entry.name, root)) == entry.images
    except InputError:
        return False


def addresses(download: Download) -> tuple[str, ...]:
    """Where a file can be fetched, in the order in which that is tried."""
    mirror = os.environ.get(URL_VARIABLE)
    return tuple(f"{base.rstrip('/')}/{download.path}" for base in ([mirror] if mirror else BUCKETS))


def fetched_bytes(download: Download, root: Path) -> int:
    """Bytes of a file that are there, whole, unpacked or in part; 0 where there are none."""
    target = _file(download, root)
    if (root / download.into).exists():
        receipt = read_receipt(target)
        return receipt.size if receipt else download.size or download.roughly
    found = [path for path in (target, target.with_name(target.name + ".part")) if path.is_file()]
    return found[0].stat().st_size if found else 0


def missing_bytes(entry: DataSet, root: Path) -> int:
    """About how many bytes `acquire` would fetch."""
    return sum(max((d.size or d.roughly) - fetched_bytes(d, root), 0) for d in entry.downloads)


def _file(download: Download, root: Path) -> Path:
    """Where the file itself lies, before it is unpacked."""
    target = root / download.into
    return target.with_name(download.path.rpartition("/")[2]) if download.archive else target


def _here(download: Download, root: Path) -> Got | None:
    """What lies there of a download and need not be fetched; None where nothing does or it is not whole.

    Raises InputError for a fetched table that was changed since.
    """
    place, file = root / download.into, _file(download, root)
    receipt = read_receipt(file)
    if not place.exists():
        return None
    if receipt is None:
        return Got(file.name, place, "kept")
    already = Got(file.name, place, "already", receipt.size, receipt.sha256)
    if download.archive:
        found = tally(place)
        if not receipt.unpacked_files or found.files < receipt.unpacked_files or found.bytes < receipt.unpacked_bytes:
            return None
        if receipt.url:  # a kill between the two last steps of unpacking leaves the archive behind
            file.unlink(missing_ok=True)
        return already
    if place.stat().st_size != receipt.size or digest_of(place, "sha256") != receipt.sha256:
        raise InputError(f"{place}: changed since it was fetched on {receipt.fetched[:10]}; move it away and repeat")
    return already


def _bring(download: Download, root: Path, images: int, report: Report, accept_changed: bool) -> Got:
    """Fetch one file and unpack it if it is an archive; an archive that was fetched is removed afterwards."""
    place, file = root / download.into, _file(download, root)
    if accept_changed:
        download = replace(download, size=None, digest="")
    receipt = _own_or_given(download, file) if file.is_file() else None
    if receipt is None:
        size = download.size or download.roughly
        file.parent.mkdir(parents=True, exist_ok=True)
        missing = max(size - fetched_bytes(download, root), 0)
        require_space(file.parent, missing + (size if download.archive else 0), f"fetching {file.name}")
        remote = Remote(addresses(download), download.size, download.digest)
        receipt = fetch(remote, file, report, accept_changed=accept_changed)
    if download.archive:
        receipt = _unpack(file, place, receipt, images, report)
    return Got(file.name, place, "fetched" if receipt.url else "unpacked", receipt.size, receipt.sha256)


def _own_or_given(download: Download, file: Path) -> Receipt | None:
    """The receipt of an archive that lies there; of one that somebody else put there, a new one without an address.

    None where it is not whole. Raises InputError where it was put there and is not the published file.
    """
    receipt = read_receipt(file)
    if receipt is not None:
        return receipt if file.stat().st_size == receipt.size else None
    kind, _, known = download.digest.partition(":")
    size = file.stat().st_size
    if (download.size not in (None, size)) or (kind and digest_of(file, kind) != known):
        raise InputError(
            f"{file}: is not the published file (size or checksum differ); move it away, or take it with "
            "--accept-changed"
        )
    return Receipt("", size, digest_of(file, "sha256"), datetime.now(UTC).isoformat(timespec="seconds"))


def _unpack(file: Path, place: Path, receipt: Receipt, images: int, report: Report) -> Receipt:
    """Unpack an archive and note what it held. A bad one that was fetched is removed: the next try fetches it anew."""
    limits = Limits.of(receipt.size, images)
    try:
        held = unpack(file, place, limits, lambda done, total: report(f"unpacking {file.name}", done, total))
    except DownloadError as error:
        if not receipt.url:
            raise InputError(f"{error}; move it away and repeat the command to fetch it") from None
        file.unlink(missing_ok=True)
        raise DownloadError(f"{error}; the archive was removed: repeat the command to fetch it again") from None
    receipt = replace(receipt, unpacked_files=held.files, unpacked_bytes=held.bytes)
    write_receipt(file, receipt)
    if receipt.url:
        file.unlink()
    return receipt
