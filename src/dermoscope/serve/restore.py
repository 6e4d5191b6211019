"""A backup becomes a service again, whole or not at all.

Everything is checked before anything is written. The folder is built aside and gets its name when it is complete; a
PostgreSQL database says of itself that it is not, until then. What was deleted since the backup is deleted again,
logins and links are ended, and the audit trail goes on where it was.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, inspect, select, text, update

from dermoscope.core.errors import DermoscopeError, InputError
from dermoscope.data.store import PART, keep_names, write_file
from dermoscope.serve import audit, erase, trail
from dermoscope.serve.backup import DATABASE, FORMAT, MANIFEST, Manifest, Told
from dermoscope.serve.blobs import Blobs
from dermoscope.serve.deletions import FILE as DELETIONS
from dermoscope.serve.deletions import remember, remembered
from dermoscope.serve.envelope import MAGIC, Unsealing
from dermoscope.serve.migrate import UNFINISHED, known_steps, migrate
from dermoscope.serve.options import Options
from dermoscope.serve.scrub import scrub
from dermoscope.serve.sealing import FILE as AUDIT_KEY
from dermoscope.serve.store import Store, engine_of, sqlite_key
from dermoscope.serve.tables import CaseKey, Deletion, Image, JobItem, Link, Login, now
from dermoscope.serve.vault import Vault

_NAMES = re.compile(
    rf"{re.escape(MANIFEST)}|{re.escape(DATABASE)}|{re.escape(AUDIT_KEY)}|{re.escape(trail.ANCHORS)}"
    r"|tables/[a-z_]{1,40}/[0-9]{6}\.copy|blobs/[0-9a-f]{64}"
)
"""All names that a file of a backup can have."""
_MOST = 512 << 20
"""Bytes of one file that is held in memory at most; the database is not."""


Gone = Mapping[str, Mapping[str, Any]]
"""Lines of deletions, by the name for ever of a case."""


@dataclass(frozen=True)
class Restored:
    """What was restored: when the backup was made, rows by table, pictures, and cases deleted again.

    `missing` pictures were not in the backup; `wrong` is what the audit trail's verification found.
    """

    folder: Path
    made_at: str
    counts: dict[str, int]
    pictures: int
    deleted: int
    missing: tuple[str, ...]
    wrong: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "folder": str(self.folder), "missing": list(self.missing), "wrong": list(self.wrong)}


@dataclass(frozen=True)
class Extra:
    """More files of deletions than that beside the backup, the backup's key where it is another, and who asks."""

    deletions: tuple[Path, ...] = ()
    key: bytes = field(default=b"", repr=False)
    who: str = trail.SERVICE


def restore(path: Path, options: Options, extra: Extra = Extra(), told: Told = lambda *_: None) -> Restored:
    """Restore a backup into a folder (and database) that is empty.

    Raises InputError for a backup that is not whole or of another kind, and for a folder or database in use.
    """
    vault = _vault_of(path, extra.key or options.key)
    manifest = check(path, vault, told)
    _check_place(options, manifest)
    gone = {uid: line for one in (path.parent / DELETIONS, *extra.deletions) for uid, line in remembered(one).items()}
    options.folder.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(options.folder)
    try:
        pictures = _build(path, replace(options, folder=aside), vault, manifest, told)
        restored = _settle(replace(options, folder=aside), vault, manifest, gone, extra.who, pictures)
        if options.folder.exists():
            options.folder.rmdir()
        aside.rename(options.folder)
        keep_names(options.folder.parent)
    except OSError as error:
        raise DermoscopeError(f"{options.folder}: cannot be restored ({error.strerror}); nothing was") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _finish(options)
    return replace(restored, folder=options.folder)


def _aside(folder: Path) -> Path:
    """Where a folder is built. What a kill left there of an earlier restore to the same place is removed."""
    named = f"{PART}restore-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"
    for left in folder.parent.glob(f"{named}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return folder.parent / f"{named}-{secrets.token_hex(8)}"


def _vault_of(path: Path, key: bytes) -> Vault:
    """What opens a backup; one that was made without a key needs none."""
    try:
        with path.open("rb") as file:
            return Vault(key) if file.read(len(MAGIC)) == MAGIC else Vault()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a file of `dermoscope backup`") from None


def check(path: Path, vault: Vault, told: Told = lambda *_: None) -> Manifest:
    """Read a backup once from end to end. Raises InputError where it is not whole, or holds what belongs to none."""
    found: dict[str, tuple[int, str]] = {}
    manifest = None
    size = path.stat().st_size if path.is_file() else 0
    with _opened(path, vault) as (tar, place):
        for member in tar:
            plain = member.isreg() and member.sparse is None
            if not plain or not _NAMES.fullmatch(member.name) or member.name in found or manifest is not None:
                raise InputError(f"{path}: holds {member.name[:80]!r}, which is none of a backup; take another one")
            source = tar.extractfile(member)
            assert source is not None
            if member.name == MANIFEST:
                manifest = _manifest(path, _small(path, source, member))
                continue
            found[member.name] = (member.size, _digest(source))
            told("check", place(), size)
    if manifest is None:
        raise InputError(f"{path}: is not whole: its end is missing; take another backup")
    if found != manifest.files:
        names = sorted(n for n in found.keys() | manifest.files.keys() if found.get(n) != manifest.files.get(n))
        raise InputError(f"{path}: is damaged at {names[0]}; take another backup")
    return manifest


def _manifest(path: Path, data: bytes) -> Manifest:
    try:
        said = json.loads(data)
        if said["format"] != FORMAT or said["step"] not in known_steps():
            raise InputError(
                f"{path}: was made by a later version of dermoscope ({said['version']}); install that version"
            )
        said["files"] = {name: (int(size), str(sha)) for name, (size, sha) in said["files"].items()}
        made = Manifest(**{**said, "missing": tuple(said["missing"]), "gone": tuple(said["gone"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: its manifest cannot be read; take another backup") from None
    if made.kind not in ("sqlite", "postgresql") or not isinstance(made.counts, dict):
        raise InputError(f"{path}: its manifest cannot be read; take another backup")
    return made


@contextmanager
def _opened(path: Path, vault: Vault) -> Iterator[tuple[tarfile.TarFile, Any]]:
    """The tar of a backup, read once from its beginning, and how far it was read."""
    try:
        with path.open("rb") as file:
            sealed = file.read(len(MAGIC)) == MAGIC
            file.seek(0)
            if sealed and not vault.key:
                raise InputError(f"{path}: is encrypted; give its key in DERMOSCOPE_KEY")
            source: IO[bytes] = Unsealing(file, vault, str(path)) if sealed else file  # type: ignore[assignment]
            with tarfile.open(fileobj=source, mode="r|") as tar:
                yield tar, file.tell
                while source.read(1 << 20):  # what follows the end of the tar belongs to the check, too
                    pass
    except tarfile.TarError as error:
        raise InputError(f"{path}: is no whole backup of dermoscope ({error}); take another one") from None
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"{path}: cannot be read ({why}); name a file of `dermoscope backup`") from None


def _small(path: Path, source: IO[bytes], member: tarfile.TarInfo) -> bytes:
    if member.size > _MOST:
        raise InputError(f"{path}: {member.name} has {member.size:,} bytes, more than a backup has there")
    data = source.read()
    if len(data) != member.size:
        raise InputError(f"{path}: is not whole at {member.name}; take another backup")
    return data


def _digest(source: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := source.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _check_place(options: Options, manifest: Manifest) -> None:
    """Refuse a place that is in use, and a database of another kind."""
    folder = options.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty; name a --folder that is not there yet")
    kind = "sqlite" if options.url.startswith("sqlite") else "postgresql"
    if kind != manifest.kind:
        need = "name an empty --database" if manifest.kind == "postgresql" else "leave --database out"
        raise InputError(f"the backup is of {manifest.kind}, and is restored into that alone; {need}")
    if kind == "postgresql":
        engine = engine_of(options, Vault())
        try:
            if inspect(engine).get_table_names():
                raise InputError(f"database {engine.url.render_as_string()}: is not empty; name one that is")
        finally:
            engine.dispose()


def _build(path: Path, options: Options, vault: Vault, manifest: Manifest, told: Told) -> int:
    """The folder, aside, and the rows of the database; how many pictures."""
    options.folder.mkdir(mode=0o700)
    return _unpack(path, options, vault, Blobs(options.folder, Vault.of(options)), manifest, told)


def _settle(options: Options, old: Vault, manifest: Manifest, gone: Gone, who: str, pictures: int) -> Restored:
    """What was unpacked becomes a service: later tables, its keys, without what was deleted since."""
    store = Store.open(options, unfinished=True)
    try:
        new = Vault.of(options)
        blobs = Blobs(options.folder, new)
        _mend(store, blobs, old, manifest)
        if manifest.gone:
            blobs.remove_unused(store)
            scrub(store)
        deleted = _delete_again(store, blobs, gone)
        noted: dict[str, Any] = {
            "made_at": manifest.made_at,
            "deleted": deleted,
            "missing": len(manifest.missing),
        }
        with store.begin() as session:
            trail.record(session, who, "backup.restored", "backup", **noted)
        wrong = audit.verify(store).wrong
    finally:
        store.close()
    return Restored(options.folder, manifest.made_at, manifest.counts, pictures, deleted, manifest.missing, wrong)


def _unpack(path: Path, options: Options, vault: Vault, blobs: Blobs, manifest: Manifest, told: Told) -> int:
    """Every file to its place; how many pictures. What was checked before is compared once more while it is read."""
    pictures = sum(name.startswith("blobs/") for name in manifest.files)
    done = 0
    with _opened(path, vault) as (tar, _), _tables(options, manifest) as tables:
        for member in tar:
            source = tar.extractfile(member)
            assert source is not None
            if member.name == MANIFEST:
                continue
            if member.name == DATABASE:
                _database(options, vault, source)
                continue
            data = _small(path, source, member)
            if hashlib.sha256(data).hexdigest() != manifest.files[member.name][1]:
                raise InputError(f"{path}: was changed while it was read; restore it again")
            kind, _, name = member.name.partition("/")
            if kind == "blobs":
                blobs.put(data)
                done += 1
                told("pictures", done, pictures)
            elif kind == "tables":
                tables(name.partition("/")[0], data)
            else:
                kept = Vault.of(options).wrap(data, AUDIT_KEY) if kind == AUDIT_KEY else data
                write_file(options.folder / kind, kept, durable=True).chmod(0o600)
    return pictures


def _database(options: Options, vault: Vault, source: IO[bytes]) -> None:
    """The SQLite file, under the key of its new folder."""
    given, place = options.folder / f"{PART}given.sqlite", options.folder / "dermoscope.sqlite"
    with given.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
    new = Vault.of(options)
    old_key, new_key = sqlite_key(vault) if not _is_plain(given) else "", sqlite_key(new)
    if old_key == new_key:
        given.replace(place)
        return
    from sqlcipher3 import dbapi2  # there is a key, so it is needed anyway

    held = dbapi2.connect(str(given), isolation_level=None)
    try:
        if old_key:
            held.execute(f"PRAGMA key = \"x'{old_key}'\"")
        quoted = str(place).replace("'", "''")
        held.execute(f"ATTACH DATABASE '{quoted}' AS other KEY " + (f"\"x'{new_key}'\"" if new_key else "''"))
        held.execute("SELECT sqlcipher_export('other')")
        held.execute("DETACH DATABASE other")
    finally:
        held.close()
    given.unlink()


def _is_plain(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


@contextmanager
def _tables(options: Options, manifest: Manifest) -> Iterator[Any]:
    """What puts rows into tables of PostgreSQL, all in one transaction; the database says that it is not finished."""
    if manifest.kind == "sqlite":
        yield None
        return
    engine = engine_of(options, Vault())
    try:
        with engine.begin() as connection:  # before any table of the service: a kill leaves nothing that is believed
            connection.exec_driver_sql(f"CREATE TABLE {UNFINISHED} (since TIMESTAMP WITH TIME ZONE DEFAULT now())")
        migrate(engine, to=manifest.step, unfinished=True)
        known = set(inspect(engine).get_table_names()) - {"alembic_version", UNFINISHED}
        with engine.begin() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None

            def put(name: str, data: bytes) -> None:
                columns, _, rows = data.partition(b"\n")
                if name not in known or not re.fullmatch(rb'"[a-z_]+"(, "[a-z_]+")*', columns):
                    raise InputError(f"the backup holds a table {name!r}, which is none of the service")
                with raw.cursor() as cursor, cursor.copy(f'COPY "{name}" ({columns.decode()}) FROM STDIN') as copy:
                    copy.write(rows)

            yield put
            _count_on(connection, manifest.given)
    finally:
        engine.dispose()


def _count_on(connection: Connection, given: Mapping[str, int]) -> None:
    """Numbers that were given are given to nothing else, also those of rows that are gone."""
    for sequence, last in given.items():
        connection.execute(text("SELECT setval(CAST(:name AS regclass), :last)"), {"name": sequence, "last": last})


def _mend(store: Store, blobs: Blobs, old: Vault, manifest: Manifest) -> None:
    """Keys of cases under the new folder's key; no login and no link survives; pictures that were taken out go."""
    new = blobs.vault
    with store.begin() as session:
        if old.key != new.key:
            for held in session.scalars(select(CaseKey)):
                context = f"case/{held.case_id}"
                held.key = new.wrap(old.unwrap(held.key, context), context)
        session.execute(update(Login).where(Login.ended_at.is_(None)).values(ended_at=now()))
        session.execute(update(Link).where(Link.used_at.is_(None)).values(until=now()))
        gone = set(manifest.gone)
        for image in session.scalars(select(Image).where(Image.digest.in_(gone))) if gone else ():
            for result in image.results:
                session.delete(result)
            session.delete(image)
            blobs.release(session, image.digest)
        for item in session.scalars(select(JobItem).where(JobItem.digest.in_(gone))) if gone else ():
            blobs.release(session, str(item.digest))
            item.digest, item.state, item.problem = None, "failed", "its picture was taken out before the backup ended"


def _delete_again(store: Store, blobs: Blobs, gone: Gone) -> int:
    """Delete what was deleted after the backup was made; how many cases that were."""
    with store.begin() as session:
        for uid, line in gone.items():
            if session.get(Deletion, uid) is None:
                reason = "deleted after the backup that was restored"
                session.add(Deletion(uid=uid, by=str(line.get("by", trail.SERVICE))[:80], reason=reason))
    deleted = len(erase.finish(store, blobs).cases)
    with store.begin() as session:
        noted = session.scalars(select(Deletion)).all()
        remember(blobs.folder, [{"uid": d.uid, "at": trail.text_of_time(d.begun_at), "by": d.by} for d in noted])
    return deleted


def _finish(options: Options) -> None:
    """From here on the database may be used."""
    if options.url.startswith("sqlite"):
        return
    engine = engine_of(options, Vault())
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {UNFINISHED}")
    finally:
        engine.dispose()
