"""ZIP archives -> a folder: whole or not at all, and nothing outside of it."""

import errno
import lzma
import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from dermoscope.core.errors import DownloadError, InputError, some
from dermoscope.data.fetch import require_space

UNPACKING, REPLACED = ".unpacking", ".replaced"
"""Endings of the hidden folders that stand beside the target while it is made."""
_CHUNK = 2**20
_UNFIT = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com[0-9]|lpt[0-9])( *\.|$)', re.IGNORECASE)
_JUNK = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may hold at most, so that a small file cannot fill the disk."""

    files: int
    bytes: int

    @classmethod
    def of(cls, archive_bytes: int, images: int) -> "Limits":
        """Limits of an archive of photographs, which hardly shrink: four times its size, but 64 MB to 100 GB; four
        files for each image, and 1,000.
        """
        return cls(4 * images + 1000, min(max(4 * archive_bytes, 64 * 10**6), 100 * 10**9))


@dataclass(frozen=True, slots=True)
class Unpacked:
    """How many files were unpacked, and their bytes in all."""

    files: int
    bytes: int


def unpack(archive: Path, target: Path, limits: Limits, report: Callable[[int, int], None]) -> Unpacked:
    """Unpack a ZIP archive to the folder `target`, which appears whole or not at all; an older one is replaced.

    Where all entries lie in one folder of the target's name, its content becomes the target's. `report` is given bytes
    done and in all. Raises DownloadError, naming archive and entry, for what is no whole ZIP archive, holds more than
    `limits`, or an entry that would lie outside, is a link or a device; InputError where the disk is full.
    """
    unfinished = hidden(target, UNPACKING)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            entries = _checked(content, archive, limits)
            total = sum(entry.file_size for entry in entries.values())
            require_space(archive.parent, total, f"unpacking {archive.name}")
            _write_all(content, entries, unfinished, lambda done: report(done, total))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise DownloadError(f"{archive}: not a whole ZIP archive ({error})") from None
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if error.errno in (None, errno.EINVAL):  # bzip2's word for damage; a place before the file's beginning
            raise DownloadError(f"{archive}: not a whole ZIP archive ({error})") from None
        raise InputError(
            f"{target}: cannot be unpacked ({error.strerror or error}); free space or choose --root"
        ) from None
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _put(_only_folder(unfinished, target.name), target)
    shutil.rmtree(unfinished, ignore_errors=True)
    return Unpacked(len(entries), total)


def hidden(target: Path, ending: str) -> Path:
    """The hidden folder beside a target, for one that is being made or was replaced."""
    return target.with_name(f".{target.name}{ending}")


def tally(folder: Path) -> Unpacked:
    """How many files lie in a folder and below it, and their bytes in all; what file managers leave is not counted."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name not in _JUNK]
    return Unpacked(len(sizes), sum(sizes))


def _checked(content: zipfile.ZipFile, archive: Path, limits: Limits) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files of an archive by their place below the target. Raises DownloadError for any that may not be there."""
    infos = content.infolist()
    total = sum(info.file_size for info in infos)
    if len(infos) > limits.files or total > limits.bytes:
        raise DownloadError(
            f"{archive}: {len(infos):,} entries of {total:,} bytes in all, at most {limits.files:,} of "
            f"{limits.bytes:,} are expected: not unpacked"
        )
    bad = {info.filename: why for info in infos if (why := _objection(info))}
    if bad:
        listed = some((f"{name!r} ({why})" for name, why in bad.items()), 3)
        raise DownloadError(f"{archive}: entries that may not be unpacked: {listed}: nothing was unpacked")
    files = [info for info in infos if not info.is_dir() and not _JUNK & set(PurePosixPath(info.filename).parts)]
    places = [PurePosixPath(info.filename) for info in files]
    counted = Counter(map(_alike, places))
    counted.update(_alike(above) for above in {above for place in places for above in place.parents})
    twice = [info.filename for info, place in zip(files, places, strict=True) if counted[_alike(place)] > 1]
    if twice or not files:
        what = f"one name for several entries: {some(twice, 3)}" if twice else "holds no file"
        raise DownloadError(f"{archive}: {what}: nothing was unpacked")
    return dict(zip(places, files, strict=True))


def _alike(place: PurePosixPath) -> str:
    """What a place is called on disks that do not tell case or composed letters apart."""
    return unicodedata.normalize("NFC", str(place)).casefold()


def _objection(info: zipfile.ZipInfo) -> str:
    """Why an entry may not be unpacked; empty where it may."""
    name, mode = info.filename, info.external_attr >> 16
    windows = PureWindowsPath(name)
    if "\\" in info.orig_filename or "\0" in info.orig_filename:
        return "a name with a backslash or a zero byte"
    if name.startswith("/") or windows.drive or windows.root:
        return "an absolute path"
    if ".." in windows.parts or not windows.parts:
        return "a path that leads outside"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link, a device or another special file"
    if any(_UNFIT.search(part) for part in PurePosixPath(name).parts):
        return "a name that Windows cannot hold"
    if info.flag_bits & 1:
        return "encrypted"
    return ""


def _write_all(
    content: zipfile.ZipFile,
    entries: dict[PurePosixPath, zipfile.ZipInfo],
    folder: Path,
    report: Callable[[int], None],
) -> None:
    """Write the entries below a new folder; the archive's own checksum of each is checked as it is read."""
    done = 0
    folder.mkdir(parents=True)
    for place, info in entries.items():
        path = folder.joinpath(*place.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with content.open(info) as source, path.open("xb") as file:
            left = info.file_size
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise zipfile.BadZipFile(f"{info.filename} is larger than it says")
                file.write(chunk)
                done += len(chunk)
                report(done)
            if left:
                raise zipfile.BadZipFile(f"{info.filename} is smaller than it says")


def _only_folder(folder: Path, name: str) -> Path:
    """The folder of that name inside, where nothing else is; else the folder itself."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].name == name and inside[0].is_dir() else folder


def _put(made: Path, target: Path) -> None:
    """Move a finished folder into place; an older one is set aside first and then removed."""
    aside = hidden(target, REPLACED)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        if target.exists():
            target.replace(aside)
        made.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be put in place ({error.strerror or error}); move it away") from None
    shutil.rmtree(aside, ignore_errors=True)
