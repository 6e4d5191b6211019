"""A backup in one file, made while the service goes on: the database as it was at one moment, and all its pictures.

    database.sqlite                a copy by SQLite's own backup, encrypted like the original
    tables/cases/0001.copy         or, of PostgreSQL, every table as COPY writes it
    blobs/abcdef...                pictures, by the SHA-256 of their content
    audit.key, audit.anchors       what the trail is verified with
    manifest.json                  the last: size and SHA-256 of every other file, versions, counts

It is a tar, encrypted as a whole where there is a key. Half a backup has no manifest, and no name either: it gets that
when it is on the disk. Small copies, cookies and `deletions.jsonl` are not in it; the last is written beside it.
"""

import contextlib
import hashlib
import io
import json
import os
import secrets
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, text

from dermoscope import __version__
from dermoscope.core.errors import BusyError, DermoscopeError, InputError
from dermoscope.data.store import PART, keep_names, sole
from dermoscope.serve import trail
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.deletions import FILE as DELETIONS
from dermoscope.serve.deletions import remember, remembered
from dermoscope.serve.envelope import Sealing
from dermoscope.serve.options import Options
from dermoscope.serve.sealing import FILE as AUDIT_KEY
from dermoscope.serve.sealing import Keys
from dermoscope.serve.store import Store, sqlite_key
from dermoscope.serve.tables import Table, now
from dermoscope.serve.vault import Vault

FORMAT = 1
MANIFEST, DATABASE = "manifest.json", "database.sqlite"
CHUNK = 8 << 20
"""Bytes of a table in one file at most, about."""
_AREA = "backup.part"
Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself: `kind` is sqlite or postgresql, `step` that of its tables.

    `missing` pictures could not be read; `gone` ones were taken out of the service while the backup was made. `given`
    are the last numbers that PostgreSQL gave to rows.
    """

    format: int
    version: str
    made_at: str
    kind: str
    step: str
    counts: dict[str, int]
    files: dict[str, tuple[int, str]] = field(repr=False)
    missing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    given: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A backup that was made: its size in bytes, the SHA-256 of the file, cases and pictures in it."""

    path: Path
    size: int
    sha256: str
    cases: int
    pictures: int
    missing: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path), "missing": list(self.missing)}


class Packing:
    """A tar that notes size and SHA-256 of what goes into it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by `end`
        self.files: dict[str, tuple[int, str]] = {}

    def add(self, name: str, data: bytes) -> None:
        """A file whose content is at hand."""
        self.stream(name, io.BytesIO(data), len(data))

    def stream(self, name: str, source: IO[bytes], size: int) -> None:
        """A file that is read while it is packed."""
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        read = _Hashed(source)
        self._tar.addfile(member, read)  # type: ignore[arg-type]  # a file to read is all it needs
        self.files[name] = (size, read.digest.hexdigest())

    def end(self, manifest: Manifest) -> None:
        """The manifest, and the end."""
        self.add(MANIFEST, json.dumps(asdict(manifest)).encode())
        self._tar.close()


class _Hashed:
    def __init__(self, source: IO[bytes]) -> None:
        self._source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data


def backup(options: Options, path: Path, who: str = trail.SERVICE, told: Told = lambda *_: None) -> Made:
    """Back a service up into a new file, while it runs or not; `who` asked for it.

    What was deleted is added to `deletions.jsonl` beside the file. Raises InputError where no service is, and for a
    file that is there already or cannot be written, BusyError while another backup of this folder is made.
    """
    if not options.database and not (options.folder / "dermoscope.sqlite").is_file():
        raise InputError(f"{options.folder}: no service has stored anything here; name its --folder or --database")
    if path.exists():
        raise InputError(f"{path}: is there already; name a file that is not")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: is no folder; make it first")
    busy = BusyError(f"{options.folder}: another backup of it is being made; wait until that has ended")
    with sole(options.folder / "backup.lock", busy, "the backup needs to write there"), _area(options, path) as area:
        store = Store.open(options)
        try:
            unfinished = area / f"{PART}{_owner(options)}-{secrets.token_hex(8)}"
            unfinished = path.parent / unfinished.name
            manifest = _write(options, store, unfinished, area, told)
            remember(path.parent, list(remembered(options.folder / DELETIONS).values()))
            unfinished.replace(path)
            keep_names(path.parent)
            made = _made(path, manifest)
            _note(store, made, who)
        except OSError as error:
            raise DermoscopeError(f"{path}: cannot be written ({error.strerror}); nothing was backed up") from None
        finally:
            store.close()
    return made


def _note(store: Store, made: Made, who: str) -> None:
    told: dict[str, Any] = {"cases": made.cases, "pictures": made.pictures, "missing": len(made.missing)}
    with store.begin() as session:
        trail.record(session, who, "backup.made", "backup", sha256=made.sha256, **told)


def tidy(folder: Path) -> None:
    """Remove what a backup that was killed has left in the folder of a service; one that is being made stays."""
    if not (folder / _AREA).exists():
        return
    with contextlib.suppress(BusyError), sole(folder / "backup.lock", BusyError(""), ""):
        _clear(folder / _AREA)


@contextlib.contextmanager
def _area(options: Options, path: Path) -> Iterator[Path]:
    """A place for copies below the folder of the service. What a kill left there, and beside the file, is removed."""
    area = options.folder / _AREA
    _clear(area)
    for left in path.parent.glob(f"{PART}{_owner(options)}-*"):
        left.unlink(missing_ok=True)
    area.mkdir(mode=0o700)
    try:
        yield area
    finally:
        _clear(area)
        for left in path.parent.glob(f"{PART}{_owner(options)}-*"):
            left.unlink(missing_ok=True)


def _clear(area: Path) -> None:
    if area.is_dir():
        for left in area.iterdir():
            left.unlink()
        area.rmdir()


def _owner(options: Options) -> str:
    """Whose unfinished files those are: of one folder one backup is made at a time."""
    return "backup-" + hashlib.sha256(str(options.folder.resolve()).encode()).hexdigest()[:12]


def _write(options: Options, store: Store, path: Path, area: Path, told: Told) -> Manifest:
    """The whole file, on the disk."""
    vault = Vault.of(options)
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        sealing = Sealing(file, vault) if vault.key else None
        packing = Packing(sealing or file)  # type: ignore[arg-type]  # only `write` is asked of it
        keys = Keys(options.folder, vault)
        anchors = options.folder / trail.ANCHORS
        if keys.there:
            packing.add(AUDIT_KEY, keys.audit)
        if anchors.exists():  # before the database: no anchor may know more than that
            packing.add(trail.ANCHORS, anchors.read_bytes())
        moment = trail.text_of_time(now())
        copied = _sqlite(packing, store, vault, area) if _is_sqlite(store) else _postgresql(packing, store)
        kind, step, counts, given, digests = copied
        missing, gone = _pictures(packing, store, Blobs(options.folder, vault), digests, told)
        manifest = Manifest(FORMAT, __version__, moment, kind, step, counts, packing.files, missing, gone, given)
        packing.end(manifest)
        if sealing is not None:
            sealing.close()
        file.flush()
        os.fsync(file.fileno())
    return manifest


Copied = tuple[str, str, dict[str, int], dict[str, int], list[str]]
"""Kind of database, step of its tables, rows by table, last numbers given, digests of the pictures that it names."""


def _is_sqlite(store: Store) -> bool:
    return store.engine.dialect.name == "sqlite"


def _sqlite(packing: Packing, store: Store, vault: Vault, area: Path) -> Copied:
    """The database at one moment, by SQLite's own backup, and what it names."""
    place = area / DATABASE
    held = store.engine.raw_connection()
    copy = store.engine.dialect.loaded_dbapi.connect(str(place))
    try:
        if vault.key:
            copy.execute(f"PRAGMA key = \"x'{sqlite_key(vault)}'\"")
        held.driver_connection.backup(copy)  # type: ignore[union-attr]  # it is there
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, no log beside it
        (step,) = copy.execute("SELECT version_num FROM alembic_version").fetchone()
        counts = {name: copy.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in Table.metadata.tables}
        digests = [digest for (digest,) in copy.execute(_NAMED)]
    finally:
        copy.close()
        held.close()
    with place.open("rb") as source:
        packing.stream(DATABASE, source, place.stat().st_size)
    place.unlink()
    return "sqlite", step, counts, {}, digests


_NAMED = "SELECT digest FROM images UNION SELECT digest FROM job_items WHERE digest IS NOT NULL ORDER BY 1"


def _postgresql(packing: Packing, store: Store) -> Copied:
    """Every table at one moment, as COPY writes it: that needs no `pg_dump` of the server's version."""
    counts = {}
    with store.engine.execution_options(looks=True, isolation_level="REPEATABLE READ").connect() as connection:
        for table in Table.metadata.sorted_tables:
            counts[table.name] = _table(packing, connection, table.name, [column.name for column in table.columns])
        step = connection.scalar(text("SELECT version_num FROM alembic_version"))
        digests = list(connection.scalars(text(_NAMED)))
        last = text("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema()")
        given = {name: value for name, value in connection.execute(last) if value is not None}
    return "postgresql", str(step), counts, given, digests


def _table(packing: Packing, connection: Connection, name: str, columns: list[str]) -> int:
    """The rows of a table, in files that fit into memory."""
    named = ", ".join(f'"{column}"' for column in columns)
    part, held, rows = 0, bytearray(f"{named}\n".encode()), 0
    raw = connection.connection.driver_connection
    assert raw is not None
    with raw.cursor() as cursor, cursor.copy(f'COPY (SELECT {named} FROM "{name}" ORDER BY 1) TO STDOUT') as copied:
        for row in copied:
            held += row
            rows += 1
            if len(held) > CHUNK:
                part += 1
                packing.add(f"tables/{name}/{part:06d}.copy", bytes(held))
                held = bytearray(f"{named}\n".encode())
    packing.add(f"tables/{name}/{part + 1:06d}.copy", bytes(held))
    return rows


def _pictures(
    packing: Packing, store: Store, blobs: Blobs, digests: list[str], told: Told
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every picture that can be read; of the others those that are damaged, and those that were taken out meanwhile."""
    unread = []
    for number, digest in enumerate(digests, start=1):
        try:
            packing.add(f"blobs/{digest}", blobs.read(digest))
        except DermoscopeError:
            unread.append(digest)
        told("pictures", number, len(digests))
    with store.read() as session:
        named = set(session.scalars(text(_NAMED))) if unread else set()
    return tuple(d for d in unread if d in named), tuple(d for d in unread if d not in named)


def _made(path: Path, manifest: Manifest) -> Made:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    pictures = sum(name.startswith("blobs/") for name in manifest.files)
    return Made(path, path.stat().st_size, digest, manifest.counts["cases"], pictures, manifest.missing)
